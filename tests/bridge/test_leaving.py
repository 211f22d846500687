"""Who was answered and does not hang up is waited for by nobody, and for a short while only."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Iterator

import pytest

from bridge import leaving
from bridge.leaving import MOST, MOST_BYTES, Leaving


@pytest.fixture
def poller() -> Iterator[selectors.BaseSelector]:
    with selectors.DefaultSelector() as poller:
        yield poller


def heard(poller: selectors.BaseSelector) -> None:
    for key, _ in poller.select(0):
        key.data(key.fileobj)


def is_open(sock: socket.socket) -> bool:
    return sock.fileno() >= 0


def test_the_answer_is_read_although_more_was_sent(poller: selectors.BaseSelector) -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(b"much more than was wanted")
    ours.sendall(b"the answer")

    Leaving().see_off(ours, poller)

    assert theirs.recv(100) == b"the answer"
    assert theirs.recv(100) == b""
    assert is_open(ours)
    theirs.close()
    heard(poller)  # what was sent
    heard(poller)  # and that nothing follows


def test_it_is_closed_when_the_other_side_hangs_up(poller: selectors.BaseSelector) -> None:
    ours, theirs = socket.socketpair()
    Leaving().see_off(ours, poller)
    theirs.sendall(b"a last word")
    heard(poller)

    theirs.close()
    heard(poller)

    assert not is_open(ours)
    assert not poller.get_map()


def test_it_is_closed_when_it_stays_too_long(poller: selectors.BaseSelector, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    guests = Leaving()
    guests.see_off(ours, poller)
    guests.close_late(poller)
    was_open = is_open(ours)

    monkeypatch.setattr(leaving.time, "monotonic", lambda: float("inf"))
    guests.close_late(poller)

    assert (was_open, is_open(ours)) == (True, False)
    theirs.close()


def test_it_is_closed_when_it_sends_too_much(poller: selectors.BaseSelector) -> None:
    ours, theirs = socket.socketpair()
    Leaving().see_off(ours, poller)
    sent = 0

    while is_open(ours):
        sent += theirs.send(b"x" * 10_000)
        heard(poller)

    assert MOST_BYTES < sent < 2 * MOST_BYTES
    theirs.close()


def test_the_first_goes_when_there_are_too_many(poller: selectors.BaseSelector) -> None:
    guests, pairs = Leaving(), [socket.socketpair() for _ in range(MOST + 1)]

    for ours, _ in pairs:
        guests.see_off(ours, poller)

    assert [is_open(ours) for ours, _ in pairs] == [False] + [True] * MOST
    for pair in pairs:
        for sock in pair:
            sock.close()


def test_one_that_is_gone_already_is_closed(poller: selectors.BaseSelector) -> None:
    ours, theirs = socket.socketpair()
    ours.shutdown(socket.SHUT_RDWR)
    theirs.close()
    ours.close()

    Leaving().see_off(ours, poller)

    assert not poller.get_map()
