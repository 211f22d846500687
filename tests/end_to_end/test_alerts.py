"""Each cause of an alert is provoked in a running bridge, and its message arrives; so does the all-clear.

Where a cause needs hours, the test moves the stored times back instead of waiting.
"""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
import yaml
from pytest_httpserver import HTTPServer
from sqlalchemy import insert, select, update
from werkzeug import Request, Response

from bridge.alerts.causes import EXPLAINED, Cause
from bridge.alerts.monitor import LEASE_NAME
from bridge.store import Store, audits, inbox, leases, open_store, rejected_visits, schema
from bridge.store.arrivals import Arrivals, add
from bridge.store.audits import AuditResult
from bridge.store.refusals import hour_of
from bridge.store.rejected_visits import RejectedVisits
from processors import processors
from tests.end_to_end.service import PATIENCE_SECONDS, Service, running
from tests.fake_processors import STRIPE_KEY, FakeStripe
from tests.fake_pulsora import Reply, ScriptedPulsora
from tests.settings import STRIPE_SECRET, TOKEN

QUICK = str(Path(__file__).with_name("quick_looks.py"))
WEB = ("-c", f"import runpy; runpy.run_path({QUICK!r}); from gunicorn.app.wsgiapp import run; run()")
CONFIG = Path(__file__).resolve().parents[2] / "config"
GUNICORN = (*WEB, "-c", str(CONFIG / "gunicorn.conf.py"), "bridge:create_app()")
RULES = CONFIG / "prometheus-alerts.yaml"
WORKER = (QUICK, "worker")
PUBLIC = "https://hooks.example.com"
ROUTE = f"{PUBLIC}/webhooks/stripe"
SECRET_PATH = "path-with-a-secret-0123456789"
ENOUGH, NEARLY_FULL = 2**40, 2**20
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
EVENTS = processors()["stripe"].event_types


@dataclass
class Mailbox:
    """Receives apprise's json:// messages."""

    messages: list[dict[str, str]] = field(default_factory=list)

    def respond(self, request: Request) -> Response:
        assert request.path == f"/{SECRET_PATH}"
        self.messages.append(request.get_json())
        return Response(status=200)

    def titles(self) -> list[str]:
        return [one["title"].removeprefix("Pulsora bridge: ") for one in self.messages]

    def wait_for(self, *titles: str) -> None:
        until = time.monotonic() + PATIENCE_SECONDS
        while not set(titles) <= set(self.titles()) and time.monotonic() < until:
            time.sleep(0.05)
        missing = set(titles) - set(self.titles())
        assert not missing, f"missing {missing}, received {self.titles()}"


@dataclass(kw_only=True)
class Scene:
    """A running bridge with everything around it."""

    service: Service
    store: Store
    stripe: FakeStripe
    pulsora: ScriptedPulsora
    mailbox: Mailbox
    free: Path


@pytest.fixture
def scene(sqlite_url: str, tmp_path: Path) -> Iterator[Scene]:
    stripe, mailbox, free = FakeStripe(), Mailbox(), tmp_path / "free"
    free.write_text(str(ENOUGH))
    stripe.add(ROUTE, list(EVENTS))
    with ExitStack() as stack:
        api, receiver = stack.enter_context(HTTPServer()), stack.enter_context(HTTPServer())
        receiver.expect_request(f"/{SECRET_PATH}", method="POST").respond_with_handler(mailbox.respond)
        pulsora = stack.enter_context(ScriptedPulsora(TOKEN))
        service = stack.enter_context(
            running(
                [GUNICORN, WORKER],
                tmp_path,
                sqlite_url,
                pulsora.endpoint,
                STRIPE_API_KEY=STRIPE_KEY,
                STRIPE_API_BASE=stripe.serve(api),
                PUBLIC_URL=PUBLIC,
                ALERT_URLS=f"json://{receiver.host}:{receiver.port}/{SECRET_PATH}",
                FREE_BYTES_FILE=str(free),
                SILENCE_HOURS="24",
                WEB_WORKERS="1",
                SETTLE_SECONDS="0",
            )
        )
        store = open_store(sqlite_url)
        yield Scene(service=service, store=store, stripe=stripe, pulsora=pulsora, mailbox=mailbox, free=free)
        store.close()


def post(scene: Scene, body: bytes, secret: str = STRIPE_SECRET) -> int:
    signed = processors()["stripe"].sign(body, secret, datetime.now(UTC))
    url = f"{scene.service.url}/webhooks/stripe"
    return requests.post(url, data=signed.body, headers=dict(signed.headers), timeout=10).status_code


def pay(scene: Scene, tag: str, at: datetime | None = None) -> None:
    for body in processors()["stripe"].scenarios["one-off"].events(tag, at or datetime.now(UTC)):
        assert post(scene, body) == 200


# ---- One cause after another ------------------------------------------------------------------------------------


def refuse(scene: Scene) -> None:
    bodies = processors()["stripe"].scenarios["one-off"].events("forged", datetime.now(UTC))
    assert [post(scene, bodies[0], "whsec_another_secret_of_the_tests") for _ in range(4)] == [400] * 4


def fall_silent(scene: Scene) -> None:
    at = datetime.now(UTC) - 3 * DAY
    with scene.store.transaction() as tx:
        add(tx, [Arrivals(source="stripe", hour=hour_of(at), count=1, last_at=at)], datetime.now(UTC))


def disable_endpoint(scene: Scene) -> None:
    scene.stripe.endpoints[0]["status"] = "disabled"
    age_runs(scene, 7 * HOUR)


def age_runs(scene: Scene, by: timedelta) -> None:
    runs = schema.reconciliations
    with scene.store.transaction() as tx:
        for row_id, at in tx.execute(select(runs.c.id, runs.c.at)).all():
            tx.execute(update(runs).where(runs.c.id == row_id).values(at=at - by))


def lose_list(scene: Scene) -> None:
    """The list of events could not be read since two days."""
    scene.stripe.permissions -= {"rak_event_read"}
    age_runs(scene, 2 * DAY)


def reject(scene: Scene) -> None:
    scene.pulsora.script(Reply(status=400, body=b'{"error": "Invalid"}'))
    pay(scene, "rejected")


def refuse_token(scene: Scene) -> None:
    scene.pulsora.script(*[Reply(status=401, body=b'{"error": "Unauthorized"}')] * 9)
    pay(scene, "paused")


def delay(scene: Scene) -> None:
    """A customer is due for an hour, because another worker holds the stream."""
    now = datetime.now(UTC)
    row = {
        "stream_id": "stripe||live|cus_late", "scope": "stripe||live", "has_customer": True, "version": 1,
        "first_at": now - HOUR, "last_at": now - HOUR, "due_at": now - HOUR,
        "leased_by": "another", "leased_until": now + DAY,
    }  # fmt: skip
    with scene.store.transaction() as tx:
        tx.execute(insert(schema.streams), row)


def fail_webhooks(scene: Scene) -> None:
    with scene.store.transaction() as tx:
        ids = tx.execute(select(schema.inbox.c.id).order_by(schema.inbox.c.id).limit(2)).scalars().all()
        inbox.fail(tx, ids[0], "translation failed", None)
        inbox.fail(tx, ids[1], f"{inbox.CONFLICT}: 49 USD", None)
        one = RejectedVisits(
            source="stripe", cause="session_id is null", count=1, last_at=datetime.now(UTC), event_id="evt_1"
        )
        rejected_visits.add(tx, [one])


def differ(scene: Scene) -> None:
    """A payment an hour ago that the processor's lists lack; the last audit was two days ago, and AUDIT_HOURS is 24."""
    pay(scene, "unlisted", datetime.now(UTC) - HOUR)
    until = time.monotonic() + PATIENCE_SECONDS
    while not scene.pulsora.accepted and time.monotonic() < until:
        time.sleep(0.05)
    at = datetime.now(UTC) - 2 * DAY
    result = AuditResult(
        source="stripe", livemode=True, at=at, first=at.date(), last=at.date(), against="api", time_zone="UTC",
        compared=0, differing=0, unexplained=0, counts={}, days=[],
    )  # fmt: skip
    with scene.store.transaction() as tx:
        audits.add(tx, result, [])


def fill_disk(scene: Scene) -> None:
    scene.free.write_text(str(NEARLY_FULL))


def kill_worker(scene: Scene) -> None:
    """Between two looks: one that is killed while it sends has the lease for two minutes, and sends again."""
    worker = scene.service.processes[1]
    while alerts_are_being_sent(scene):
        time.sleep(0.05)
    os.killpg(worker.pid, signal.SIGKILL)
    worker.wait()
    with scene.store.transaction() as tx:
        for owner in leases.heartbeats(tx):
            leases.heartbeat(tx, owner, datetime.now(UTC) - HOUR)


def alerts_are_being_sent(scene: Scene) -> bool:
    with scene.store.reading() as tx:
        return tx.execute(select(schema.leases).where(schema.leases.c.name == LEASE_NAME)).first() is not None


PROVOKED = {
    Cause.SILENT: fall_silent,
    Cause.REFUSED: refuse,
    Cause.ENDPOINT: disable_endpoint,
    Cause.AUDIT: differ,
    Cause.REJECTED: reject,
    Cause.PAUSED: refuse_token,
    Cause.FAILED: fail_webhooks,
    Cause.OVERDUE: delay,
    Cause.DISK: fill_disk,
    Cause.RECONCILE: lose_list,
    Cause.WORKER: kill_worker,
}
BY_THE_SAME = {Cause.VISITS, Cause.CONFLICTS}  # provoked together with failed webhooks


def test_each_cause_is_reported_once_with_its_cure_and_cleared(scene: Scene) -> None:
    for cause, provoke in PROVOKED.items():
        provoke(scene)
        scene.mailbox.wait_for(EXPLAINED[cause].title)
    expected = {EXPLAINED[cause].title: EXPLAINED[cause].cure for cause in {*PROVOKED, *BY_THE_SAME}}
    scene.mailbox.wait_for(*expected)

    received = {one["title"].removeprefix("Pulsora bridge: "): one["message"] for one in scene.mailbox.messages}
    assert {title for title, cure in expected.items() if cure not in received[title]} == set()
    assert all(f"{PUBLIC}/admin/" in message for message in received.values())
    assert sorted(scene.mailbox.titles()) == sorted(expected)  # each once, whatever the number of looks
    assert {*PROVOKED, *BY_THE_SAME} == set(Cause)
    rules = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"][0]["rules"]
    found = requests.get(f"{scene.service.url}/metrics", timeout=10).text
    shown = {f"{name} > 0" for name in re.findall(r"^([^#\s]+) \S+$", found, re.MULTILINE)}
    assert {rule["expr"] for rule in rules} - shown == {'up{job="pulsora-bridge"} == 0'}  # Prometheus' own metric

    remind(scene, Cause.DISK)
    scene.mailbox.wait_for("Still: The disk of the database is nearly full")
    tested = run_command(scene.service, "alerts", "test")
    assert tested.returncode == 0, tested
    scene.mailbox.wait_for("Test message")

    scene.free.write_text(str(ENOUGH))
    for number in range(5):  # 4 of some 30 webhooks of this hour were refused, less than a fifth
        pay(scene, f"again{number}")
    clear(scene)
    cleared = ("The disk of the database is nearly full", "Webhooks are refused", "A source is silent")
    scene.mailbox.wait_for(*(f"Resolved: {title}" for title in cleared))
    assert SECRET_PATH not in scene.service.logged()
    assert SECRET_PATH.encode() not in json.dumps(scene.mailbox.messages).encode()


def remind(scene: Scene, cause: Cause) -> None:
    """A day has passed since the message."""
    states = schema.alerts
    with scene.store.transaction() as tx:
        earlier = datetime.now(UTC) - DAY - HOUR
        tx.execute(update(states).where(states.c.cause == cause.value).values(sent_at=earlier))


def run_command(service: Service, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bridge.cli", *words], cwd=service.folder, env=service.environ, capture_output=True,
        text=True, timeout=60, check=False,
    )  # fmt: skip


def clear(scene: Scene) -> None:
    """Waits until what is gone has been noticed, and moves that time back by more than the five minutes it takes."""
    states = schema.alerts
    until = time.monotonic() + PATIENCE_SECONDS
    gone: list[str] = []
    while not {"disk", "refused", "silent"} <= set(gone) and time.monotonic() < until:
        time.sleep(0.1)
        with scene.store.reading() as tx:
            gone = list(tx.execute(select(states.c.cause).where(states.c.absent_since.is_not(None))).scalars())
    with scene.store.transaction() as tx:
        earlier = datetime.now(UTC) - timedelta(minutes=6)
        tx.execute(update(states).where(states.c.absent_since.is_not(None)).values(absent_since=earlier))
