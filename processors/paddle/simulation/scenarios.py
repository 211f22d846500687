"""Scenarios of Paddle customers: all webhooks that Paddle sends for them, unsigned."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from processors.interface import Scenario, Simulation, scenario
from processors.paddle.simulation.customer import EBOOK, PRO, STARTER, TEAM, Customer

Steps = Callable[[Customer], Customer]


def signup(customer: Customer) -> Customer:
    """Subscribes to Pro, 49.00 a month, through Paddle's checkout."""
    return customer.subscribe(PRO)


def renewal(customer: Customer) -> Customer:
    """Signs up and pays the second month."""
    return signup(customer).renew()


def upgrade(customer: Customer) -> Customer:
    """Signs up and ten days later moves to Team, 99.00 a month; 33.33 of the difference is billed at once."""
    return signup(customer).later(days=10).change(TEAM, billed=3333)


def downgrade(customer: Customer) -> Customer:
    """Signs up and ten days later moves to Starter, 19.00 a month."""
    return signup(customer).later(days=10).change(STARTER)


def pause_resume(customer: Customer) -> Customer:
    """Signs up, pauses, and comes back a month later, which is paid."""
    return signup(customer).later(days=10).become("paused").later(days=30).resume()


def cancel(customer: Customer) -> Customer:
    """Signs up, cancels, and stays until the end of the month that is paid."""
    return signup(customer).later(days=10).cancel(scheduled=True).expire()


def refund(customer: Customer) -> Customer:
    """Signs up and gets 20.00 back the next day."""
    return signup(customer).later(days=1).refund(2000)


def chargeback(customer: Customer) -> Customer:
    """Signs up, the bank takes the money back, and Paddle wins it again."""
    return signup(customer).later(days=5).adjusted("chargeback").later(days=30).adjusted("chargeback_reverse")


def one_off(customer: Customer) -> Customer:
    """Buys an e-book for 29.00."""
    return customer.buy()


def trial(customer: Customer) -> Customer:
    """Tries Pro for two weeks, then pays."""
    return customer.subscribe(PRO, trial_days=14).renew()


def lifecycle(customer: Customer) -> Customer:
    """Signs up, renews, upgrades, downgrades, is given 20.00 back, buys an extra, and leaves."""
    grown = renewal(customer).later(days=10).change(TEAM, billed=3333).later(days=5).change(STARTER)
    return grown.later(days=1).refund(2000).later(days=1).charge().later(days=1).cancel()


def rejected_refund(customer: Customer) -> Customer:
    """Signs up and asks for 20.00 back, which Paddle rejects."""
    return signup(customer).later(days=1).refund(2000, approved=False)


def yearly(customer: Customer) -> Customer:
    """Pays for a year of Pro, 490.00."""
    return customer.subscribe(replace(PRO, id="pro_yearly", minor=49000, interval="year"))


def seats(customer: Customer) -> Customer:
    """Pays for five seats of Pro."""
    return customer.subscribe(PRO, 5)


def coupon(customer: Customer) -> Customer:
    """Pays for Pro with 20 % off every payment, twice."""
    return customer.subscribe_with_coupon(20).renew()


def euro(customer: Customer) -> Customer:
    """Signs up and pays the second month, in EUR."""
    return customer.subscribe(replace(PRO, currency="EUR")).renew()


def yen(customer: Customer) -> Customer:
    """Buys an e-book for 2,900 JPY, a currency without decimals."""
    return customer.buy(replace(EBOOK, currency="JPY"))


STEPS: Mapping[str, Steps] = {
    "lifecycle": lifecycle,
    "signup": signup,
    "renewal": renewal,
    "upgrade": upgrade,
    "downgrade": downgrade,
    "pause-resume": pause_resume,
    "cancel": cancel,
    "refund": refund,
    "rejected-refund": rejected_refund,
    "yearly": yearly,
    "seats": seats,
    "coupon": coupon,
    "chargeback": chargeback,
    "one-off": one_off,
    "trial": trial,
}

SCENARIOS: Mapping[str, Scenario] = {
    **{name: scenario(name, Customer.begin, steps) for name, steps in STEPS.items()},
    "no-visit": scenario(
        "no-visit", partial(Customer.begin, visit={}), signup, " Without a visit in the metadata: held."
    ),
    "eur": scenario("eur", partial(Customer.begin, currency="EUR"), euro),
    "jpy": scenario("jpy", partial(Customer.begin, currency="JPY"), yen),
}


def as_test_traffic(body: bytes) -> bytes:
    """The event as Paddle's webhook simulator sends it, recognisable by its ids. No payload states the mode."""
    event = json.loads(body)
    event["event_id"] = "ntfsimevt_" + event["event_id"].removeprefix("evt_")
    event["notification_id"] = "ntfsimntf_" + event["notification_id"].removeprefix("ntf_")
    return json.dumps(event, separators=(",", ":")).encode()


simulation = Simulation(
    scenarios=SCENARIOS, demo_secret="pdl_ntfset_demo_not_a_real_secret", as_test_traffic=as_test_traffic
)
