"""Scenarios of Paddle Classic customers: all alerts that Paddle sends for them, unsigned."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from processors.interface import Scenario, Simulation, scenario
from processors.paddle_classic.simulation.customer import PRO, STARTER, TEAM, Customer
from processors.paddle_classic.simulation.demo_key import DEMO_KEY

Steps = Callable[[Customer], Customer]


def signup(customer: Customer) -> Customer:
    """Subscribes to Pro, 49.00 a month."""
    return customer.subscribe(PRO)


def renewal(customer: Customer) -> Customer:
    """Signs up and pays the second month."""
    return signup(customer).renew()


def upgrade(customer: Customer) -> Customer:
    """Signs up and ten days later moves to Team, 99.00 a month."""
    return signup(customer).later(days=10).change(TEAM)


def downgrade(customer: Customer) -> Customer:
    """Signs up and ten days later moves to Starter, 19.00 a month."""
    return signup(customer).later(days=10).change(STARTER)


def cancel(customer: Customer) -> Customer:
    """Signs up and leaves ten days later, at once."""
    return signup(customer).later(days=10).cancel(at_once=True)


def refund(customer: Customer) -> Customer:
    """Signs up and gets 20.00 back the next day."""
    return signup(customer).later(days=1).refund("20.00")


def one_off(customer: Customer) -> Customer:
    """Buys an e-book for 29.00."""
    return customer.buy()


def trial(customer: Customer) -> Customer:
    """Tries Pro for two weeks, then pays."""
    return customer.subscribe(PRO, trial_days=14).renew()


def lifecycle(customer: Customer) -> Customer:
    """Signs up, renews, upgrades, is given 20.00 back, downgrades, and leaves."""
    grown = renewal(customer).later(days=10).change(TEAM).later(days=1).refund("20.00")
    return grown.later(days=5).change(STARTER).later(days=1).cancel(at_once=True)


STEPS: Mapping[str, Steps] = {
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

SCENARIOS: Mapping[str, Scenario] = {name: scenario(name, Customer.begin, steps) for name, steps in STEPS.items()}

simulation = Simulation(scenarios=SCENARIOS, demo_secret=DEMO_KEY, only_demo_signs=True)
