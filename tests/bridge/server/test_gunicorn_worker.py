"""Buffering of requests as they arrive."""

from __future__ import annotations

import pytest

from bridge.server.chunked_body import MalformedRequest
from bridge.server.gunicorn_worker import MAX_HEAD_BYTES, IncomingRequest

MAX_BODY_BYTES = 5000
HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"


def arrived(*pieces: bytes) -> IncomingRequest:
    request = IncomingRequest(since=0.0, max_body_bytes=MAX_BODY_BYTES)
    for piece in pieces:
        request.add(piece)
    return request


@pytest.mark.parametrize(
    "pieces",
    [
        (HEAD + b"\r\n",),
        (HEAD + b"Content-Length: 2\r\n\r\n{}",),
        (HEAD[:5], HEAD[5:] + b"content-length:2\r", b"\n\r", b"\n{", b"}"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", b"0\r\n\r\n"),
        (HEAD + b"Content-Length: 2\r\n\r\n{}GET / HTTP/1.1\r\n",),
    ],
    ids=["no body", "at once", "in pieces", "in chunks", "pipelined"],
)
def test_a_request_is_complete_when_all_of_it_has_arrived(pieces: tuple[bytes, ...]) -> None:
    assert arrived(*pieces).is_complete() is True
    assert arrived(*pieces[:-1]).is_complete() is False


def test_a_chunked_body_is_passed_on_with_its_length() -> None:
    head = HEAD + b"Transfer-Encoding: chunked\r\nX-After: 1\r\n\r\n"

    request = arrived(head + b"2;a=b\r\n{}\r\n0\r\nTrailer: x\r\n\r\nGET / HTTP/1.1\r\n")

    assert request.with_length() == HEAD + b"Content-Length: 2\r\nX-After: 1\r\n\r\n{}GET / HTTP/1.1\r\n"


@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n",
        HEAD + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
        HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n",
        HEAD + b"Transfer-Encoding:\r\n chunked\r\n\r\n",
        HEAD.replace(b"1.1", b"1.0") + b"Transfer-Encoding: chunked\r\n\r\n",
    ],
    ids=["and a length", "twice", "and something else", "folded", "an older HTTP"],
)
def test_an_ambiguous_length_is_refused(head: bytes) -> None:
    with pytest.raises(MalformedRequest):
        arrived(head)


@pytest.mark.parametrize("size", [MAX_BODY_BYTES, MAX_BODY_BYTES + 1])
def test_one_limit_holds_for_a_body_with_a_length_and_for_one_in_chunks(size: int) -> None:
    body = b"x" * size
    chunks = b"".join(b"64\r\n%s\r\n" % body[at : at + 100] for at in range(0, size - size % 100, 100))
    rest = b"%x\r\n%s\r\n" % (size % 100, body[: size % 100]) if size % 100 else b""

    with_length = arrived(HEAD + b"Content-Length: %d\r\n\r\n" % size, body)
    chunked = arrived(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", chunks, rest, b"0\r\n\r\n")

    assert with_length.is_complete()
    assert chunked.is_complete()
    assert with_length.is_body_too_large() is chunked.is_body_too_large() is (size > MAX_BODY_BYTES)


@pytest.mark.parametrize(
    "head",
    [
        HEAD + b"Content-Length: %d\r\n\r\n" % (MAX_BODY_BYTES + 1),
        HEAD + b"Transfer-Encoding: chunked\r\n\r\nFFFFFF\r\n",
    ],
    ids=["with a length", "in chunks"],
)
def test_a_body_that_announces_to_be_too_large_is_not_received(head: bytes) -> None:
    assert arrived(head).is_body_too_large() is True


def test_a_head_without_end_is_too_large() -> None:
    assert arrived(HEAD + b"X: " + b"x" * MAX_HEAD_BYTES).is_head_too_large() is True
    assert arrived(HEAD).is_head_too_large() is False


def test_a_client_that_expects_continue_gets_it_once() -> None:
    request = arrived(HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    before = request.expects_continue()

    request.remove_expect()

    assert (before, request.expects_continue()) == (True, False)
    assert bytes(request.data) == HEAD + b"Content-Length: 2\r\n\r\n"
    request.add(b"{}")
    assert request.is_complete() is True
