"""Processors deliver webhooks repeatedly; Pulsora gets each event once. Any one of three guards is enough."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import requests

from bridge.sandbox.fake_pulsora import FakePulsora
from bridge.store import inbox, open_store, outbox
from bridge.store.inbox import UNSETTLED
from tests.faults.clients import PATH, charge, signed
from tests.faults.consistency import posts_by_payment
from tests.faults.service import running
from tests.settings import TOKEN

EVENTS, TIMES = 8, 3
PAIRS = [
    None,
    "no_inbox_unique+no_ledger_state",
    "no_inbox_unique+no_outbox_unique",
    "no_ledger_state+no_outbox_unique",
]
PATIENCE_SECONDS = 30


def posts_per_payment(folder: Path, disabled: str | None) -> set[int]:
    """How often each payment reached Pulsora when every webhook was repeated after its delivery."""
    url = f"sqlite:///{folder / 'bridge.db'}"  # migrated by the service itself, because two guards are in the schema
    with (
        FakePulsora(TOKEN) as pulsora,
        running(folder, database_url=url, endpoint=pulsora.endpoint, disabled=disabled) as service,
    ):
        for _ in range(TIMES):
            for number in range(EVENTS):
                webhook = signed(charge(number))
                response = requests.post(service.url + PATH, webhook.body, headers=dict(webhook.headers), timeout=10)
                assert response.status_code == 200
            _await_idle(url)
        return {len(bodies) for bodies in posts_by_payment(pulsora).values()}


def _await_idle(url: str) -> None:
    """Waits until everything stored is settled and sent."""
    store, until = open_store(url), time.monotonic() + PATIENCE_SECONDS
    waiting = True
    while waiting:
        assert time.monotonic() < until, "timed out"
        time.sleep(0.1)
        with store.reading() as tx:
            waiting = bool(outbox.backlog(tx).count) or any(status in UNSETTLED for _, status in inbox.counts(tx))
    store.close()


@pytest.mark.parametrize("disabled", PAIRS)
def test_a_webhook_that_arrives_again_sends_nothing_again_while_one_guard_is_enabled(
    tmp_path: Path, disabled: str | None
) -> None:
    assert posts_per_payment(tmp_path, disabled) == {1}


def test_the_harness_notices_a_bridge_without_any_of_the_three(tmp_path: Path) -> None:
    assert posts_per_payment(tmp_path, "no_inbox_unique+no_ledger_state+no_outbox_unique") == {TIMES}
