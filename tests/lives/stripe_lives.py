"""Lives of Stripe customers: what happened, how Stripe tells it, and the revenue events that must come of it.

A row reads: type, amount, movement of MRR (`-`: none is stated), currency unless USD, plan, interval, seats beyond one,
coupon, what it was before, why, and what is special. Amounts are in major units, computed by hand.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

from bridge.ledger import Policy
from processors.stripe.bodies import Shape
from processors.stripe.stories import PRO, PRO_YEARLY, STARTER, TEAM
from tests.lives.stripe_telling import Telling

DEFAULT = Policy()
START = datetime(2026, 1, 1, tzinfo=UTC)
OLD_AND_NOW = (Shape.OLD, Shape.CLOVER)


@dataclass(frozen=True, slots=True, kw_only=True)
class Life:
    """One life. `rows`: the events when all webhooks are settled in one window; `live`: as they come, where it differs.

    `attributed`: every event is earned by the visit that the telling names.
    """

    what: str
    tell: Callable[[Telling], Telling]
    rows: tuple[str, ...]
    live: tuple[str, ...]
    policy: Policy
    shapes: tuple[Shape, ...]
    currency: str
    attributed: bool

    def webhooks(self, shape: Shape) -> tuple[bytes, ...]:
        """The life as Stripe tells it in this shape."""
        return self.tell(Telling.begin("ada", START, shape, currency=self.currency)).webhooks


LIVES: list[Life] = []


def life(
    what: str,
    tell: Callable[[Telling], Telling],
    *expected: str,
    live: Iterable[str] | None = None,
    policy: Policy = DEFAULT,
    shapes: tuple[Shape, ...] = OLD_AND_NOW,
    currency: str = "usd",
    attributed: bool = True,
) -> None:
    """Puts a life into the table."""
    found = Life(
        what=what,
        tell=tell,
        rows=_rows(expected),
        live=_rows(expected if live is None else live),
        policy=policy,
        shapes=shapes,
        currency=currency,
        attributed=attributed,
    )
    LIVES.append(found)


def _rows(written: Iterable[str]) -> tuple[str, ...]:
    return tuple(" ".join(row.split()) for row in written)


# ---- Money, once --------------------------------------------------------------------------------------------------

life(
    "buys something for 29.00 through Checkout: charge, intent and session tell of it",
    lambda ada: ada.buy(2900),
    "purchase 29.00 -",
)
life(
    "buys something for 29.00 with a bare payment intent that names the visit itself",
    lambda ada: ada.buy(2900, checkout=False),
    "purchase 29.00 -",
)
life(
    "buys as a guest and gets 10.00 back",
    lambda ada: ada.buy(2900, guest=True).later(days=1).refund(1000),
    "purchase  29.00  -",
    "refund   -10.00  0  requested_by_customer",
)
life(
    "signs up, and every webhook comes as two events of different ids",
    lambda ada: ada.subscribe(PRO).twice(),
    "subscription 49.00 +49.00 Pro monthly",
)

# ---- Subscriptions ------------------------------------------------------------------------------------------------

life(
    "signs up for Pro at 49.00 a month through Checkout",
    lambda ada: ada.subscribe(PRO),
    "subscription 49.00 +49.00 Pro monthly",
)
life(
    "signs up through the API: incomplete until the first invoice is paid",
    lambda ada: ada.subscribe(PRO, checkout=False),
    "subscription 49.00 +49.00 Pro monthly",
)
life(
    "signs up and pays the second month",
    lambda ada: ada.subscribe(PRO).renew(),
    "subscription 49.00 +49.00 Pro monthly",
    "renewal      49.00       0 Pro monthly",
)
life(
    "signs up for a year at 490.00: 490 / 12 = 40.83 a month",
    lambda ada: ada.subscribe(PRO_YEARLY),
    "subscription 490.00 +40.83 Pro, yearly annual",
)
life(
    "tries for two weeks with a card, then pays",
    lambda ada: ada.subscribe(PRO, trial_days=14).end_trial(),
    "subscription 49.00 +49.00 Pro monthly",
    live=("subscription 0 +49.00 Pro monthly", "renewal 49.00 0 Pro monthly"),
)
life(
    "moves to Team ten days on, billed at once: 21/31 of 99.00 - 49.00 = 67.06 - 33.19",
    lambda ada: ada.subscribe(PRO).later(days=10).change(TEAM, billed=True),
    "subscription 49.00 +49.00 Pro monthly",
    "upgrade      33.87 +50.00 Team monthly was Pro",
)
life(
    "moves down to Starter, to be billed with the next month",
    lambda ada: ada.subscribe(PRO).later(days=10).change(STARTER).renew(),
    "subscription 49.00 +49.00 Pro monthly",
    "downgrade        0 -30.00 Starter monthly was Pro",
    "renewal      19.00      0 Starter monthly",
)
life(
    "adds two seats for the next bill: the movement, and then a renewal",
    lambda ada: ada.subscribe(PRO).later(days=10).change(quantity=3).renew(),
    "subscription  49.00 +49.00 Pro monthly",
    "upgrade           0 +98.00 Pro monthly x3",
    "renewal      147.00      0 Pro monthly x3",
)
life(
    "cancels, and stays until the end of the month that is paid",
    lambda ada: ada.subscribe(PRO).later(days=10).cancel(at_period_end=True).expire(),
    "subscription 49.00 +49.00 Pro monthly",
    "churn            0 -49.00 Pro monthly cancellation_requested",
)
life(
    "cancels at once",
    lambda ada: ada.subscribe(PRO).later(days=10).cancel(),
    "subscription 49.00 +49.00 Pro monthly",
    "churn            0 -49.00 Pro monthly cancellation_requested",
)
life(
    "stops paying: past due still counts, cancelled by Stripe does not",
    lambda ada: ada.subscribe(PRO).next_period(status="past_due").later(days=21).cancel(reason="payment_failed"),
    "subscription 49.00 +49.00 Pro monthly",
    "churn            0 -49.00 Pro monthly payment_failed",
)
life(
    "stops paying until the subscription is unpaid, and pays after all",
    lambda ada: (
        ada.subscribe(PRO)
        .later(days=35)
        .become("unpaid")
        .later(days=10)
        .become("active")
        .bill(4900, "subscription_cycle", name="1")
    ),
    "subscription 49.00 +49.00 Pro monthly",
    "churn            0 -49.00 Pro monthly unpaid",
    "subscription 49.00 +49.00 Pro monthly reactivation",
)

# ---- Money that goes back -----------------------------------------------------------------------------------------

life(
    "gets everything back the next day",
    lambda ada: ada.subscribe(PRO).later(days=1).refund(),
    "subscription  49.00 +49.00 Pro monthly",
    "refund       -49.00      0 Pro monthly requested_by_customer",
)
life(
    "gets 10.00 and then 15.00 back",
    lambda ada: ada.subscribe(PRO).later(days=1).refund(1000).later(days=1).refund(1500),
    "subscription  49.00 +49.00 Pro monthly",
    "refund       -10.00      0 Pro monthly requested_by_customer",
    "refund       -15.00      0 Pro monthly requested_by_customer",
)
life(
    "disputes the charge and loses: the money is withdrawn and comes back",
    lambda ada: ada.subscribe(PRO).later(days=5).dispute().later(days=30).reinstate(),
    "subscription  49.00 +49.00 Pro monthly",
    "refund       -49.00      0 Pro monthly fraudulent",
    "renewal       49.00      0 Pro monthly fraudulent reversal",
)
life(
    "has the charge refunded under an API version that knows no refund events",
    lambda ada: (
        ada.buy(2900)
        .later(days=1)
        .refund(900)
        .only("charge.succeeded", "checkout.session.completed", "charge.refunded")
    ),
    "purchase 29.00 -",
    "refund   -9.00 0 requested_by_customer",
    shapes=(Shape.OLD,),
)
