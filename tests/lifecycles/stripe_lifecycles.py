"""The table of Stripe lifecycles, by topic."""

from __future__ import annotations

from tests.lifecycles.stripe_discounts import DISCOUNTS
from tests.lifecycles.stripe_first_seen import FIRST_SEEN
from tests.lifecycles.stripe_mrr_levels import LEVELS
from tests.lifecycles.stripe_payments import MONEY
from tests.lifecycles.stripe_refunds import REFUNDS
from tests.lifecycles.stripe_subscriptions import SUBSCRIPTIONS
from tests.lifecycles.stripe_valuation_changes import CHANGES
from tests.lifecycles.stripe_valuation_discounts import COUPONS
from tests.lifecycles.stripe_valuation_items import SINGLE_ITEMS
from tests.lifecycles.stripe_valuation_tax import TAX_INSIDE
from tests.lifecycles.stripe_valuation_usage import USAGE_PLANS

VALUATION = (*SINGLE_ITEMS, *TAX_INSIDE, *COUPONS, *CHANGES, *USAGE_PLANS)
LIFECYCLES = (*MONEY, *REFUNDS, *SUBSCRIPTIONS, *FIRST_SEEN, *LEVELS, *DISCOUNTS, *VALUATION)
