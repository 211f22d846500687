"""What a payment makes of a subscription that no state has said it of yet: that it began, or that it runs."""

from __future__ import annotations

from datetime import datetime, timedelta

from bridge.ledger.changing import changed
from bridge.ledger.labels import labels_of_lines
from bridge.ledger.movements import Cause, Eyes, Step, begun, is_taken_for_old, to_level
from bridge.ledger.mrr import UNPROVEN, of_lines, worth
from bridge.ledger.remarks import shown
from bridge.ledger.state import Subscription
from processors.facts import Reason, Status
from processors.money import round_minor

TRIAL_SLACK = timedelta(days=1)  # a trial's end is billed this much early at most
START_SLACK = timedelta(days=1)  # the first payment follows the first state this much later at most


def after_payment(known: Subscription, reason: Reason, cause: Cause, eyes: Eyes) -> Step:
    """What a payment says of a subscription that no state has said yet: that it began, or that it runs."""
    is_new = known.terms is None and not known.counted
    if is_new and reason is not Reason.START:
        return _silent(known, eyes)
    if is_taken_for_old(known) and reason is Reason.START and cause.at <= known.first_at + START_SLACK:
        return begun(known, cause, known.labels)
    if is_new or _starts(known, reason, cause.at):
        return _proven(known, cause, eyes)
    return Step(subscription=known)


def _silent(known: Subscription, eyes: Eyes) -> Step:
    """An older subscription met through a payment: what it is worth is nothing new."""
    level = of_lines(known.lines.values(), eyes.knowledge, eyes.policy)
    told = round_minor(level.exact)
    labels = labels_of_lines(known.lines.values(), eyes.knowledge)
    after = changed(
        known, level=level.exact, told=told, baseline=told, counted=told > 0, estimated=told > 0, labels=labels
    )
    remark = f"first seen running: its MRR of {shown(told, known.currency)} is nothing new"
    return Step(subscription=after, remark=remark)


def _starts(known: Subscription, reason: Reason, at: datetime) -> bool:
    """Whether a payment can only mean that a subscription which did not count yet has begun."""
    if known.ended or known.counted or known.terms is None or known.terms.status not in UNPROVEN:
        return False
    if known.terms.status is Status.INCOMPLETE:
        return reason in (Reason.START, Reason.CYCLE)
    over = known.trial_ends_at is not None and at >= known.trial_ends_at - TRIAL_SLACK
    return reason is Reason.CYCLE and over


def _proven(known: Subscription, cause: Cause, eyes: Eyes) -> Step:
    """A paid subscription runs, although its own state has not said so yet."""
    if known.terms is not None:
        level = worth(known.terms, eyes.view(cause.at, known.lines), proven=True)
        labels = known.labels
    else:
        level = of_lines(known.lines.values(), eyes.knowledge, eyes.policy)
        labels = labels_of_lines(known.lines.values(), eyes.knowledge)
    step = to_level(changed(known, proven_at=cause.at, labels=labels), level, cause)
    return changed(step, remark=f"it runs, since it is paid: {step.remark}")
