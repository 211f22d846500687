"""Paddle's webhook signature: each test changes one thing of a valid webhook; the official SDK agrees."""

from __future__ import annotations

import hashlib
import hmac
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from operator import itemgetter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from paddle_billing.Notifications import Secret, Verifier

from processors.interface import Event, SignatureError, SignatureProblem
from processors.paddle.signature import HEADER, secret_problem, sign, verify

SECRET = "pdl_ntfset_test_not_a_real_secret"
OTHER = "pdl_ntfset_test_another_fake_secret"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TS = 1795435200  # NOW
TOLERANCE = timedelta(seconds=300)
ENVELOPE = {
    "event_id": "evt_1",
    "event_type": "transaction.completed",
    "occurred_at": "2026-11-23T11:59:50.123456789Z",
    "notification_id": "ntf_1",
    "data": {"id": "txn_1"},
}
BODY = json.dumps(ENVELOPE).encode()
VECTORS = Path(__file__).resolve().parents[2] / "fixtures" / "paddle" / "signature-vectors.json"


def digest(body: bytes = BODY, ts: object = TS, secret: str = SECRET) -> str:
    """The signature by the documentation."""
    return hmac.new(secret.encode(), f"{ts}:".encode() + body, hashlib.sha256).hexdigest()


def checked(header: str | None, body: bytes = BODY, secrets: tuple[str, ...] = (SECRET,)) -> Event:
    return verify(body, {} if header is None else {HEADER: header}, secrets, NOW, TOLERANCE)


def refused(header: str | None, body: bytes = BODY, secrets: tuple[str, ...] = (SECRET,)) -> SignatureError:
    with pytest.raises(SignatureError) as error:
        checked(header, body, secrets)
    return error.value


def test_a_webhook_signed_after_the_documentation_is_accepted() -> None:
    event = checked(f"ts={TS};h1={digest()}")

    assert event == Event(
        id="evt_1",
        type="transaction.completed",
        created_at=datetime(2026, 11, 23, 11, 59, 50, 123456, tzinfo=UTC),
        livemode=True,
    )


def test_what_sign_makes_is_what_the_documentation_describes() -> None:
    webhook = sign(BODY, SECRET, NOW)

    assert webhook.headers[HEADER] == f"ts={TS};h1={digest()}"
    assert webhook.body == BODY


def test_the_header_is_found_in_any_case() -> None:
    assert verify(BODY, {"paddle-signature": f"ts={TS};h1={digest()}"}, (SECRET,), NOW, TOLERANCE).id == "evt_1"


@pytest.mark.parametrize(
    "header",
    [
        f"ts={TS};h1={'a' * 64};h1={digest()}",
        f"ts={TS};h1={digest()};h1={'a' * 64}",
        f"h1={digest()};ts={TS}",
        f"ts={TS};h1={digest()};h2=something-new",
        f"ts={TS}; h1={digest()} ;",
        f"ts={TS};h1=;h1={digest()}",
    ],
    ids=["rotated, new last", "rotated, new first", "time stamp last", "a newer scheme", "blanks", "an empty one"],
)
def test_one_signature_that_fits_is_enough(header: str) -> None:
    assert checked(header).id == "evt_1"


def test_one_of_several_secrets_is_enough() -> None:
    assert checked(f"ts={TS};h1={digest()}", secrets=(OTHER, " ", f" {SECRET} ")).id == "evt_1"


@pytest.mark.parametrize("key", ["event_id", "notification_id"])
def test_an_event_of_the_simulator_is_test_traffic(key: str) -> None:
    prefix = {"event_id": "ntfsimevt_", "notification_id": "ntfsimntf_"}[key]
    body = json.dumps({**ENVELOPE, key: f"{prefix}01hv"}).encode()

    assert not checked(f"ts={TS};h1={digest(body)}", body).livemode


def test_an_event_without_a_date_is_dated_when_it_arrives() -> None:
    body = json.dumps({**ENVELOPE, "occurred_at": None}).encode()

    assert checked(f"ts={TS};h1={digest(body)}", body).created_at == NOW


# ---- What is refused ----------------------------------------------------------------------------------------------


def test_without_the_header_it_is_missing() -> None:
    assert refused(None).problem is SignatureProblem.MISSING
    assert refused("  ").problem is SignatureProblem.MISSING


@pytest.mark.parametrize(
    "header",
    [
        "nonsense",
        f"h1={'a' * 64}",
        f"ts=;h1={'a' * 64}",
        f"ts=now;h1={'a' * 64}",
        f"ts=-5;h1={'a' * 64}",
        f"ts=1.5;h1={'a' * 64}",
        f"ts=\u0661\u0662;h1={'a' * 64}",
        f"ts=1;ts=2;h1={'a' * 64}",
        f"ts={'9' * 400};h1={'a' * 64}",
        f"ts={TS}",
        f"ts={TS};h2={'a' * 64}",
        f"ts={TS};h1=",
        f"ts={TS},h1={'a' * 64}",
        f"ts={TS};h1={'a' * 64};" + "x" * 9000,
    ],
)
def test_a_header_of_another_form_is_malformed(header: str) -> None:
    assert refused(header).problem is SignatureProblem.MALFORMED


@pytest.mark.parametrize("body", [BODY + b" ", BODY[:-1], BODY.replace(b"txn_1", b"txn_2"), b""])
def test_a_changed_body_is_a_mismatch(body: bytes) -> None:
    assert refused(f"ts={TS};h1={digest()}", body).problem is SignatureProblem.MISMATCH


def test_a_body_that_was_parsed_and_written_again_is_a_mismatch() -> None:
    again = json.dumps(json.loads(BODY), separators=(",", ":")).encode()

    assert refused(f"ts={TS};h1={digest()}", again).problem is SignatureProblem.MISMATCH


@pytest.mark.parametrize("value", [digest().upper(), digest()[:-1], digest() + "0", "ünïcode", "=", "\udc80", "a" * 64])
def test_a_changed_signature_is_a_mismatch(value: str) -> None:
    assert refused(f"ts={TS};h1={value}").problem is SignatureProblem.MISMATCH


def test_a_changed_time_stamp_is_a_mismatch() -> None:
    assert refused(f"ts={TS + 1};h1={digest()}").problem is SignatureProblem.MISMATCH


def test_a_mismatch_says_how_many_secrets_were_tried() -> None:
    error = refused(f"ts={TS};h1={digest()}", secrets=(OTHER, OTHER + "2"))

    assert error.problem is SignatureProblem.MISMATCH
    assert "None of 2 secret keys matches" in error.detail


def test_without_secrets_it_is_a_mismatch_that_says_so() -> None:
    assert "No secret key is configured" in refused(f"ts={TS};h1={digest()}", secrets=()).detail
    assert "No secret key is configured" in refused(f"ts={TS};h1={digest(secret='')}", secrets=("",)).detail


@pytest.mark.parametrize(("ts", "expected"), [(TS - 301, "301 s old"), (TS + 301, "301 s in the future")])
def test_a_stale_webhook_gets_an_error_with_the_difference_in_seconds(ts: int, expected: str) -> None:
    error = refused(f"ts={ts};h1={digest(ts=ts)}")

    assert error.problem is SignatureProblem.STALE
    assert expected in error.detail


@pytest.mark.parametrize("ts", [TS - 300, TS + 300])
def test_a_webhook_at_the_edge_of_the_tolerance_is_fresh(ts: int) -> None:
    assert checked(f"ts={ts};h1={digest(ts=ts)}").id == "evt_1"


def test_a_stale_time_stamp_that_nobody_signed_is_a_mismatch() -> None:
    assert refused(f"ts={TS - 9999};h1={'a' * 64}").problem is SignatureProblem.MISMATCH


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"{}",
        b"\xff",
        b'{"event_id": "evt_1"}',
        b'{"event_id": "evt_1", "event_type": ""}',
        b'{"event_id": ["evt_1"], "event_type": "transaction.paid"}',
        b'{"event_id": "evt_1", "event_type": "transaction.paid", "event_id": "evt_2"}',
        b'{"event_id": "evt_1", "event_type": "transaction.paid", "data": NaN}',
        b'{"event_id": "evt_1", "event_type": "\\ud800"}',
        b"[" * 100_000,
    ],
)
def test_what_is_signed_and_no_event_is_unreadable(body: bytes) -> None:
    assert refused(f"ts={TS};h1={digest(body)}", body).problem is SignatureProblem.UNREADABLE


@settings(deadline=None)
@given(body=st.binary(), header=st.text(), secrets=st.lists(st.text(), max_size=3))
def test_whatever_comes_without_a_signature_is_refused_and_nothing_else_is_raised(
    body: bytes, header: str, secrets: list[str]
) -> None:
    with pytest.raises(SignatureError):
        verify(body, {HEADER: header}, secrets, NOW, TOLERANCE)


@settings(deadline=None)
@given(
    parts=st.lists(st.tuples(st.sampled_from(["ts", "h1", "h2", "", "TS"]), st.text() | st.just(str(TS))), max_size=6)
)
def test_whatever_looks_like_a_header_is_refused_and_nothing_else_is_raised(parts: list[tuple[str, str]]) -> None:
    with pytest.raises(SignatureError):
        checked(";".join(f"{name}={value}" for name, value in parts))


@settings(deadline=None)
@given(body=st.binary())
def test_whatever_is_signed_is_an_event_or_unreadable(body: bytes) -> None:
    assert refused(f"ts={TS};h1={digest(body)}", body).problem is SignatureProblem.UNREADABLE


# ---- The secret ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", [SECRET, f"{SECRET},{OTHER}", "pdl_ntf_01hbpj_fake"])
def test_secret_keys_of_destinations_are_fine(value: str) -> None:
    assert secret_problem(value) is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", "is empty"),
        (" , ", "is empty"),
        ("pdl_live_apikey_fake", "looks like an API key"),
        (f"{SECRET},pdl_sdbx_apikey_fake", "looks like an API key"),
        ("hunter2", "begins with pdl_ntfset_"),
        ("whsec_fake", "begins with pdl_ntfset_"),
    ],
)
def test_anything_else_gets_an_error_that_shows_what_a_secret_key_looks_like(value: str, expected: str) -> None:
    problem = secret_problem(value)

    assert problem is not None
    assert expected in problem
    assert "fake" not in problem
    assert "hunter2" not in problem


# ---- Vectors that Paddle published --------------------------------------------------------------------------------


@pytest.mark.parametrize("vector", json.loads(VECTORS.read_bytes()), ids=itemgetter("name"))
def test_published_vectors_are_taken_for_what_they_are(vector: dict[str, Any]) -> None:
    stamp, _, _ = vector["header"].removeprefix("ts=").partition(";")
    then = datetime.fromtimestamp(int(stamp), UTC)
    body, headers = vector["body"].encode(), {HEADER: vector["header"]}

    try:
        verify(body, headers, (vector["secret"],), then, TOLERANCE)
        problem = None
    except SignatureError as error:
        problem = error.problem

    readable = None if body.startswith(b"{") else SignatureProblem.UNREADABLE  # one vector signs "hello-world"
    assert problem is (readable if vector["valid_ignoring_age"] else SignatureProblem.MISMATCH)


# ---- Comparison with the official SDK's verifier -------------------------------------------------------------------


@dataclass
class Request:
    """A request of the SDK's protocol."""

    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    content: bytes = b""
    data: bytes = b""

    def __post_init__(self) -> None:
        self.content = self.data = self.body


def at_present(seconds: int = 0) -> int:
    return int(datetime.now(UTC).timestamp()) + seconds


def sdk_accepts(header: str, body: bytes, secrets: list[str]) -> bool:
    """The SDK's verdict. With several secrets it raises `ConnectionRefusedError` where none matches."""
    keys: Any = [Secret(secret) for secret in secrets]
    try:
        return bool(Verifier(300).verify(Request(body, {HEADER: header}), keys))
    except ConnectionRefusedError:
        return False


def ours_accepts(header: str, body: bytes, secrets: list[str]) -> bool:
    try:
        verify(body, {HEADER: header}, secrets, datetime.now(UTC), TOLERANCE)
    except SignatureError as error:
        return error.problem is SignatureProblem.UNREADABLE
    return True


@pytest.mark.parametrize(
    ("age", "header", "body", "secrets", "accepted"),
    [
        (0, "ts={ts};h1={h1}", BODY, [SECRET], True),
        (0, "ts={ts};h1={h1}", BODY, [OTHER, SECRET], True),
        (0, "ts={ts};h1={other};h1={h1}", BODY, [SECRET], True),
        (0, "ts={ts};h1={h1};h1={other}", BODY, [SECRET], True),
        (-290, "ts={ts};h1={h1}", BODY, [SECRET], True),
        (-330, "ts={ts};h1={h1}", BODY, [SECRET], False),
        (330, "ts={ts};h1={h1}", BODY, [SECRET], False),
        (0, "ts={ts};h1={h1}", BODY + b" ", [SECRET], False),
        (0, "ts={ts};h1={other}", BODY, [SECRET], False),
        (0, "ts={ts};h1={h1}", BODY, [OTHER], False),
        (0, "ts={ts};h1={h1}", BODY, [OTHER, OTHER + "2"], False),
        (0, "ts={ts};h1={upper}", BODY, [SECRET], False),
        (0, "ts={ts}", BODY, [SECRET], False),
        (0, "", BODY, [SECRET], False),
    ],
    ids=[
        "valid",
        "the second secret",
        "rotated, old first",
        "rotated, new first",
        "nearly stale",
        "stale",
        "from the future",
        "tampered body",
        "tampered signature",
        "another secret",
        "two other secrets",
        "upper case",
        "no signature",
        "empty",
    ],
)
def test_the_sdk_and_ours_agree(age: int, header: str, body: bytes, secrets: list[str], accepted: bool) -> None:
    ts = at_present(age)
    h1, other = digest(ts=ts), digest(ts=ts, secret=OTHER + "3")
    written = header.format(ts=ts, h1=h1, other=other, upper=h1.upper())

    assert sdk_accepts(written, body, secrets) is accepted
    assert ours_accepts(written, body, secrets) is accepted


@pytest.mark.parametrize(
    ("header", "body", "raised", "problem"),
    [
        ("ts=abc;h1={h1}", BODY, ValueError, SignatureProblem.MALFORMED),
        ("ts={ts};h1=a=b", BODY, ValueError, SignatureProblem.MISMATCH),
        ("ts={ts};h1=ünïcode", BODY, TypeError, SignatureProblem.MISMATCH),
        ("ts={ts};h1={h1}", b"\xff", UnicodeDecodeError, SignatureProblem.MISMATCH),
    ],
    ids=["no number", "two equal signs", "not ASCII", "a body that is not UTF-8"],
)
def test_where_the_sdk_breaks_on_hostile_input_ours_refuses(
    header: str, body: bytes, raised: type[Exception], problem: SignatureProblem
) -> None:
    ts = at_present()
    written = header.format(ts=ts, h1=digest(ts=ts))

    with pytest.raises(raised):
        sdk_accepts(written, body, [SECRET])
    with pytest.raises(SignatureError) as refused:
        verify(body, {HEADER: written}, [SECRET], datetime.now(UTC), TOLERANCE)

    assert refused.value.problem is problem


def test_a_newer_scheme_next_to_ours_breaks_the_sdk_and_is_accepted_here() -> None:
    ts = at_present()
    written = f"ts={ts};h1={digest(ts=ts)};h2=new"

    with pytest.raises(ValueError, match="Unrecognized"):
        sdk_accepts(written, BODY, [SECRET])
    assert ours_accepts(written, BODY, [SECRET])
