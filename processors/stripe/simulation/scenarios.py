"""Scenarios of Stripe customers: all webhooks that Stripe sends for them, unsigned."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial

from processors.interface import Scenario, Simulation, scenario
from processors.stripe.simulation.customer import PRO, STARTER, TEAM, Customer
from processors.stripe.simulation.payloads import Shape

Steps = Callable[[Customer], Customer]


def signup(customer: Customer) -> Customer:
    """Pays for Pro, 49.00 a month, through Checkout."""
    return customer.subscribe(PRO)


def renewal(customer: Customer) -> Customer:
    """Signs up and pays the second month."""
    return signup(customer).renew()


def upgrade(customer: Customer) -> Customer:
    """Signs up and ten days later moves to Team, 99.00 a month; the difference is billed at once."""
    return signup(customer).later(days=10).change(TEAM, billed=True)


def downgrade(customer: Customer) -> Customer:
    """Signs up and ten days later moves to Starter, 19.00 a month."""
    return signup(customer).later(days=10).change(STARTER)


def cancel(customer: Customer) -> Customer:
    """Signs up, cancels, and stays until the end of the month that is paid."""
    return signup(customer).later(days=10).cancel(at_period_end=True).expire()


def refund(customer: Customer) -> Customer:
    """Signs up and gets 20.00 back the next day."""
    return signup(customer).later(days=1).refund(2000)


def one_off(customer: Customer) -> Customer:
    """Buys something for 29.00, once."""
    return customer.buy(2900)


def trial(customer: Customer) -> Customer:
    """Tries Pro for two weeks, then pays."""
    return customer.subscribe(PRO, trial_days=14).end_trial()


def dispute(customer: Customer) -> Customer:
    """Signs up, disputes the charge, and loses: the money comes back."""
    return signup(customer).later(days=5).dispute().later(days=30).reinstate()


def lifecycle(customer: Customer) -> Customer:
    """Signs up, renews, upgrades, downgrades, is given 20.00 back, buys an extra, and leaves."""
    grown = renewal(customer).later(days=10).change(TEAM, billed=True).later(days=5).change(STARTER)
    return grown.later(days=1).refund(2000).later(days=1).buy(2900).later(days=1).cancel()


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
    "dispute": dispute,
}


SCENARIOS: Mapping[str, Scenario] = {
    **{name: scenario(name, Customer.begin, steps) for name, steps in STEPS.items()},
    "legacy": scenario("legacy", partial(Customer.begin, shape=Shape.OLD), lifecycle, " In the shape of 2020 to 2024."),
}


def as_test_traffic(body: bytes) -> bytes:
    """The event in test mode: `livemode` is false on it and on its object."""
    event = json.loads(body)
    event["livemode"] = event["data"]["object"]["livemode"] = False
    return json.dumps(event, separators=(",", ":")).encode()


simulation = Simulation(
    scenarios=SCENARIOS, demo_secret="whsec_demo_not_a_real_secret", as_test_traffic=as_test_traffic
)
