"""The evidence that a subscription is valued by, apart from its terms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from bridge.ledger.catalog import Catalog
from bridge.ledger.measurements import (
    Bill,
    Measurements,
    Scopes,
    measurements_of,
    scopes_with_bills,
    with_measurements,
)
from bridge.ledger.policy import Policy
from bridge.ledger.state import Subscription
from processors.facts import Discount, Period
from processors.values import Value, field, replace


class ValuationContext(Value):
    """Everything that a subscription's MRR depends on, apart from its terms.

    `measured`: what bills charged, by price; used if a price leaves something out. `scopes`: the products that a
    discount comes off, as bills showed. `periods`: the billing period that each price is in.
    `customer_discounts`: of the customer; for a subscription without its own.
    """

    at: datetime
    policy: Policy
    catalog: Catalog
    measured: Measurements = field(default_factory=dict)
    scopes: Scopes = field(default_factory=dict)
    periods: Mapping[str, Period] = field(default_factory=dict)
    customer_discounts: tuple[Discount, ...] = ()


class ValuationRules(Value):
    """The part of the context that is the same for every subscription of a settlement, and the bills of each.

    `measured`: what the bills of a subscription measure, by subscription.
    """

    policy: Policy
    catalog: Catalog
    bills: Mapping[str, Sequence[Bill]] = field(default_factory=dict)
    measured: Mapping[str, Measurements] = field(default_factory=dict)
    customer_discounts: tuple[Discount, ...] = ()

    def up_to(self, at: datetime, subscription_id: str) -> ValuationRules:
        """The rules without the bills of a subscription after this time."""
        bills = self.bills.get(subscription_id, ())
        past = [one for one in bills if one.at <= at]
        if len(past) == len(bills):
            return self
        return replace(
            self,
            bills={**self.bills, subscription_id: past},
            measured={**self.measured, subscription_id: measurements_of(past, self.catalog)},
        )

    def context(
        self, at: datetime, known: Subscription, periods: Mapping[str, Period] | None = None
    ) -> ValuationContext:
        """The context of one subscription at one moment. Bills of the whole settlement count, also later ones."""
        bills = self.bills.get(known.id, ())
        return ValuationContext(
            at=at,
            policy=self.policy,
            catalog=self.catalog,
            measured=with_measurements(known.measured, self.measured.get(known.id, {})),
            scopes=scopes_with_bills(known.discount_scopes, bills) if bills else known.discount_scopes,
            periods=periods or known.periods,
            customer_discounts=self.customer_discounts,
        )
