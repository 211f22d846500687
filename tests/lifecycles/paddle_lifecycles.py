"""The table of Paddle Billing lifecycles, by topic."""

from __future__ import annotations

from tests.lifecycles.paddle_first_seen import FIRST_SEEN
from tests.lifecycles.paddle_payments import MONEY
from tests.lifecycles.paddle_subscriptions import SUBSCRIPTIONS
from tests.lifecycles.paddle_valuation import CHARGED_ONCE, SINGLE_ITEMS, TAX_INSIDE
from tests.lifecycles.paddle_valuation_changes import CHANGES, COUPONS

VALUATION = (*SINGLE_ITEMS, *TAX_INSIDE, *COUPONS, *CHANGES, *CHARGED_ONCE)
LIFECYCLES = (*MONEY, *SUBSCRIPTIONS, *FIRST_SEEN, *VALUATION)
