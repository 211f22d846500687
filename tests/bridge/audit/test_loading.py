"""The rows of an audit as they are written to the spool."""

from __future__ import annotations

from decimal import Decimal

import pytest

from bridge.audit.loading import scaled
from bridge.store.audit_spool import opened_spool


def test_amounts_are_ten_thousandths() -> None:
    assert [scaled(Decimal("49.00")), scaled(Decimal("-0.0001")), scaled(Decimal(10**12))] == [490_000, -1, 10**16]


@pytest.mark.parametrize("amount", [Decimal(10**12 + 1), Decimal("-" + "9" * 30)])
def test_an_amount_above_a_trillion_is_no_part_of_an_audit_and_can_be_stored(amount: Decimal) -> None:
    with opened_spool() as spool:
        spool.put("levels", ("sub_1", "stream", "USD", scaled(amount)))
        levels = list(spool.levels())

    assert (scaled(amount), levels) == (0, [])
