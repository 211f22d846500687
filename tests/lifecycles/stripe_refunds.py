"""Refunds, disputes and credit notes."""

from __future__ import annotations

from bridge.ledger import Policy
from bridge.ledger.policy import RefundAmount
from processors.stripe.simulation.customer import PRO, TEAM
from processors.stripe.simulation.payloads import Shape
from tests.lifecycles.stripe_customer import ExtendedCustomer
from tests.lifecycles.stripe_lifecycle import SINCE_BASIL, lifecycle


def refund_begun(ada: ExtendedCustomer, status: str) -> ExtendedCustomer:
    """Buys for 29.00, and a day later a full refund starts."""
    return ada.buy(2900).later(days=1).refund_event("refund.created", 2900, status)


def reported_by_the_charge_alone(ada: ExtendedCustomer) -> ExtendedCustomer:
    """Gets 9.00 and then the rest refunded, without any refund event."""
    given = ada.buy(2900).later(days=1).refund(900).later(days=1).refund()
    return given.without("refund.created", "charge.refund.updated")


def withdrawn(ada: ExtendedCustomer) -> ExtendedCustomer:
    """Buys for 50.00, and the bank takes all of it for a dispute."""
    return ada.buy(5000).later(days=5).disputed("funds_withdrawn", 5000, "needs_response")


def dispute_by_two_halves(ada: ExtendedCustomer) -> ExtendedCustomer:
    """Two disputes about one charge, one of them won."""
    bought = ada.buy(5000).later(days=5)
    both = bought.disputed("funds_withdrawn", 2000, "needs_response").disputed(
        "funds_withdrawn", 3000, "needs_response", dispute_id="dp_2"
    )
    return both.later(days=30).disputed("funds_reinstated", 3000, "won", dispute_id="dp_2")


def credited(ada: ExtendedCustomer) -> ExtendedCustomer:
    """A credit note of 10.00, which is paid out as a refund."""
    note = {"id": "cn_1", "object": "credit_note", "amount": 1000, "currency": "usd", "customer": ada.customer_id}
    given = ada.subscribe(PRO).later(days=2).sent("credit_note.created", {**note, "refund": "re_1_ada"})
    return given.refund_event("refund.created", 1000, "succeeded").sent("credit_note.updated", note, {"memo": None})


REFUNDS = (
    lifecycle(
        "buys as a guest and gets 10.00 back",
        lambda ada: ada.buy(2900, guest=True).later(days=1).refund(1000),
        "purchase  29.00  -",
        "refund   -10.00  0  requested_by_customer",
    ),
    lifecycle(
        "gets everything back the next day",
        lambda ada: ada.subscribe(PRO).later(days=1).refund(),
        "subscription  49.00 +49.00 Pro monthly",
        "refund       -49.00      0 Pro monthly requested_by_customer",
    ),
    lifecycle(
        "gets 10.00 and then 15.00 back",
        lambda ada: ada.subscribe(PRO).later(days=1).refund(1000).later(days=1).refund(1500),
        "subscription  49.00 +49.00 Pro monthly",
        "refund       -10.00      0 Pro monthly requested_by_customer",
        "refund       -15.00      0 Pro monthly requested_by_customer",
    ),
    lifecycle(
        "gets 10.00 back for Pro, and moves to Team a week later",
        lambda ada: ada.subscribe(PRO).later(days=1).refund(1000).later(days=7).change(TEAM),
        "subscription  49.00 +49.00 Pro monthly",
        "refund       -10.00      0 Pro monthly requested_by_customer",
        "upgrade           0 +50.00 Team monthly was Pro",
    ),
    lifecycle(
        "gets 10.00 back, for a merchant who wants refunds positive",
        lambda ada: ada.buy(2900).later(days=1).refund(1000),
        "purchase 29.00 -",
        "refund   10.00 0 requested_by_customer",
        policy=Policy(refund_amount=RefundAmount.POSITIVE),
    ),
    lifecycle(
        "leaves and gets the whole month back: the refund moves no MRR, leaving does",
        lambda ada: ada.subscribe(PRO).later(days=2).cancel().later(hours=1).refund(),
        "subscription  49.00 +49.00 Pro monthly",
        "churn          0    -49.00 Pro monthly cancellation_requested",
        "refund       -49.00      0 Pro monthly requested_by_customer",
    ),
    lifecycle(
        "waits three days for a refund by bank transfer: pending is nothing yet",
        lambda ada: refund_begun(ada, "pending").later(days=3).refund_event("refund.updated", 2900, "succeeded"),
        "purchase  29.00 -",
        "refund   -29.00 0 requested_by_customer",
    ),
    lifecycle(
        "has a refund that was pending and failed: nothing went back",
        lambda ada: refund_begun(ada, "pending").later(days=3).refund_event("refund.failed", 2900, "failed"),
        "purchase 29.00 -",
    ),
    lifecycle(
        "has a refund cancelled that waited for bank details",
        lambda ada: refund_begun(ada, "requires_action").later(days=9).refund_event("refund.updated", 2900, "canceled"),
        "purchase 29.00 -",
    ),
    lifecycle(
        "has a refund that succeeded and failed five days later: the bank sent it back",
        lambda ada: refund_begun(ada, "succeeded").later(days=5).refund_event("refund.failed", 2900, "failed"),
        "purchase  29.00 -",
        "refund   -29.00 0 requested_by_customer",
        "purchase  29.00 0 requested_by_customer reversal",
    ),
    lifecycle(
        "gets 9.00 and then all back under an API version that reports it on the charge alone",
        reported_by_the_charge_alone,
        "purchase  29.00 -",
        "refund    -9.00 0 requested_by_customer",
        "refund   -20.00 0 requested_by_customer",
        shapes=(Shape.OLD,),
    ),
    lifecycle(
        "gets 9.00 and then all back, reported by running totals of the charge alone",
        reported_by_the_charge_alone,
        "purchase  29.00 -",
        "refund    -9.00 0",
        "refund   -20.00 0",
        shapes=SINCE_BASIL,
    ),
    lifecycle(
        "gets 10.00 back by a credit note: the note itself is no money",
        credited,
        "subscription  49.00 +49.00 Pro monthly",
        "refund       -10.00      0 Pro monthly requested_by_customer",
    ),
    lifecycle(
        "gets 20.00 back for a payment from before the bridge was there",
        lambda ada: ada.buy(2900).forget_history().later(days=9).refund(2000),
        "refund -20.00 0 requested_by_customer unattributed",
    ),
    # ---- Money of a cash balance: refunds without charge and payment intent ----
    lifecycle(
        "sends 30.00 by bank transfer that pay for nothing, and gets them back",
        lambda ada: ada.cash_refund(3000),
    ),
    lifecycle(
        "pays 50.00, and gets 11.00 back that were sent too much",
        lambda ada: ada.buy(5000).later(days=1).cash_refund(1100),
        "purchase 50.00 -",
    ),
    lifecycle(
        "gets 29.00 back into the cash balance and then on the bank account: two refunds report one return",
        lambda ada: (
            ada.buy(2900)
            .later(days=1)
            .refund_event("refund.created", 2900, "succeeded")
            .cash_refund(2900, "pending")
            .later(days=2)
            .cash_refund(2900, "succeeded", kind="refund.updated")
        ),
        "purchase  29.00 -",
        "refund   -29.00 0 requested_by_customer",
    ),
    lifecycle(
        "gets 20.00 of 49.00 back, and on the bank account 35.00 with 15.00 that had paid for nothing",
        lambda ada: ada.subscribe(PRO).later(days=1).refund(2000).cash_refund(3500),
        "subscription  49.00 +49.00 Pro monthly",
        "refund       -20.00      0 Pro monthly requested_by_customer",
    ),
    lifecycle(
        "gets a refund into the cash balance whose transfer to the bank is cancelled: it stays given back",
        lambda ada: (
            ada.buy(2900)
            .later(days=1)
            .refund_event("refund.created", 2900, "succeeded")
            .cash_refund(2900, "requires_action")
            .later(days=45)
            .cash_refund(2900, "canceled", kind="refund.updated")
        ),
        "purchase  29.00 -",
        "refund   -29.00 0 requested_by_customer",
    ),
    lifecycle(
        "has a transfer from the cash balance that fails",
        lambda ada: ada.cash_refund(3000, "pending").later(days=3).cash_refund(3000, "failed", kind="refund.failed"),
    ),
    # ---- Authorisations of which a part was captured ----
    lifecycle(
        "has 50.00 authorised and 30.00 captured, and gets 10.00 back",
        lambda ada: ada.authorise(5000).later(days=2).capture(3000).later(days=1).refund_captured(1000, 3000),
        "purchase  30.00 -",
        "refund   -10.00 0 requested_by_customer",
    ),
    lifecycle(
        "has 50.00 authorised and 30.00 captured, and gets 10.00 back, reported by the charge alone",
        lambda ada: (
            ada.authorise(5000).later(days=2).capture(3000).later(days=1).refund_captured(1000, 3000, has_refund=False)
        ),
        "purchase  30.00 -",
        "refund   -10.00 0",
    ),
    lifecycle(
        "has 50.00 authorised and 30.00 captured, and the released 20.00 arrive as a refund",
        lambda ada: ada.authorise(5000).later(days=2).capture(3000, has_refund=True),
        "purchase 30.00 -",
        shapes=(Shape.OLD,),
    ),
    lifecycle(
        "has the released 20.00 arrive as a refund, and gets 10.00 of the captured 30.00 back",
        lambda ada: (
            ada.authorise(5000).later(days=2).capture(3000, has_refund=True).later(days=1).refund_captured(1000, 3000)
        ),
        "purchase  30.00 -",
        "refund   -10.00 0 requested_by_customer",
        shapes=(Shape.OLD,),
    ),
    lifecycle(
        "has 50.00 authorised and 30.00 captured, and gets as much back as was released: 20.00",
        lambda ada: ada.authorise(5000).later(days=2).capture(3000).later(days=1).refund_captured(2000, 3000),
        "purchase  30.00 -",
        "refund   -20.00 0 requested_by_customer",
        shapes=SINCE_BASIL,
    ),
    lifecycle(
        "has 50.00 authorised and 30.00 captured, and gets all of it back, reported by the charge alone",
        lambda ada: (
            ada.authorise(5000).later(days=2).capture(3000).later(days=1).refund_captured(3000, 3000, has_refund=False)
        ),
        "purchase  30.00 -",
        "refund   -30.00 0",
    ),
    # ---- Disputes ----
    lifecycle(
        "has a debit returned: the dispute is lost when it is created, and nothing says that funds were withdrawn",
        lambda ada: ada.buy(5000).later(days=4).dispute_moved("created", -5000).dispute_moved("closed", -5000),
        "purchase  50.00 -",
        "refund   -50.00 0 fraudulent",
    ),
    lifecycle(
        "has a renewal's debit returned, and pays again",
        lambda ada: ada.subscribe(PRO).renew().later(days=4).dispute_moved("closed", -4900).renew(),
        "subscription  49.00 +49.00 Pro monthly",
        "renewal       49.00      0 Pro monthly",
        "refund       -49.00      0 Pro monthly fraudulent",
        "renewal       49.00      0 Pro monthly",
    ),
    lifecycle(
        "disputes 50.00, which are withdrawn, reinstated and withdrawn again",
        lambda ada: (
            ada.buy(5000)
            .later(days=5)
            .dispute_moved("funds_withdrawn", -5000, status="needs_response")
            .later(days=30)
            .dispute_moved("funds_reinstated", -5000, 5000, status="won")
            .later(days=30)
            .dispute_moved("funds_withdrawn", -5000, 5000, -5000)
        ),
        "purchase  50.00 -",
        "refund   -50.00 0 fraudulent",
        "purchase  50.00 0 fraudulent reversal",
        "refund   -50.00 0 fraudulent",
    ),
    lifecycle(
        "disputes 50.00, of which 20.00 come back and are withdrawn again",
        lambda ada: (
            ada.buy(5000)
            .later(days=5)
            .dispute_moved("funds_withdrawn", -5000, status="needs_response")
            .later(days=30)
            .dispute_moved("funds_reinstated", -5000, 2000, status="won")
            .later(days=30)
            .dispute_moved("updated", -5000, 2000, -2000)
        ),
        "purchase  50.00 -",
        "refund   -50.00 0 fraudulent",
        "purchase  20.00 0 fraudulent reversal",
        "refund   -20.00 0 fraudulent",
    ),
    lifecycle(
        "disputes the charge, and the merchant loses",
        lambda ada: ada.subscribe(PRO).later(days=5).dispute().later(days=30).disputed("closed", 4900, "lost"),
        "subscription  49.00 +49.00 Pro monthly",
        "refund       -49.00      0 Pro monthly fraudulent",
    ),
    lifecycle(
        "disputes the charge, and the merchant wins: the money comes back",
        lambda ada: ada.subscribe(PRO).later(days=5).dispute().later(days=30).reinstate(),
        "subscription  49.00 +49.00 Pro monthly",
        "refund       -49.00      0 Pro monthly fraudulent",
        "renewal       49.00      0 Pro monthly fraudulent reversal",
    ),
    lifecycle(
        "has the bank ask about a charge, and nothing more: an inquiry moves no money",
        lambda ada: (
            ada.buy(5000)
            .later(days=5)
            .disputed("created", 5000, "warning_needs_response")
            .later(days=60)
            .disputed("closed", 5000, "warning_closed")
        ),
        "purchase 50.00 -",
    ),
    lifecycle(
        "disputes 50.00, of which 20.00 come back",
        lambda ada: withdrawn(ada).later(days=30).disputed("funds_reinstated", 5000, "lost", back=2000),
        "purchase  50.00 -",
        "refund   -50.00 0 fraudulent",
        "purchase  20.00 0 fraudulent reversal",
    ),
    lifecycle(
        "disputes 20.00 and 30.00 of one charge, and loses the second",
        dispute_by_two_halves,
        "purchase  50.00 -",
        "refund   -20.00 0 fraudulent",
        "refund   -30.00 0 fraudulent",
        "purchase  30.00 0 fraudulent reversal",
    ),
    lifecycle(
        "wins a dispute that the merchant appeals: the money comes back after it was lost",
        lambda ada: (
            withdrawn(ada)
            .later(days=30)
            .disputed("closed", 5000, "lost")
            .later(days=40)
            .disputed("funds_reinstated", 5000, "won")
        ),
        "purchase  50.00 -",
        "refund   -50.00 0 fraudulent",
        "purchase  50.00 0 fraudulent reversal",
    ),
)
