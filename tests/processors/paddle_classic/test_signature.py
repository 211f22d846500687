"""Paddle Classic's signature: each test changes one thing of a valid alert; and vectors signed by others."""

from __future__ import annotations

import builtins
import json
import re
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
)
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.interface import Event, SignatureError, SignatureProblem
from processors.paddle_classic import processor
from processors.paddle_classic.signature import FIELD, public_key, secret_problem, serialized, sign, verify

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TOLERANCE = timedelta(seconds=300)
FIELDS = {
    "alert_id": "7001",
    "alert_name": "payment_succeeded",
    "event_time": "2026-11-23 11:59:50",
    "customer_name": "Åda & co",
    "marketing_consent": "",
}
BODY = urlencode(FIELDS).encode()
PRIVATE = processor.demo_secret
CLASSIC = Path(__file__).resolve().parents[2] / "fixtures" / "paddle" / "classic"


def public_pem(private: str = PRIVATE) -> str:
    key = load_pem_private_key(private.encode(), password=None)
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


PUBLIC = public_pem()
SIGNED = sign(BODY, PRIVATE, NOW).body


def checked(body: bytes = SIGNED, *secrets: str) -> Event:
    return verify(body, {}, secrets or (PUBLIC,), NOW, TOLERANCE)


def refused(body: bytes = SIGNED, *secrets: str) -> SignatureError:
    with pytest.raises(SignatureError) as error:
        checked(body, *secrets)
    return error.value


def with_fields(**more: str) -> bytes:
    return urlencode({**dict(parse_qsl(SIGNED.decode(), keep_blank_values=True)), **more}).encode()


def test_a_signed_alert_is_accepted() -> None:
    assert checked() == Event(
        id="7001",
        type="payment_succeeded",
        created_at=datetime(2026, 11, 23, 11, 59, 50, tzinfo=UTC),
        livemode=True,
    )


def test_fields_are_serialised_as_php_does_with_lengths_in_bytes_and_blanks_kept() -> None:
    assert serialized({"b": "", "a": "Åda"}) == b'a:2:{s:1:"a";s:4:"\xc3\x85da";s:1:"b";s:0:"";}'


def test_the_order_of_the_fields_does_not_matter() -> None:
    pairs = parse_qsl(SIGNED.decode(), keep_blank_values=True)

    assert checked(urlencode(pairs[::-1]).encode()) == checked()


@pytest.mark.parametrize(
    "pem",
    [
        PUBLIC,
        PRIVATE,
        PUBLIC.replace("\n", "\\n"),
        PUBLIC.replace("\n", " "),
        PUBLIC.replace("\n", "\r\n"),
        f"\n {PUBLIC}",
    ],
    ids=["public", "the private one", "escaped line breaks", "blanks", "of Windows", "indented"],
)
def test_the_key_is_read_however_the_environment_wrote_it(pem: str) -> None:
    assert checked(SIGNED, pem).id == "7001"
    assert secret_problem(pem) is None


def test_one_of_several_keys_is_enough() -> None:
    other = generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    assert checked(SIGNED, "nonsense", public_pem(other), PUBLIC).id == "7001"
    assert refused(SIGNED, public_pem(other)).problem is SignatureProblem.MISMATCH


@pytest.mark.parametrize("name", FIELDS)
def test_a_changed_field_is_a_mismatch(name: str) -> None:
    assert refused(with_fields(**{name: FIELDS[name] + "x"})).problem is SignatureProblem.MISMATCH


def test_a_field_more_or_less_is_a_mismatch() -> None:
    fewer = urlencode([pair for pair in parse_qsl(SIGNED.decode()) if pair[0] != "marketing_consent"]).encode()

    assert refused(with_fields(extra="")).problem is SignatureProblem.MISMATCH
    assert refused(fewer).problem is SignatureProblem.MISMATCH  # blank fields are signed too


def test_without_a_signature_it_is_missing() -> None:
    assert refused(BODY).problem is SignatureProblem.MISSING
    assert refused(b"").problem is SignatureProblem.MISSING
    assert refused(with_fields(p_signature=" ")).problem is SignatureProblem.MISSING


@pytest.mark.parametrize("value", ["ünïcode", "a", "a b c d", "=" * 8, "A" * 5000])
def test_a_signature_that_is_not_base64_is_malformed_or_fits_nothing(value: str) -> None:
    assert refused(with_fields(p_signature=value)).problem in (SignatureProblem.MALFORMED, SignatureProblem.MISMATCH)


@pytest.mark.parametrize("size", [0, 1, 255, 257, 3000])
def test_a_signature_of_another_length_is_refused(size: int) -> None:
    error = refused(with_fields(p_signature=b64encode(b"x" * size).decode()))

    assert error.problem is (SignatureProblem.MISMATCH if size else SignatureProblem.MISSING)


@pytest.mark.parametrize(
    "body",
    [b"nonsense", b'{"alert_id": "1"}', b"a=%ff", b"a=\xff", b"a=1&a=2", b"&".join([b"a=1"] * 300), b"a=%ED%A0%80"],
)
def test_a_body_that_is_no_form_is_malformed(body: bytes) -> None:
    assert refused(body).problem is SignatureProblem.MALFORMED


@pytest.mark.parametrize("fields", [{"alert_id": "1"}, {"alert_name": "x"}, {"alert_id": " ", "alert_name": "x"}])
def test_what_is_signed_and_no_alert_is_unreadable(fields: dict[str, str]) -> None:
    body = sign(urlencode(fields).encode(), PRIVATE, NOW).body

    assert refused(body).problem is SignatureProblem.UNREADABLE


def test_an_alert_without_a_time_is_dated_when_it_arrives() -> None:
    body = sign(urlencode({**FIELDS, "event_time": "soon"}).encode(), PRIVATE, NOW).body

    assert checked(body).created_at == NOW


@pytest.mark.parametrize("secrets", [(), ("",), ("nonsense",)])
def test_without_a_key_it_is_a_mismatch_that_says_so(secrets: tuple[str, ...]) -> None:
    with pytest.raises(SignatureError) as error:
        verify(SIGNED, {}, secrets, NOW, TOLERANCE)

    assert "No public key is configured" in error.value.detail


@settings(deadline=None)
@given(body=st.binary(), secrets=st.lists(st.text(), max_size=2))
def test_whatever_comes_without_a_signature_is_refused_and_nothing_else_is_raised(
    body: bytes, secrets: list[str]
) -> None:
    with pytest.raises(SignatureError):
        verify(body, {}, [*secrets, PUBLIC], NOW, TOLERANCE)


@settings(deadline=None)
@given(fields=st.dictionaries(st.text(st.characters(codec="utf-8")), st.text(st.characters(codec="utf-8")), max_size=5))
def test_whatever_form_is_signed_it_is_unreadable_without_an_alert_name(fields: dict[str, str]) -> None:
    kept = {name: value for name, value in fields.items() if name not in (FIELD, "alert_name")}
    body = urlencode({**kept, "alert_id": "1"}).encode()

    assert refused(sign(body, PRIVATE, NOW).body).problem is SignatureProblem.UNREADABLE


def test_only_a_private_key_signs() -> None:
    with pytest.raises(ValueError, match="only a private key can sign"):
        sign(BODY, PUBLIC, NOW)


# ---- The setting --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["", "hunter2", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----"])
def test_a_value_that_is_no_key_gets_an_error_that_shows_what_one_looks_like(value: str) -> None:
    problem = secret_problem(value)

    assert problem is not None
    assert "-----BEGIN PUBLIC KEY-----" in problem
    assert "hunter2" not in problem


def test_without_the_package_that_reads_keys_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    really = builtins.__import__

    def without_cryptography(name: str, *rest: Any, **more: Any) -> Any:
        if name.startswith("cryptography"):
            raise ImportError(name)
        return really(name, *rest, **more)

    public_key.cache_clear()
    monkeypatch.setattr(builtins, "__import__", without_cryptography)

    problem = secret_problem(PUBLIC)
    error = refused()
    with pytest.raises(ValueError, match=re.escape("pip install 'pulsora-bridge[classic]'")):
        sign(b"alert_id=1", PRIVATE, NOW)

    assert problem == "needs the package cryptography: pip install 'pulsora-bridge[classic]'"
    assert "pulsora-bridge[classic]" in error.detail


# ---- Vectors ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("subscription_created", None),
        ("subscription_updated", None),
        ("subscription_cancelled", None),
        ("subscription_payment_refunded", None),
        ("subscription_payment_succeeded", SignatureProblem.MISMATCH),  # edited by hand after it was signed
    ],
)
def test_published_alerts_are_taken_for_what_they_are(name: str, problem: SignatureProblem | None) -> None:
    fields = json.loads((CLASSIC / f"{name}.json").read_bytes())
    body = urlencode({key: value if isinstance(value, str) else json.dumps(value) for key, value in fields.items()})

    try:
        event = verify(body.encode(), {}, ((CLASSIC / "public_key.pem").read_text(),), NOW, TOLERANCE)
        found = None
        assert (event.id, event.type) == (fields["alert_id"], name)
    except SignatureError as error:
        found = error.problem

    assert found is problem
