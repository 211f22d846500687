"""A fake Pulsora that can be scripted: chosen responses, delays and network faults."""

from __future__ import annotations

import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import TracebackType
from typing import Any

from bridge.sandbox.fake_pulsora import FakePulsora, Handler, Response, event_of


class Fault(StrEnum):
    """Ways not to respond properly."""

    HANG = "hang"  # read the request and send nothing
    RESET = "reset"  # read the request and reset the connection
    CLOSE = "close"  # read the request and close the connection
    CUT = "cut"  # the head, and half of the promised body
    DRIP = "drip"  # an endless header, a byte at a time
    FLOOD = "flood"  # an endless body, at full speed
    NOISE = "noise"  # bytes that are not HTTP


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(Response):
    """A response after a delay, or a `fault` instead of it."""

    delay_seconds: float = 0.0
    fault: Fault | None = None


Rule = Callable[[Mapping[str, Any]], Reply | None]


def page(status: int = 200) -> Reply:
    """A web page, as a proxy or a wrong address responds with."""
    return Reply(status=status, body=b"<!doctype html><title>Hello</title>", headers={"Content-Type": "text/html"})


class ScriptedHandler(Handler):
    """Delays responses and plays faults."""

    def setup(self) -> None:
        super().setup()
        self.pulsora.count_connection()

    @property
    def pulsora(self) -> ScriptedPulsora:
        pulsora = self.server.pulsora
        assert isinstance(pulsora, ScriptedPulsora)
        return pulsora

    def respond(self, response: Response) -> None:
        if not isinstance(response, Reply):
            return super().respond(response)
        if response.delay_seconds:
            self.pulsora.stopping.wait(response.delay_seconds)
        if response.fault is None:
            return super().respond(response)
        self.close_connection = True
        return FAULTS[response.fault](self)


class ScriptedPulsora(FakePulsora):
    """Responds by a script or a rule where there is one, and otherwise by the contract.

    `script(…)` queues replies for the next requests; a `rule` replies by the revenue event, or None for the contract.
    """

    handler = ScriptedHandler

    def __init__(
        self,
        token: str,
        *,
        rule: Rule | None = None,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
        positive_only: bool = False,
    ) -> None:
        super().__init__(token, port=port, positive_only=positive_only)
        self.rule = rule
        self.stopping = threading.Event()
        self.connections = 0
        self._script: deque[Reply] = deque()
        self._tls = tls is not None
        if tls:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stopping.set()
        super().__exit__(kind, error, at)

    @property
    def endpoint(self) -> str:
        return super().endpoint.replace("http:", "https:") if self._tls else super().endpoint

    def script(self, *replies: Reply) -> None:
        """Queue replies for the next requests, one each."""
        with self._lock:
            self._script.extend(replies)

    def count_connection(self) -> None:
        """Called by each connection's own thread."""
        with self._lock:
            self.connections += 1

    def forget(self) -> None:
        """Drop the recorded requests."""
        with self._lock:
            self._received.clear()

    def choose(self, envelope: Mapping[str, Any], headers: Mapping[str, str]) -> tuple[Response, int | None]:
        reply = self._script.popleft() if self._script else None
        event = event_of(envelope)
        if reply is None and self.rule is not None and event is not None:
            reply = self.rule(event)
        if reply is None:
            return super().choose(envelope, headers)
        return reply, None if reply.fault else reply.status


def _hang(handler: ScriptedHandler) -> None:
    handler.pulsora.stopping.wait()


def _reset(handler: ScriptedHandler) -> None:
    # With a linger time of zero, closing sends a reset instead of an end.
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


def _close(handler: ScriptedHandler) -> None:
    handler.connection.shutdown(socket.SHUT_RDWR)


def _cut(handler: ScriptedHandler) -> None:
    whole = Response()
    handler.write_head(whole, 2 * len(whole.body))
    handler.wfile.write(whole.body)
    handler.wfile.flush()


def _drip(handler: ScriptedHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 202 Accepted\r\nX-Slow: ")
    while not handler.pulsora.stopping.wait(0.02):
        handler.wfile.write(b"x")
        handler.wfile.flush()


def _flood(handler: ScriptedHandler) -> None:
    handler.wfile.write(b"HTTP/1.1 302 Found\r\nLocation: http://[elsewhere\r\n\r\n")
    while not handler.pulsora.stopping.is_set():
        handler.wfile.write(b"x" * 65536)


def _noise(handler: ScriptedHandler) -> None:
    handler.wfile.write(b"220 mail.example ESMTP\r\n")
    handler.wfile.flush()


FAULTS: Mapping[Fault, Callable[[ScriptedHandler], None]] = {
    Fault.HANG: _hang,
    Fault.RESET: _reset,
    Fault.CLOSE: _close,
    Fault.CUT: _cut,
    Fault.DRIP: _drip,
    Fault.FLOOD: _flood,
    Fault.NOISE: _noise,
}
