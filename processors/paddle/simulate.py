"""Life cycles of Paddle customers to simulate: every webhook that Paddle sends for them, signed by nobody yet."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from processors.base import Scenario, scenario
from processors.paddle.stories import PRO, STARTER, TEAM, Story

Telling = Callable[[Story], Story]


def signup(story: Story) -> Story:
    """Subscribes to Pro, 49.00 a month, through Paddle's checkout."""
    return story.subscribe(PRO)


def renewal(story: Story) -> Story:
    """Signs up and pays the second month."""
    return signup(story).renew()


def upgrade(story: Story) -> Story:
    """Signs up and ten days later moves to Team, 99.00 a month; 33.33 of the difference is billed at once."""
    return signup(story).later(days=10).change(TEAM, billed=3333)


def downgrade(story: Story) -> Story:
    """Signs up and ten days later moves to Starter, 19.00 a month."""
    return signup(story).later(days=10).change(STARTER)


def pause_resume(story: Story) -> Story:
    """Signs up, pauses, and comes back a month later, which is paid."""
    return signup(story).later(days=10).become("paused").later(days=30).resume()


def cancel(story: Story) -> Story:
    """Signs up, cancels, and stays until the end of the month that is paid."""
    return signup(story).later(days=10).cancel(scheduled=True).expire()


def refund(story: Story) -> Story:
    """Signs up and gets 20.00 back the next day."""
    return signup(story).later(days=1).refund(2000)


def chargeback(story: Story) -> Story:
    """Signs up, the bank takes the money back, and Paddle wins it again."""
    return signup(story).later(days=5).adjusted("chargeback").later(days=30).adjusted("chargeback_reverse")


def one_off(story: Story) -> Story:
    """Buys an e-book for 29.00."""
    return story.buy()


def trial(story: Story) -> Story:
    """Tries Pro for two weeks, then pays."""
    return story.subscribe(PRO, trial_days=14).renew()


def lifecycle(story: Story) -> Story:
    """Signs up, renews, upgrades, downgrades, is given 20.00 back, buys an extra, and leaves."""
    grown = renewal(story).later(days=10).change(TEAM, billed=3333).later(days=5).change(STARTER)
    return grown.later(days=1).refund(2000).later(days=1).charge().later(days=1).cancel()


TELLINGS: Mapping[str, Telling] = {
    "lifecycle": lifecycle,
    "signup": signup,
    "renewal": renewal,
    "upgrade": upgrade,
    "downgrade": downgrade,
    "pause-resume": pause_resume,
    "cancel": cancel,
    "refund": refund,
    "chargeback": chargeback,
    "one-off": one_off,
    "trial": trial,
}

SCENARIOS: Mapping[str, Scenario] = {name: scenario(name, Story.begin, telling) for name, telling in TELLINGS.items()}
