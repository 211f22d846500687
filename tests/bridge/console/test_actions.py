"""Every action, by mouse in a real browser, on a narrow screen; CONSOLE_WIDTHS=1400,420 adds a wide one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from bridge.store import Store, outbox, pauses
from bridge.store.inbox import InboxStatus
from bridge.store.inbox import listing as webhooks
from bridge.store.outbox import DeliveryStatus
from tests.bridge.console.conftest import Console
from tests.settings import ADMIN_TOKEN


def statuses(store: Store, status: DeliveryStatus) -> list[int]:
    with store.reading() as tx:
        return [one.id for one in outbox.listing(tx, status, limit=500)]


def test_a_link_into_the_console_survives_the_login(browser: Any, server: str) -> None:
    page = browser.new_context().new_page()

    page.goto(f"{server}/admin/deliveries?status=failed")
    page.fill("input[name=token]", ADMIN_TOKEN)
    page.click("main button")

    assert page.url == f"{server}/admin/deliveries?status=failed"
    page.context.close()


def test_after_the_log_out_pages_ask_for_the_token(console: Console) -> None:
    console.open("")
    console.expects_errors = True  # pages without the token have the status 401
    console.page.click("text=Log out")

    assert console.page.title() == "Log in · Pulsora bridge"
    console.page.goto(f"{console.url}/admin/webhooks")
    assert console.page.title() == "Log in · Pulsora bridge"


def test_a_settlement_opens_and_leads_to_its_webhooks(console: Console) -> None:
    console.open("webhooks?q=cus_walkin0")

    console.page.click("table summary")
    console.page.click("main details[open] li a >> nth=0")

    assert "Ledger" in console.text()
    assert "Before" in console.text()
    assert "After" in console.text()


def test_the_payload_is_shown_on_demand_and_masked(console: Console) -> None:
    console.open("webhooks?q=evt_new")
    console.page.click("td.what a")
    assert console.page.locator("pre").count() == 0

    console.page.click("text=Show the payload")

    assert "customer_email" in console.page.inner_text("pre")
    assert "erin@example.com" not in console.page.content()


def test_a_search_is_an_address_that_can_be_shared(console: Console) -> None:
    console.open("deliveries")

    console.page.fill("input[name=q]", "in_erin0")
    console.page.press("input[name=q]", "Enter")
    console.page.wait_for_url("**q=in_erin0**")

    assert console.page.locator("tbody tr").count() == 1
    assert "cus_erin" in console.text()


def test_a_filtered_list_is_exported(console: Console) -> None:
    console.open("deliveries?status=not_forwarded")

    with console.page.expect_download() as download:
        console.page.click("text=Export as CSV")

    lines = download.value.path().read_text().splitlines()
    assert lines[0].startswith("id,created_at,")
    assert len(lines) == 3  # the head and two rows


def test_a_failed_webhook_is_replayed(console: Console, store: Store) -> None:
    console.open("webhooks?status=failed")
    console.page.click("td.what a")

    console.page.click("text=Replay")

    assert "1 webhook will be processed again." in console.text()
    with store.reading() as tx:
        assert webhooks(tx, InboxStatus.FAILED) == []


def test_all_failed_webhooks_are_replayed_after_a_question(console: Console, store: Store) -> None:
    console.open("webhooks?status=failed")
    console.page.click("text=Replay all failed…")
    assert "1 webhook" in console.text()

    console.page.click("main button")

    with store.reading() as tx:
        assert webhooks(tx, InboxStatus.FAILED) == []


def test_a_delivery_that_waits_for_hours_is_sent_now(console: Console, store: Store) -> None:
    retried = max(statuses(store, DeliveryStatus.PENDING))
    console.open(f"deliveries/{retried}")

    console.page.click("text=Send now")

    assert "1 revenue event will be sent now." in console.text()
    with store.reading() as tx:
        found = outbox.find(tx, retried)
    assert found is not None
    assert found.next_at <= datetime.now(UTC)


def test_all_failed_deliveries_are_sent_again_after_a_question_with_their_number(
    console: Console, store: Store
) -> None:
    console.open("deliveries?status=failed")
    console.page.click("text=Send failed revenue events again…")
    assert "1 revenue event" in console.text()
    assert len(statuses(store, DeliveryStatus.FAILED)) == 1

    console.page.click("main button")

    assert statuses(store, DeliveryStatus.FAILED) == []


def test_a_held_delivery_is_released_after_a_question(console: Console, store: Store) -> None:
    before = statuses(store, DeliveryStatus.HELD)
    console.open("attribution")
    console.page.click("details.held summary >> nth=0")
    console.page.click("details.held[open] >> text=Release without attribution…")
    assert "This cannot be undone." in console.text()

    console.page.click("main button")

    assert "1 revenue event will be sent without waiting" in console.text()
    assert len(statuses(store, DeliveryStatus.HELD)) == len(before) - 1


def test_all_held_deliveries_are_released_after_a_question(console: Console, store: Store) -> None:
    console.open("attribution")
    console.page.click("text=Release all held…")

    console.page.click("main button")

    assert statuses(store, DeliveryStatus.HELD) == []


def test_an_attribution_is_registered_for_a_customer(console: Console, store: Store) -> None:
    console.open("attribution")
    console.page.click("details.held summary >> nth=0")
    form = console.page.locator("details.held[open] form")
    form.locator("input[name=visitor_fingerprint]").fill("fp_9c1b")
    form.locator("input[name=session_id]").fill("sess_71aa")

    form.locator("button").click()

    assert "The attribution is registered." in console.text()
    with store.reading() as tx:
        newest = webhooks(tx, limit=1)[0]
    assert newest.type == "bridge.attribution"


def test_what_was_not_forwarded_is_sent_after_a_question(console: Console, store: Store) -> None:
    console.open("deliveries?status=not_forwarded")
    console.page.click("text=Send what was not forwarded…")
    assert "2 revenue events" in console.text()

    console.page.click("main button")

    assert statuses(store, DeliveryStatus.NOT_FORWARDED) == []


def test_a_pause_is_ended(console: Console, store: Store) -> None:
    console.open("deliveries")

    console.page.click("text=Resume now")

    assert "The pause has ended." in console.text()
    with store.reading() as tx:
        assert pauses.active(tx, datetime.now(UTC)) == []


def test_an_open_page_that_loses_the_service_says_so(browser: Any, store: Store, server: str) -> None:
    from tests.bridge.console.conftest import signed_in

    for console in signed_in(browser, server, 1400, "light"):
        console.open("?stay=1")
        console.expects_errors = True

        console.page.context.set_offline(True)
        console.page.wait_for_selector("#lost:visible", timeout=10_000)

        assert "not reachable" in console.page.inner_text("#lost")
