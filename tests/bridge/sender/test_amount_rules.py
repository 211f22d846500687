"""The amounts that REFUND_AMOUNT and MOVEMENT_AMOUNT decide, for deliveries that Pulsora has rejected."""

from __future__ import annotations

from decimal import Decimal

import pytest

from bridge.ledger.policy import MovementAmount, Policy, RefundAmount
from bridge.sender.amount_rules import MOVEMENT_SETTING, REFUND_SETTING, amount_under, remedy, rewritten
from bridge.store.outbox import Delivery, DeliveryStatus
from processors.values import replace
from tests.bridge.sender.test_outcomes import a_delivery, a_response, decided

POSITIVE = Policy(refund_amount=RefundAmount.POSITIVE, movement_amount=MovementAmount.MRR)
DEFAULT = Policy()
BODY = '{"customer_id":"cus_1","amount":%s,"transaction_id":"re_1","metadata":{"a":1.5,"b":true}}'
REFUSED = "amount must be a positive number."


def rejected(event_type: str, amount: str, mrr: str | None, key: str, **changes: object) -> Delivery:
    fields: dict[str, object] = {
        "event_type": event_type,
        "amount": Decimal(amount),
        "mrr_impact": None if mrr is None else Decimal(mrr),
        "output_key": key,
        "body": BODY % amount,
        "status": DeliveryStatus.FAILED,
        "last_status": 400,
    }
    return a_delivery(**{**fields, **changes})


REFUND = rejected("refund", "-49.99", "0.00", "refund:re_1")
CHURN = rejected("churn", "0.00", "-49.00", "movement:sub_1:2")
RENEWAL = rejected("renewal", "49.00", "0.00", "payment:pi_1")
PAID_UPGRADE = rejected("upgrade", "25.00", "50.00", "payment:pi_2")


@pytest.mark.parametrize(
    ("delivery", "positive", "default"),
    [
        (REFUND, "49.99", "-49.99"),
        (CHURN, "49.00", "0.00"),
        (RENEWAL, "49.00", "49.00"),
        (PAID_UPGRADE, "25.00", "25.00"),
    ],
)
def test_only_refunds_and_movements_without_a_payment_depend_on_the_rules(
    delivery: Delivery, positive: str, default: str
) -> None:
    assert amount_under(POSITIVE, delivery) == Decimal(positive)
    assert amount_under(DEFAULT, delivery) == Decimal(default)
    assert amount_under(DEFAULT, replace(delivery, amount=Decimal(positive))) == Decimal(default)


def test_a_rejected_refund_is_rendered_again_with_nothing_else_changed() -> None:
    new = rewritten(REFUND, POSITIVE)

    assert new is not None
    assert (new.body, new.amount) == (BODY % "49.99", Decimal("49.99"))


@pytest.mark.parametrize(
    "changes",
    [
        {"status": DeliveryStatus.DELIVERED},
        {"status": DeliveryStatus.PENDING},
        {"last_status": None},  # a time-out: Pulsora may have it
        {"last_status": 503},
        {"body": "[]"},
    ],
)
def test_what_pulsora_may_have_is_never_rendered_again(changes: dict[str, object]) -> None:
    assert rewritten(replace(REFUND, **changes), POSITIVE) is None  # type: ignore[arg-type]


def test_what_the_rules_do_not_change_is_not_rendered_again() -> None:
    assert rewritten(REFUND, DEFAULT) is None
    assert rewritten(RENEWAL, POSITIVE) is None


@pytest.mark.parametrize(
    ("delivery", "status", "reason", "setting"),
    [
        (REFUND, 400, REFUSED, REFUND_SETTING),
        (CHURN, 400, "data.Amount is not positive", MOVEMENT_SETTING),
        (CHURN, 422, REFUSED, MOVEMENT_SETTING),
        (REFUND, 400, "currency is unknown", None),
        (REFUND, 403, REFUSED, None),
        (RENEWAL, 400, REFUSED, None),
        (replace(REFUND, amount=Decimal("49.99")), 400, REFUSED, None),  # positive already: the setting would not help
    ],
)
def test_the_setting_that_cures_a_rejection_is_known(
    delivery: Delivery, status: int, reason: str, setting: str | None
) -> None:
    assert remedy(delivery, status, reason) == setting


def test_the_delivery_names_the_setting_that_cures_it() -> None:
    error = decided(a_response(400, REFUSED), REFUND).outcome.last_error

    assert error == (
        "400: amount must be a positive number. To cure it, set REFUND_AMOUNT=positive, restart the bridge, "
        "then run: pulsora-bridge deliveries retry --rewrite"
    )
