"""With `REFUND_AMOUNT=positive MOVEMENT_AMOUNT=mrr` every lifecycle passes an ingest that takes only positive amounts.

And a delivery that was rejected under the default rules becomes, rendered again, what these rules would have given.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from bridge.ledger import Policy, RevenueEvent
from bridge.ledger.catalog import key_of
from bridge.ledger.policy import MovementAmount, RefundAmount
from bridge.sandbox.fake_pulsora import positive_problems
from bridge.sender import payload
from bridge.sender.amount_rules import rewritten
from bridge.store.outbox import Delivery, DeliveryStatus
from processors.stripe import processor as stripe
from tests.lifecycles import paddle_lifecycle
from tests.lifecycles.harness import Ledger, TranslatedWebhook, translated, windows_in_real_time
from tests.lifecycles.stripe_lifecycle import Lifecycle as StripeLifecycle
from tests.lifecycles.test_paddle_lifecycles import CASES as PADDLE_CASES
from tests.lifecycles.test_stripe_lifecycles import ONE_SHAPE

AT = datetime(2026, 1, 1, tzinfo=UTC)
CASES = [pytest.param(*case.values, id=str(case.id)) for case in (*ONE_SHAPE, *PADDLE_CASES)]


def positive(policy: Policy) -> Policy:
    return replace(policy, refund_amount=RefundAmount.POSITIVE, movement_amount=MovementAmount.MRR)


def default(policy: Policy) -> Policy:
    return replace(policy, refund_amount=RefundAmount.NEGATIVE, movement_amount=MovementAmount.ZERO)


def webhooks_of(lifecycle: Any, way: Any) -> Sequence[TranslatedWebhook]:
    if isinstance(lifecycle, StripeLifecycle):
        return translated(lifecycle.webhooks(way), stripe)
    return paddle_lifecycle.translated(lifecycle, way)


def events_of(lifecycle: Any, way: Any, policy: Policy) -> tuple[RevenueEvent, ...]:
    """Its events, each webhook when it is sent."""
    known = {key: one for one in getattr(lifecycle, "api_catalog", ()) if (key := key_of(one)) is not None}
    ledger = Ledger(policy=policy, catalog=known)
    for window in windows_in_real_time(webhooks_of(lifecycle, way)):
        ledger = ledger.after(window)
    return ledger.events


def rejected(event: RevenueEvent) -> Delivery:
    """The event as a delivery that Pulsora has rejected."""
    return Delivery(
        id=1, stream_id="s", scope="stripe||live", source="stripe", livemode=True, output_key=event.output_key,
        status=DeliveryStatus.FAILED, body=payload.dump(event), event_type=event.event_type, currency=event.currency,
        amount=event.amount, mrr_impact=event.mrr_impact, attempts=1, next_at=AT, hold_until=None, priority=0,
        created_at=AT, delivered_at=None, last_status=400, last_error=None, event_ids=(), customer_id=None,
        subscription_id=None, transaction_id=None, plan=None, attribution=None, movement=None, occurred_at=None,
        received_at=None,
    )  # fmt: skip


@pytest.mark.parametrize(("lifecycle", "way"), CASES)
def test_every_event_has_a_positive_amount_and_one_that_was_rejected_becomes_the_same(lifecycle: Any, way: Any) -> None:
    rules = positive(lifecycle.policy)
    wanted = {event.output_key: payload.dump(event) for event in events_of(lifecycle, way, rules)}
    for body in wanted.values():
        data = payload.load(body)

        assert payload.problems(data) == ()
        assert positive_problems(data) == (), body

    events = events_of(lifecycle, way, default(lifecycle.policy))
    changed = {event.output_key: rewritten(rejected(event), rules) for event in events}

    assert {
        event.output_key: new.body if (new := changed[event.output_key]) else payload.dump(event) for event in events
    } == wanted
    assert {key for key, new in changed.items() if new} == {event.output_key for event in events if event.amount <= 0}
