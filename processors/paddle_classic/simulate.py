"""Life cycles of Paddle Classic customers to simulate: every alert that Paddle sends for them, signed by nobody yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from processors.base import Scenario, scenario
from processors.paddle_classic.stories import PRO, STARTER, TEAM, Story

Telling = Callable[[Story], Story]


def signup(story: Story) -> Story:
    """Subscribes to Pro, 49.00 a month."""
    return story.subscribe(PRO)


def renewal(story: Story) -> Story:
    """Signs up and pays the second month."""
    return signup(story).renew()


def upgrade(story: Story) -> Story:
    """Signs up and ten days later moves to Team, 99.00 a month."""
    return signup(story).later(days=10).change(TEAM)


def downgrade(story: Story) -> Story:
    """Signs up and ten days later moves to Starter, 19.00 a month."""
    return signup(story).later(days=10).change(STARTER)


def cancel(story: Story) -> Story:
    """Signs up and leaves ten days later, at once."""
    return signup(story).later(days=10).cancel(at_once=True)


def refund(story: Story) -> Story:
    """Signs up and gets 20.00 back the next day."""
    return signup(story).later(days=1).refund("20.00")


def one_off(story: Story) -> Story:
    """Buys an e-book for 29.00."""
    return story.buy()


def trial(story: Story) -> Story:
    """Tries Pro for two weeks, then pays."""
    return story.subscribe(PRO, trial_days=14).renew()


def lifecycle(story: Story) -> Story:
    """Signs up, renews, upgrades, is given 20.00 back, downgrades, and leaves."""
    grown = renewal(story).later(days=10).change(TEAM).later(days=1).refund("20.00")
    return grown.later(days=5).change(STARTER).later(days=1).cancel(at_once=True)


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
}

SCENARIOS: Mapping[str, Scenario] = {name: scenario(name, Story.begin, telling) for name, telling in TELLINGS.items()}
