"""What the doorway makes of the beginnings of requests."""

from __future__ import annotations

import pytest

from bridge.chunks import Malformed
from bridge.doorway import LARGEST_BODY, LARGEST_HEAD, Arriving

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"


def arrived(*pieces: bytes) -> Arriving:
    arriving = Arriving(since=0.0)
    for piece in pieces:
        arriving.add(piece)
    return arriving


@pytest.mark.parametrize(
    "pieces",
    [
        (HEAD + b"\r\n",),
        (HEAD + b"Content-Length: 2\r\n\r\n{}",),
        (HEAD[:5], HEAD[5:] + b"content-length:2\r", b"\n\r", b"\n{", b"}"),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", b"0\r\n\r\n"),
        (HEAD + b"Content-Length: %d\r\n\r\n" % (LARGEST_BODY + 1),),
        (HEAD + b"Content-Length: 2\r\n\r\n{}GET / HTTP/1.1\r\n",),
    ],
    ids=["no body", "at once", "in pieces", "in chunks", "promises too much", "the next behind it"],
)
def test_a_request_is_passed_on_when_all_of_it_is_here_or_it_will_be_refused(pieces: tuple[bytes, ...]) -> None:
    assert arrived(*pieces).is_complete() is True
    assert arrived(*pieces[:-1]).is_complete() is False


def test_a_body_in_chunks_is_passed_on_as_one_of_a_known_length() -> None:
    head = HEAD + b"Transfer-Encoding: chunked\r\nX-After: 1\r\n\r\n"

    arriving = arrived(head + b"2;a=b\r\n{}\r\n0\r\nTrailer: x\r\n\r\nGET / HTTP/1.1\r\n")

    assert arriving.whole() == HEAD + b"Content-Length: 2\r\nX-After: 1\r\n\r\n{}GET / HTTP/1.1\r\n"


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
def test_a_head_that_leaves_the_length_in_doubt_is_refused(head: bytes) -> None:
    with pytest.raises(Malformed):
        arrived(head)


def test_more_chunks_than_there_is_room_for_are_too_large() -> None:
    arriving = arrived(HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"FFFFFF\r\n" + b"x" * LARGEST_BODY)

    assert (arriving.is_complete(), arriving.is_too_large()) == (False, True)


def test_a_head_without_end_is_hopeless() -> None:
    assert arrived(HEAD + b"X: " + b"x" * LARGEST_HEAD).is_hopeless() is True
    assert arrived(HEAD).is_hopeless() is False


def test_a_sender_who_asks_for_word_gets_it_once() -> None:
    arriving = arrived(HEAD + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
    asked = arriving.asks_for_word()

    arriving.drop_question()

    assert (asked, arriving.asks_for_word()) == (True, False)
    assert bytes(arriving.data) == HEAD + b"Content-Length: 2\r\n\r\n"
    arriving.add(b"{}")
    assert arriving.is_complete() is True
