"""What is complete is settled at once, and the revenue events are those of the full window, byte for byte.

Webhooks of one step of a lifecycle arrive in any order with gaps of up to a minute; the steps lie as far apart as they
happened.
"""

from __future__ import annotations

import os
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import permutations
from typing import ClassVar

import pytest

from bridge.ledger import Policy
from bridge.ledger.catalog import CatalogKey, key_of
from bridge.ledger.completeness import CHECKS, missing
from bridge.ledger.completeness.events import missing_before_estimates, missing_visits
from bridge.ledger.completeness.payments import missing_for_refunds
from bridge.ledger.completeness.subscriptions import missing_for_changes
from bridge.ledger.completeness.trial import Trial
from bridge.ledger.policy import Unattributed
from bridge.ledger.settle_window import WaitRules
from bridge.sender import payload
from processors import processors
from processors.facts import CatalogEntry
from processors.paddle.simulation import customer as paddle
from processors.stripe.simulation import customer as stripe
from processors.stripe.simulation.payloads import Shape
from tests.lifecycles import harness
from tests.lifecycles.harness import Ledger, TranslatedWebhook, translated, windows_in_real_time
from tests.lifecycles.merchant_customer import MerchantCustomer
from tests.lifecycles.merchant_frame import IS_CAMPAIGN, run
from tests.lifecycles.merchant_offers import METER, OFFERS
from tests.lifecycles.ordinary import UNUSUAL, is_bare, is_ordinary
from tests.lifecycles.paddle_merchant_customer import PLANS
from tests.lifecycles.paddle_merchant_customer import MerchantCustomer as PaddleMerchantCustomer
from tests.lifecycles.stripe_merchant import Customer
from tests.lifecycles.test_arrival import cases
from tests.lifecycles.test_paddle_merchant import Customer as PaddleCustomer
from tests.lifecycles.test_stripe_merchant import Merchant
from tests.lifecycles.virtual_pipeline import DEFAULT_RULES, EARLY, Pipeline, Settled

Arrivals = list[tuple[datetime, TranslatedWebhook]]
EVERY = 5  # of the lifecycles; the campaign takes all
TIMES = int(os.environ.get("EARLY_ORDERS", "12"))  # random orders of each lifecycle, in the campaign
ORDERS_OF_A_RULE = 4
AT_ONCE = timedelta(seconds=3)
SEND = Policy(unattributed=Unattributed.SEND)
VISIT = "buys something whose visit only the session names"
ESTIMATE = "moves to a plan with tax inside, and begins a new period ten seconds later, whose bill shows the tax"
ESTIMATE_BEFORE_END = "leaves ten seconds after the bill that shows the tax inside the plan moved to before"
USAGE = "pays for usage ten seconds before a move to Pro that costs nothing"
Check = Callable[[Trial], Iterator[str]]
EXCEPTIONS = (
    # Duplicates with event ids of their own, which no processor sends: the one that arrives first names the cause.
    "each of them twice",
    "every webhook comes as two events of different ids",
    # A product that is named in the very minute of its first sale: waiting for that would delay every sale of products
    # that are older than the bridge.
    "whose name is known from an event of its own",
)
TITLES = [title for title in cases() if not any(part in title for part in EXCEPTIONS)]


def case(title: str) -> tuple[Policy, tuple[CatalogEntry, ...], Sequence[TranslatedWebhook]]:
    """A lifecycle of the tables, or the one of this module."""
    own = {
        VISIT: visit_by_checkout,
        USAGE: usage_before_a_change,
        ESTIMATE: estimate_before_its_bill,
        ESTIMATE_BEFORE_END: estimate_before_an_end,
    }
    return (SEND, (), own[title]()) if title in own else cases()[title]


def played(title: str, rules: WaitRules, arrivals: Arrivals) -> Pipeline:
    policy, api_catalog, _ = case(title)
    return play(policy, {key: entry for entry in api_catalog if (key := key_of(entry))}, rules, arrivals)


def play(policy: Policy, catalog: Mapping[CatalogKey, CatalogEntry], rules: WaitRules, arrivals: Arrivals) -> Pipeline:
    return Pipeline(policy=policy, rules=rules, catalog=dict(catalog), missing=missing).play(arrivals)


def bodies(pipeline: Pipeline) -> list[str]:
    return [payload.dump(event) for event in pipeline.sorted_events()]


def as_usual(webhooks: Sequence[TranslatedWebhook], chance: random.Random) -> Arrivals:
    """Each webhook about a second after its fact."""
    return [(one.at + timedelta(seconds=chance.uniform(0.3, 1.5)), one) for one in webhooks]


def in_any_order(webhooks: Sequence[TranslatedWebhook], chance: random.Random) -> Arrivals:
    """Each step's webhooks in any order, with gaps of up to a minute."""
    return list(_in_any_order(webhooks, chance))


def arrivals_of(webhooks: Sequence[TranslatedWebhook], chance: random.Random, times: int) -> Iterator[Arrivals]:
    """The usual order, each order of a single step of up to six webhooks (in a long campaign), and random ones."""
    yield as_usual(webhooks, chance)
    if times > harness.ORDERS // 2 and len(webhooks) <= harness.FEW and len(windows_in_real_time(webhooks)) == 1:
        at = max(one.at for one in webhooks)
        for order in permutations(webhooks):
            yield [(at + timedelta(seconds=chance.uniform(0, 60) * number), one) for number, one in enumerate(order)]
    for _ in range(times):
        yield in_any_order(webhooks, chance)


def _in_any_order(
    webhooks: Sequence[TranslatedWebhook], chance: random.Random
) -> Iterator[tuple[datetime, TranslatedWebhook]]:
    for step in windows_in_real_time(webhooks):
        shuffled = [*step, *chance.sample(step, chance.choice((0, 0, 1)))]
        chance.shuffle(shuffled)
        at = max(one.at for one in step)
        for one in shuffled:
            at += timedelta(seconds=chance.choice((0.0, 0.5, chance.uniform(0, 5), chance.uniform(0, 60))))
            yield at, one


def check(title: str, times: int) -> None:
    webhooks, chance = case(title)[2], random.Random(title)
    for arrivals in arrivals_of(webhooks, chance, times):
        early, full = bodies(played(title, EARLY, arrivals)), bodies(played(title, DEFAULT_RULES, arrivals))
        assert early == full, "settled early, the events differ"


@pytest.mark.parametrize("title", TITLES[::EVERY])
def test_settling_early_changes_nothing(title: str) -> None:
    check(title, 2)


# ---- Each rule of completeness is needed ----------------------------------------------------------------------------


def nothing(*_: object) -> Iterator[str]:
    """Nothing is missing."""
    return iter(())


def without_check(check: Check) -> dict[str, object]:
    return {"CHECKS": tuple(one for one in CHECKS if one is not check)}


def visit_by_checkout() -> tuple[TranslatedWebhook, ...]:
    """A payment that states that it has no invoice, and seconds later the session, which names the visit."""
    ada = stripe.Customer.begin("ada", datetime(2026, 1, 1, tzinfo=UTC), Shape.OLD)
    return translated(ada.buy(2900).webhooks, processors()["stripe"])


def usage_before_a_change() -> tuple[TranslatedWebhook, ...]:
    """A bill of usage, and a change that names it as the invoice before, at an endpoint without charges."""
    pro, team = (replace(OFFERS[plan], extras=((METER, 1),)) for plan in ("Pro", "Team"))
    ada = MerchantCustomer.begin("ada", datetime(2026, 1, 1, tzinfo=UTC), Shape.OLD)
    ada = ada.subscribe(team, 1, name="1").later(days=10).reach_threshold(20_000, name="1")
    ada = ada.later(seconds=10).change(pro, 1, name="1", billed=True)
    ada = ada.only("customer.subscription.created", "customer.subscription.updated", "invoice.paid")
    return translated(ada.webhooks, processors()["stripe"])


def estimate_before_its_bill() -> tuple[TranslatedWebhook, ...]:
    """A change whose amount without tax is not known, and a bill that shows it, for which the change is no reason."""
    taxed = OFFERS["Taxed"]
    ada = MerchantCustomer.begin("ada", datetime(2026, 1, 1, tzinfo=UTC), Shape.CLOVER)
    ada = ada.subscribe(OFFERS["Pro"], 1, name="1").later(days=10).change(taxed, 1, name="1", billed=False)
    return translated(ada.later(seconds=10).begin_anew(name="1").webhooks, processors()["stripe"])


def estimate_before_an_end() -> tuple[TranslatedWebhook, ...]:
    """A renewal that shows the tax inside the plan, and seconds later the end, which names no transaction."""
    ada = PaddleMerchantCustomer.begin("ada", datetime(2026, 1, 1, tzinfo=UTC)).subscribe(PLANS["Pro"], 1)
    ada = ada.later(days=10).change(PLANS["Taxed"], 1).renew()
    return translated(ada.later(seconds=10).cancel().webhooks, processors()["paddle"])


# By what is taken to be there always: the rules without it, and a lifecycle that is then wrong in one of a few orders.
RULES: dict[str, tuple[dict[str, object], str]] = {
    "the invoice of a payment, or that it has none": (
        {"payments._invoice": nothing},
        "buys something for 29.00 through Checkout: charge, intent and session report it-OLD",
    ),
    "the state of a paid subscription": (
        {"payments._subscription_of": nothing},
        "moves to Team ten days on, billed at once: 21/31 of 99.00 - 49.00 = 67.06 - 33.19-OLD",
    ),
    "the payment that a start announces": (
        {"subscriptions._announced": nothing},
        "tries for two weeks with a card, then pays: in their hour of grace, trial's end and payment are two "
        "windows-OLD",
    ),
    "the payment of a change": (
        without_check(missing_for_changes),
        "paddle-classic: adds a seat, billed at once with the tax on top: 24.50 + 4.66",
    ),
    "the change before a change": (
        {"subscriptions._continuity": nothing},
        "moves to Team and adds two seats twenty seconds later: each change is known by the terms before it-CLOVER",
    ),
    "the state of a subscription at its renewal": (
        {"payments.RECENT_STATE": timedelta(days=4000)},
        "paddle: pays half for a month: MRR is what is paid without it",
    ),
    "the payment of a refund": (without_check(missing_for_refunds), "gets everything back the next day-CLOVER"),
    "the bill before a change": ({"subscriptions._invoice_before": nothing}, USAGE),
    "the bill that may show an estimated amount": (without_check(missing_before_estimates), ESTIMATE),
    "the bill that may correct an estimate before an end": (
        {"events._before_the_change": nothing},
        ESTIMATE_BEFORE_END,
    ),
    "the visit": (without_check(missing_visits), VISIT),
}


@pytest.mark.parametrize("rule", RULES)
def test_settling_early_changes_nothing_where_one_rule_decides(rule: str) -> None:
    check(RULES[rule][1], ORDERS_OF_A_RULE)


@pytest.mark.parametrize("rule", RULES)
def test_without_any_one_rule_settling_early_changes_an_event(rule: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rules, title = RULES[rule]
    for name, value in rules.items():
        monkeypatch.setattr(f"bridge.ledger.completeness.{name}", value)

    with pytest.raises(AssertionError, match="settled early"):
        check(title, ORDERS_OF_A_RULE)


@pytest.mark.campaign
def test_settling_early_changes_nothing_in_any_lifecycle() -> None:
    for title in TITLES:
        check(title, TIMES)


def usual_lifecycle(shape: Shape | None) -> Sequence[TranslatedWebhook]:
    """A purchase, a signup, renewals, an upgrade billed at once, a refund and a cancellation; None: at Paddle."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    if shape is None:
        buyer = paddle.Customer.begin("ada", at).buy().later(days=2).subscribe().renew().renew().later(days=5)
        changed = buyer.change(paddle.TEAM, billed=3300).later(days=3)
        return translated(changed.refund(2000).renew().later(days=4).cancel().webhooks, processors()["paddle"])
    ada = stripe.Customer.begin("ada", at, shape).buy(2900).later(days=2).subscribe().renew().renew().later(days=5)
    upgraded = ada.change(stripe.TEAM, billed=True).later(days=3)
    return translated(upgraded.refund(2000).renew().later(days=4).cancel().webhooks, processors()["stripe"])


@pytest.mark.parametrize("shape", [*Shape, None])
def test_everything_usual_is_settled_at_once(shape: Shape | None) -> None:
    webhooks, chance = usual_lifecycle(shape), random.Random(7)
    early = play(Policy(), {}, EARLY, as_usual(webhooks, chance))
    mixed = in_any_order(webhooks, chance)

    assert [is_at_once(one) for one in early.settlements] == [True] * 8
    assert bodies(play(Policy(), {}, EARLY, mixed)) == bodies(play(Policy(), {}, DEFAULT_RULES, mixed))


@pytest.mark.parametrize(
    "title",
    [
        "pays the first invoice by bank transfer, outside Stripe-OLD",
        "pays the first invoice by bank transfer, outside Stripe-CLOVER",
        "signs up with 50 % off for three months, for a merchant who subtracts what recurs-CLOVER",
        "signs up for a term of a year and asks to leave with the first month, counted at request-CLOVER",
        "five graduated seats are billed at once, tiers unknown: 90.00 / 0.5, to a cent-CLOVER",
        "paddle: pays half for a month, for a merchant who counts what is paid",
        "paddle: pays 1.00 to try for two weeks, then the full price",
        "paddle: moves to Starter, prorated at once: nothing is paid, the rest is credit for the next bill",
    ],
)
def test_what_no_further_webhook_can_change_is_settled_at_once(title: str) -> None:
    settlements = played(title, EARLY, as_usual(cases()[title][2], random.Random(title))).settlements

    assert [is_at_once(one) for one in settlements] == [True] * len(settlements)


def is_at_once(one: Settled) -> bool:
    return one.at - one.last_arrival <= AT_ONCE


@dataclass(kw_only=True)
class Share:
    """How many settlements with revenue events were at once: of all, and of the ordinary ones."""

    found: Counter[tuple[str, bool]] = field(default_factory=Counter)

    def add(self, one: Settled, *, ordinary: bool) -> None:
        self.found["all", is_at_once(one)] += 1
        self.found["ordinary", is_at_once(one)] += ordinary

    def of(self, which: str) -> float:
        return self.found[which, True] / (self.found[which, True] + self.found[which, False])

    def __str__(self) -> str:
        return ", ".join(
            f"{which}: {self.found[which, True]} of {self.found[which, True] + self.found[which, False]}"
            f" ({self.of(which):.1%})"
            for which in ("all", "ordinary")
        )


def share_of(titles: Sequence[str]) -> Share:
    share = Share()
    for title in titles:
        for one in played(title, EARLY, as_usual(cases()[title][2], random.Random(title))).settlements:
            share.add(one, ordinary=is_ordinary(title))
    return share


def test_most_events_of_complete_webhooks_are_settled_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    share = share_of(TITLES)
    with capsys.disabled():
        print(f"\nsettled at once, of every lifecycle: {share}")
    assert share.of("all") > 0.8
    assert share.of("ordinary") > 0.95


def test_each_reason_why_a_lifecycle_is_unusual_has_lifecycles() -> None:
    titles = " ".join(TITLES).lower()
    assert [part for parts in UNUSUAL.values() for part in parts if part.lower() not in titles] == []


class EarlyMerchant(Merchant):
    """The random merchant, whose customers' webhooks arrive at the bridge as usual and in any order."""

    share: ClassVar[Share] = Share()

    def deliver(self, customer: Customer, chance: random.Random) -> None:
        """Nothing: all are delivered in the end."""

    def close(self, customer: Customer, chance: random.Random) -> None:
        """Makes room for more in transit."""
        customer.arrived, customer.in_transit = [*customer.arrived, *customer.in_transit], []

    def teardown(self) -> None:
        for number, customer in enumerate(self.customers):
            self.compare(customer, random.Random(number))

    def compare(self, customer: Customer, chance: random.Random) -> None:
        """With the full window, in the usual order and in another one."""
        self.close(customer, chance)
        compare(customer.ledger, customer.arrived, chance, EarlyMerchant.share)


class EarlyPaddleCustomer(PaddleCustomer):
    """The random customer of Paddle, whose webhooks arrive at the bridge as usual and in any order."""

    share: ClassVar[Share] = Share()

    def a_window_arrives(self, chance: random.Random, share: float) -> None:  # type: ignore[override]  # no rule
        """Nothing: all are delivered in the end."""

    def teardown(self) -> None:
        if hasattr(self, "simulated"):
            compare(self.delivery.ledger, self.delivery.in_transit, random.Random(0), EarlyPaddleCustomer.share)


def compare(ledger: Ledger, webhooks: Sequence[TranslatedWebhook], chance: random.Random, share: Share) -> None:
    """With the full window, in the usual order and in another one."""
    usual = as_usual(webhooks, chance)
    for arrivals in (usual, in_any_order(webhooks, chance)) if webhooks else ():
        early = play(ledger.policy, ledger.catalog, EARLY, arrivals)
        assert bodies(early) == bodies(play(ledger.policy, ledger.catalog, DEFAULT_RULES, arrivals))
        for one in early.settlements if arrivals is usual else ():
            share.add(one, ordinary=not is_bare(one.facts))


@pytest.mark.timeout(3600)  # a campaign may be long
@pytest.mark.parametrize("machine", [EarlyMerchant, EarlyPaddleCustomer])
def test_settling_early_changes_nothing_for_a_random_merchant(
    machine: type[EarlyMerchant | EarlyPaddleCustomer], capsys: pytest.CaptureFixture[str]
) -> None:
    machine.share = Share()
    run(machine, steps=150, length=25)
    with capsys.disabled():
        print(f"\nsettled at once, of {machine.__name__}: {machine.share}")
    # The steps depend on the modules that are imported, since Hypothesis tries constants of theirs.
    assert IS_CAMPAIGN or machine.share.of("all") > 0.7
