"""The command line in this process, called in an empty directory with only these settings."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bridge.cli import main
from tests.settings import ADMIN_TOKEN, PADDLE_SECRET, STRIPE_SECRET, TOKEN

OURS = ("STRIPE_", "PADDLE_", "PULSORA_", "BRIDGE_", "DATABASE_", "LOG_", "COLUMNS", "FORCE_COLOR")


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """The exit status and output of a command."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.out, self.err
        return json.loads(self.out)


Command = Callable[..., Ended]


@pytest.fixture(name="bare")
def _bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """`bare("check", "--json", NAME="value")`: the command with these settings alone."""
    for name in list(os.environ):
        if name.startswith(OURS):
            monkeypatch.delenv(name)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    # Logging is configured for the whole process, on a stream that is closed after the test.
    monkeypatch.setattr("bridge.log.configure", lambda *_: None)

    def run(*args: str, **settings: str) -> Ended:
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main(args)
        written = capsys.readouterr()
        return Ended(status=int(ended.value.code or 0), out=written.out, err=written.err)

    return run


@pytest.fixture(name="cli")
def _cli(bare: Command, sqlite_url: str) -> Command:
    """The same with Stripe, Paddle, a token and an existing database."""

    def run(*args: str, **settings: str) -> Ended:
        ours = {
            "STRIPE_WEBHOOK_SECRET": STRIPE_SECRET,
            "PADDLE_WEBHOOK_SECRET": PADDLE_SECRET,
            "PULSORA_SECRET_TOKEN": TOKEN,
            "PULSORA_ENDPOINT": "http://127.0.0.1:9/api/ingest",
            "ADMIN_TOKEN": ADMIN_TOKEN,
            "DATABASE_URL": sqlite_url,
        }
        return bare(*args, **(ours | settings))

    return run
