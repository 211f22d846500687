"""Active subscriptions that were silent for longer than their period are compared with the processor's API."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import pytest

from bridge.ledger.state import Subscription, load
from bridge.settings import Settings
from bridge.store import Store, inbox, leases, outbox, streams
from bridge.worker import convergence
from bridge.worker.convergence import GRACE, INTERVAL, RETRY_AFTER, Convergence, is_silent
from processors.facts import Interval, Period, Status, SubscriptionState
from processors.interface import ApiError
from processors.stripe.simulation.customer import PRO, Customer
from processors.values import replace
from tests.bridge.ledger.harness import settled
from tests.bridge.worker.test_enrichment import FakeApi, receive
from tests.builders import NOON, a_created, a_price, a_subscription, after, an_ended, an_item, terms
from tests.settings import some_settings
from tests.working import settle_all

BORN = datetime.fromisoformat("2026-01-05T12:00:00+00:00")
LATER = BORN + timedelta(days=60)  # the month that was paid ended on 5 February
DAY = timedelta(days=1)


@dataclass
class CurrentApi(FakeApi):
    """An API that knows the current state of subscriptions."""

    states: Mapping[str, SubscriptionState | None] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def subscription(self, subscription_id: str) -> SubscriptionState | None:
        self.asked.append(subscription_id)
        if self.is_down:
            raise ApiError("Stripe's API is down")
        return self.states.get(subscription_id)


@pytest.fixture
def settings(sqlite_url: str) -> Settings:
    return some_settings(sqlite_url)


def signed_up(store: Store, settings: Settings, *tags: str, account: str | None = None) -> None:
    """Customers who pay for a month, of whom nothing is heard afterwards."""
    for tag in tags:
        for body in Customer.begin(tag, BORN).subscribe(PRO).webhooks:
            receive(store, body, account)
    settle_all(store, settings, LATER)


def state_of(tag: str, status: Status = Status.ENDED, at: datetime = BORN + 20 * DAY) -> SubscriptionState:
    """The state that the API has of a customer's subscription."""
    ids = {"subscription_id": f"sub_{tag}_1", "customer_id": f"cus_{tag}"}
    return a_subscription(status, at=at, ended_reason="cancellation_requested", **ids)  # type: ignore[arg-type]


def compare(store: Store, api: CurrentApi, **more: object) -> Convergence:
    return Convergence(store=store, apis={"stripe": api}, owner="worker", **more)  # type: ignore[arg-type]


def sent(store: Store) -> list[tuple[str, str, datetime | None]]:
    with store.reading() as tx:
        return [(one.event_type, str(one.mrr_impact), one.occurred_at) for one in reversed(outbox.listing(tx))]


def test_one_that_ended_while_the_bridge_was_down_ends_here_too(sqlite_store: Store, settings: Settings) -> None:
    signed_up(sqlite_store, settings, "ada")

    compare(sqlite_store, CurrentApi(states={"sub_ada_1": state_of("ada")})).run(LATER)
    settle_all(sqlite_store, settings, LATER)

    assert sent(sqlite_store)[1:] == [("churn", "-49.00", BORN + 20 * DAY)]


def test_one_that_goes_on_is_asked_for_once_a_period(sqlite_store: Store, settings: Settings) -> None:
    signed_up(sqlite_store, settings, "ada")
    api = CurrentApi(states={"sub_ada_1": state_of("ada", Status.ACTIVE, LATER)})

    for days in range(30):
        now = LATER + days * DAY
        compare(sqlite_store, api).run(now)
        settle_all(sqlite_store, settings, now)

    assert api.asked == ["sub_ada_1"]
    assert [kind for kind, _, _ in sent(sqlite_store)] == ["subscription"]


def test_one_that_is_not_silent_is_not_asked_for(sqlite_store: Store, settings: Settings) -> None:
    signed_up(sqlite_store, settings, "ada")
    api = CurrentApi()

    compare(sqlite_store, api).run(BORN + timedelta(days=31) + GRACE)

    assert api.asked == []


def test_every_subscription_is_looked_at_whatever_the_size_of_a_page(
    sqlite_store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convergence, "PAGE", 2)
    tags = ["ada", "bert", "cleo", "dora", "emil"]
    signed_up(sqlite_store, settings, *tags)
    api = CurrentApi(states={f"sub_{tag}_1": state_of(tag) for tag in tags})
    comparison = compare(sqlite_store, api)

    for _ in range(4):
        comparison.run(LATER)
        settle_all(sqlite_store, settings, LATER)

    assert sorted(api.asked) == [f"sub_{tag}_1" for tag in tags]
    assert [mrr for kind, mrr, _ in sent(sqlite_store) if kind == "churn"] == ["-49.00"] * 5


def test_a_page_without_a_silent_one_is_passed(
    sqlite_store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convergence, "PAGE", 1)
    for body in Customer.begin("ada", LATER - DAY).subscribe(PRO).webhooks:
        receive(sqlite_store, body)
    signed_up(sqlite_store, settings, "bert")
    api = CurrentApi()
    comparison = compare(sqlite_store, api)

    for _ in range(3):
        comparison.run(LATER)

    assert api.asked == ["sub_bert_1"]


def test_a_pass_that_takes_too_long_is_continued_where_it_stopped(
    sqlite_store: Store, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(convergence, "SHARE_SECONDS", 0.0)
    signed_up(sqlite_store, settings, "ada", "bert")
    api = CurrentApi()
    comparison = compare(sqlite_store, api)

    for _ in range(3):
        comparison.run(LATER)

    assert api.asked == ["sub_ada_1", "sub_bert_1"]


def test_the_next_round_begins_after_the_interval(sqlite_store: Store, settings: Settings) -> None:
    signed_up(sqlite_store, settings, "ada")
    api = CurrentApi()
    comparison = compare(sqlite_store, api)

    for now in (LATER, LATER + INTERVAL / 2, LATER + INTERVAL):
        comparison.run(now)

    assert api.asked == ["sub_ada_1"] * 2


def test_an_api_that_is_down_is_asked_again_later(sqlite_store: Store, settings: Settings) -> None:
    signed_up(sqlite_store, settings, "ada")
    api = CurrentApi(states={"sub_ada_1": state_of("ada")}, is_down=True)
    comparison = compare(sqlite_store, api)

    assert comparison.run(LATER) == 0
    api.is_down = False
    assert comparison.run(LATER) == 0
    assert comparison.run(LATER + RETRY_AFTER) == 1


def test_while_webhooks_wait_to_be_routed_nothing_is_compared(sqlite_store: Store, settings: Settings) -> None:
    signed_up(sqlite_store, settings, "ada")
    receive(sqlite_store, Customer.begin("bert", BORN).buy(2900).webhooks[0])
    api = CurrentApi()

    compare(sqlite_store, api).run(LATER)

    assert api.asked == []


def test_two_workers_do_not_compare_at_once(sqlite_store: Store, settings: Settings) -> None:
    signed_up(sqlite_store, settings, "ada")
    with sqlite_store.transaction() as tx:
        leases.acquire(tx, convergence.LEASE_NAME, "another", LATER, LATER + DAY)
    api = CurrentApi()

    compare(sqlite_store, api).run(LATER)

    assert api.asked == []


def test_one_of_a_connected_account_is_asked_for_on_its_behalf(sqlite_store: Store, settings: Settings) -> None:
    signed_up(sqlite_store, settings, "ada", account="acct_1")
    api = CurrentApi(states={"sub_ada_1": state_of("ada")})

    compare(sqlite_store, api).run(LATER)
    settle_all(sqlite_store, settings, LATER)

    assert api.accounts == ["acct_1"]
    with sqlite_store.reading() as tx:
        assert inbox.listing(tx)[0].scope == "stripe|acct_1|live"
        text = streams.state_of(tx, "stripe|acct_1|live|cus_ada")
    assert load(text).subscriptions["sub_ada_1"].ended


def test_one_that_the_api_does_not_know_stays_as_it_is(sqlite_store: Store, settings: Settings) -> None:
    signed_up(sqlite_store, settings, "ada")

    compare(sqlite_store, CurrentApi()).run(LATER)
    settle_all(sqlite_store, settings, LATER)

    assert [kind for kind, _, _ in sent(sqlite_store)] == ["subscription"]


# ---- Silence ---------------------------------------------------------------------------------------------------


def known(*facts: SubscriptionState) -> Subscription:
    return settled(list(facts)).state.subscriptions["sub_1"]


@pytest.mark.parametrize(
    ("every", "count", "days"),
    [(Interval.DAY, 1, 1), (Interval.WEEK, 2, 14), (Interval.MONTH, 3, 93), (Interval.YEAR, 1, 366)],
)
def test_the_period_is_that_of_the_price(every: Interval, count: int, days: int) -> None:
    item = an_item(price=a_price(4900, every, interval_count=count))
    one = known(a_created(now=terms(items=(item,))))

    assert not is_silent(one, NOON + timedelta(days=days) + GRACE)
    assert is_silent(one, NOON + timedelta(days=days, seconds=1) + GRACE)


def test_of_two_intervals_the_shorter_one_counts_and_the_stated_period_before_both() -> None:
    items = (an_item(price=a_price(4900)), an_item(price=a_price(9900, Interval.YEAR)))
    one = known(a_created(now=terms(items=items)))
    stated = replace(one, periods={"price_4900": Period(starts_at=NOON, ends_at=after(days=10))})

    assert not is_silent(one, after(days=35))
    assert is_silent(one, after(days=35, seconds=1))
    assert is_silent(stated, after(days=14, seconds=1))


def test_one_that_has_ended_or_has_no_mrr_is_never_silent() -> None:
    for facts in ([a_created(), an_ended(at=after(days=2))], [a_created(Status.TRIALING)], [a_created(minor=0)]):
        assert not is_silent(known(*facts), after(days=1000))
