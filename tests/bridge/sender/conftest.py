"""A real ingest on 127.0.0.1 and a client with short patience."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from bridge.sender.client import Client
from bridge.sender.standin import StandIn

TOKEN = "sec_test_fake"


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def pulsora() -> Iterator[StandIn]:
    with StandIn(TOKEN) as standin:
        yield standin


@pytest.fixture
def client() -> Iterator[Client]:
    impatient = Client(connect_seconds=1.0, silence_seconds=0.3, answer_seconds=0.8)
    yield impatient
    impatient.close()
