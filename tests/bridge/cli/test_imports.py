"""`import`: baselines through the processor's API, and whether Pulsora receives their MRR."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import responses

from bridge.store import Store, inbox, outbox
from processors.stripe.simulation.payloads import item, listed, price, subscription
from tests.bridge.cli.conftest import Command, Ended
from tests.bridge.cli.working import BORN, arrive, work
from tests.bridge.store.builders import statuses
from tests.settings import some_settings

KEY = "rk_live_fake_key_of_the_tests"
STRIPE = "https://api.stripe.com/v1"
SEND_LATER = "MRR that Pulsora never received: 148.00 USD. To send it: pulsora-bridge import --source stripe --send\n"


@pytest.fixture(name="stripe")
def _stripe() -> Iterator[responses.RequestsMock]:
    """Stripe's API, as this process sees it."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mocked:
        yield mocked


@pytest.fixture(name="imported")
def _imported(cli: Command, sqlite_store: Store, sqlite_url: str) -> Any:
    """`imported("--send")`: the command, after which a worker processes what it has stored."""

    def run(*options: str, **settings: str) -> Ended:
        ended = cli("import", "--source", "stripe", *options, STRIPE_API_KEY=KEY, **settings)
        work(sqlite_store, some_settings(sqlite_url, **settings))
        return ended

    return run


def running(ident: str, minor: int, **more: Any) -> dict[str, Any]:
    """An active monthly subscription of a customer of its own."""
    priced = price(f"price_{ident}", minor=minor, nickname="Pro")
    period = (BORN, BORN.replace(month=2))
    row = item(f"si_{ident}", priced, subscription=f"sub_{ident}", period=period)
    return subscription(f"sub_{ident}", customer=f"cus_{ident}", items=[row], started_at=BORN, period=period, **more)


def has(stripe: responses.RequestsMock, *found: dict[str, Any]) -> None:
    """Stripe's API lists these subscriptions from now on."""
    stripe.upsert(responses.GET, f"{STRIPE}/subscriptions", json=listed(list(found)))


def sent(store: Store) -> list[tuple[str, str, str]]:
    with store.reading() as tx:
        return [(one.event_type, str(one.amount), str(one.mrr_impact)) for one in reversed(outbox.listing(tx))]


def test_without_being_sent_imported_subscriptions_are_silent_baselines(
    imported: Any, stripe: responses.RequestsMock, sqlite_store: Store
) -> None:
    has(stripe, running("ada", 4900), running("bert", 9900))

    first, again = imported("--no-send"), imported("--no-send")

    # 49.00 + 99.00
    assert first.out == f"2 subscriptions with an MRR of 148.00 USD read from stripe, 2 of them new.\n{SEND_LATER}"
    assert again.out == f"2 subscriptions with an MRR of 148.00 USD read from stripe, none of them new.\n{SEND_LATER}"
    assert sent(sqlite_store) == []


def test_subscriptions_of_an_erased_customer_are_not_imported_again(
    imported: Any, cli: Command, stripe: responses.RequestsMock, sqlite_store: Store
) -> None:
    has(stripe, running("ada", 4900), running("bert", 9900))
    imported("--no-send")
    assert cli("erase", "cus_ada", "--yes").status == 0

    again = imported("--no-send")

    assert again.out.startswith("1 subscription with an MRR of 99.00 USD read from stripe, none of them new.\n")
    with sqlite_store.reading() as tx:
        assert [one.event_id for one in inbox.listing(tx) if "ada" in one.event_id] == []


def test_sent_at_once_each_is_a_subscription_of_its_mrr(
    imported: Any, stripe: responses.RequestsMock, sqlite_store: Store
) -> None:
    has(stripe, running("ada", 4900))

    first, again = imported("--send"), imported("--send")

    assert first.out.endswith("1 baseline with an MRR of 49.00 USD will be sent to Pulsora.\n")
    assert again.out.endswith(
        "\nPulsora has received the MRR of all of them, or will when a worker has processed it.\n"
    )
    assert sent(sqlite_store) == [("subscription", "0.00", "49.00")]


def test_sent_after_a_silent_import_each_baseline_is_sent_once(
    imported: Any, stripe: responses.RequestsMock, sqlite_store: Store
) -> None:
    has(stripe, running("ada", 4900), running("bert", 9900))
    imported("--no-send")

    late, again, silent = imported("--send"), imported("--send"), imported("--no-send")

    assert late.out.endswith("2 baselines with an MRR of 148.00 USD will be sent to Pulsora.\n")
    assert "will be sent" not in again.out
    assert silent.out == "2 subscriptions with an MRR of 148.00 USD read from stripe, none of them new.\n"
    assert sorted(sent(sqlite_store)) == [("subscription", "0.00", "49.00"), ("subscription", "0.00", "99.00")]


def test_what_an_import_stored_before_a_worker_has_seen_it_is_not_stored_again(
    cli: Command, stripe: responses.RequestsMock, sqlite_store: Store, sqlite_url: str
) -> None:
    has(stripe, running("ada", 4900))

    ended = [
        cli("import", "--source", "stripe", option, STRIPE_API_KEY=KEY) for option in ("--send", "--no-send", "--send")
    ]
    work(sqlite_store, some_settings(sqlite_url))

    assert [one.out.splitlines()[0] for one in ended] == [
        "1 subscription with an MRR of 49.00 USD read from stripe, 1 of them new.",
        "1 subscription with an MRR of 49.00 USD read from stripe, none of them new.",
        "1 subscription with an MRR of 49.00 USD read from stripe, none of them new.",
    ]

    assert len(statuses(sqlite_store)) == 1
    assert sent(sqlite_store) == [("subscription", "0.00", "49.00")]


def test_what_a_silent_import_stored_is_not_new_before_a_worker_has_seen_it(
    cli: Command, stripe: responses.RequestsMock
) -> None:
    has(stripe, running("ada", 4900))
    cli("import", "--source", "stripe", "--no-send", STRIPE_API_KEY=KEY)

    ended = cli("import", "--source", "stripe", "--send", STRIPE_API_KEY=KEY)

    assert ended.out.startswith("1 subscription with an MRR of 49.00 USD read from stripe, none of them new.")
    assert "1 baseline with an MRR of 49.00 USD will be sent" in ended.out


def test_a_baseline_that_has_ended_meanwhile_is_sent_too_since_its_churn_was(
    imported: Any, stripe: responses.RequestsMock, sqlite_store: Store, sqlite_url: str
) -> None:
    has(stripe, running("ada_1", 4900))
    imported("--no-send")
    arrive(sqlite_store, "stripe", "cancel", "ada", slice(10, None))  # its end is the first webhook of it
    work(sqlite_store, some_settings(sqlite_url))
    assert sent(sqlite_store) == [("churn", "0.00", "-49.00")]
    has(stripe)

    ended = imported("--send")

    assert ended.out == (
        "0 subscriptions read from stripe, none of them new.\n"
        "1 baseline with an MRR of 49.00 USD will be sent to Pulsora.\n"
    )
    assert sent(sqlite_store) == [("churn", "0.00", "-49.00"), ("subscription", "0.00", "49.00")]  # the sum is 0


def test_a_subscription_that_the_bridge_saw_start_is_not_sent_twice(
    imported: Any, stripe: responses.RequestsMock, sqlite_store: Store, sqlite_url: str
) -> None:
    arrive(sqlite_store, "stripe", "signup", "ada")
    work(sqlite_store, some_settings(sqlite_url))
    has(stripe, running("ada_1", 4900))

    imported("--send")

    assert sent(sqlite_store) == [("subscription", "49.00", "49.00")]


def test_the_event_says_that_it_was_imported(
    imported: Any, cli: Command, stripe: responses.RequestsMock, sqlite_store: Store
) -> None:
    has(stripe, running("ada", 4900))
    imported("--send")

    [event] = cli("deliveries", "list", "--json").json

    assert event["data"]["metadata"]["reason"] == "import"
    assert event["data"]["transaction_id"] == "sub_ada:subscription:1"


@pytest.mark.parametrize(("answer", "events"), [(True, [("subscription", "0.00", "49.00")]), (False, [])])
def test_on_a_terminal_it_asks_in_plain_words(
    imported: Any,
    stripe: responses.RequestsMock,
    sqlite_store: Store,
    monkeypatch: pytest.MonkeyPatch,
    answer: bool,
    events: list[tuple[str, str, str]],
) -> None:
    has(stripe, running("ada", 4900))
    asked: list[str] = []
    monkeypatch.setattr("bridge.cli.imports.is_interactive", lambda: True)
    monkeypatch.setattr("bridge.cli.imports.ask", lambda question: bool(asked.append(question)) or answer)

    imported()

    assert asked == [
        "1 subscription with an MRR of 49.00 USD. Pulsora never received 49.00 USD of it (1 subscription), "
        "and shows that much less than Stripe until it does. Send it now?"
    ]
    assert sent(sqlite_store) == events


def test_where_nobody_can_answer_an_option_must(cli: Command) -> None:
    ended = cli("import", "--source", "stripe", STRIPE_API_KEY=KEY)

    assert ended.status == 2
    assert ended.err == "add --send or --no-send: whether Pulsora receives the MRR of existing subscriptions\n"


def test_for_programs(imported: Any, stripe: responses.RequestsMock) -> None:
    has(stripe, running("ada", 4900))

    assert imported("--send", "--json").json == {
        "listed": 1, "new": 1, "mrr": {"USD": "49.00"}, "sent": 1, "sent_mrr": {"USD": "49.00"},
        "unreported": 0, "unreported_mrr": {},
    }  # fmt: skip


def test_an_imported_subscription_is_known_when_it_moves(
    imported: Any, cli: Command, stripe: responses.RequestsMock, sqlite_store: Store
) -> None:
    has(stripe, running("ada_1", 4900))
    imported("--no-send")

    [text] = [cli("explain", event_id).out for event_id in statuses(sqlite_store)]

    assert "sub_ada_1 (Pro): active, MRR 49.00 USD, of which 49.00 USD baseline" in text


def test_test_mode_has_a_ledger_of_its_own(imported: Any, stripe: responses.RequestsMock, sqlite_store: Store) -> None:
    has(stripe, running("ada", 4900))

    imported("--no-send", "--test")

    with sqlite_store.reading() as tx:
        assert [row.scope for row in inbox.listing(tx)] == ["stripe||test"]


def test_when_the_api_fails_nothing_is_imported(
    imported: Any, stripe: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch, sqlite_store: Store
) -> None:
    monkeypatch.setattr("time.sleep", lambda _: None)  # Stripe's API is asked again, with waits
    stripe.get(f"{STRIPE}/subscriptions", json=listed([running("ada", 4900)], has_more=True))
    stripe.get(f"{STRIPE}/subscriptions", status=403, json={"error": {"message": "no"}})

    ended = imported("--no-send")

    assert ended.status == 1
    assert ended.err.endswith("Nothing was imported; 1 subscription had been read. Run it again\n")
    assert KEY not in ended.err
    assert statuses(sqlite_store) == {}
