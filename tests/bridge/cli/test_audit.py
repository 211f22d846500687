"""`audit`: refuses what it cannot compare, shows what differs, and its exit status says whether it is explained."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer
from sqlalchemy import text

from bridge.settings import Settings
from bridge.store import Store, audits, outbox
from processors.stripe.simulation.customer import PRO, Customer
from tests.audit_merchant import api_lists
from tests.bridge.cli.conftest import Command, Ended
from tests.fake_processors import STRIPE_KEY, STRIPE_PERMISSIONS, FakeStripe
from tests.settings import some_settings
from tests.working import settle_all, store_webhooks

CHANGES = "Customer ID,Date,Change type,MRR change,Currency\ncus_1,2026-03-01,New,49.00,usd\n"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--against", "stripe-csv"], "--against stripe-csv: name the file"),
        (["changes.csv"], "FILE: say what it is: --against stripe-csv or --against stripe-sigma-csv"),
        (["--against", "stripe-csv", "changes.csv", "--source", "paddle"], "source paddle is not of Stripe"),
        (["--from", "2026-03-02", "--to", "2026-03-01"], "--to: is before --from"),
        (["--time-zone", "Europe/Nowhere"], "--time-zone: 'Europe/Nowhere' is not a time zone"),
        ([], "source stripe has no API key to read Stripe: set STRIPE_API_KEY to a read-only key"),
    ],
)
def test_wrong_usage_says_what_to_give(cli: Command, options: list[str], message: str) -> None:
    Path("changes.csv").write_text(CHANGES, encoding="utf-8")

    ended = cli("audit", *(["--source", "stripe"] if "--source" not in options else []), *options)

    assert ended.status == 2
    assert message in ended.err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name,value\na,1\n", "there is no column customer_id and no column date and no column mrr_change"),
        (CHANGES.replace("49.00", "much"), "line 2: 'much' is not an amount"),
        (CHANGES.replace("2026-03-01", "yesterday"), "line 2: 'yesterday' is not a date like 2026-03-01"),
        (CHANGES + "cus_2,2026-03-01\n", "line 3: it has 2 cells, the header has 5"),
        (CHANGES.replace("usd", "$"), "line 2: '$' is not a currency"),
    ],
)
def test_a_file_that_cannot_be_read_is_refused_with_its_line(cli: Command, text: str, message: str) -> None:
    Path("changes.csv").write_text(text, encoding="utf-8")

    ended = cli("audit", "--source", "stripe", "--against", "stripe-csv", "changes.csv")

    assert ended.status == 1
    assert f"changes.csv: {message}" in ended.err


def test_rows_without_webhooks_are_shown_with_their_cause_and_kept(cli: Command, sqlite_store: Store) -> None:
    Path("changes.csv").write_text("\ufeff" + CHANGES, encoding="utf-8")

    ended = cli("audit", "--source", "stripe", "--against", "stripe-csv", "changes.csv", "--customer", "cus_1")

    assert ended.status == 0
    assert "1 row compared; 1 differ: webhook missing here 1." in ended.out
    assert "2026-03-01" in ended.out
    assert "-49.00" in ended.out
    with sqlite_store.reading() as tx:
        [kept] = audits.recent(tx)
        [row] = audits.rows_of(tx, kept.id)
    assert (kept.against, kept.differing, kept.unexplained) == ("stripe-csv", 1, 0)
    assert (row.key, f"{row.ours}", f"{row.theirs}", row.cause) == ("cus_1", "0.00", "49.00", "webhook missing here")


def test_a_report_for_programs_has_these_fields(cli: Command) -> None:
    Path("changes.csv").write_text(CHANGES, encoding="utf-8")

    found = cli("audit", "--source", "stripe", "--against", "stripe-csv", "changes.csv", "--json").json

    assert list(found) == [
        "source", "livemode", "against", "from", "to", "time_zone", "at", "compared", "differing", "unexplained",
        "causes", "days", "rows", "repaired",
    ]  # fmt: skip
    assert found["days"] == [
        {"figure": "movements", "day": "2026-03-01", "currency": "USD", "here": "0.00", "processor": "49.00"}
    ]
    assert found["rows"] == [
        {
            "figure": "movements", "day": "2026-03-01", "currency": "USD", "of": "cus_1", "here": "0.00",
            "processor": "49.00", "difference": "-49.00", "cause": "webhook missing here",
            "detail": "a webhook about it is missing: run audit --repair", "customer": None,
        }
    ]  # fmt: skip


def test_a_key_without_the_permission_compares_nothing_and_names_it(cli: Command, httpserver: HTTPServer) -> None:
    fake = FakeStripe(permissions=STRIPE_PERMISSIONS - {"rak_charge_read"})

    base = fake.serve(httpserver)
    ended = cli("audit", "--source", "stripe", STRIPE_API_KEY=STRIPE_KEY, STRIPE_API_BASE=base)

    assert ended.status == 1
    assert "The key lacks the permission rak_charge_read" in ended.err
    assert ended.out == ""


def test_a_key_of_the_other_mode_is_refused(cli: Command, httpserver: HTTPServer) -> None:
    api = {"STRIPE_API_KEY": STRIPE_KEY, "STRIPE_API_BASE": FakeStripe().serve(httpserver)}

    ended = cli("audit", "--source", "stripe", "--test", **api)

    assert ended.status == 2
    assert "the API key of source stripe is of live mode: leave out --test" in ended.err


def test_amounts_without_tax_are_not_compared_with_lists_that_state_them_with_tax(
    cli: Command, httpserver: HTTPServer
) -> None:
    charge = {"id": "ch_1", "created": 1_790_000_000, "amount": 500, "currency": "usd", "captured": True}
    fake = FakeStripe(lists={"/v1/charges": [charge]})
    api = {"STRIPE_API_KEY": STRIPE_KEY, "STRIPE_API_BASE": fake.serve(httpserver)}
    days = ("--from", "2026-09-01", "--to", "2026-10-01")  # 1790000000: 2026-09-21

    gross = cli("audit", "--source", "stripe", *days, **api)
    net = cli("audit", "--source", "stripe", *days, **api, AMOUNT_BASIS="net_of_tax")

    assert "1 row compared; 1 differ: webhook missing here 1." in gross.out
    assert "0 rows compared; nothing differs." in net.out
    assert "Revenue was not compared: AMOUNT_BASIS=net_of_tax" in net.out


# ---- Repair --------------------------------------------------------------------------------------------------------

NOW = datetime.now(UTC).replace(microsecond=0)
TWO_DAYS = timedelta(days=2)


class Bridge:
    """A bridge that received the webhooks of all customers but one, and the API that has everything."""

    def __init__(self, cli: Command, store: Store, url: str, server: HTTPServer) -> None:
        self.cli, self.store = cli, store
        self.fake = FakeStripe()
        api = {"STRIPE_API_KEY": STRIPE_KEY, "STRIPE_API_BASE": self.fake.serve(server)}
        self.environ = {**api, "UNATTRIBUTED": "send"}
        self.settings: Settings = some_settings(url, **self.environ)

    def receive(self, received: Customer, lost: Customer) -> None:
        """What both customers did is in the API; the webhooks of one arrive."""
        webhooks = [*received.webhooks, *lost.webhooks]
        self.fake.events = [json.loads(body) for body in webhooks]
        self.fake.lists = api_lists(webhooks)
        states = [event["data"]["object"] for event in self.fake.events]
        self.fake.subscriptions = {one["id"]: one for one in states if one["object"] == "subscription"}
        store_webhooks(self.store, "stripe", received.webhooks)

    def work(self) -> None:
        """Processes everything, as a worker does two days later, and delivers it."""
        settle_all(self.store, self.settings, NOW + TWO_DAYS)
        with self.store.transaction() as tx:
            tx.execute(text("UPDATE outbox SET status = 'delivered'"))

    def audit(self, *options: str) -> Ended:
        since = f"{NOW - timedelta(days=200):%Y-%m-%d}"
        return self.cli("audit", "--source", "stripe", "--json", "--from", since, *options, **self.environ)

    def events(self, customer: str) -> list[tuple[str, str, str]]:
        """The revenue events of a customer: type, amount, MRR impact."""
        with self.store.reading() as tx:
            found = outbox.of_stream(tx, f"stripe||live|{customer}")
        return [(one.event_type, f"{one.amount}", f"{one.mrr_impact}") for one in found]


@pytest.fixture
def bridge(cli: Command, sqlite_store: Store, sqlite_url: str, httpserver: HTTPServer) -> Bridge:
    return Bridge(cli, sqlite_store, sqlite_url, httpserver)


@pytest.mark.parametrize(("days", "fetched"), [(28, 8), (150, 5)])
def test_what_is_missing_is_fetched_and_then_nothing_differs(bridge: Bridge, days: int, fetched: int) -> None:
    # Stripe lists events of 30 days: 8 that are used. What is older is made of what it was about: two invoices, their
    # charges, and the subscription.
    ada, lost = (Customer.begin(tag, NOW - timedelta(days=days, hours=at)) for at, tag in ((2, "ada"), (1, "lost")))
    bridge.receive(ada.subscribe(PRO), lost.subscribe(PRO).renew() if days > 30 else lost.subscribe(PRO))
    bridge.work()

    before = bridge.audit("--repair")
    bridge.work()
    after = bridge.audit()

    assert before.status == 0
    assert before.json["causes"].keys() == {"webhook missing here"}
    assert {row["customer"] for row in before.json["rows"]} == {"cus_lost"}
    assert bridge.events("cus_lost")[0] == ("subscription", "49.00", "49.00")
    assert bridge.events("cus_lost")[1:] == [("renewal", "49.00", "0.00")] * (days > 30)
    assert (after.status, after.json["rows"]) == (0, [])
    assert before.json["repaired"] == fetched


def test_what_is_missing_of_a_known_customer_is_fetched_too(bridge: Bridge) -> None:
    began = Customer.begin("ada", NOW - timedelta(days=80)).subscribe(PRO)
    renewed = began.renew()  # a month later: nothing else of her arrives
    ada = renewed.later(days=2).refund(1000)
    first, last = len(began.webhooks), len(renewed.webhooks)
    bridge.receive(
        replace(ada, webhooks=ada.webhooks[first:last]),
        replace(ada, webhooks=(*ada.webhooks[:first], *ada.webhooks[last:])),
    )
    bridge.work()

    before = bridge.audit("--repair")
    bridge.work()

    assert before.json["causes"].keys() == {"webhook missing here"}
    assert sorted(bridge.events("cus_ada")) == [
        ("refund", "-10.00", "0.00"),
        ("renewal", "49.00", "0.00"),
        ("subscription", "49.00", "49.00"),
    ]
    assert bridge.audit().json["rows"] == []


def test_a_subscription_that_began_and_ended_unseen_begins_and_ends(bridge: Bridge) -> None:
    ada, lost = (Customer.begin(tag, NOW - timedelta(days=150, hours=at)) for at, tag in ((2, "ada"), (1, "lost")))
    bridge.receive(ada.subscribe(PRO), lost.subscribe(PRO).later(days=20).cancel())
    bridge.work()

    bridge.audit("--repair")
    bridge.work()

    assert bridge.events("cus_lost") == [("subscription", "49.00", "49.00"), ("churn", "0.00", "-49.00")]
    assert bridge.audit().json["rows"] == []


def test_a_subscription_from_before_the_bridge_becomes_a_baseline(bridge: Bridge) -> None:
    ada = Customer.begin("ada", NOW - timedelta(days=100)).subscribe(PRO)
    lost = Customer.begin("lost", NOW - timedelta(days=120)).subscribe(PRO).renew()
    bridge.receive(ada, lost)
    bridge.work()

    bridge.audit("--repair")
    bridge.work()

    assert bridge.events("cus_lost") == [("renewal", "49.00", "0.00")] * 2
    assert bridge.audit().json["rows"] == []
