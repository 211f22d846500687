"""Chunked bodies are read in pieces of any size, and malformed ones are refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.server.chunked_body import MAX_CHUNKS, MAX_FRAMING_BYTES, ChunkedBody, MalformedRequest

HEAD = b"the head"


def read(*pieces: bytes) -> tuple[ChunkedBody, bytearray]:
    chunks, data = ChunkedBody(), bytearray(HEAD)
    for piece in pieces:
        data += piece
        chunks.parse(data, len(HEAD))
    return chunks, data


def in_chunks(parts: list[bytes]) -> bytes:
    return b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"


@given(parts=st.lists(st.binary(min_size=1, max_size=40), max_size=12), size=st.integers(1, 30), after=st.binary())
def test_the_content_is_read_from_pieces_of_any_size(parts: list[bytes], size: int, after: bytes) -> None:
    sent = in_chunks(parts)
    *early, last = [sent[at : at + size] for at in range(0, len(sent), size)]

    chunks, data = read(*early, last + after)

    assert chunks.content(data, len(HEAD)) == b"".join(parts)
    assert chunks.end == len(sent)


@given(parts=st.lists(st.binary(min_size=1, max_size=40), max_size=12), cut=st.integers(1, 200))
def test_without_its_end_it_is_not_complete(parts: list[bytes], cut: int) -> None:
    sent = in_chunks(parts)

    chunks, _ = read(sent[: max(0, len(sent) - cut)])

    assert chunks.end is None


@given(st.binary(max_size=60))
def test_any_input_is_either_read_or_malformed(data: bytes) -> None:
    try:
        read(data)
    except MalformedRequest:
        return


@pytest.mark.parametrize(
    "sent",
    [
        b"xyz\r\n",
        b"-5\r\nabcde\r\n",
        b"+5\r\nabcde\r\n",
        b" 5\r\nabcde\r\n",
        b"0x5\r\nabcde\r\n",
        b"5\nabcde\r\n",
        b"\r\n",
        b"5\r\nabcdef\r\n",
        b"123456789\r\n",
        b"5" * 2000,
        b"5;" + b"x" * 2000,
        b"0\r\n" + b"x" * 9000,
        b"1\r\nx\r\n" * (MAX_CHUNKS + 1),
        (b"1;" + b"x" * 1000 + b"\r\nx\r\n") * (MAX_FRAMING_BYTES // 1000),
    ],
    ids=lambda sent: repr(sent[:12]),
)
def test_malformed_chunks_are_refused(sent: bytes) -> None:
    with pytest.raises(MalformedRequest):
        read(sent)
