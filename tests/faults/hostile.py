"""Hostile requests, byte for byte, with the expected status of each."""

from __future__ import annotations

import gzip
import hashlib
import hmac
import http.client
import socket
import time
from collections.abc import Mapping
from contextlib import suppress

from tests.faults.clients import PATH
from tests.settings import ADMIN_TOKEN, STRIPE_SECRET

MEBIBYTE = 1024 * 1024
LINE = f"POST {PATH} HTTP/1.1\r\nHost: bridge\r\n".encode()
EVENT = b'"id":"evt_hostile","object":"event","type":"x.y","created":1767225600,"livemode":true'


def with_length(body: bytes, length: int | None = None, more: str = "") -> bytes:
    """A webhook request with the true or a given Content-Length."""
    return LINE + more.encode() + b"Content-Length: %d\r\n\r\n" % (len(body) if length is None else length) + body


class SignedBody(bytes):
    """A body sent with a valid signature, which is made at the time of sending because it expires."""

    def request(self) -> bytes:
        """The whole request."""
        at = int(time.time())
        mark = hmac.new(STRIPE_SECRET.encode(), b"%d." % at + self, hashlib.sha256).hexdigest()
        return with_length(self, more=f"Stripe-Signature: t={at},v1={mark}\r\n")


def chunked(*chunks: bytes) -> bytes:
    """A chunked request without its last chunk."""
    return LINE + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(b"%x\r\n%s\r\n" % (len(one), one) for one in chunks)


HOSTILE: Mapping[str, tuple[bytes, int]] = {
    "no signature": (with_length(b"{}"), 400),
    "no body": (LINE + b"\r\n", 400),
    "too large": (with_length(b"x" * (2 * MEBIBYTE + 1)), 413),
    "declares that it is too large": (with_length(b"x", 50 * MEBIBYTE), 413),
    "declares an absurd length": (with_length(b"x", 10**17), 413),
    "chunks without end": (chunked(*[b"x" * 65536] * 40), 413),
    "a large body in tiny chunks": (LINE + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 300_000, 400),
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
    "an empty path": (b"GET /metrics HTTP/1.1\r\nHost: a\r\nSCRIPT_NAME: /x\r\n\r\n", 200),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "deep": (SignedBody(b"[" * 100_000), 400),
    "deep within": (SignedBody(b'{%s,"data":%s1%s}' % (EVENT, b"[" * 50_000, b"]" * 50_000)), 400),
    "NaN": (SignedBody(b'{"id":NaN,"object":"event","type":"x.y","created":1767225600}'), 400),
    "long number": (SignedBody(b'{"id":"evt_1","object":"event","type":"x.y","created":%s}' % (b"9" * 10_000)), 400),
    "no UTF-8": (SignedBody(b'{"id":"evt_\xff\xfe"}'), 400),
    "no object": (SignedBody(b"[]"), 400),
    "nothing": (SignedBody(b""), 400),
}


def response_to(port: int, request: bytes) -> tuple[int, float]:
    """The status of the response to a raw request, and the seconds it took. 0: closed without a response."""
    request = request.request() if isinstance(request, SignedBody) else request
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        started = time.monotonic()
        with suppress(OSError):  # an early refusal resets what is still being sent
            connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        try:
            response.begin()
        except (OSError, http.client.HTTPException):
            return 0, time.monotonic() - started
        return response.status, time.monotonic() - started
