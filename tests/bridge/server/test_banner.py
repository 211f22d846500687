"""The start message of `serve`."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from bridge import __version__
from bridge.server import banner
from tests.settings import ADMIN_TOKEN, PADDLE_SECRET, STRIPE_SECRET, TOKEN, some_settings


def test_everything_that_is_needed_to_connect_is_stated() -> None:
    settings = some_settings("sqlite:////data/bridge.db", PUBLIC_URL="https://hooks.example.com", BIND="0.0.0.0:80")

    assert list(banner.lines(settings)) == [
        f"Pulsora bridge {__version__} listens on http://0.0.0.0:80",
        "  webhooks   stripe: https://hooks.example.com/webhooks/stripe",
        "  webhooks   paddle: https://hooks.example.com/webhooks/paddle",
        "  console    https://hooks.example.com/admin/ (log in with ADMIN_TOKEN)",
        "  database   /data/bridge.db",
        "  pulsora    stripe: https://pulsora.co/api/ingest, live revenue",
        "  pulsora    paddle: https://pulsora.co/api/ingest, live revenue",
    ]


def test_a_mode_that_sends_nothing_or_more_is_stated() -> None:
    dry = some_settings("sqlite:///bridge.db", DRY_RUN="1")
    test = some_settings("sqlite:///bridge.db", FORWARD_TEST_EVENTS="1")

    assert "  pulsora    stripe: nowhere (DRY_RUN)" in list(banner.lines(dry))
    assert any(line.endswith("live and test revenue (FORWARD_TEST_EVENTS)") for line in banner.lines(test))


def test_no_secret_is_stated() -> None:
    settings = some_settings("postgresql://bridge:secret@db.example.com/bridge")

    text = "\n".join([*banner.lines(settings), json.dumps(banner.facts(settings))])

    assert "postgresql://db.example.com/bridge" in text
    for secret in (TOKEN, STRIPE_SECRET, PADDLE_SECRET, ADMIN_TOKEN, "secret@"):
        assert secret not in text


@pytest.mark.parametrize("log_format", ["console", "json"])
def test_serve_states_it_and_makes_the_folder_of_the_database(tmp_path: Path, log_format: str) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environ = {
        "PATH": os.environ["PATH"], "STRIPE_WEBHOOK_SECRET": STRIPE_SECRET, "PULSORA_SECRET_TOKEN": TOKEN,
        "DATABASE_URL": f"sqlite:///{tmp_path}/new/folder/bridge.db", "LOG_FORMAT": log_format, "WEB_WORKERS": "1",
        "PYTHONPATH": os.getcwd(),
    }  # fmt: skip
    command = [sys.executable, "-m", "bridge.cli", "serve", "--port", str(port)]

    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environ, cwd=tmp_path) as running:
        assert running.stderr is not None
        first, rest = running.stderr.readline(), ""
        while "worker_started" not in rest:
            rest += running.stderr.readline()
        running.send_signal(signal.SIGTERM)
        running.stderr.read()

    if log_format == "json":
        stated = json.loads(first)
        assert (stated["event"], stated["address"]) == ("serving", f"http://127.0.0.1:{port}")
        assert stated["webhooks"] == {"stripe": f"http://127.0.0.1:{port}/webhooks/stripe"}
    else:
        assert first == f"Pulsora bridge {__version__} listens on http://127.0.0.1:{port}\n"
        assert "  console    off: set ADMIN_TOKEN to a long random text" in rest
    assert (tmp_path / "new" / "folder" / "bridge.db").stat().st_mode & 0o777 == 0o600
