"""Scenarios of Stripe customers: all webhooks that Stripe sends for them, unsigned."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial

from processors.interface import Scenario, Simulation, scenario
from processors.stripe.simulation import payloads
from processors.stripe.simulation.customer import PRO, PRO_YEARLY, STARTER, TEAM, Customer
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


def failed_refund(customer: Customer) -> Customer:
    """Signs up, gets 20.00 back the next day, and three days later the bank returns them."""
    return refund(customer).later(days=3).fail_refund()


def yearly(customer: Customer) -> Customer:
    """Pays for a year of Pro, 490.00."""
    return customer.subscribe(PRO_YEARLY)


def seats(customer: Customer) -> Customer:
    """Pays for five seats of Pro, and ten days later for eight; the difference is billed at once."""
    return customer.subscribe(PRO, 5).later(days=10).change(quantity=8, billed=True)


def coupon(customer: Customer) -> Customer:
    """Pays for Pro with 20 % off forever, twice."""
    return customer.subscribe(PRO, coupon=payloads.coupon("LAUNCH20", percent=20)).renew()


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


def yen(customer: Customer) -> Customer:
    """Buys something for 2,900 JPY, a currency without decimals."""
    return customer.buy(2900)


STEPS: Mapping[str, Steps] = {
    "lifecycle": lifecycle,
    "signup": signup,
    "renewal": renewal,
    "upgrade": upgrade,
    "downgrade": downgrade,
    "cancel": cancel,
    "refund": refund,
    "failed-refund": failed_refund,
    "yearly": yearly,
    "seats": seats,
    "coupon": coupon,
    "one-off": one_off,
    "trial": trial,
    "dispute": dispute,
}


SCENARIOS: Mapping[str, Scenario] = {
    **{name: scenario(name, Customer.begin, steps) for name, steps in STEPS.items()},
    "no-visit": scenario(
        "no-visit", partial(Customer.begin, visit={}), signup, " Without a visit in the metadata: held."
    ),
    "eur": scenario("eur", partial(Customer.begin, currency="eur"), renewal, " In EUR."),
    "jpy": scenario("jpy", partial(Customer.begin, currency="jpy"), yen),
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
