"""A customer of the random merchant: bills of single items, usage, and changes that begin a new period."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from typing import Any, Self

from processors.money import round_minor
from processors.stripe.simulation import payloads
from processors.stripe.simulation.customer import Plan, Subscription, period_end
from processors.stripe.simulation.payloads import Body, Period, Shape
from tests.lifecycles.merchant_offers import METER, Offer, comes_off
from tests.lifecycles.stripe_customer import ExtendedCustomer


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantCustomer(ExtendedCustomer):
    """A customer of the random merchant. `own_coupon`: the customer's, which reduces subscriptions without a coupon."""

    own_coupon: Body | None = None
    own_since: datetime | None = None

    def with_discount(self, coupon: Body) -> Self:
        """The customer is given a discount."""
        given = replace(self, own_coupon=coupon, own_since=self.at)
        return given.sent("customer.discount.created", given._own_discount())

    def without_discount(self) -> Self:
        """The customer's discount is removed."""
        removed = self.sent("customer.discount.deleted", self._own_discount())
        return replace(removed, own_coupon=None, own_since=None)

    def _own_discount(self) -> Body:
        assert self.own_coupon is not None
        assert self.own_since is not None
        found = f"di_{self.tag}_customer_{int(self.own_since.timestamp())}"
        return payloads.discount(
            found, self.own_coupon, customer=self.customer_id, subscription=None, start=self.own_since, end=None,
            shape=self.shape,
        )  # fmt: skip

    def _reduced(self, sold: Subscription) -> Subscription:
        """The subscription as it is billed: with its own coupon, else with the customer's."""
        return replace(sold, coupon=sold.coupon or self.own_coupon)

    def _discounts(self, sold: Subscription) -> list[Body]:
        if sold.coupon is not None and sold.coupon == self.own_coupon:
            return [self._own_discount()]
        return ExtendedCustomer._discounts(self, sold)

    def _invoice(self, invoice_id: str, subscription: Subscription, *about: Any, **more: Any) -> Body:
        return ExtendedCustomer._invoice(self, invoice_id, self._reduced(subscription), *about, **more)

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

    def begin_anew(self, *, name: str) -> Self:
        """A new period from now, billed whole."""
        sold = self.subscriptions[name]
        return self.change_and_begin_anew(sold.plan, sold.quantity, name=name)

    def add(self, addon: Offer, *, name: str) -> Self:
        """A further item, with an interval of its own, is added and billed alone for its first period."""
        extras = (*self._offer(name).extras, (addon, 1))
        added = self.amend(name=name, plan=replace(self._offer(name), extras=extras))
        return added.bill_alone(addon, "subscription_update", name=name)

    def drop(self, addon: Offer, *, name: str) -> Self:
        """The item that was added last is removed."""
        extras = tuple(one for one in self._offer(name).extras if one != (addon, 1))
        return self.amend(name=name, plan=replace(self._offer(name), extras=extras))

    def bill_alone(self, addon: Offer, why: str, *, name: str) -> Self:
        """One period of an add-on is billed, and nothing else."""
        sold = replace(self.subscriptions[name], plan=addon, quantity=1)
        return self._invoiced(name, why, [self._line(sold, sold.per_period, (self.at, period_end(self.at, addon)))])

    def _offer(self, name: str) -> Offer:
        plan = self.subscriptions[name].plan
        assert isinstance(plan, Offer)
        return plan

    def _lines(self, sold: Subscription) -> list[Body]:
        """The lines of a whole period: add-ons of another interval are billed alone, usage by thresholds only."""
        assert isinstance(sold.plan, Offer)
        extras = tuple((addon, 1) for addon in sold.plan.addons if addon.is_billed_with(sold.plan))
        return ExtendedCustomer._lines(self, replace(sold, plan=replace(sold.plan, extras=extras)))

    def _line(self, sold: Subscription, minor: int, period: Period, *, proration: bool = False) -> Body:
        """The line, less the coupon if it comes off this product, with the tax inside what is paid of it."""
        plan = sold.plan
        assert isinstance(plan, Offer)
        sold = self._reduced(sold)
        is_reduced = sold.coupon is None or comes_off(sold.coupon, plan)
        line = ExtendedCustomer._line(self, sold, minor, period, proration=proration)
        line = {**line, "currency": self.currency, "discount_amounts": line["discount_amounts"] if is_reduced else []}
        if not plan.tax:
            return line
        paid = minor - sum(one["amount"] for one in line["discount_amounts"])
        tax = paid - round_minor(Fraction(paid * 100, 100 + plan.tax))
        if self.shape is Shape.OLD:
            return {**line, "tax_amounts": [{"amount": tax, "inclusive": True}]}
        return {**line, "taxes": [{"amount": tax, "tax_behavior": "inclusive"}]}

    def _discount(self, sold: Subscription, coupon: Body, level: str) -> Body:
        """The discount, whose coupon leaves out its products, as in all webhooks."""
        stated = {key: value for key, value in coupon.items() if key != "applies_to"}
        return ExtendedCustomer._discount(self, sold, stated, level)
