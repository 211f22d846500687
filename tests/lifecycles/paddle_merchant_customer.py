"""What the random Paddle customer buys: plain plans, plans with tax inside, and all of them in a foreign currency."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Self

from processors.money import round_minor
from processors.paddle.simulation.customer import PRO, STARTER, TEAM
from processors.paddle.simulation.payloads import Body, Plan
from processors.paddle.simulation.timeline import Transaction
from tests.lifecycles.paddle_customer import ExtendedCustomer, net
from tests.lifecycles.reference_ledger import ReferenceItem

TAX = 20  # percent inside the taxed plans
POUNDS = Fraction(4, 5)  # a dollar in pounds, rounded for each seat
PLANS = {
    plan.name: plan
    for plan in (
        STARTER,
        PRO,
        TEAM,
        Plan(id="yearly", minor=49000, name="Yearly", interval="year"),
        Plan(id="weekly", minor=1099, name="Weekly", interval="week"),
        Plan(id="quarterly", minor=9999, name="Quarterly", frequency=3),
        Plan(id="taxed", minor=2999, name="Taxed", tax_mode="internal"),
        Plan(id="taxed_year", minor=35988, name="Taxed by the year", interval="year", tax_mode="internal"),
    )
}
TAXED = frozenset(f"pro_{plan.id}" for plan in PLANS.values() if plan.tax_mode == "internal")


@dataclass(frozen=True, slots=True, kw_only=True)
class MerchantCustomer(ExtendedCustomer):
    """A customer whose transactions are in the customer's currency, with the tax inside shown by their lines."""

    def needs_bill(self, plan: Plan) -> bool:
        """Whether only a transaction shows what a plan costs this customer without tax."""
        return plan.tax_mode == "internal" or self.currency != plan.currency

    def can_buy(self, plan: Plan) -> bool:
        """Not tax inside in a foreign currency: the lines show it rounded, so that the cents of MRR may differ."""
        return plan.tax_mode != "internal" or self.currency == plan.currency

    def sold(self, plan: Plan, seats: int) -> ReferenceItem:
        """This quantity of a plan in the reference."""
        return ReferenceItem(
            product=plan.id,
            seats=seats,
            period=self._converted(plan.minor * seats, seats),
            unit=plan.interval or "",
            count=plan.frequency,
            tax=TAX if plan.tax_mode == "internal" else 0,
        )

    def change_and_begin_anew(self, plan: Plan, quantity: int, *, name: str) -> Self:
        """Another plan with a new period from now, billed whole."""
        changed = self.update_subscription(name=name, plan=plan, quantity=quantity, renews_at=self.at + plan.period)
        line = net(plan, plan.minor * quantity, quantity=quantity, rate="1")
        return changed.bill(line, name=name, origin="subscription_update")

    def bill(self, *lines: Body, **more: Any) -> Self:
        """A transaction with these lines, converted."""
        return ExtendedCustomer.bill(self, *self._billed_lines(lines), **more)

    def _transaction(self, transaction: Transaction, status: str, **more: Any) -> Body:
        converted = replace(transaction, lines=self._billed_lines(transaction.lines))
        return ExtendedCustomer._transaction(self, converted, status, **more)

    def _billed_lines(self, lines: Iterable[Body]) -> tuple[Body, ...]:
        return tuple(map(self._billed_line, lines))

    def _billed_line(self, line: Body) -> Body:
        """The line in the customer's currency, less the tax inside."""
        gross = self._converted(int(line["totals"]["subtotal"]), line["quantity"])
        has_tax = line["product"]["id"] in TAXED
        subtotal = round_minor(Fraction(gross * 100, 100 + TAX)) if has_tax else gross
        totals = {"subtotal": subtotal, "discount": 0, "tax": gross - subtotal, "total": gross}
        return {
            **line,
            "totals": {part: str(minor) for part, minor in totals.items()},
            "tax_rate": "0.2" if has_tax else "0",
        }

    def _converted(self, minor: int, quantity: int) -> int:
        if self.currency == "USD":
            return minor
        return round_minor(Fraction(minor, quantity) * POUNDS) * quantity
