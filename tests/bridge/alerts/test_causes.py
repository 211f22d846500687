"""Which causes of alerts hold, by what the store says; and that Prometheus has the same ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from bridge.alerts.causes import EXPLAINED, MIN_FREE_BYTES, Cause, Found, Observed, SourceSeen, counts, current
from bridge.monitoring.silence import Silence
from bridge.store.pauses import Pause
from bridge.store.reconciliations import Run
from bridge.store.refusals import RefusalSum
from bridge.store.rejected_visits import RejectedVisits
from processors.values import replace

ROOT = Path(__file__).resolve().parents[3]
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND, MINUTE, HOUR, DAY = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
FINE = Observed(now=NOON, free_bytes=MIN_FREE_BYTES)
SILENCE = Silence(last_at=NOON - HOUR, allowed=2 * HOUR, silent_since=None)
STRIPE = SourceSeen(name="stripe", silence=SILENCE)
RUN = Run(source="stripe", at=NOON, since=NOON - DAY, until=NOON, reason="schedule", listed=0, stored=0)
PAUSE = Pause(destination="pulsora.co", since=NOON - MINUTE, until=NOON + HOUR, reason="401", probing=True)


def refused(count: int, at: datetime = NOON) -> RefusalSum:
    return RefusalSum(source="stripe", cause="signature_mismatch", count=count, last_at=at)


def held(seen: Observed) -> list[Cause]:
    return [one.cause for one in current(seen)]


def of_stripe(**changes: object) -> Observed:
    return replace(FINE, sources=[replace(STRIPE, **changes)])  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        pytest.param(FINE, [], id="nothing"),
        pytest.param(of_stripe(), [], id="a healthy source"),
        pytest.param(replace(FINE, worker_gone_since=NOON - 2 * MINUTE), [], id="a worker that restarts"),
        pytest.param(replace(FINE, worker_gone_since=NOON - 121 * SECOND), ["worker"], id="no worker"),
        pytest.param(replace(FINE, free_bytes=MIN_FREE_BYTES - 1), ["disk"], id="a full disk"),
        pytest.param(replace(FINE, free_bytes=None), [], id="a disk elsewhere"),
        pytest.param(of_stripe(refused=[refused(2)]), [], id="two refused"),
        pytest.param(of_stripe(refused=[refused(3)]), ["refused"], id="three refused since the last accepted"),
        pytest.param(of_stripe(refused=[refused(99, NOON - 2 * HOUR)]), [], id="accepted since"),
        pytest.param(
            of_stripe(refused=[refused(99, NOON - 2 * HOUR)], refused_now=50, accepted_now=50),
            ["refused"],
            id="one endpoint of two",
        ),
        pytest.param(
            of_stripe(refused=[refused(3, NOON - 2 * HOUR)], refused_now=3, accepted_now=13), [], id="a few forged"
        ),
        pytest.param(of_stripe(silence=replace(SILENCE, silent_since=NOON)), ["silent"], id="a silent source"),
        pytest.param(of_stripe(run=replace(RUN, faults=("we_1 is disabled",))), ["endpoint"], id="a wrong endpoint"),
        pytest.param(of_stripe(run=replace(RUN, faults=None)), [], id="an endpoint that was not compared"),
        pytest.param(
            of_stripe(run=replace(RUN, error="down"), failing_since=NOON - DAY - SECOND),
            ["reconcile"],
            id="a list that cannot be read",
        ),
        pytest.param(replace(FINE, pauses=[PAUSE]), ["paused"], id="a rejected token"),
        pytest.param(replace(FINE, pauses=[replace(PAUSE, probing=False)]), [], id="a pause that Pulsora asked for"),
        pytest.param(
            replace(FINE, pauses=[replace(PAUSE, probing=False, since=NOON - 16 * MINUTE)]), ["paused"], id="a long one"
        ),
        pytest.param(replace(FINE, unrouted_since=NOON - 16 * MINUTE), ["overdue"], id="unrouted webhooks"),
        pytest.param(replace(FINE, due_since=NOON - 16 * MINUTE), ["overdue"], id="unsettled customers"),
        pytest.param(replace(FINE, ready_since=NOON - 61 * MINUTE), ["overdue"], id="unsent events"),
        pytest.param(replace(FINE, ready_since=NOON - DAY, is_limited=True), [], id="events behind the limit"),
        pytest.param(replace(FINE, ready_since=NOON - DAY, pauses=[PAUSE]), ["paused"], id="events behind a pause"),
        pytest.param(
            replace(FINE, unrouted_since=NOON - DAY, worker_gone_since=NOON - DAY), ["worker"], id="no worker to route"
        ),
        pytest.param(replace(FINE, failed_webhooks=1), ["failed"], id="a failed webhook"),
        pytest.param(replace(FINE, failed_deliveries=1), ["rejected"], id="a rejected delivery"),
        pytest.param(replace(FINE, conflicts=1), ["conflicts"], id="a conflict"),
        pytest.param(replace(FINE, audit_differences={"stripe": "12.00 EUR"}), ["audit"], id="an audit difference"),
    ],
)
def test_a_cause_holds(seen: Observed, expected: Sequence[str]) -> None:
    assert held(seen) == expected


def test_a_placeholder_is_a_cause_for_a_day() -> None:
    one = RejectedVisits(source="stripe", cause="session_id is null", count=1, last_at=NOON - DAY, event_id="evt_1")

    assert held(replace(FINE, rejected_visits=[one])) == ["visits"]
    assert held(replace(FINE, rejected_visits=[replace(one, last_at=NOON - DAY - SECOND)])) == []


def test_each_text_names_what_it_is_about() -> None:
    silence = replace(SILENCE, last_at=NOON - 29 * DAY, silent_since=NOON - 28 * DAY)

    assert current(of_stripe(silence=silence)) == [
        Found(
            cause=Cause.SILENT,
            subject="stripe",
            text="stripe: no webhook for 29 days, since 2026-01-31 12:00:00 UTC. Its limit is 2 h.",
        )
    ]
    assert current(of_stripe(refused=[refused(34)]))[0].text == (
        "stripe: 34 webhooks in the last 24 hours: signature_mismatch, the webhook secret belongs to another endpoint,"
        " or a proxy changes the body."
    )


def test_every_cause_is_explained_and_counted() -> None:
    assert list(EXPLAINED) == list(Cause)
    assert list(counts([])) == [cause.value for cause in Cause]
    assert counts(current(replace(FINE, failed_webhooks=9)))["failed"] == 1


def test_prometheus_has_the_same_causes() -> None:
    rules = yaml.safe_load((ROOT / "config" / "prometheus-alerts.yaml").read_text(encoding="utf-8"))
    by_name = {rule["alert"]: rule for group in rules["groups"] for rule in group["rules"]}

    outside = by_name.pop("PulsoraBridgeDown")  # the bridge cannot report that it does not run
    assert outside["expr"] == 'up{job="pulsora-bridge"} == 0'
    assert {rule["expr"]: name for name, rule in by_name.items()} == {
        f'pulsora_bridge_alerts{{cause="{cause}"}} > 0': about.rule for cause, about in EXPLAINED.items()
    }
    for cause, about in EXPLAINED.items():
        rule = by_name[about.rule]
        assert rule["annotations"]["summary"] == about.title, cause
        assert rule["labels"]["severity"] == ("critical" if about.is_critical else "warning"), cause


def test_every_cause_is_in_the_documentation() -> None:
    page = (ROOT / "docs" / "alerts.md").read_text(encoding="utf-8")

    assert re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE) == [cause.value for cause in Cause]
