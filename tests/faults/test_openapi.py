"""The HTTP API against docs/openapi.yaml, tested by schemathesis as anonymous client, operator and processor.

Its checks compare every response with the description: status, content type, headers, body; no 5xx; 405 with `Allow`;
no malformed request accepted. Its check of authorization fails with WSGI (it passes `max_redirects` to the test
client), so that is counted here.
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

from bridge.store import Store, audits, inbox, open_store
from bridge.web import create_app
from processors import processors
from processors.paddle_classic import processor as classic
from tests.bridge.cli.working import arrive, work
from tests.bridge.store.builders import a_differing_row, an_audit
from tests.faults.service import SECRETS
from tests.settings import ADMIN_TOKEN, PADDLE_SECRET, STRIPE_SECRET, some_settings

DESCRIPTION = Path(__file__).resolve().parents[2] / "docs" / "openapi.yaml"
EXAMPLES = 4  # of each operation, in addition to those of schemathesis's other phases
SEED = 1
KEYS = {"stripe": STRIPE_SECRET, "paddle": PADDLE_SECRET, "paddle-classic": classic.demo_secret}
ROLES: Mapping[str, dict[str, Any]] = {
    "anonymous": {},
    "operator": {"token": ADMIN_TOKEN},
    "processor": {"signed": True},
}

Wsgi = Callable[[dict[str, Any], Any], Iterable[bytes]]


@dataclass(kw_only=True)
class Findings:
    """The results of a run. `accepted`: the number of responses that acknowledged a new webhook."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)  # by operation: "GET /healthz"
    accepted: int = 0
    failures: list[str] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)

    def of(self, status: int) -> set[str]:
        """The operations that had this status."""
        return {operation for operation, found in self.statuses if found == status}


@dataclass(frozen=True, slots=True)
class SigningProxy:
    """The application as schemathesis sees it, with a signature added to each webhook when `signed`."""

    app: Wsgi
    signed: bool

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if self.signed and environ["REQUEST_METHOD"] == "POST":
            sign(environ, environ["PATH_INFO"].removeprefix("/webhooks/"))
        response = self.app(environ, start_response)
        try:
            return list(response)
        finally:
            close = getattr(response, "close", None)  # schemathesis does not close it
            if close is not None:
                close()


def sign(environ: dict[str, Any], name: str) -> None:
    """Signs the request as the processor of this name does, if it exists and the body can be signed."""
    if name not in KEYS:
        return
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
    environ["wsgi.input"] = io.BytesIO(body)
    with suppress(ValueError):  # neither text nor a form: no processor sends it
        signed = processors()[name].sign(body, KEYS[name], datetime.now(UTC))
        environ |= {f"HTTP_{key.upper().replace('-', '_')}": value for key, value in signed.headers.items()}
        environ |= {"wsgi.input": io.BytesIO(signed.body), "CONTENT_LENGTH": str(len(signed.body))}


def run_schemathesis(
    app: Wsgi, *, token: str = "", signed: bool = False, paths: str = "", examples: int = EXAMPLES, seed: int = SEED
) -> Findings:
    """Tests the operations whose path matches `paths`, with a token or the processors' secrets."""
    config = {
        "seed": seed,
        "cache": {"enabled": False},
        "generation": {"database": "none", "max-examples": examples},
        "headers": {"Authorization": f"Bearer {token}"} if token else {},
        "checks": {
            "ignored_auth": {"enabled": False},
            "positive_data_acceptance": {"enabled": False},  # no description can say which signatures are right
            "negative_data_rejection": {"enabled": not signed},  # requests without a signature are signed, too
        },
    }
    schema = schemathesis.openapi.from_path(DESCRIPTION, config=schemathesis.Config.from_dict(config))
    schema = schema.include(path_regex=paths) if paths else schema
    schema.app = SigningProxy(app, signed)
    findings = Findings()
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            findings.failures.append(str(event))
        elif isinstance(event, events.ScenarioFinished):
            record(findings, event.recorder)
    return findings


def record(findings: Findings, recorder: Any) -> None:
    """Adds the results of one operation."""
    for exchange in recorder.interactions.values():
        documented = exchange.response.text + str(exchange.response.headers)
        findings.leaks += [recorder.label for secret in SECRETS if secret in documented]
        findings.accepted += '"duplicate":false' in documented
        if recorder.label.startswith(f"{exchange.request.method} "):  # it tests other methods, too
            findings.statuses[recorder.label, exchange.response.status_code] += 1
    for case_id, checks in recorder.checks.items():
        curl = recorder.cases[case_id].value.as_curl_command()
        failed = [check.failure_info.failure for check in checks if check.failure_info is not None]
        findings.failures += [f"{recorder.label}: {one.title}\n{one.message}\n{curl}" for one in failed]


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
    """The number of rows in the inbox."""
    with store.reading() as tx:
        return sum(inbox.counts(tx).values())


@cache
def documented_paths() -> Mapping[str, Any]:
    """The description's paths."""
    return dict(schemathesis.openapi.from_path(DESCRIPTION).raw_schema["paths"])


def operator_operations() -> set[str]:
    return {
        f"{method.upper()} {path}"
        for path, methods in documented_paths().items()
        for method, operation in methods.items()
        if "security" in operation
    }


# ---- The description ------------------------------------------------------------------------------------------------


def test_every_route_is_described_and_nothing_else(app: Flask) -> None:
    routes = {
        (re.sub(r"<(?:[^:>]+:)?(\w+)>", r"{\1}", rule.rule), method)
        for rule in app.url_map.iter_rules()
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }

    documented = {(path, method.upper()) for path, methods in documented_paths().items() for method in methods}

    assert documented - routes == {
        (f"/webhooks/{name}", "POST") for name in KEYS
    }  # documented per processor, routed as /webhooks/{name}
    assert routes - documented == set()


# ---- The responses --------------------------------------------------------------------------------------------------


def assert_documented(findings: Findings, store: Store, logged: list[Any], before: int = 0) -> None:
    """Only documented responses, no error in the log, no leaked secret, no row beyond those acknowledged."""
    assert findings.failures[:3] == []
    assert findings.leaks == []
    assert [line for line in logged if line["log_level"] == "error" or "exception" in line] == []
    assert stored(store) == before + findings.accepted


def test_a_stranger_gets_nothing_and_leaves_nothing(app: Flask, store: Store, logged: list[Any]) -> None:
    findings = run_schemathesis(app, **ROLES["anonymous"])

    assert_documented(findings, store, logged)
    assert findings.of(400) >= {f"POST /webhooks/{name}" for name in KEYS}
    assert {status for operation, status in findings.statuses if operation in operator_operations()} <= {401, 404}
    assert stored(store) == 0


def test_the_operator_gets_what_is_described(app: Flask, store: Store, logged: list[Any]) -> None:
    arrive(store, "stripe", "lifecycle")
    work(store, app.extensions["pulsora_bridge"].settings)
    with store.transaction() as tx:
        audits.add(tx, an_audit(), [a_differing_row()])
    before = stored(store)

    findings = run_schemathesis(app, **ROLES["operator"])

    assert_documented(findings, store, logged, before)
    assert findings.of(200) | findings.of(303) >= operator_operations()


def test_a_processor_gets_what_is_described(app: Flask, store: Store, logged: list[Any]) -> None:
    findings = run_schemathesis(app, **ROLES["processor"], paths="^/webhooks/")  # a stranger has done the others

    assert_documented(findings, store, logged)
    assert findings.of(200) >= {f"POST /webhooks/{name}" for name in KEYS}


@pytest.mark.campaign
@pytest.mark.timeout(24 * 3600)
@pytest.mark.parametrize("role", ROLES.values(), ids=ROLES)
def test_a_campaign_of_requests(
    app: Flask, store: Store, logged: list[Any], role: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    examples, seed = int(os.environ.get("FAULT_EXAMPLES", "2000")), int(os.environ.get("FAULT_SEED", "1"))
    started = time.monotonic()

    findings = run_schemathesis(app, **role, examples=examples, seed=seed)

    with capsys.disabled():
        by_status = sorted(Counter(status for _, status in findings.statuses.elements()).items())
        print(f"\n{findings.statuses.total()} answers in {time.monotonic() - started:.0f} s: {dict(by_status)}")
    assert_documented(findings, store, logged)
