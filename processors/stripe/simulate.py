"""Life cycles of Stripe customers to simulate: every webhook that Stripe sends for them, signed by nobody yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

from processors.base import Scenario, scenario
from processors.stripe.bodies import Shape
from processors.stripe.stories import PRO, STARTER, TEAM, Story

Telling = Callable[[Story], Story]


def signup(story: Story) -> Story:
    """Pays for Pro, 49.00 a month, through Checkout."""
    return story.subscribe(PRO)


def renewal(story: Story) -> Story:
    """Signs up and pays the second month."""
    return signup(story).renew()


def upgrade(story: Story) -> Story:
    """Signs up and ten days later moves to Team, 99.00 a month; the difference is billed at once."""
    return signup(story).later(days=10).change(TEAM, billed=True)


def downgrade(story: Story) -> Story:
    """Signs up and ten days later moves to Starter, 19.00 a month."""
    return signup(story).later(days=10).change(STARTER)


def cancel(story: Story) -> Story:
    """Signs up, cancels, and stays until the end of the month that is paid."""
    return signup(story).later(days=10).cancel(at_period_end=True).expire()


def refund(story: Story) -> Story:
    """Signs up and gets 20.00 back the next day."""
    return signup(story).later(days=1).refund(2000)


def one_off(story: Story) -> Story:
    """Buys something for 29.00, once."""
    return story.buy(2900)


def trial(story: Story) -> Story:
    """Tries Pro for two weeks, then pays."""
    return story.subscribe(PRO, trial_days=14).end_trial()


def dispute(story: Story) -> Story:
    """Signs up, disputes the charge, and loses: the money comes back."""
    return signup(story).later(days=5).dispute().later(days=30).reinstate()


def lifecycle(story: Story) -> Story:
    """Signs up, renews, upgrades, downgrades, is given 20.00 back, buys an extra, and leaves."""
    grown = renewal(story).later(days=10).change(TEAM, billed=True).later(days=5).change(STARTER)
    return grown.later(days=1).refund(2000).later(days=1).buy(2900).later(days=1).cancel()


TELLINGS: Mapping[str, Telling] = {
    "lifecycle": lifecycle,
    "signup": signup,
    "renewal": renewal,
    "upgrade": upgrade,
    "downgrade": downgrade,
    "cancel": cancel,
    "refund": refund,
    "one-off": one_off,
    "trial": trial,
    "dispute": dispute,
}


SCENARIOS: Mapping[str, Scenario] = {
    **{name: scenario(name, Story.begin, telling) for name, telling in TELLINGS.items()},
    "legacy": scenario("legacy", partial(Story.begin, shape=Shape.OLD), lifecycle, " In the shape of 2020 to 2024."),
}
