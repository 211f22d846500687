"""Changed copies: what `dataclasses.replace` gives, in less time."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, replace

import pytest

from bridge.ledger.changing import changed
from bridge.ledger.state import Bill
from processors.facts import Reason
from tests.builders import USD, after

BILL = Bill(id="in_1", currency=USD, at=after())


@dataclass(frozen=True, slots=True)
class One:
    """A value of one field."""

    name: str


def test_a_changed_copy_is_what_replace_gives() -> None:
    assert changed(BILL, told=4900, reason=Reason.START) == replace(BILL, told=4900, reason=Reason.START)
    assert changed(One("a"), name="b") == One("b")
    assert BILL.told == 0


def test_a_changed_copy_is_as_frozen_as_its_original() -> None:
    copy = changed(BILL, told=1)

    with pytest.raises(FrozenInstanceError):
        copy.told = 2  # type: ignore[misc]  # the point of the test


def test_a_field_that_does_not_exist_is_refused() -> None:
    with pytest.raises(KeyError):
        changed(BILL, sold=1)  # type: ignore[call-arg]  # the point of the test
