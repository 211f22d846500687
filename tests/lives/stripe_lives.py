"""The table of Stripe lives, topic by topic."""

from __future__ import annotations

from tests.lives.stripe_lives_first_seen import FIRST_SEEN
from tests.lives.stripe_lives_of_discounts import DISCOUNTS
from tests.lives.stripe_lives_of_levels import LEVELS
from tests.lives.stripe_lives_of_money import MONEY
from tests.lives.stripe_lives_of_refunds import REFUNDS
from tests.lives.stripe_lives_of_subscriptions import SUBSCRIPTIONS

LIVES = (*MONEY, *REFUNDS, *SUBSCRIPTIONS, *FIRST_SEEN, *LEVELS, *DISCOUNTS)
