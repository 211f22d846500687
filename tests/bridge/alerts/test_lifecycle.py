"""When a message is sent, repeated and cleared, and that there are never many."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.alerts.causes import Cause, Found
from bridge.alerts.lifecycle import Kind, Message, decide, failed
from bridge.store.alerts import AlertState

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


def silent(*sources: str) -> list[Found]:
    return [Found(cause=Cause.SILENT, subject=one, text=f"{one}: no webhook") for one in sources]


@dataclass
class Operator:
    """Keeps the states, and receives the messages."""

    states: dict[str, AlertState] = field(default_factory=dict)
    inbox: list[tuple[datetime, Message]] = field(default_factory=list)
    is_unreachable: bool = False

    def look(self, at: datetime, *found: Found, public_url: str | None = None) -> None:
        for step in decide(self.states, found, at, public_url):
            state = step.state
            if step.message is not None and self.is_unreachable:
                state = failed(step, "1 (json): refused", at)
            elif step.message is not None:
                state = step.sent
                self.inbox.append((at, step.message))
            if state is None:
                del self.states[step.cause.value]
            else:
                self.states[step.cause.value] = state

    def kinds(self) -> list[str]:
        return [message.kind.value for _, message in self.inbox]


def test_a_cause_is_raised_once_reminded_daily_and_cleared() -> None:
    operator = Operator()
    for minutes in range(0, 49 * 60, 5):
        operator.look(NOON + minutes * MINUTE, *silent("stripe"))
    for minutes in range(0, 60, 1):
        operator.look(NOON + 49 * HOUR + minutes * MINUTE)

    assert [(at - NOON, message.kind.value) for at, message in operator.inbox] == [
        (timedelta(), "raised"),
        (DAY, "reminder"),
        (2 * DAY, "reminder"),
        (49 * HOUR + 5 * MINUTE, "cleared"),
    ]


def test_the_messages_say_what_where_and_how_to_cure_it() -> None:
    operator = Operator()
    url = "https://hooks.example.com"
    operator.look(NOON, *silent("stripe"), public_url=url)
    operator.look(NOON + DAY, *silent("stripe"), public_url=url)
    operator.look(NOON + 26 * HOUR, public_url=url)
    operator.look(NOON + 27 * HOUR, public_url=url)

    cure = "Check that its endpoint exists and is enabled: pulsora-bridge check. SILENCE_HOURS sets the limit."
    assert [(message.title, message.body) for _, message in operator.inbox] == [
        ("A source is silent", f"stripe: no webhook\n{cure}\nhttps://hooks.example.com/admin/sources"),
        (
            "Still: A source is silent",
            f"stripe: no webhook\n{cure}\nFirst seen 24 h ago.\nhttps://hooks.example.com/admin/sources",
        ),
        ("Resolved: A source is silent", "It was about: stripe.\nIt lasted 26 h, until 2026-03-02 14:00:00 UTC."),
    ]


def test_many_subjects_are_one_message() -> None:
    operator = Operator()
    operator.look(NOON, *silent(*(f"shop{number}" for number in range(40))))

    [(_, message)] = operator.inbox
    assert message.body.count("no webhook") == 10
    assert "… and 30 more." in message.body


def test_another_subject_is_reported_an_hour_after_the_last_message() -> None:
    operator = Operator()
    for minutes in (0, 1, 59, 60, 61, 119):
        operator.look(NOON + minutes * MINUTE, *silent("stripe", *(["paddle"] if minutes else [])))

    assert [(at - NOON, message.kind.value) for at, message in operator.inbox] == [
        (timedelta(), "raised"),
        (HOUR, "more"),
    ]


def test_after_a_week_there_is_one_reminder_a_week() -> None:
    operator = Operator()
    for hours in range(30 * 24):
        operator.look(NOON + hours * HOUR, *silent("stripe"))

    # Days 0 to 7 daily, then 14, 21 and 28.
    assert [(at - NOON) // DAY for at, _ in operator.inbox] == [0, 1, 2, 3, 4, 5, 6, 7, 14, 21, 28]


def test_what_comes_back_within_minutes_was_never_gone() -> None:
    operator = Operator()
    for minutes in range(120):
        operator.look(NOON + minutes * MINUTE, *(silent("stripe") if minutes % 5 == 0 else []))

    assert operator.kinds() == ["raised"]


def test_what_comes_back_after_the_all_clear_waits_for_an_hour() -> None:
    operator = Operator()
    operator.look(NOON, *silent("stripe"))
    operator.look(NOON + MINUTE)
    operator.look(NOON + 6 * MINUTE)
    for minutes in range(7, 80):
        operator.look(NOON + minutes * MINUTE, *silent("stripe"))

    assert [(at - NOON, message.kind.value) for at, message in operator.inbox] == [
        (timedelta(), "raised"),
        (6 * MINUTE, "cleared"),
        (66 * MINUTE, "raised"),
    ]


def test_nothing_is_remembered_an_hour_after_the_all_clear() -> None:
    operator = Operator()
    operator.look(NOON, *silent("stripe"))
    for minutes in (1, 6, 65, 66):
        operator.look(NOON + minutes * MINUTE)

    assert operator.states == {}


def test_a_message_that_could_not_be_sent_is_sent_later_and_ever_less_often_tried() -> None:
    operator = Operator(is_unreachable=True)
    tried = []
    for minutes in range(600):
        before = operator.states.get("silent")
        operator.look(NOON + minutes * MINUTE, *silent("stripe"))
        if operator.states["silent"] != before:
            tried.append(minutes)
    operator.is_unreachable = False
    operator.look(NOON + 12 * HOUR, *silent("stripe"))

    # After 1, 2, 4, 8, 16, 32 minutes, then every hour.
    assert tried == [0, 1, 3, 7, 15, 31, 63, 123, 183, 243, 303, 363, 423, 483, 543]
    assert operator.kinds() == ["raised"]
    assert operator.states["silent"].error is None


def test_what_is_gone_before_it_could_be_sent_needs_no_all_clear() -> None:
    operator = Operator(is_unreachable=True)
    operator.look(NOON, *silent("stripe"))
    operator.look(NOON + MINUTE)

    assert operator.states == {}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["", "stripe", "stripe paddle", "paddle"]), min_size=1, max_size=400))
def test_however_a_cause_comes_and_goes_an_hour_holds_few_messages(looks: list[str]) -> None:
    operator = Operator()
    for number, names in enumerate(looks):
        operator.look(NOON + number * 2 * MINUTE, *silent(*names.split()))

    times = [at for at, _ in operator.inbox]
    assert all(sum(at <= other < at + HOUR for other in times) <= 2 for at in times)
    kinds = operator.kinds()
    assert all(one != "cleared" or before != "cleared" for before, one in pairwise(kinds))
    assert kinds[:1] in ([], [Kind.RAISED])
