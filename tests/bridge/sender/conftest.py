"""A real ingest on 127.0.0.1, a client with short patience, and drains between a store and the ingest."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from bridge.sender.client import Client
from bridge.sender.destinations import Destination
from bridge.sender.drain import Drain
from bridge.store import Store
from tests.bridge.sender.draining import TOKEN, MakeDrain
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
def client() -> Iterator[Client]:
    impatient = Client(connect_seconds=1.0, silence_seconds=0.3, answer_seconds=0.8)
    yield impatient
    impatient.close()


@pytest.fixture
def make_drain(store: Store, client: Client, pulsora: ScriptedPulsora) -> Iterator[MakeDrain]:
    made: list[Drain] = []

    def make(**changes: Any) -> Drain:
        routes = {"stripe": Destination(endpoint=pulsora.endpoint, token=TOKEN)}
        settings = {"store": store, "routes": routes, "owner": "test:1", "threads": 4, "per_hour": 0, "client": client}
        made.append(Drain(**{**settings, **changes}))
        return made[-1]

    yield make
    for drain in made:
        drain.close(2)


@pytest.fixture
def drain(make_drain: MakeDrain) -> Drain:
    return make_drain()
