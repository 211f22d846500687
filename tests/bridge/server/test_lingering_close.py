"""A client that does not hang up after its response delays nobody, and is disconnected soon."""

from __future__ import annotations

import selectors
import socket
from collections.abc import Iterator

import pytest

from bridge.server import lingering_close
from bridge.server.lingering_close import MAX_CONNECTIONS, MAX_DISCARDED_BYTES, LingeringCloser


@pytest.fixture
def poller() -> Iterator[selectors.BaseSelector]:
    with selectors.DefaultSelector() as poller:
        yield poller


def handle_input(poller: selectors.BaseSelector) -> None:
    for key, _ in poller.select(0):
        key.data(key.fileobj)


def is_open(sock: socket.socket) -> bool:
    return sock.fileno() >= 0


def test_the_response_is_read_although_more_was_sent(poller: selectors.BaseSelector) -> None:
    ours, theirs = socket.socketpair()
    theirs.sendall(b"much more than expected")
    ours.sendall(b"the response")

    LingeringCloser().close(ours, poller)

    assert theirs.recv(100) == b"the response"
    assert theirs.recv(100) == b""
    assert is_open(ours)
    theirs.close()
    handle_input(poller)  # the data
    handle_input(poller)  # end of file


def test_it_is_closed_when_the_other_side_hangs_up(poller: selectors.BaseSelector) -> None:
    ours, theirs = socket.socketpair()
    LingeringCloser().close(ours, poller)
    theirs.sendall(b"more")
    handle_input(poller)

    theirs.close()
    handle_input(poller)

    assert not is_open(ours)
    assert not poller.get_map()


def test_it_is_closed_when_it_stays_too_long(poller: selectors.BaseSelector, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, theirs = socket.socketpair()
    closer = LingeringCloser()
    closer.close(ours, poller)
    closer.close_expired(poller)
    was_open = is_open(ours)

    monkeypatch.setattr(lingering_close.time, "monotonic", lambda: float("inf"))
    closer.close_expired(poller)

    assert (was_open, is_open(ours)) == (True, False)
    theirs.close()


def test_it_is_closed_when_it_sends_too_much(poller: selectors.BaseSelector) -> None:
    ours, theirs = socket.socketpair()
    LingeringCloser().close(ours, poller)
    sent = 0

    while is_open(ours):
        sent += theirs.send(b"x" * 10_000)
        handle_input(poller)

    assert MAX_DISCARDED_BYTES < sent < 2 * MAX_DISCARDED_BYTES
    theirs.close()


def test_the_first_goes_when_there_are_too_many(poller: selectors.BaseSelector) -> None:
    closer, pairs = LingeringCloser(), [socket.socketpair() for _ in range(MAX_CONNECTIONS + 1)]

    for ours, _ in pairs:
        closer.close(ours, poller)

    assert [is_open(ours) for ours, _ in pairs] == [False] + [True] * MAX_CONNECTIONS
    for pair in pairs:
        for sock in pair:
            sock.close()


def test_one_that_is_gone_already_is_closed(poller: selectors.BaseSelector) -> None:
    ours, theirs = socket.socketpair()
    ours.shutdown(socket.SHUT_RDWR)
    theirs.close()
    ours.close()

    LingeringCloser().close(ours, poller)

    assert not poller.get_map()
