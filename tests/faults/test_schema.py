"""The HTTP surface as docs/openapi.yaml tells it, tried by schemathesis as a stranger, operator and processor.

Its checks hold every answer to the description: status, content type, headers, body; no 5xx; 405 with `Allow`; nothing
of a wrong shape taken. Its check of authorization fails with WSGI (it passes `max_redirects` on to the test client), so
that is counted here.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from flask import Flask
from schemathesis.engine import events, from_schema
from structlog.testing import capture_logs

from bridge.store import Store, inbox, open_store
from bridge.web import create_app
from processors import processors
from processors.paddle_classic import processor as classic
from tests.bridge.cli.working import arrive, work
from tests.faults.service import SECRETS
from tests.settings import ADMIN_TOKEN, PADDLE_SECRET, STRIPE_SECRET, some_settings

DESCRIPTION = Path(__file__).resolve().parents[2] / "docs" / "openapi.yaml"
EXAMPLES = 20  # of each operation, beside those that schemathesis thinks of by itself
SEED = 1
KEYS = {"stripe": STRIPE_SECRET, "paddle": PADDLE_SECRET, "paddle-classic": classic.demo_secret}
ROLES: Mapping[str, dict[str, Any]] = {"stranger": {}, "operator": {"token": ADMIN_TOKEN}, "processor": {"signs": True}}

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


@dataclass(kw_only=True)
class Asked:
    """What a round of requests came to. `taken`: how many were answered that they are new, and on disk."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)  # by operation: "GET /healthz"
    taken: int = 0
    broken: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)

    def of(self, status: int) -> set[str]:
        """The operations that were answered so."""
        return {operation for operation, found in self.statuses if found == status}


@dataclass(frozen=True, slots=True)
class Front:
    """What schemathesis asks: the application, behind processors that sign what is posted to their routes."""

    app: Wsgi
    signs: bool

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if self.signs and environ["REQUEST_METHOD"] == "POST":
            sign(environ, environ["PATH_INFO"].removeprefix("/webhooks/"))
        answer = self.app(environ, start_response)
        try:
            return list(answer)
        finally:
            close = getattr(answer, "close", None)  # schemathesis forgets to
            if close is not None:
                close()


def sign(environ: dict[str, Any], name: str) -> None:
    """Signs the request as the processor of that name does, if there is one and the body can be signed."""
    if name not in KEYS:
        return
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    with suppress(ValueError):  # no text, or no form: no processor sends it
        signed = processors()[name].sign(body, KEYS[name], datetime.now(UTC))
        environ |= {f"HTTP_{key.upper().replace('-', '_')}": value for key, value in signed.headers.items()}
        environ |= {"wsgi.input": io.BytesIO(signed.body), "CONTENT_LENGTH": str(len(signed.body))}


def ask(app: Wsgi, *, token: str = "", signs: bool = False, examples: int = EXAMPLES, seed: int = SEED) -> Asked:
    """Tries every operation of the description, as the holder of a token, or of the processors' secrets."""
    config = {
        "seed": seed,
        "cache": {"enabled": False},
        "generation": {"database": "none", "max-examples": examples},
        "headers": {"Authorization": f"Bearer {token}"} if token else {},
        "checks": {
            "ignored_auth": {"enabled": False},
            "positive_data_acceptance": {"enabled": False},  # no description can say which signatures are right
            "negative_data_rejection": {"enabled": not signs},  # the front signs also what has no signature yet
        },
    }
    schema = schemathesis.openapi.from_path(DESCRIPTION, config=schemathesis.Config.from_dict(config))
    schema.app = Front(app, signs)
    asked = Asked()
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            asked.broken.append(str(event))
        elif isinstance(event, events.ScenarioFinished):
            note(asked, event.recorder)
    return asked


def note(asked: Asked, recorder: Any) -> None:
    """Adds what schemathesis recorded of one operation."""
    for exchange in recorder.interactions.values():
        told = exchange.response.text + str(exchange.response.headers)
        asked.leaks += [recorder.label for secret in SECRETS if secret in told]
        asked.taken += '"duplicate":false' in told
        if recorder.label.startswith(f"{exchange.request.method} "):  # others are tried as well
            asked.statuses[recorder.label, exchange.response.status_code] += 1
    for case_id, checks in recorder.checks.items():
        curl = recorder.cases[case_id].value.as_curl_command()
        failed = [check.failure_info.failure for check in checks if check.failure_info is not None]
        asked.broken += [f"{recorder.label}: {one.title}\n{one.message}\n{curl}" for one in failed]


@pytest.fixture(name="store")
def _store(sqlite_template: Path, tmp_path: Path) -> Iterator[Store]:
    store = open_store(f"sqlite:///{shutil.copy(sqlite_template, tmp_path / 'bridge.db')}")
    yield store
    store.close()


@pytest.fixture(name="app")
def _app(store: Store, tmp_path: Path) -> Flask:
    url = f"sqlite:///{tmp_path / 'bridge.db'}"
    return create_app(some_settings(url, PADDLE_CLASSIC_PUBLIC_KEY=classic.demo_secret), store)


@pytest.fixture(name="logged", autouse=True)
def _logged() -> Iterator[list[Any]]:
    with capture_logs() as logged:
        yield logged


def stored(store: Store) -> int:
    """How many rows the inbox has."""
    with store.reading() as tx:
        return sum(inbox.counts(tx).values())


@cache
def described() -> Mapping[str, Any]:
    """The description's paths."""
    return dict(schemathesis.openapi.from_path(DESCRIPTION).raw_schema["paths"])


def kept_for_the_operator() -> set[str]:
    return {
        f"{method.upper()} {path}"
        for path, methods in described().items()
        for method, operation in methods.items()
        if "security" in operation
    }


# ---- The description ----------------------------------------------------------------------------------------------


def test_every_route_is_described_and_nothing_else(app: Flask) -> None:
    routes = {
        (re.sub(r"<(?:[^:>]+:)?(\w+)>", r"{\1}", rule.rule), method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }

    told = {(path, method.upper()) for path, methods in described().items() for method in methods}

    assert told - routes == {(f"/webhooks/{name}", "POST") for name in KEYS}  # which are ways to write /webhooks/{name}
    assert routes - told == set()


# ---- The answers --------------------------------------------------------------------------------------------------


def demand_what_is_described(asked: Asked, store: Store, logged: list[Any], before: int = 0) -> None:
    """No answer but those of the description, no error of the service's own, nobody's secret, no row but those told."""
    assert asked.broken[:3] == []
    assert asked.leaks == []
    assert [line for line in logged if line["log_level"] == "error" or "exception" in line] == []
    assert stored(store) == before + asked.taken


def test_a_stranger_gets_nothing_and_leaves_nothing(app: Flask, store: Store, logged: list[Any]) -> None:
    asked = ask(app, **ROLES["stranger"])

    demand_what_is_described(asked, store, logged)
    assert asked.of(400) >= {f"POST /webhooks/{name}" for name in KEYS}
    assert {status for operation, status in asked.statuses if operation in kept_for_the_operator()} <= {401, 404}
    assert stored(store) == 0


def test_the_operator_gets_what_is_described(app: Flask, store: Store, logged: list[Any]) -> None:
    arrive(store, "stripe", "lifecycle")
    work(store, app.extensions["pulsora_bridge"].settings)
    before = stored(store)

    asked = ask(app, **ROLES["operator"])

    demand_what_is_described(asked, store, logged, before)
    assert asked.of(200) | asked.of(303) >= kept_for_the_operator()


def test_a_processor_gets_what_is_described(app: Flask, store: Store, logged: list[Any]) -> None:
    asked = ask(app, **ROLES["processor"])

    demand_what_is_described(asked, store, logged)
    assert asked.of(200) >= {f"POST /webhooks/{name}" for name in KEYS}


@pytest.mark.campaign
@pytest.mark.timeout(24 * 3600)
@pytest.mark.parametrize("role", ROLES.values(), ids=ROLES)
def test_a_campaign_of_requests(
    app: Flask, store: Store, logged: list[Any], role: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    examples, seed = int(os.environ.get("FAULT_EXAMPLES", "2000")), int(os.environ.get("FAULT_SEED", "1"))
    began = time.monotonic()

    asked = ask(app, **role, examples=examples, seed=seed)

    with capsys.disabled():
        by_status = sorted(Counter(status for _, status in asked.statuses.elements()).items())
        print(f"\n{asked.statuses.total()} answers in {time.monotonic() - began:.0f} s: {dict(by_status)}")
    demand_what_is_described(asked, store, logged)
