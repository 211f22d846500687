"""Alerts of subscriptions: start, change and end."""

from __future__ import annotations

from processors.facts import Stage, Status, SubscriptionState, Terms
from processors.interface import Translation
from processors.paddle_classic.alerts import (
    STATUSES,
    Alert,
    days_left,
    ids_of,
    metadata_of,
    sold_plan_in,
    subscription_in,
    terms_of,
)
from processors.paddle_classic.plans import Period, period_of_days, period_reaching
from processors.payload import instant

NO_SUBSCRIPTION = "the alert has no subscription, plan, status, price or currency"


def created(alert: Alert) -> Translation:
    """`subscription_created`: the start. The payment has its own alert."""
    status, currency, subscription_id = subscription_in(alert)
    trial = status is Status.TRIALING
    sold = sold_plan_in(alert, "", period_of_days(None if trial else days_left(alert)))
    if subscription_id is None or currency is None or status is None or sold is None:
        return Translation(reason=NO_SUBSCRIPTION)
    fact = SubscriptionState(
        at=alert.at,
        ids=ids_of(alert, subscription_id),
        now=terms_of(status, currency, sold),
        stage=Stage.CREATED,
        started_at=alert.at,
        trial_ends_at=instant(alert.fields.get("next_bill_date")) if trial else None,
        estimated=sold.period.estimated,
        metadata=metadata_of(alert),
        processor_event_id=alert.id,
    )
    return Translation(facts=(fact,))


def updated(alert: Alert) -> Translation:
    """`subscription_updated`: the terms now and before."""
    status, currency, subscription_id = subscription_in(alert)
    now, before = sold_plan_in(alert, "new_", _period(alert)), sold_plan_in(alert, "old_", _period_before(alert))
    if subscription_id is None or currency is None or status is None or now is None:
        return Translation(reason=NO_SUBSCRIPTION)
    old_status = STATUSES.get(alert.fields.get("old_status", "")) or status
    fact = SubscriptionState(
        at=alert.at,
        ids=ids_of(alert, subscription_id),
        now=terms_of(status, currency, now),
        before=None if before is None else terms_of(old_status, currency, before),
        ended_reason="paused" if status is Status.PAUSED else None,
        estimated=now.period.estimated,
        metadata=metadata_of(alert),
        processor_event_id=alert.id,
    )
    return Translation(facts=(fact,))


def cancelled(alert: Alert) -> Translation:
    """`subscription_cancelled` arrives at the request: the end is a second state, dated when it takes effect.

    The scheduled end is reported only for plans of known period: an estimated one would move MRR until then. An alert
    whose price cannot be read is still an end.
    """
    _, currency, subscription_id = subscription_in(alert)
    sold = sold_plan_in(alert, "", period_reaching(days_left(alert, "cancellation_effective_date")))
    if subscription_id is None or currency is None:
        return Translation(reason=NO_SUBSCRIPTION)
    ends_at = max(instant(alert.fields.get("cancellation_effective_date")) or alert.at, alert.at)
    ended = SubscriptionState(
        at=ends_at,
        ids=ids_of(alert, subscription_id),
        now=Terms(status=Status.ENDED, currency=currency) if sold is None else terms_of(Status.ENDED, currency, sold),
        ended_reason="canceled",
        estimated=sold is None or sold.period.estimated,
        metadata=metadata_of(alert),
        processor_event_id=alert.id,
    )
    if ends_at == alert.at or sold is None or sold.period.estimated:
        return Translation(facts=(ended,))
    scheduled = SubscriptionState(
        at=alert.at,
        ids=ids_of(alert, subscription_id),
        now=terms_of(Status.ACTIVE, currency, sold, ends_at),
        keeps_status=True,  # it may be on trial or paused: the alert's own status is that of the end
        metadata=metadata_of(alert),
        processor_event_id=alert.id,
    )
    return Translation(facts=(scheduled, ended))


def _period(alert: Alert) -> Period:
    """The period after a change, by the next bill date if a new period began, else by the days left of the old one."""
    days, before = days_left(alert), days_left(alert, "old_next_bill_date")
    is_new = days is not None and before is not None and days != before
    return period_of_days(days) if is_new else period_reaching(days)


def _period_before(alert: Alert) -> Period:
    return period_reaching(days_left(alert, "old_next_bill_date"))
