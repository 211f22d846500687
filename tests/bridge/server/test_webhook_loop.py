"""Webhooks in the event loop: what is taken, when the response is sent, and what is left to the route."""

from __future__ import annotations

import json
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from gunicorn.config import Config
from gunicorn.http import get_parser

from bridge.errors import StoreUnavailable
from bridge.server import webhook_loop
from bridge.server.gunicorn_worker import IncomingRequest
from bridge.server.webhook_loop import WebhookLoop
from bridge.store import Store
from bridge.web import create_app
from bridge.web.context import KEY, Context
from tests.faults.clients import charge, signed
from tests.settings import some_settings


class Worker:
    """gunicorn's worker: its calls, in order. What is deferred runs at once."""

    def __init__(self) -> None:
        self.method_queue, self.finished, self.count, self.alive = self, [], 0, True  # type: ignore[var-annotated]

    def defer(self, function: Callable[[], None]) -> None:
        function()

    def finish_request(self, conn: Any, done: Any) -> None:
        self.finished.append((conn, done.result()))

    def count_request(self) -> None:
        self.count += 1

    def can_keep_alive(self) -> bool:
        return self.alive


class Connection:
    """The server's side of a connection whose client is `peer`."""

    def __init__(self) -> None:
        self.sock, self.peer = socket.socketpair()
        self.parser = get_parser(Config(), self.sock, ("127.0.0.1", 1))

    def response(self) -> str:
        """What the client has received so far."""
        self.peer.setblocking(False)
        try:
            return self.peer.recv(65536).decode()
        except BlockingIOError:
            return ""


@pytest.fixture
def here(sqlite_template: Path, tmp_path: Path) -> Iterator[Context]:
    shutil.copy(sqlite_template, tmp_path / "bridge.db")
    found: Context = create_app(some_settings(f"sqlite:///{tmp_path / 'bridge.db'}")).extensions[KEY]
    yield found
    found.store.close()


@pytest.fixture
def conn() -> Iterator[Connection]:
    found = Connection()
    yield found
    found.sock.close()
    found.peer.close()


def arrived(event: dict[str, Any], *, path: str = "/webhooks/stripe", version: str = "1.1", fields: str = "") -> bytes:
    webhook = signed(event)
    stated = "".join(f"{name}: {value}\r\n" for name, value in webhook.headers.items()) + fields
    head = f"POST {path} HTTP/{version}\r\nHost: b\r\n{stated}Content-Length: {len(webhook.body)}\r\n\r\n"
    return head.encode() + webhook.body


def incoming(data: bytes) -> IncomingRequest:
    request = IncomingRequest(since=0.0)
    request.add(data)
    return request


def wait_until_stored(store: Store) -> None:
    store._current().committer.close(10)


def test_the_response_is_sent_once_the_webhook_is_on_disk(here: Context, conn: Connection) -> None:
    worker = Worker()
    loop = WebhookLoop(worker, here)

    with here.store.transaction():  # nothing else is stored meanwhile
        assert loop.submit(conn, incoming(arrived(charge(1, "loop"))))
        loop.flush()
        before = (conn.response(), list(worker.finished), loop.poll_seconds())
    wait_until_stored(here.store)

    assert before == ("", [], 0.25)
    assert conn.response().endswith('\r\n\r\n{"duplicate":false,"received":"evt_loop_1"}\n')
    assert (worker.finished, worker.count, loop.poll_seconds()) == ([(conn, True)], 1, None)


def test_a_stopping_process_closes_the_connection_after_the_response(here: Context, conn: Connection) -> None:
    worker = Worker()
    loop = WebhookLoop(worker, here)

    with here.store.transaction():
        loop.submit(conn, incoming(arrived(charge(1, "stop"))))
        worker.alive = False
        loop.flush()
    wait_until_stored(here.store)

    assert "\r\nConnection: close\r\n" in conn.response()
    assert worker.finished == [(conn, False)]


def test_a_client_that_has_gone_leaves_a_stored_webhook(here: Context, conn: Connection) -> None:
    worker = Worker()
    loop = WebhookLoop(worker, here)

    with here.store.transaction():
        loop.submit(conn, incoming(arrived(charge(1, "gone"))))
        conn.peer.close()
        loop.flush()
    wait_until_stored(here.store)

    assert worker.finished == [(conn, False)]


@pytest.mark.parametrize("by", ["an error", "its silence"])
def test_what_is_not_stored_gets_the_503_of_the_route(
    here: Context, conn: Connection, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Broken:
        def accept(self, webhook: object) -> bool:
            raise StoreUnavailable("the disk is full")

    event, worker = charge(1, "full"), Worker()
    webhook = signed(event)
    app = create_app(here.settings, Broken())  # type: ignore[arg-type]  # only accept is called
    route = app.test_client().post("/webhooks/stripe", data=webhook.body, headers=dict(webhook.headers))
    loop = WebhookLoop(worker, here)

    with here.store.transaction():
        loop.submit(conn, incoming(arrived(event)))
        (_, _, submitted) = loop._waiting[conn]
        if by == "an error":
            submitted.request.report(error=StoreUnavailable("the disk is full"))
            loop.wake()
        else:
            loop.expire()  # too early
            assert conn.response() == ""
            monkeypatch.setattr(webhook_loop, "ACCEPT_SECONDS", 0)
            loop.expire()

    head, _, body = conn.response().partition("\r\n\r\n")
    assert (head.split("\r\n")[0], body) == (f"HTTP/1.1 {route.status.title()}", route.get_data(as_text=True))
    assert f"\r\nRetry-After: {route.headers['Retry-After']}" in head
    assert submitted.request.abandoned


@pytest.mark.parametrize(
    "data",
    [
        arrived(charge(1, "left"), path="/webhooks/unknown"),
        arrived(charge(1, "left"), path="/webhooks/stripe/more"),
        arrived(charge(1, "left"), version="1.0"),
        arrived(charge(1, "left"), fields="Bad Header : x\r\n"),
        arrived(charge(1, "left")).replace(b"v1=", b"v1=0"),
        arrived(charge(1, "left"))[:-1] + b" ",
    ],
    ids=["unknown source", "longer path", "HTTP/1.0", "malformed head", "wrong signature", "changed body"],
)
def test_what_the_route_has_to_decide_is_left_untouched(here: Context, conn: Connection, data: bytes) -> None:
    loop, request = WebhookLoop(Worker(), here), incoming(data)

    assert loop.takes(request)
    assert not loop.submit(conn, request)

    assert (loop.poll_seconds(), conn.response()) == (None, "")
    assert conn.parser.unreader.take_buffered() == b""
    assert request.with_length() == data


def test_large_bodies_and_requests_with_others_behind_them_are_not_taken(here: Context) -> None:
    loop, plain = WebhookLoop(Worker(), here), arrived(charge(1, "plain"))
    large = arrived(charge(1, "large", min_bytes=70_000))

    taken = [loop.takes(incoming(data)) for data in (plain, plain + plain, large, plain.replace(b"POST", b"PUT", 1))]

    assert taken == [True, False, False, False]


def test_a_rejected_connection_can_be_parsed_again_by_gunicorn(here: Context, conn: Connection) -> None:
    loop, data = WebhookLoop(Worker(), here), arrived(charge(1, "again"), path="/webhooks/unknown")

    loop.submit(conn, incoming(data))
    conn.parser.unreader.unread(data)
    parsed: Any = next(conn.parser)

    assert (parsed.path, json.loads(parsed.body.read())["id"]) == ("/webhooks/unknown", "evt_again_1")


def test_webhooks_of_one_round_share_a_commit(here: Context, conn: Connection) -> None:
    worker, others = Worker(), [Connection() for _ in range(5)]
    loop = WebhookLoop(worker, here)

    with here.store.transaction():
        for number, one in enumerate(others):
            loop.submit(one, incoming(arrived(charge(number, "round"))))
        batch = here.store._current().committer._take_batch()

    assert [request.row["event_id"] for request in batch] == [f"evt_round_{number}" for number in range(5)]
    for one in others:
        one.sock.close()
        one.peer.close()
