"""The audit page: the last result, its causes and rows, and earlier results."""

from __future__ import annotations

from decimal import Decimal

from flask.testing import FlaskClient

from bridge.store import Store, audits
from bridge.web.admin.audit import Line, totals_of
from tests.bridge.store.builders import a_differing_row, an_audit
from tests.settings import ADMIN_TOKEN

OPERATOR = {"Authorization": f"Bearer {ADMIN_TOKEN}"}


def page(client: FlaskClient, path: str = "/admin/audit") -> str:
    response = client.get(path, headers=OPERATOR)
    assert response.status_code == 200
    return response.get_data(as_text=True)


def test_without_an_audit_the_page_says_what_it_needs(client: FlaskClient, sqlite_store: Store) -> None:
    assert "It needs an API key" in page(client)
    assert client.get("/admin/audit/1", headers=OPERATOR).status_code == 404


def test_the_last_audit_is_shown_with_its_rows_and_earlier_ones_are_linked(
    client: FlaskClient, sqlite_store: Store
) -> None:
    with sqlite_store.transaction() as tx:
        earlier = audits.add(tx, an_audit(differing=0, unexplained=0, counts={}, days=[]), [])
        rows = [a_differing_row(), a_differing_row(key="in_2<b>", cause="webhook missing here", detail="run it")]
        audits.add(tx, an_audit(differing=2, counts={"unexplained": 1, "webhook missing here": 1}), rows)

    last = page(client)

    assert "1 row unexplained" in last
    assert "in_1" in last
    assert "in_2&lt;b&gt;" in last
    assert 'href="/admin/deliveries?q=in_1"' in last
    assert 'href="/admin/webhooks?q=in_1"' in last
    assert f'href="/admin/audit/{earlier}"' in last
    assert "nothing differs" in page(client, f"/admin/audit/{earlier}")


def test_the_sums_have_the_currency_with_the_most_days_first() -> None:
    lines = [
        Line(measure=measure, day=f"2026-03-0{day}", currency=currency, ours=Decimal(1), theirs=Decimal(1))
        for measure in ("revenue", "movements")
        for day, currency in ((1, "AED"), (1, "USD"), (2, "USD"))
    ]

    assert [(one.measure, one.currency, one.ours) for one in totals_of(lines)] == [
        ("revenue", "USD", Decimal(2)),
        ("revenue", "AED", Decimal(1)),
        ("movements", "USD", Decimal(2)),
        ("movements", "AED", Decimal(1)),
    ]


def test_rows_of_one_cause_can_be_chosen(client: FlaskClient, sqlite_store: Store) -> None:
    with sqlite_store.transaction() as tx:
        rows = [a_differing_row(), a_differing_row(key="in_2", cause="webhook missing here")]
        shown = audits.add(tx, an_audit(counts={"unexplained": 1, "webhook missing here": 1}), rows)

    found = page(client, f"/admin/audit/{shown}?cause=webhook+missing+here")

    assert "in_2" in found
    assert "in_1" not in found


def test_an_audit_that_was_not_completed_says_why(client: FlaskClient, sqlite_store: Store) -> None:
    with sqlite_store.transaction() as tx:
        audits.add(tx, an_audit(differing=0, unexplained=0, counts={}, days=[], error="Stripe is down"), [])

    assert "Stripe is down" in page(client)
