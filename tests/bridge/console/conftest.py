"""The console in a real Chromium, over a real server and a small merchant's database.

Skipped, with the reason, where Playwright or Chromium is missing.
"""

from __future__ import annotations

import os
import shutil
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from werkzeug.serving import make_server

from bridge.sandbox import merchant
from bridge.settings import Settings
from bridge.store import Store, attempts, audits, inbox, open_store, outbox, pauses, refusals
from bridge.store.attempts import NewAttempt
from bridge.store.inbox import NewWebhook
from bridge.store.outbox import DeliveryStatus, NewDelivery, Outcome
from bridge.store.refusals import Refusals
from bridge.web import create_app
from bridge.web.admin.one_time_link import derived
from bridge.web.admin.session import COOKIE
from tests.bridge.store.builders import a_differing_row, an_audit
from tests.settings import ADMIN_TOKEN, some_settings

SCOPE = "stripe||live"
ERIN = f"{SCOPE}|cus_erin"
# The screens that each action is done on. test_pages.py looks at every page on both.
WIDTHS = [int(width) for width in os.environ.get("CONSOLE_WIDTHS", "420").split(",")]


@dataclass
class Console:
    """A page of the browser that is signed in, with everything that went wrong in it."""

    page: Any
    url: str
    problems: list[str] = field(default_factory=list)
    expects_errors: bool = False  # the browser reports each response with an error status
    listeners: dict[str, Callable[[Any], None]] = field(default_factory=dict)

    def open(self, path: str) -> Any:
        """Opens an address under /admin/."""
        self.page.goto(f"{self.url}/admin/{path}")
        return self.page

    def text(self) -> str:
        """The visible text of the page."""
        return str(self.page.inner_text("main"))


@pytest.fixture(scope="session")
def stocked(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with three months of a small merchant, and one of everything that needs attention."""
    path = Path(shutil.copy(sqlite_template, tmp_path_factory.mktemp("stocked") / "bridge.db"))
    settings = some_settings(f"sqlite:///{path}")
    store = open_store(settings.database_url)
    now = datetime.now(UTC)
    merchant.fill(store, settings, now, joining=(2, 2, 3))
    _needs_attention(store, now)
    store.close()
    return path


@pytest.fixture
def store(stocked: Path, tmp_path: Path) -> Iterator[Store]:
    """The stocked database, for one test."""
    store = open_store(f"sqlite:///{shutil.copy(stocked, tmp_path / 'bridge.db')}")
    yield store
    store.close()


@pytest.fixture
def server(store: Store, tmp_path: Path) -> Iterator[str]:
    """The URL of the service over the store of this test."""
    yield from _serve(store, some_settings(f"sqlite:///{tmp_path / 'bridge.db'}"))


@pytest.fixture(scope="session")
def shared_server(stocked: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a service that tests only read from."""
    path = shutil.copy(stocked, tmp_path_factory.mktemp("shared") / "bridge.db")
    store = open_store(f"sqlite:///{path}")
    yield from _serve(store, some_settings(f"sqlite:///{path}"))
    store.close()


@pytest.fixture(scope="session")
def empty_server(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a service that nothing has arrived at."""
    path = shutil.copy(sqlite_template, tmp_path_factory.mktemp("empty") / "bridge.db")
    store = open_store(f"sqlite:///{path}")
    yield from _serve(store, some_settings(f"sqlite:///{path}"))
    store.close()


@pytest.fixture(params=WIDTHS)
def console(tab: Any, server: str, request: pytest.FixtureRequest) -> Iterator[Console]:
    """Signed in, on a narrow screen, where most can be in the way of a click, with a database of its own.

    The tests share a tab: a new one takes longer than most tests. Storage is of the address, and each server has one.
    """
    tab.context.clear_cookies()
    tab.set_viewport_size({"width": request.param, "height": 900})
    console = _console(tab, server)
    yield console
    tab.goto("about:blank")
    for event in ("console", "pageerror"):
        tab.remove_listener(event, console.listeners[event])
    assert console.problems == []


@pytest.fixture(scope="module")
def tab(browser: Any) -> Iterator[Any]:
    """A page of the browser for all tests of a module."""
    context = _context(browser, 420, "light")
    yield context.new_page()
    context.close()


def signed_in(browser: Any, url: str, width: int, scheme: str) -> Iterator[Console]:
    """A console on a screen of that width; at the end nothing may have gone wrong in it."""
    context = _context(browser, width, scheme)
    console = _console(context.new_page(), url)
    yield console
    context.close()
    assert console.problems == []


def _context(browser: Any, width: int, scheme: str) -> Any:
    context = browser.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, reduced_motion="reduce"
    )
    context.set_default_timeout(15_000)
    return context


def _console(page: Any, url: str) -> Console:
    console = Console(page=page, url=url)
    console.listeners = {
        "console": lambda said: _note(console, said),
        "pageerror": lambda error: console.problems.append(str(error)),
    }
    for event, listener in console.listeners.items():
        page.on(event, listener)
    cookie = derived(ADMIN_TOKEN, "pulsora-bridge admin cookie")  # the login by hand has tests of its own
    page.context.add_cookies([{"name": COOKIE, "value": cookie, "url": f"{url}/admin/", "sameSite": "Strict"}])
    return console


def _note(console: Console, said: Any) -> None:
    if said.type in ("error", "warning") and not console.expects_errors:
        console.problems.append(said.text)


def _serve(store: Store, settings: Settings) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, create_app(settings, store), threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()


# ---- What needs attention --------------------------------------------------------------------------------------


def _needs_attention(store: Store, now: datetime) -> None:
    hour = refusals.hour_of(now)
    with store.transaction() as tx:
        refusals.add(tx, [Refusals(source="stripe", cause="signature_mismatch", hour=hour, count=34, last_at=now)], now)
        pauses.pause(tx, "https://pulsora.co/api/ingest#1", now + timedelta(hours=1), "503: busy", True, now=now)
        outbox.add(tx, [_delivery(number, now) for number in range(4)])
        failed, retried = outbox.listing(tx, DeliveryStatus.PENDING, limit=2)
        outcome = Outcome(id=failed.id, status=DeliveryStatus.FAILED, attempts=1, at=now, last_status=400)
        later = now + timedelta(hours=6)
        outbox.record(tx, [outcome, Outcome(id=retried.id, status=DeliveryStatus.PENDING, attempts=3, at=now,
                                            next_at=later, last_status=500, last_error="500: error")])  # fmt: skip
        attempts.add(
            tx,
            [
                NewAttempt(delivery_id=failed.id, at=now, status=400, response="400: data[/amount] is invalid",
                           took_ms=41, result=DeliveryStatus.FAILED)
            ],
        )  # fmt: skip
    store.accept(_webhook("evt_broken", now))
    store.accept(_webhook("evt_new", now))
    with store.transaction() as tx:
        row = inbox.find(tx, "evt_broken")
        assert row is not None
        inbox.fail(tx, row.id, "translation failed: KeyError: 'lines'", None)
        _add_audits(tx)


def _add_audits(tx: Connection) -> None:
    """One that was not completed, and a later one with an unexplained row and one of a known cause, with a long id."""
    audits.add(tx, an_audit(differing=0, unexplained=0, counts={}, days=[], error="Stripe responded 503"), [])
    late = "webhook missing here"
    rows = [a_differing_row(), a_differing_row(key="in_1NXWPnCo6bFb1KQto6C8OWvE", cause=late, detail="import it")]
    audits.add(tx, an_audit(compared=3, differing=2, counts={"unexplained": 1, late: 1}), rows)


def _delivery(number: int, now: datetime) -> NewDelivery:
    body = (
        '{"visitor_fingerprint":"fp_erin","session_id":"sess_erin","customer_id":"cus_erin","amount":49,'
        f'"currency":"USD","transaction_id":"in_erin{number}","event_type":"renewal","metadata":{{"plan":"Pro"}}}}'
    )
    status = DeliveryStatus.NOT_FORWARDED if number >= 2 else DeliveryStatus.PENDING
    return NewDelivery(
        stream_id=ERIN if number < 2 else f"{ERIN}{number}", scope=SCOPE, source="stripe", livemode=True,
        output_key=f"payment:in_erin{number}", status=status, body=body, next_at=now, created_at=now,
        event_type="renewal", currency="USD", amount=Decimal(49), mrr_impact=Decimal(0), event_ids=("evt_new",),
        received_at=now,
    )  # fmt: skip


def _webhook(event_id: str, now: datetime) -> NewWebhook:
    body = b'{"id": "evt_x", "object": "event", "data": {"object": {"customer_email": "erin@example.com"}}}'
    return NewWebhook(
        source="stripe", account=None, livemode=True, event_id=event_id, type="invoice.paid", created_at=now,
        received_at=now, body=body,
    )  # fmt: skip
