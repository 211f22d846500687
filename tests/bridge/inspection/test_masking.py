"""Payloads for people to read hold neither secrets nor personal details."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bridge.inspection.masking import MASK, UNREADABLE, masked

OBJECT = {
    "id": "in_1Abc",
    "object": "invoice",
    "amount_paid": 4900,
    "currency": "usd",
    "status": "paid",
    "created": 1767225600,
    "livemode": True,
    "billing_reason": "subscription_cycle",
    "period": "2026-01-01T00:00:00Z",
    "lines": {"data": [{"price": {"id": "price_pro", "recurring": {"interval": "month"}}}]},
}


def shown(**values: object) -> dict[str, object]:
    found: dict[str, object] = json.loads(masked(json.dumps(values).encode()))
    return found


def test_ids_amounts_statuses_and_times_are_shown() -> None:
    assert shown(**OBJECT) == OBJECT


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("customer_email", "anna@example.com"),
        ("email", "anna"),
        ("name", "Anna"),
        ("name", "anna"),
        ("customer_name", "Anna Berg"),
        ("line1", "1"),
        ("city", "berlin"),
        ("postal_code", "10115"),
        ("phone", "+49 30 1234"),
        ("ip", "192.0.2.1"),
        ("last4", "4242"),
        ("fingerprint", "Xt5EWLLDS7FJjR1c"),
        ("receipt_url", "https://pay.stripe.com/receipts/acct_1"),
        ("client_secret", "pi_1_secret_abcdefgh"),
        ("note", "call Anna after five"),
        ("custom", "anna@example.com"),
        ("key", "whsec_abcdefgh12345678"),
        ("tax_id", "DE123456789"),
    ],
)
def test_personal_details_and_secrets_are_not_shown(name: str, value: str) -> None:
    assert shown(**{name: value}) == {name: MASK}
    assert shown(data={"object": {name: [value]}}) == {"data": {"object": {name: [MASK]}}}


def test_a_number_under_a_personal_name_is_not_shown() -> None:
    assert shown(phone=4930123456, exp_month=4) == {"phone": MASK, "exp_month": 4}


def test_a_visit_is_shown_shortened() -> None:
    assert shown(metadata={"visitor_fingerprint": "fp_0123456789", "session_id": "sess_1"}) == {
        "metadata": {"visitor_fingerprint": "fp_012…", "session_id": "sess_1…"}
    }


def test_a_form_encoded_body_is_masked_too() -> None:
    found = masked(b"alert_name=subscription_created&email=anna%40example.com&status=active&subscription_id=123")

    assert "anna" not in found
    assert json.loads(found)["status"] == "active"


@pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"[" * 100_000, b"[" * 600 + b"]" * 600])
def test_a_body_that_is_not_readable_is_not_shown(body: bytes) -> None:
    assert masked(body) == UNREADABLE


def test_no_e_mail_address_of_a_sample_is_shown() -> None:
    samples = sorted(Path("tests/fixtures").rglob("*.json"))

    assert len(samples) > 100
    assert [str(path) for path in samples if "@" in masked(path.read_bytes())] == []
