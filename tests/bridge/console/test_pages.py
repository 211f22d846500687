"""Every page, on wide and narrow screens, in both colour schemes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from tests.bridge.console import conftest
from tests.bridge.console.conftest import Console, signed_in

WIDTHS = (1400, 420)
PAGES = [
    "", "mrr", "revenue", "webhooks", "webhooks?q=cus_walkin0", "webhooks/1", "webhooks/1?payload=1", "webhooks/replay",
    "deliveries", "deliveries?status=failed", "deliveries?status=held", "deliveries/1",
    "deliveries/bulk/send?status=failed", "deliveries/bulk/release", "deliveries/bulk/forward", "customers",
    "customers/stripe||live|cus_walkin0", "attribution", "sources", "sources/setup", "audit", "audit/1",
    "no-such-page",
]  # fmt: skip
SERIOUS = ("serious", "critical")
COLOURS = ("color-contrast", "link-in-text-block")
LAYOUT = ("scrollable-region-focusable", "target-size", "link-name", "button-name")  # what a width can hide or squeeze


@pytest.fixture(scope="module")
def screen(browser: Any, shared_server: str) -> Iterator[Console]:
    """Signed in. A page is loaded once, and looked at on each screen."""
    yield from signed_in(browser, shared_server, 1400, "light")


def show(page: Any, width: int, scheme: str = "light") -> None:
    """Shows the loaded page on another screen."""
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=scheme)


def overflow(page: Any) -> int:
    """By how many pixels the page is wider than the screen."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def violations(page: Any, rules: Sequence[str] = ()) -> list[str]:
    """The serious violations that axe-core finds; `rules`: only of these."""
    from axe_playwright_python.base import AXE_SCRIPT

    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE_SCRIPT)
    found = page.evaluate(
        "rules => axe.run({resultTypes: ['violations'], ...(rules.length && {runOnly: rules})})"
        ".then(results => results.violations)",
        rules,
    )
    return [
        f"{one['id']}: {node['html'][:120]}" for one in found if one["impact"] in SERIOUS for node in one["nodes"][:2]
    ]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_every_screen_and_is_accessible(screen: Console, path: str) -> None:
    screen.expects_errors = path == "no-such-page"
    show(screen.page, 1400)
    page = screen.open(path)

    assert page.title().endswith("· Pulsora bridge")
    assert page.title() != "· Pulsora bridge"
    for width in WIDTHS:
        show(page, width)
        assert overflow(page) <= 0, width
    assert violations(page) == []  # on the narrow screen, where the menu takes most room
    show(page, width, "dark")
    assert violations(page, COLOURS) == []  # no other rule depends on the colours
    show(page, WIDTHS[0])
    assert violations(page, LAYOUT) == []
    assert screen.problems == []


def test_a_narrow_screen_shows_the_list_and_its_filter_on_request(screen: Console) -> None:
    show(screen.page, 1400)
    page = screen.open("deliveries?status=failed&from=2026-01-01")
    facets = page.locator("select[name=status], input[name=from]")

    assert (
        facets.evaluate_all("found => found.filter(one => one.checkVisibility({contentVisibilityAuto: true})).length")
        == 2
    )
    assert not page.is_visible(".facets summary")
    show(page, 420)
    assert page.locator("form.bar").first.bounding_box()["height"] < 100
    assert page.inner_text(".facets summary") == "Filter: failed, from 2026-01-01"

    page.click(".facets summary")

    assert page.locator("select[name=status]").bounding_box()["height"] > 20
    assert overflow(page) <= 0
    assert violations(page) == []


def test_each_page_has_a_title_of_its_own(screen: Console) -> None:
    titles = [
        screen.open(path).title() for path in ("", "mrr", "webhooks", "deliveries", "attribution", "sources", "audit")
    ]

    assert len(set(titles)) == len(titles)


@pytest.mark.parametrize("width", conftest.WIDTHS)
def test_the_keyboard_reaches_every_action(screen: Console, width: int) -> None:
    show(screen.page, width)
    for path in ("webhooks", "deliveries?status=failed", "attribution", "webhooks/1", "deliveries/bulk/release"):
        page = screen.open(path)
        wanted = page.locator("main button:visible, main a[role=button]:visible, main summary:visible").count()
        for _ in range(400):
            page.keyboard.press("Tab")
            tag = page.evaluate(
                "(() => { const e = document.activeElement; if (e.closest('main') && "
                "e.matches('button, a[role=button], summary')) e.dataset.reached = '1'; return e.tagName; })()"
            )
            if tag == "BODY":
                break

        assert page.locator("main [data-reached]").count() == wanted, path


def test_until_something_arrives_the_first_page_says_how_to_connect(browser: Any, empty_server: str) -> None:
    for console in signed_in(browser, empty_server, 420, "dark"):
        console.open("")
        shown = console.text()

        assert f"{empty_server}/webhooks/stripe" in console.page.input_value("input.copy >> nth=1")
        assert "invoice.paid" in console.page.input_value("textarea.copy >> nth=1")
        assert "for the first webhook…" in shown
        assert violations(console.page) == []
        assert overflow(console.page) <= 0


def test_without_javascript_every_page_can_be_read(browser: Any, shared_server: str) -> None:
    from tests.settings import ADMIN_TOKEN

    context = browser.new_context(
        java_script_enabled=False, extra_http_headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}
    )
    page = context.new_page()
    page.goto(f"{shared_server}/admin/webhooks")

    page.click("table summary >> nth=0")

    assert page.locator("table details[open] li a").count() > 1
    context.close()
