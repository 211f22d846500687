"""Processors deliver twice: what is told again later arrives once. Each of three guards sees to it, also alone."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import requests

from bridge.sandbox.fake_pulsora import FakePulsora
from bridge.store import inbox, open_store, outbox
from bridge.store.inbox import UNSETTLED
from tests.faults.clients import PATH, charge, signed
from tests.faults.reckoning import posts_by_payment
from tests.faults.service import running
from tests.settings import TOKEN

EVENTS, TIMES = 20, 3
PATIENCE_SECONDS = 30


def posts_of_each(folder: Path, guards: str | None) -> set[int]:
    """How often each payment reached Pulsora, when every webhook came again after it had been delivered."""
    url = f"sqlite:///{folder / 'bridge.db'}"  # migrated by the service itself, for two guards are in the schema
    with (
        FakePulsora(TOKEN) as ingest,
        running(folder, database_url=url, endpoint=ingest.endpoint, guard=guards) as service,
    ):
        for _ in range(TIMES):
            for number in range(EVENTS):
                webhook = signed(charge(number))
                answer = requests.post(service.url + PATH, webhook.body, headers=dict(webhook.headers), timeout=10)
                assert answer.status_code == 200
            _await_rest(url)
        return {len(bodies) for bodies in posts_by_payment(ingest).values()}


def _await_rest(url: str) -> None:
    """Until everything that was stored is settled and sent."""
    store, until = open_store(url), time.monotonic() + PATIENCE_SECONDS
    waiting = True
    while waiting:
        assert time.monotonic() < until, "it did not come to rest"
        time.sleep(0.1)
        with store.reading() as tx:
            waiting = bool(outbox.backlog(tx).count) or any(status in UNSETTLED for _, status in inbox.counts(tx))
    store.close()


@pytest.mark.parametrize("guards", [None, "unseen+forgotten", "unseen+key", "forgotten+key"])
def test_a_webhook_that_comes_again_sends_nothing_again_as_long_as_one_guard_stands(
    tmp_path: Path, guards: str | None
) -> None:
    assert posts_of_each(tmp_path, guards) == {1}


def test_the_harness_notices_a_bridge_without_any_of_the_three(tmp_path: Path) -> None:
    assert posts_of_each(tmp_path, "unseen+forgotten+key") == {TIMES}
