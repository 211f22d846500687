"""A customer of the random merchant: bills of single items, usage, and changes that begin a new period."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Self

from processors.money import round_minor
from processors.stripe.simulation.customer import Plan, Subscription, period_end
from processors.stripe.simulation.payloads import Body, Period, Shape
from tests.lifecycles.merchant_offers import METER, Offer
from tests.lifecycles.stripe_customer import ComplexPlan, ExtendedCustomer


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantCustomer(ExtendedCustomer):
    """A customer of the random merchant."""

    def change_and_begin_anew(self, plan: Plan, quantity: int, *, name: str) -> Self:
        """Another plan or quantity with a new period from now, billed whole."""
        customer = self.amend(name=name, plan=plan, quantity=quantity, period=(self.at, period_end(self.at, plan)))
        return customer._invoiced(name, "subscription_update", customer._lines(customer.subscriptions[name]))

    def pay_open_invoice(self, *, name: str) -> Self:
        """The invoice of the present period is paid late."""
        customer = self.later(days=2).become("active", name=name)
        return customer._invoiced(name, "subscription_cycle", customer._lines(customer.subscriptions[name]))

    def reach_threshold(self, units: int, *, name: str) -> Self:
        """Usage reaches an amount at which it is billed at once, alone."""
        sold = replace(self.subscriptions[name], plan=METER, quantity=units)
        line = self._line(sold, sold.per_period, (sold.period[0], self.at))
        return self._invoiced(name, "subscription_threshold", [line])

    def _lines(self, sold: Subscription) -> list[Body]:
        """The lines of a whole period; usage is billed by thresholds only."""
        without_usage = replace(sold.plan, extras=()) if isinstance(sold.plan, ComplexPlan) else sold.plan
        return ExtendedCustomer._lines(self, replace(sold, plan=without_usage))

    def _line(self, sold: Subscription, minor: int, period: Period, *, proration: bool = False) -> Body:
        """The line, with the tax inside what is paid of it."""
        line = ExtendedCustomer._line(self, sold, minor, period, proration=proration)
        if not isinstance(sold.plan, Offer) or not sold.plan.tax:
            return line
        paid = minor - sum(one["amount"] for one in line["discount_amounts"])
        tax = paid - round_minor(Fraction(paid * 100, 100 + sold.plan.tax))
        if self.shape is Shape.OLD:
            return {**line, "tax_amounts": [{"amount": tax, "inclusive": True}]}
        return {**line, "taxes": [{"amount": tax, "tax_behavior": "inclusive"}]}
