"""A simulated Stripe customer with payments, refunds and disputes in several steps."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Self

from processors.stripe.simulation import payloads
from processors.stripe.simulation.customer import Customer, Paid
from processors.stripe.simulation.payloads import Body, Shape


@dataclass(frozen=True, slots=True, kw_only=True)
class PayingCustomer(Customer):
    """A customer whose money moves in several steps."""

    # ---- Payments in several steps ----

    def authorise(self, minor: int) -> Self:
        """A card is authorised but not captured."""
        paid = self._paid(minor)
        held = {**self._charge(paid), "captured": False, "amount_captured": 0}
        intent = {**self._intent(paid), "status": "requires_capture", "amount_received": 0}
        customer = self.sent("charge.succeeded", held).sent("payment_intent.amount_capturable_updated", intent)
        return replace(customer, payments=(*customer.payments, paid))

    def capture(self, minor: int, *, has_refund: bool = False) -> Self:
        """All or a part of the authorised amount is captured; the rest is released, which counted as refunded once.

        `has_refund`: the release is also sent as a refund, as between 2024-10-28 and basil.
        """
        paid = self.payments[-1]
        released = paid.minor - minor if self.shape is Shape.OLD else 0
        taken = {**self._charge(paid), "amount_captured": minor, "amount_refunded": released}
        intent = {**self._intent(paid), "amount_received": minor}
        customer = self.sent("charge.captured", taken).sent("payment_intent.succeeded", intent)
        if has_refund:
            customer = customer.refund_event("refund.created", released, "succeeded", refund_id="re_released")
        return customer.sent("charge.refunded", taken, {"amount_refunded": 0}) if released else customer

    def refund_captured(self, minor: int, captured: int, *, before: int = 0, has_refund: bool = True) -> Self:
        """A part of what was captured of an authorisation is refunded, after `before`."""
        paid = self.payments[-1]
        released = paid.minor - captured if self.shape is Shape.OLD else 0
        total = released + before + minor
        taken = {**self._charge(paid), "amount_captured": captured, "amount_refunded": total}
        customer = self
        if has_refund:
            customer = self.refund_event("refund.created", minor, "succeeded", refund_id=f"re_{len(self.webhooks)}")
        return customer.sent("charge.refunded", taken, {"amount_refunded": total - minor})

    def release(self, reason: str | None = "expired_uncaptured_charge") -> Self:
        """The authorisation expires or is cancelled: Stripe creates a refund, although no money had moved."""
        paid = self.payments[-1]
        charge = {**self._charge(paid), "captured": False, "amount_captured": 0, "amount_refunded": paid.minor}
        intent = {**self._intent(paid), "status": "canceled", "amount_received": 0}
        customer = self.sent("charge.expired", charge) if reason else self
        customer = customer.sent("charge.refunded", charge, {"amount_refunded": 0}).sent(
            "payment_intent.canceled", intent
        )
        refund = payloads.refund(
            f"re_{paid.charge_id}",
            minor=paid.minor,
            charge=paid.charge_id,
            payment_intent=paid.intent_id,
            reason=reason,
        )
        return customer.sent("refund.created", refund)

    def debit(self, minor: int) -> Self:
        """A purchase by direct debit: Checkout completes days before the money arrives."""
        paid = self._paid(minor)
        customer = self.sent("charge.pending", {**self._charge(paid), "status": "pending", "paid": False})
        customer = customer.sent("payment_intent.processing", {**self._intent(paid), "status": "processing"})
        customer = customer.sent("checkout.session.completed", customer._sale(paid, "unpaid"))
        return replace(customer, payments=(*customer.payments, paid))

    def clear(self) -> Self:
        """The debit succeeds."""
        paid = self.payments[-1]
        customer = self.sent("charge.succeeded", self._charge(paid)).sent(
            "payment_intent.succeeded", self._intent(paid)
        )
        return customer.sent("checkout.session.async_payment_succeeded", customer._sale(paid, "paid"))

    def bounce(self) -> Self:
        """The debit fails."""
        paid = self.payments[-1]
        failed = {**self._charge(paid), "status": "failed", "paid": False}
        customer = self.sent("charge.failed", failed)
        customer = customer.sent(
            "payment_intent.payment_failed", {**self._intent(paid), "status": "requires_payment_method"}
        )
        return customer.sent("checkout.session.async_payment_failed", customer._sale(paid, "unpaid"))

    def _paid(self, minor: int) -> Paid:
        serial = f"{self.tag}_{len(self.webhooks) + 1}"
        return Paid(
            intent_id=f"pi_{serial}",
            charge_id=f"ch_{serial}",
            minor=minor,
            at=self.at,
            customer_id=self.customer_id,
            metadata=self.visit,
        )

    def _sale(self, paid: Paid, payment_status: str) -> Body:
        return payloads.checkout_session(
            f"cs_{paid.intent_id}",
            mode="payment",
            customer=paid.customer_id,
            minor=paid.minor,
            currency=self.currency,
            payment_status=payment_status,
            payment_intent=paid.intent_id,
            metadata=self.visit,
        )

    # ---- Refunds in several steps, and disputes ----

    def refund_event(self, kind: str, minor: int, status: str, *, payment: int = -1, refund_id: str = "re_1") -> Self:
        """One event of a refund."""
        paid = self.payments[payment]
        found = payloads.refund(
            f"{refund_id}_{self.tag}",
            minor=minor,
            charge=paid.charge_id,
            payment_intent=paid.intent_id,
            currency=self.currency,
            status=status,
        )
        return self.sent(kind, found, {"status": "pending"} if kind == "refund.updated" else None)

    def cash_refund(self, minor: int, status: str = "succeeded", *, kind: str = "refund.created") -> Self:
        """Money of the customer's cash balance is sent back: a refund of no payment."""
        found = payloads.refund(
            f"re_cash_{self.tag}",
            minor=minor,
            charge="",
            currency=self.currency,
            status=status,
            reason=None,
        )
        details = {"type": "us_bank_transfer", "us_bank_transfer": {"reference": None, "reference_status": "pending"}}
        return self.sent(kind, {**found, "charge": None, "payment_intent": None, "destination_details": details})

    def dispute_moved(self, kind: str, *moves: int, status: str = "lost") -> Self:
        """One event of a dispute about the last payment, with these balance transactions so far."""
        paid = self.payments[-1]
        found = payloads.dispute(
            f"dp_{self.tag}",
            minor=abs(moves[0]),
            charge=paid.charge_id,
            payment_intent=paid.intent_id,
            currency=self.currency,
            status=status,
            balance_transactions=[{"amount": minor, "currency": self.currency} for minor in moves],
        )
        return self.sent(f"charge.dispute.{kind}", found)

    def debit_returned(self, minor: int) -> Self:
        """A dispute about the last payment that is lost when it is created: its end is the only event."""
        customer = self.dispute_moved("closed", -minor)
        event = json.loads(customer.webhooks[-1])
        event["data"]["object"]["created"] = event["created"]
        return replace(customer, webhooks=(*self.webhooks, json.dumps(event).encode()))

    def disputed(self, leg: str, minor: int, status: str, *, dispute_id: str = "dp_1", back: int | None = None) -> Self:
        """One event of a dispute about the last payment; `back`: the part that a balance transaction returned."""
        paid = self.payments[-1]
        moves: list[Body] = [{"amount": -minor, "currency": self.currency}, {"amount": back, "currency": self.currency}]
        found = payloads.dispute(
            f"{dispute_id}_{self.tag}",
            minor=minor,
            charge=paid.charge_id,
            payment_intent=paid.intent_id,
            currency=self.currency,
            status=status,
            balance_transactions=[] if back is None else moves,
        )
        return self.sent(f"charge.dispute.{leg}", found)
