"""The health of each stage, and what needs attention: from an empty store to every problem."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import update

from bridge.monitoring.health import CAUSES, Grade, Health, read_health
from bridge.monitoring.overview import percentile, read_overview
from bridge.sender.destinations import Destination
from bridge.store import Store, inbox, leases, outbox, pauses, rate_limit, refusals, schema, subscriptions
from bridge.store.outbox import DeliveryStatus
from bridge.store.refusals import Refusals
from processors.interface import SignatureProblem
from tests.bridge.store.builders import (
    ANNA,
    BERT,
    HOUR,
    MINUTE,
    NOON,
    a_delivery,
    a_subscription_row,
    a_webhook,
    accepted,
    added,
    an_outcome,
    an_update,
    stored,
    updated,
)

PULSORA = Destination(endpoint="https://pulsora.example/api/ingest", token="sec_fake")


@pytest.fixture
def running(store: Store) -> Store:
    """A store with a running worker."""
    with store.transaction() as tx:
        leases.heartbeat(tx, "worker", NOON)
    return store


def health(store: Store, now: datetime = NOON) -> Health:
    with store.reading() as tx:
        return read_health(tx, now)


def grades(found: Health) -> list[str]:
    return [stage.grade.value for stage in found.stages]


def refuse(store: Store, at: datetime, cause: str = "signature_mismatch", count: int = 34) -> None:
    one = Refusals(source="stripe", cause=cause, hour=refusals.hour_of(at), count=count, last_at=at)
    with store.transaction() as tx:
        refusals.add(tx, [one], at)


def test_a_new_bridge_waits_for_its_first_webhook(running: Store) -> None:
    found = health(running)

    assert grades(found) == ["warning", "ok", "ok"]
    assert [(one.text, one.page) for one in found.attention] == [
        ("Waiting for the first webhook. Set up the endpoint.", "sources")
    ]


def test_without_a_worker_nothing_is_settled_and_nothing_that_waits_is_sent(store: Store) -> None:
    idle = grades(health(store))
    added(store, a_delivery())

    found = health(store, NOON - HOUR)

    assert idle == ["warning", "problem", "ok"]
    assert grades(found) == ["warning", "problem", "problem"]
    assert [one.text for one in found.attention if one.grade == "problem"] == [
        "No worker is running, and 1 revenue event waits for it. Start one: pulsora-bridge serve (or worker)."
    ]


def test_refused_webhooks_are_a_problem_until_one_is_accepted(running: Store) -> None:
    refuse(running, NOON - MINUTE)
    before = health(running)
    accepted(running)
    after = health(running)

    assert grades(before)[0] == "problem"
    assert before.attention[0].text == (
        "34 webhooks of stripe refused in the last hour: signature_mismatch, the webhook secret belongs to another "
        "endpoint, or a proxy changes the body."
    )
    assert grades(after)[0] == "warning"
    assert grades(health(running, NOON + HOUR))[0] == "ok"


@pytest.mark.parametrize(("count", "grade"), [(2, "warning"), (3, "problem")])
def test_one_forged_request_is_not_yet_a_problem(running: Store, count: int, grade: str) -> None:
    accepted(running)
    refuse(running, NOON + MINUTE, count=count)

    assert grades(health(running, NOON + 2 * MINUTE))[0] == grade


@pytest.mark.parametrize(
    ("count", "had_one", "grade"),
    [(19, True, "warning"), (20, True, "problem"), (2, False, "warning"), (3, False, "problem")],
)
def test_requests_without_a_signature_may_be_anybodys(running: Store, count: int, had_one: bool, grade: str) -> None:
    if had_one:
        accepted(running)
    refuse(running, NOON + MINUTE, "signature_missing", count)

    assert grades(health(running, NOON + 2 * MINUTE))[0] == grade


def test_fetched_events_and_attributions_do_not_hide_a_wrong_secret(running: Store) -> None:
    accepted(running, NOON - HOUR)
    refuse(running, NOON - MINUTE)
    stored(running, "evt_fetched")  # received at noon, from the processor's list of events
    running.accept(a_webhook("attribution_1", type="bridge.attribution"))

    assert grades(health(running))[0] == "problem"


def test_webhooks_of_another_source_do_not_hide_a_wrong_secret(running: Store) -> None:
    running.accept(a_webhook("evt_9", source="paddle", received_at=NOON))
    refuse(running, NOON - MINUTE, count=1)

    assert grades(health(running))[0] == "problem"


def test_an_unknown_address_is_only_a_warning(running: Store) -> None:
    refuse(running, NOON, "unknown_source")

    assert grades(health(running))[0] == "warning"


def test_every_cause_of_a_refusal_is_explained() -> None:
    codes = {one.value if one is SignatureProblem.UNREADABLE else f"signature_{one}" for one in SignatureProblem}

    assert set(CAUSES) == codes | {"too_large", "unknown_source"}


def test_failed_webhooks_and_rejected_deliveries_lead_to_their_lists(running: Store) -> None:
    (row_id,) = stored(running, "evt_1")
    (delivery_id,) = added(running, a_delivery())
    with running.transaction() as tx:
        inbox.fail(tx, row_id, "broken", None)
        outbox.record(tx, [an_outcome(delivery_id, DeliveryStatus.FAILED, last_status=400)])

    found = health(running)

    assert grades(found) == ["ok", "problem", "problem"]
    assert [(one.text, one.page, one.query) for one in found.attention] == [
        ("1 webhook failed. Each names its error and can be replayed.", "webhooks", {"status": "failed"}),
        ("1 revenue event rejected by Pulsora. Review and resend.", "deliveries", {"status": "failed"}),
    ]


def test_a_pause_is_a_problem_and_names_its_reason_and_cure(running: Store) -> None:
    stored(running, "evt_1")
    with running.transaction() as tx:
        pauses.pause(tx, PULSORA.id, NOON + HOUR, "401: wrong token", probing=True, now=NOON)

    assert health(running).attention[0].text == (
        "Paused until 2026-03-01 13:00:00 UTC: 401: wrong token. "
        "Nothing is lost: correct PULSORA_SECRET_TOKEN or PULSORA_ENDPOINT, and restart."
    )


def test_what_waits_for_a_date_is_not_overdue(running: Store) -> None:
    """A cancellation dated a month ahead waits for its date; only what was due five minutes ago is late."""
    stored(running, "evt_1")
    updated(running, an_update(ANNA, due_at=NOON + timedelta(days=25)))

    later = [grades(health(running, at))[1] for at in (NOON, NOON + MINUTE)]
    updated(running, an_update(BERT, due_at=NOON - 6 * MINUTE))

    assert later == ["ok", "ok"]
    assert [one.text for one in health(running).attention] == ["Customers have been due for settling for 6 min."]


def test_what_is_held_or_retried_is_not_on_the_way(running: Store) -> None:
    stored(running, "evt_1")
    held = {"status": DeliveryStatus.HELD, "hold_until": NOON + HOUR}
    added(running, a_delivery("now"), a_delivery("held", stream_id=BERT, **held))
    (tried,) = added(running, a_delivery("tried", stream_id="stripe||live|cus_carl"))
    with running.transaction() as tx:
        outbox.claim(tx, NOON, 10, "sender", NOON + MINUTE)
        outbox.record(tx, [an_outcome(tried, DeliveryStatus.PENDING, next_at=NOON + HOUR, last_status=503)])
        outbox.release_all(tx, "sender")

    with running.reading() as tx:
        found = read_overview(tx, [PULSORA], 1800, NOON)

    waiting = found.health.queues
    assert (waiting.pending, waiting.retrying, waiting.held) == (2, 1, 1)
    assert waiting.first_hold_until == NOON + HOUR
    assert found.eta == timedelta(seconds=2)  # one event at 1800 an hour
    assert [one.grade for one in found.health.stages] == [Grade.OK] * 3


def test_the_first_page_has_levels_revenue_latencies_and_the_budget(running: Store) -> None:
    fresh = [a_delivery(f"k{n}", received_at=NOON - n * MINUTE, stream_id=f"s{n}") for n in range(1, 21)]
    ids = added(running, *fresh, a_delivery("old", received_at=NOON - 50 * HOUR, stream_id="old"))
    with running.transaction() as tx:
        outbox.record(tx, [an_outcome(one) for one in ids[:-1]])
        outbox.record(tx, [an_outcome(ids[-1], at=NOON - 25 * HOUR)])
        subscriptions.save(tx, [a_subscription_row()])
        rate_limit.reserve(tx, PULSORA.origin, NOON, 20, 2000)

    with running.reading() as tx:
        found = read_overview(tx, [PULSORA, PULSORA], 2000, NOON)

    assert [(one.currency, one.amount, len(one.line)) for one in found.mrr] == [("USD", Decimal("49.00"), 30)]
    assert [(one.amount, sum(one.line)) for one in found.revenue] == [
        (Decimal("1029.00"), Decimal("1029.00"))
    ]  # 21 x 49
    assert (found.deliveries.count, found.deliveries.p50, found.deliveries.p95) == (20, 660, 1200)  # 11 min, 20 min
    assert [(one.origin, one.used, one.limit) for one in found.budgets] == [("https://pulsora.example:443", 20, 2000)]


def test_test_money_is_shown_until_there_is_live_money(running: Store) -> None:
    added(running, a_delivery("t", livemode=False, scope="stripe||test"))
    with running.reading() as tx:
        before = read_overview(tx, [], 2000, NOON).mode
    added(running, a_delivery("l"))
    with running.reading() as tx:
        after = read_overview(tx, [], 2000, NOON).mode

    assert (before, after) == ("test", "live")


@pytest.mark.parametrize(("share", "seconds"), [(0.5, 3), (0.95, 5), (1.0, 5), (0.0, 1)])
def test_a_percentile_is_one_of_the_values(share: float, seconds: int) -> None:
    assert percentile([1_000_000, 2_000_000, 3_000_000, 4_000_000, 5_000_000], share) == seconds


def test_no_values_have_no_percentile() -> None:
    assert percentile([], 0.5) is None


def test_conflicts_are_named_apart_from_other_failed_webhooks(running: Store) -> None:
    stored(running, "evt_1", "evt_2")
    with running.transaction() as tx:
        reason = f"{inbox.CONFLICT}: 49.00 USD was not sent, cus_bert has already reported payment:pi_1"
        tx.execute(update(schema.inbox).values(status="failed", reason="boom"))
        tx.execute(update(schema.inbox).where(schema.inbox.c.event_id == "evt_2").values(reason=reason))

    found = health(running).attention

    assert [(one.text, dict(one.query)) for one in found] == [
        ("2 webhooks failed. Each names its error and can be replayed.", {"status": "failed"}),
        (
            "1 webhook with a conflict: the revenue event was not sent, because another customer had reported the same "
            "payment or movement. The reason names both.",
            {"status": "failed", "q": "two streams report the same fact"},
        ),
    ]


def test_deliveries_rejected_for_their_amount_name_the_setting_that_cures_them(running: Store) -> None:
    stored(running, "evt_1")
    with running.transaction() as tx:
        outbox.add(tx, [a_delivery(status=DeliveryStatus.FAILED), a_delivery("other", status=DeliveryStatus.FAILED)])
        error = "400: amount must be positive; REFUND_AMOUNT=positive cures it"
        tx.execute(update(schema.outbox).where(schema.outbox.c.output_key == "other").values(last_error=error))

    found = health(running).attention

    assert [one.text for one in found] == [
        "2 revenue events rejected by Pulsora. Review and resend.",
        "1 revenue event rejected because of the amount. To cure it, set REFUND_AMOUNT=positive, restart the bridge, "
        "then run: pulsora-bridge deliveries retry --rewrite",
    ]
