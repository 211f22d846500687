"""A real ingest on 127.0.0.1, a client with short time-outs, and dispatchers between a store and the ingest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bridge.sender.destinations import Destination
from bridge.sender.dispatcher import Dispatcher
from bridge.sender.http_client import HttpClient
from bridge.store import Store
from tests.bridge.sender.rounds import TOKEN, MakeDispatcher
from tests.fake_pulsora import ScriptedPulsora


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def pulsora() -> Iterator[ScriptedPulsora]:
    with ScriptedPulsora(TOKEN) as fake:
        yield fake


@pytest.fixture
def client() -> Iterator[HttpClient]:
    quick = HttpClient(connect_seconds=1.0, read_seconds=0.3, response_seconds=0.8)
    yield quick
    quick.close()


@pytest.fixture
def make_dispatcher(store: Store, client: HttpClient, pulsora: ScriptedPulsora) -> Iterator[MakeDispatcher]:
    made: list[Dispatcher] = []

    def make(**changes: Any) -> Dispatcher:
        destinations = {"stripe": Destination(endpoint=pulsora.endpoint, token=TOKEN)}
        settings = {
            "store": store,
            "destinations": destinations,
            "owner": "test:1",
            "threads": 4,
            "per_hour": 0,
            "client": client,
        }
        made.append(Dispatcher(**{**settings, **changes}))
        return made[-1]

    yield make
    for dispatcher in made:
        dispatcher.close(2)


@pytest.fixture
def dispatcher(make_dispatcher: MakeDispatcher) -> Dispatcher:
    return make_dispatcher()
