"""`serve --dev`: the bridge on this machine alone, with a fake Pulsora that shows what Pulsora would have received."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import click
from dotenv import dotenv_values

from bridge import log
from bridge.cli.environment import dotenv_path
from bridge.sandbox import demo_report
from bridge.sandbox.fake_pulsora import FakePulsora
from bridge.server import supervisor
from bridge.settings import Settings, Source, load
from bridge.store import open_store
from bridge.web.admin.one_time_link import make_code
from processors import processors
from processors.interface import Processor

TOKEN = "sec_dev_not_a_real_token"  # obviously fake; the fake Pulsora accepts no other
DATABASE = "sqlite:///bridge-dev.db"  # never the one of the settings: it may be of production
# Short waits, and no line of the log between the revenue events.
DEFAULTS = {"PULSORA_SECRET_TOKEN": TOKEN, "SETTLE_SECONDS": "5", "HOLD_HOURS": "0", "LOG_LEVEL": "warning"}


def serve_for_development() -> int:
    """Runs web, worker and the fake Pulsora until a stop signal. The exit status."""
    port = _free_port()
    settings = development_settings(os.environ, dotenv_path(), f"http://127.0.0.1:{port}/api/ingest")
    log.configure(settings.log_format, settings.log_level)
    store = open_store(settings.database_url)
    store.migrate()
    store.close()
    return supervisor.serve(settings, partial(_announce, settings), {"pulsora": partial(_fake_pulsora, port)})


def _announce(settings: Settings) -> None:
    click.echo("\n".join(banner(settings)))


def development_settings(environ: Mapping[str, str], path: Path, endpoint: str) -> Settings:
    """The settings of environment and file, changed so that nothing leaves this machine and nobody else reaches it."""
    stated = {name.removesuffix("_FILE") for name in (*dotenv_values(path), *environ)}
    demos = {one.secret.name: one.demo_secret for one in processors().values() if _can_verify(one)}
    added = DEFAULTS if "BRIDGE_CONFIG" in stated else DEFAULTS | demos
    missing = {name: value for name, value in added.items() if name not in stated}
    settings = load({**environ, **missing}, dotenv=path)
    sources = {
        name: replace(source, endpoint=endpoint, token=TOKEN, dry_run=False, forward_test_events=True)
        for name, source in settings.sources.items()
    }
    port = settings.bind.rpartition(":")[2]
    return replace(
        settings,
        sources=sources,
        database_url=DATABASE,
        bind=f"127.0.0.1:{port if port.isdecimal() else 8000}",
        admin_token=settings.admin_token or secrets.token_urlsafe(24),
    )


def banner(settings: Settings) -> Iterator[str]:
    """The facts a developer needs: addresses, where the secrets come from, and a link into the console."""
    url = f"http://{settings.bind}"
    yield "Development mode: the bridge and a fake Pulsora, on this machine alone. Nothing is sent to the real one."
    for source in settings.sources.values():
        address = f"{url}/webhooks/{source.name}"
        is_demo = source.secrets == (processors()[source.processor].demo_secret,)
        secret = "for simulated webhooks" if is_demo else "verified with your secret"
        yield f"  {address}  {secret}"
        if is_demo:
            yield f"    pulsora-bridge simulate {source.processor} upgrade --url {url} {_signing(source)}"
        if source.processor == "stripe":
            yield f"    stripe listen --forward-to {address}"
    if settings.admin_token is not None:
        code = make_code(settings.admin_token, datetime.now(UTC))
        yield f"  {url}/admin/enter?code={code}"
        yield "    the console, signed in; the link works once, within 10 minutes"
    yield f"  {settings.database_url.removeprefix('sqlite:///')}  the database; delete it to start again"
    yield "Revenue events that Pulsora would have received:"
    yield demo_report.HEADER


def _can_verify(processor: Processor) -> bool:
    """Whether its webhooks can be verified here: Paddle Classic's need an extra."""
    return processor.secret.check(processor.demo_secret) is None


def _signing(source: Source) -> str:
    """The options of `simulate` for the demo secret."""
    if processors()[source.processor].only_demo_signs:
        return "--live --yes"
    return f"--secret {source.secrets[0]}"


def _fake_pulsora(port: int, settings: Settings, parent: int) -> None:
    """Shows revenue events as they arrive, while the supervisor runs."""
    shown: list[Mapping[str, Any]] = []
    with FakePulsora(TOKEN, port=port) as pulsora:
        while os.getppid() == parent:
            for data in pulsora.accepted[len(shown) :]:
                shown.append(data)
                same = [one for one in shown if one["payment_processor"] == data["payment_processor"]]
                *_, mrr = demo_report.running_mrr(same)
                click.echo(demo_report.row(data, mrr))
            time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
