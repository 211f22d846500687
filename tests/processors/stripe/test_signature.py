"""Stripe's webhook signature: each test changes one thing of a valid webhook."""

from __future__ import annotations

import hashlib
import hmac
import json
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from stripe import SignatureVerificationError, WebhookSignature

from processors.interface import Event, SignatureError, SignatureProblem
from processors.stripe.signature import HEADER, secret_problem, sign, verify

SECRET = "whsec_test_not_a_real_secret"
OTHER = "whsec_test_another_fake_secret"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
T = 1795435200  # NOW
TOLERANCE = timedelta(seconds=300)
BODY = json.dumps(
    {"id": "evt_1", "object": "event", "type": "invoice.paid", "created": 1795435190, "livemode": True, "data": {}}
).encode()


def digest(body: bytes, t: int = T, secret: str = SECRET) -> str:
    """The signature by the documentation, made without the SDK."""
    return hmac.new(secret.encode(), f"{t}.".encode() + body, hashlib.sha256).hexdigest()


def checked(header: str | None, body: bytes = BODY, secrets: tuple[str, ...] = (SECRET,)) -> Event:
    return verify(body, {} if header is None else {HEADER: header}, secrets, NOW, TOLERANCE)


def refused(header: str | None, body: bytes = BODY, secrets: tuple[str, ...] = (SECRET,)) -> SignatureError:
    with pytest.raises(SignatureError) as error:
        checked(header, body, secrets)
    return error.value


def test_a_webhook_signed_after_the_documentation_is_accepted() -> None:
    event = checked(f"t={T},v1={digest(BODY)}")

    assert event == Event(
        id="evt_1", type="invoice.paid", created_at=datetime(2026, 11, 23, 11, 59, 50, tzinfo=UTC), livemode=True
    )


def test_what_sign_makes_is_what_the_documentation_describes() -> None:
    webhook = sign(BODY, SECRET, NOW)

    assert webhook.headers[HEADER] == f"t={T},v1={digest(BODY)}"
    assert webhook.body == BODY


def test_the_account_of_a_connect_event_is_read() -> None:
    body = json.dumps({**json.loads(BODY), "account": "acct_1", "livemode": False}).encode()

    event = checked(f"t={T},v1={digest(body)}", body)

    assert (event.account, event.livemode) == ("acct_1", False)


def test_a_thin_event_is_accepted_with_its_iso_date() -> None:
    thin = {"id": "evt_2", "object": "v2.core.event", "type": "v1.invoice.paid", "created": "2026-11-23T11:00:00.123Z"}
    body = json.dumps({**thin, "context": "acct_1"}).encode()

    event = checked(f"t={T},v1={digest(body)}", body)

    assert event.created_at == datetime(2026, 11, 23, 11, 0, 0, 123000, tzinfo=UTC)
    assert (event.type, event.livemode, event.account) == ("v1.invoice.paid", True, "acct_1")


def test_the_header_is_found_in_any_case() -> None:
    event = verify(BODY, {"stripe-signature": f"t={T},v1={digest(BODY)}"}, (SECRET,), NOW, TOLERANCE)

    assert event.id == "evt_1"


def test_one_of_several_signatures_is_enough() -> None:
    rolled = f"t={T},v1={digest(BODY, secret=OTHER)},v1={digest(BODY)},v0=abc"

    assert checked(rolled).id == "evt_1"


def test_one_of_several_secrets_is_enough() -> None:
    assert checked(f"t={T},v1={digest(BODY)}", secrets=(OTHER, " ", f" {SECRET} ")).id == "evt_1"


def test_without_the_header_it_is_missing() -> None:
    assert refused(None).problem is SignatureProblem.MISSING
    assert refused("  ").problem is SignatureProblem.MISSING


@pytest.mark.parametrize(
    "header",
    [
        "nonsense",
        f"v1={'a' * 64}",
        f"t=,v1={'a' * 64}",
        f"t=now,v1={'a' * 64}",
        f"t=-5,v1={'a' * 64}",
        f"t=\u0661\u0662,v1={'a' * 64}",
        f"t=1,t=2,v1={'a' * 64}",
        f"t={'9' * 400},v1={'a' * 64}",
        f"t={T}",
        f"t={T},v0={'a' * 64}",
        f"t={T},v1=",
        f"t={T},v1=ünïcode",
        f"t={T},v1={'A' * 64}",
        f"t={T},v1={'a' * 63}",
        f"t={T},v1={'a' * 64}," + "x" * 9000,
    ],
)
def test_a_header_of_another_form_is_malformed(header: str) -> None:
    assert refused(header).problem is SignatureProblem.MALFORMED


def test_a_changed_body_is_a_mismatch() -> None:
    assert refused(f"t={T},v1={digest(BODY)}", BODY + b" ").problem is SignatureProblem.MISMATCH


def test_a_changed_time_stamp_is_a_mismatch() -> None:
    assert refused(f"t={T + 1},v1={digest(BODY)}").problem is SignatureProblem.MISMATCH


def test_a_mismatch_says_how_many_secrets_were_tried() -> None:
    error = refused(f"t={T},v1={digest(BODY)}", secrets=(OTHER, OTHER + "2"))

    assert error.problem is SignatureProblem.MISMATCH
    assert "None of 2 signing secrets matches" in error.detail


def test_without_secrets_it_is_a_mismatch_that_says_so() -> None:
    assert "No signing secret is configured" in refused(f"t={T},v1={digest(BODY)}", secrets=()).detail


def test_a_secret_that_cannot_be_encoded_matches_nothing() -> None:
    assert refused(f"t={T},v1={digest(BODY)}", secrets=("\ud800",)).problem is SignatureProblem.MISMATCH


@pytest.mark.parametrize(("t", "expected"), [(T - 301, "301 s old"), (T + 301, "301 s in the future")])
def test_a_stale_webhook_gets_an_error_with_the_difference_in_seconds(t: int, expected: str) -> None:
    error = refused(f"t={t},v1={digest(BODY, t)}")

    assert error.problem is SignatureProblem.STALE
    assert expected in error.detail


def test_a_stale_time_stamp_that_nobody_signed_is_a_mismatch() -> None:
    assert refused(f"t={T - 9999},v1={'a' * 64}").problem is SignatureProblem.MISMATCH


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"{}",
        b'{"id": "evt_1"}',
        b'{"id": "evt_1", "type": ""}',
        b'{"id": 1.5, "type": "invoice.paid"}',
        b'{"id": "evt_1", "type": "invoice.paid", "object": "charge"}',
        b'{"id": "evt_1", "type": "invoice.paid", "object": ["event"]}',
        b'{"id": "evt_1", "type": "invoice.paid", "id": "evt_2"}',
        b'{"id": "evt_1", "type": "invoice.paid", "x": NaN}',
        b"[" * 100_000,
    ],
)
def test_what_is_signed_and_no_event_is_unreadable(body: bytes) -> None:
    assert refused(f"t={T},v1={digest(body)}", body).problem is SignatureProblem.UNREADABLE


def test_a_body_that_is_not_utf8_proves_nothing() -> None:
    body = b'{"id": "\xff"}'

    assert refused(f"t={T},v1={digest(body)}", body).problem is SignatureProblem.MISMATCH


@given(body=st.binary(), header=st.text(), secrets=st.lists(st.text(), max_size=3))
def test_whatever_comes_without_a_signature_is_refused_and_nothing_else_is_raised(
    body: bytes, header: str, secrets: list[str]
) -> None:
    with pytest.raises(SignatureError):
        verify(body, {HEADER: header}, secrets, NOW, TOLERANCE)


@given(body=st.binary())
def test_whatever_is_signed_is_an_event_or_refused(body: bytes) -> None:
    with pytest.raises(SignatureError) as error:
        checked(f"t={T},v1={digest(body)}", body)

    assert error.value.problem in (SignatureProblem.UNREADABLE, SignatureProblem.MISMATCH)


@pytest.mark.parametrize("value", [SECRET, f"{SECRET},{OTHER}", f" {SECRET} , {OTHER} ,"])
def test_signing_secrets_are_fine(value: str) -> None:
    assert secret_problem(value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", "is empty"),
        (" , ", "is empty"),
        ("sk_test_fake", "looks like an API key (sk_…)"),
        ("rk_live_fake", "looks like an API key (rk_…)"),
        (f"{SECRET},pk_test_fake", "looks like an API key (pk_…)"),
        ("hunter2", "begin with whsec_"),
    ],
)
def test_anything_else_gets_an_error_that_shows_what_a_signing_secret_looks_like(value: str, expected: str) -> None:
    problem = secret_problem(value)

    assert problem is not None
    assert expected in problem
    assert "fake" not in problem
    assert "hunter2" not in problem


@given(
    st.binary(max_size=40),
    st.sampled_from([T, T - 1, 7]),
    st.sampled_from([SECRET, OTHER]),
    st.lists(st.sampled_from(["right", "other", "a" * 64]), min_size=1, max_size=3),
)
def test_it_accepts_what_the_sdk_accepts(body: bytes, stated: int, secret: str, given_digests: list[str]) -> None:
    known = {"right": digest(body, T, SECRET), "other": digest(body, T, OTHER)}
    header = f"t={stated}," + ",".join(f"v1={known.get(one, one)}" for one in given_digests)
    try:
        by_sdk = bool(WebhookSignature.verify_header(body.decode(), header, secret, tolerance=None))
    except (SignatureVerificationError, UnicodeDecodeError):
        by_sdk = False

    try:
        verify(body, {HEADER: header}, (secret,), NOW, timedelta(days=99_999))
        problem = None
    except SignatureError as error:
        problem = error.problem

    assert by_sdk == (problem is not SignatureProblem.MISMATCH)
