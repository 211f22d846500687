"""`/pulsora-bridge.js` in a real browser: pages with Payment Links, a pricing table and a buy button.

The pages and the script come from made-up hosts that the browser test answers for, so that origins, CORS and integrity
hashes are enforced as on the internet. Skipped without Chromium.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from flask.testing import FlaskClient
from playwright.sync_api import Browser, Page, Route

from bridge.store import Store
from bridge.web import create_app
from processors.visit import Visit, visit_of
from tests.settings import some_settings

SCRIPT = "https://hooks.example.com/pulsora-bridge.js"
SHOP = "https://shop.example.com/"
GIVEN = f'<script src="{SCRIPT}" data-fingerprint="fp_7" data-session="ses_9"></script>'
FROM_CORE = f'<script src="{SCRIPT}"></script>'
REFERENCE = "pls1_fp_7__ses_9"
DOCS = Path(__file__).resolve().parents[2] / "docs" / "attribution.md"

Open = Callable[[str], Page]


@pytest.fixture
def client(sqlite_store: Store) -> FlaskClient:
    return create_app(some_settings("sqlite:///unused.db"), sqlite_store).test_client()


@pytest.fixture(name="opened")
def _opened(browser: Browser, client: FlaskClient) -> Iterator[Open]:
    """Opens a page of the shop with this HTML."""
    context = browser.new_context()

    def script(route: Route) -> None:
        response = client.get("/pulsora-bridge.js")
        route.fulfill(status=response.status_code, headers=dict(response.headers), body=response.data)

    def opened(html: str) -> Page:
        page = context.new_page()
        page.route("**/*", lambda route: route.fulfill(content_type="text/html", body="a checkout"))
        page.route(SCRIPT, script)
        page.route(SHOP, lambda route: route.fulfill(content_type="text/html", body=html))
        page.goto(SHOP)
        return page

    yield opened
    context.close()


def hrefs(page: Page) -> list[str]:
    return page.eval_on_selector_all("a", "links => links.map(link => link.href)")  # type: ignore[no-any-return]  # Any


def tagged(page: Page, selector: str) -> None:
    """Waits for the element, until it has the reference of the visit."""
    page.wait_for_selector(f'{selector}[client-reference-id="{REFERENCE}"]', state="attached", timeout=5000)


def test_a_link_a_pricing_table_and_a_buy_button_are_tagged(opened: Open) -> None:
    page = opened(
        GIVEN + '<a href="https://buy.stripe.com/test_1">Buy</a>'
        '<stripe-pricing-table pricing-table-id="prctbl_1"></stripe-pricing-table>'
        '<stripe-buy-button buy-button-id="buy_btn_1"></stripe-buy-button>'
    )

    assert hrefs(page) == [f"https://buy.stripe.com/test_1?client_reference_id={REFERENCE}"]
    tagged(page, "stripe-pricing-table")
    tagged(page, "stripe-buy-button")


def test_what_a_page_adds_or_changes_later_is_tagged_before_a_click(opened: Open) -> None:
    page = opened(GIVEN + "<main></main>")

    page.evaluate(
        """() => {
            const [main] = document.getElementsByTagName("main");
            main.innerHTML = '<p><a href="/">Buy</a></p><stripe-buy-button></stripe-buy-button>';
            setTimeout(() => document.querySelector("a").href = "https://buy.stripe.com/b?prefilled_email=a%40b.example");
        }"""
    )
    tagged(page, "stripe-buy-button")
    page.wait_for_selector("a[href*=buy]")
    page.click("a")
    page.wait_for_url("https://buy.stripe.com/**")

    assert parse_qs(urlsplit(page.url).query) == {
        "prefilled_email": ["a@b.example"],
        "client_reference_id": [REFERENCE],
    }


def test_the_visit_of_pulsora_core_is_used_as_soon_as_it_is_known(opened: Open) -> None:
    page = opened(FROM_CORE + '<a href="https://buy.stripe.com/a">Buy</a>')
    assert page.evaluate("pulsoraVisit()") == {}
    assert hrefs(page) == ["https://buy.stripe.com/a"]

    page.evaluate(
        """() => {
            let calls = 0;
            window.pulsora = {
                getVisitorFingerprint: async () => ++calls < 3 ? null : "fp_7",
                getSessionId: () => "ses_9",
            };
        }"""
    )
    page.wait_for_selector(f'a[href="https://buy.stripe.com/a?client_reference_id={REFERENCE}"]', timeout=5000)

    assert page.evaluate("pulsoraVisit()") == {"visitor_fingerprint": "fp_7", "session_id": "ses_9"}
    assert page.evaluate("pulsoraVisit.reference()") == REFERENCE


def test_two_arguments_name_the_visit(opened: Open) -> None:
    page = opened(FROM_CORE + '<a href="https://buy.stripe.com/a">Buy</a>')

    found = page.evaluate("pulsoraVisit('fp_7', 'ses_9')")

    assert found == {"visitor_fingerprint": "fp_7", "session_id": "ses_9"}
    assert hrefs(page) == [f"https://buy.stripe.com/a?client_reference_id={REFERENCE}"]


def test_a_reference_of_the_merchants_own_and_other_links_are_left_alone(opened: Open) -> None:
    left = [
        "https://buy.stripe.com/a?client_reference_id=user_42",
        "https://example.com/?next=https://buy.stripe.com/",
        "https://dashboard.stripe.com/",
    ]
    overwritten = "https://buy.stripe.com/a?client_reference_id=undefined"

    page = opened(
        GIVEN + "".join(f'<a href="{url}">x</a>' for url in [*left, overwritten, "https://"])
        + '<stripe-buy-button client-reference-id="user_42"></stripe-buy-button>'
    )  # fmt: skip

    assert hrefs(page)[:4] == [*left, f"https://buy.stripe.com/a?client_reference_id={REFERENCE}"]
    assert page.get_attribute("stripe-buy-button", "client-reference-id") == "user_42"


def test_links_of_a_custom_domain_are_tagged_on_request(opened: Open) -> None:
    page = opened(
        GIVEN.replace("data-session", 'data-hosts="pay.example.com, pay.example.org" data-session')
        + '<a href="https://pay.example.org/a">Buy</a>'
    )

    assert hrefs(page) == [f"https://pay.example.org/a?client_reference_id={REFERENCE}"]


@pytest.mark.parametrize("value", ["undefined", "null", "None", "[object Object]", "cs_test_1", "", " "])
def test_a_placeholder_is_no_visit(opened: Open, value: str) -> None:
    page = opened(FROM_CORE + '<a href="https://buy.stripe.com/a">Buy</a>')

    assert page.evaluate("value => pulsoraVisit('fp_7', value)", value) == {}
    assert page.evaluate("pulsoraVisit(undefined, null)") == {}
    assert hrefs(page) == ["https://buy.stripe.com/a"]


@pytest.mark.parametrize(
    ("fingerprint", "session"),
    [
        ("fp_7", "ses_9"), ("8f14e45fceea167a", "2a7f6b1c-0d7e-4b52-9a44-0123456789ab"), ("a__b", "c"), ("a_", "b"),
        ("a", "_b"), ("a", "b__c"), ("fp.1:x/y+z=", "sitzung 9 ü ✓"),
    ],
)  # fmt: skip
def test_the_bridge_reads_the_reference_that_the_script_wrote(opened: Open, fingerprint: str, session: str) -> None:
    page = opened(FROM_CORE)
    page.evaluate("([fingerprint, session]) => pulsoraVisit(fingerprint, session)", [fingerprint, session])

    reference = page.evaluate("pulsoraVisit.reference()")

    assert re.fullmatch(r"[A-Za-z0-9_-]{1,200}", reference)  # all that Stripe accepts
    assert visit_of(reference) == Visit(fingerprint=fingerprint, session=session)


def test_ids_that_are_too_long_for_stripe_leave_the_link_alone(opened: Open) -> None:
    page = opened(FROM_CORE + '<a href="https://buy.stripe.com/a">Buy</a>')

    page.evaluate("pulsoraVisit('f'.repeat(120), 's'.repeat(120))")

    assert hrefs(page) == ["https://buy.stripe.com/a"]
    assert page.evaluate("pulsoraVisit().session_id.length") == 120


def test_the_documented_integrity_hash_admits_this_script_and_no_other(opened: Open) -> None:
    found = re.search(r'integrity="(sha384-[^"]+)"', DOCS.read_text(encoding="utf-8"))
    assert found is not None
    tag = FROM_CORE.replace("<script", f'<script crossorigin="anonymous" integrity="{found[1]}"')

    assert opened(tag).evaluate("typeof pulsoraVisit") == "function"
    assert opened(tag.replace("sha384-", "sha384-AAAA")).evaluate("typeof pulsoraVisit") == "undefined"
