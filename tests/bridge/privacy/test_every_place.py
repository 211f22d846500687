"""10,000 planted values of one customer, and every id, are searched in every place where the bridge could have them."""

from __future__ import annotations

import html
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import pytest
from flask.testing import FlaskClient
from structlog.testing import capture_logs

from bridge.privacy.erasing import erase, plan
from bridge.sandbox.fake_pulsora import FakePulsora
from bridge.scope import StreamId
from bridge.sender.destinations import Destination
from bridge.sender.dispatcher import Dispatcher
from bridge.settings import Settings
from bridge.store import Store, erasures, exports, outbox, schema, totals
from bridge.store.exports import ExportFilter
from bridge.web import create_app
from bridge.worker.translation import translate
from processors import processors
from processors.paddle_classic.simulation.demo_key import DEMO_KEY
from tests.processors.paddle_classic.test_signature import PUBLIC
from tests.settings import ADMIN_TOKEN, PADDLE_SECRET, STRIPE_SECRET, TOKEN, some_settings
from tests.working import settle_all

PLANTED = 10_000
BORN = datetime(2026, 1, 5, 12, tzinfo=UTC)
DAY = timedelta(days=1)
COMPRESSED, CHUNK = schema.compress(b"")[:2], 64  # how each compressed value begins; bytes at a time
EVE = "plantedeve"  # in every id of the customer whose form allows it
SECRETS = {"stripe": STRIPE_SECRET, "paddle": PADDLE_SECRET, "paddle-classic": DEMO_KEY}
BEARER = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
STARTS = (
    "/admin/", "/admin/webhooks", "/admin/deliveries", "/admin/customers", "/admin/mrr", "/admin/revenue",
    "/admin/attribution", "/admin/sources", "/admin/audit", "/admin/webhooks.csv", "/admin/deliveries.csv",
    "/admin/api/overview", "/admin/api/mrr", "/admin/api/revenue", "/metrics", "/healthz", "/readyz",
)  # fmt: skip


@dataclass(kw_only=True)
class Bridge:
    """A bridge with one processor."""

    name: str
    settings: Settings
    store: Store
    client: FlaskClient
    folder: Path

    def receive(self, bodies: Sequence[bytes]) -> None:
        """Webhooks arrive over HTTP."""
        for body in bodies:
            signed = processors()[self.name].sign(body, SECRETS[self.name], datetime.now(UTC))
            response = self.client.post(f"/webhooks/{self.name}", data=signed.body, headers=dict(signed.headers))
            assert response.status_code == 200, response.get_data()

    def work(self, at: datetime) -> int:
        """Routes, settles and sends everything. Returns how many revenue events arrived at Pulsora."""
        settle_all(self.store, self.settings, at)
        with FakePulsora(TOKEN) as pulsora:
            routes = {self.name: Destination(endpoint=pulsora.endpoint, token=TOKEN)}
            drain = Dispatcher(self.store, routes, owner="worker", threads=1)
            idle = 0
            while idle < 2:  # a delivery that ends during a round frees its customer's next one for the round after
                report = drain.run_round(at)
                idle = 0 if report.claimed or report.in_flight else idle + 1
            drain.close()
            return len(pulsora.received)

    def sums(self) -> list[str]:
        with self.store.reading() as tx:
            return sorted(map(str, totals.sums(tx)))

    def pages(self) -> Iterator[tuple[str, bytes]]:
        """Every page and JSON response that can be reached from the first ones, without filters."""
        seen, left = set(STARTS), list(STARTS)
        while left:
            path = left.pop()
            response = self.client.get(path, headers=BEARER)
            assert response.status_code in (200, 302, 404), (path, response.status_code)
            yield path, response.get_data() + path.encode()
            links = re.findall(r'href="(/admin/(?!static)[^"#?]*)', response.get_data(as_text=True))
            new = [one for one in map(html.unescape, links) if one not in seen and "log" not in one.rpartition("/")[2]]
            seen |= set(new)
            left += dict.fromkeys(new)

    def files(self) -> Mapping[str, bytes]:
        """The database with its write-ahead log, as it is and what is compressed in it, and the exports."""
        found = {one.name: one.read_bytes() for one in self.folder.iterdir() if one.name.startswith("bridge.db")}
        found |= {f"{name}, inflated": inflated(data) for name, data in found.items()}
        for read in (exports.movements, exports.revenue, exports.customers):
            found[read.__name__] = "\n".join(map(str, read(self.store, ExportFilter()))).encode()
        return found


@pytest.fixture(params=["stripe", "paddle", "paddle-classic"])
def bridge(request: pytest.FixtureRequest, sqlite_url: str, sqlite_store: Store, tmp_path: Path) -> Bridge:
    settings = some_settings(sqlite_url, PADDLE_CLASSIC_PUBLIC_KEY=PUBLIC)
    client = create_app(settings, sqlite_store).test_client()
    return Bridge(name=request.param, settings=settings, store=sqlite_store, client=client, folder=tmp_path)


def planted(name: str, bodies: Sequence[bytes]) -> list[bytes]:
    """The webhooks, with 10,000 names and addresses of the customer spread over them."""
    values = [f"{EVE}-{number:05}@example.org" for number in range(PLANTED)]
    found = []
    for number, body in enumerate(bodies):
        own = values[number :: len(bodies)]
        if name == "paddle-classic":
            fields = dict(parse_qsl(body.decode(), keep_blank_values=True))
            found.append(urlencode({**fields, "customer_name": " ".join(own), "email": own[0]}).encode())
            continue
        event = json.loads(body)
        thing = event["data"]["object"] if name == "stripe" else event["data"]
        thing["address"] = {"lines": own, "email": own[0]}
        found.append(json.dumps(event).encode())
    return found


def test_nothing_of_an_erased_customer_is_found_in_any_place(bridge: Bridge) -> None:
    scenarios = processors()[bridge.name].scenarios
    eve, now = planted(bridge.name, scenarios["refund"].events(EVE, BORN)), datetime.now(UTC)
    with capture_logs() as logged_before:
        bridge.receive([*scenarios["one-off"].events("ada", BORN), *eve])
        assert bridge.work(now + DAY) > 2
    stream_id, ids = customer(bridge.store)
    before, searched = bridge.sums(), [EVE.encode(), *(one.encode() for one in ids)]
    assert EVE in bridge.client.get("/admin/customers", headers=BEARER).get_data(as_text=True)
    exported = {"movements", "revenue", "customers"}
    assert found_in(bridge.files(), searched).keys() >= {"bridge.db-wal", "bridge.db-wal, inflated", *exported}

    erase_customer(bridge, StreamId.parse(stream_id).key, now)

    assert found_in(bridge.files(), searched) == {}
    assert bridge.sums() == before

    with capture_logs() as logged:
        bridge.receive(eve)
        assert bridge.work(now + 2 * DAY) == 0
    pages = dict(bridge.pages())
    assert found_in(bridge.files(), searched) == {}
    assert found_in(pages, searched) == {}
    assert len(pages) >= len(STARTS) + 5  # of each webhook, delivery and customer
    assert bridge.sums() == before
    of_worker = [one for one in logged if one["event"] != "received"]  # the web process names the webhook's own id
    assert found_in({"log": str(of_worker).encode()}, searched) == {}
    personal = [b"@example.org", b"fp_plantedeve", b"sess_plantedeve"]
    assert found_in({"log": str([*logged_before, *logged]).encode()}, personal) == {}


def inflated(data: bytes) -> bytes:
    """Whatever is compressed somewhere in a file, also in its free pages; of what is interrupted, the beginning."""
    return b"".join(text for start in re.finditer(re.escape(COMPRESSED), data) for text in _texts(data, start.start()))


def _texts(data: bytes, start: int) -> Iterator[bytes]:
    inflating = zlib.decompressobj()
    try:
        for place in range(start, len(data), CHUNK):
            yield inflating.decompress(data[place : place + CHUNK])
            if inflating.eof:
                return
    except zlib.error:
        return


def customer(store: Store) -> tuple[str, list[str]]:
    """The stream of the customer, and every id by which the ledger knows the person."""
    with store.reading() as tx:
        stream_id = next(one.stream_id for one in outbox.listing(tx) if EVE in one.body)
        return stream_id, sorted(one for one in erasures.ids_of(tx, stream_id) if len(one) > 5)


def erase_customer(bridge: Bridge, customer_id: str, now: datetime) -> None:
    wanted = plan(bridge.store, customer_id, None, now)
    assert wanted is not None
    erase(bridge.store, wanted, lambda row: translate(row, bridge.settings), now)


def found_in(places: Mapping[str, bytes], searched: Sequence[bytes]) -> dict[str, bytes]:
    """The places that have one of the texts, with the first of them."""
    return {name: one for name, data in places.items() for one in searched[::-1] if one in data}
