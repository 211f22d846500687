"""The demo: runs from an empty folder in a misleading environment, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import requests

from bridge.cli.demo import cleanup_on_signals
from bridge.sandbox.demo_report import HEADER
from bridge.sender import payload
from tests.end_to_end.service import PATIENCE_SECONDS, ROOT

HOSTILE = {
    "STRIPE_WEBHOOK_SECRET": "not a secret",
    "PULSORA_SECRET_TOKEN": "pub_wrong",
    "DATABASE_URL": "mysql://nowhere",
    "BRIDGE_CONFIG": "/nowhere.toml",
    "BIND": "nonsense",
    "GUNICORN_CMD_ARGS": "--bind=203.0.113.1:1",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "http_proxy": "http://127.0.0.1:9",
}


@pytest.fixture(name="environ")
def _environ(tmp_path: Path) -> dict[str, str]:
    """An environment with misleading settings, and a folder for temporary files."""
    (tmp_path / "tmp").mkdir()
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / ".env").write_text("STRIPE_WEBHOOK_SECRET=nonsense\nSETTLE_SECONDS=never\n")
    return {**os.environ, **HOSTILE, "PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path / "tmp")}


IGNORE_SIGINT = ("sh", "-c", "trap '' INT; exec \"$@\"", "sh")  # as a shell starts background jobs
Demo = Callable[..., subprocess.Popen[str]]


@pytest.fixture(name="demo")
def _demo(tmp_path: Path, environ: dict[str, str]) -> Iterator[Demo]:
    """Starts the demo with options; kills it after the test."""
    started: list[subprocess.Popen[str]] = []

    def start(*options: str) -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [*IGNORE_SIGINT, sys.executable, "-u", "-m", "bridge.cli", "demo", *options], cwd=tmp_path / "empty",
                env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
            )
        )  # fmt: skip
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.communicate()


def leftovers(tmp_path: Path) -> Sequence[str]:
    """The temporary files that remain, and the processes that still use them."""
    running = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()
    return [str(path) for path in (tmp_path / "tmp").iterdir()] + [line for line in running if str(tmp_path) in line]


def test_the_demo_keeps_its_promises_and_leaves_nothing_behind(tmp_path: Path, demo: Demo) -> None:
    process = demo("--json")

    out, err = process.communicate(timeout=PATIENCE_SECONDS)

    assert (process.returncode, err) == (0, "")
    report = json.loads(out)
    assert report["problems"] == []
    assert report["webhooks"]["rejected (signature_mismatch)"] == 2
    assert report["webhooks"]["stored"] > report["webhooks"]["duplicate"] > 20
    assert [source["mrr"] for source in report["sources"].values()] == ["0.00", "0.00"]
    assert [problem for data in report["revenue_events"] for problem in payload.problems(data)] == []
    assert leftovers(tmp_path) == []


def test_people_see_a_table_and_what_else_arrives_until_they_stop_it(
    tmp_path: Path, environ: dict[str, str], demo: Demo
) -> None:
    process = demo("--keep", "--months", "1")
    assert process.stdout is not None
    lines = [next(process.stdout)]
    while "simulate stripe upgrade" not in lines[-1]:
        lines.append(next(process.stdout))
    assert_a_table_for_people([line.removesuffix("\n") for line in lines])
    url, secret = re.findall(r"--url (\S+) --secret (\S+)", lines[-1])[0]
    guest = ("--url", url, "--secret", _paddle_secret(lines), "--tag", "guest1", "--live", "--yes")

    command = [sys.executable, "-m", "bridge.cli", "simulate", "paddle", "signup", *guest]
    subprocess.run(command, env=environ, check=True, capture_output=True)
    while "fp_guest1" not in lines[-1]:
        lines.append(next(process.stdout))
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=PATIENCE_SECONDS)

    assert secret == "whsec_demo_not_a_real_secret"
    assert lines[-1] == "paddle  subscription  49.00 USD     +49.00   49.00  ctm_guest1 Pro     fp_guest1\n"
    assert (process.returncode, err) == (128 + signal.SIGTERM, "")
    assert not _is_listening(url)
    assert leftovers(tmp_path) == []


def assert_a_table_for_people(lines: Sequence[str]) -> None:
    shown = lines[: lines.index("All 16 expected revenue events arrived, none missing, none duplicated.")]
    assert HEADER in shown
    assert "\x1b" not in "".join(lines)
    assert [line for line in shown if len(line) > 80] == []
    assert len([line for line in shown if re.match(r"(stripe|paddle)  [a-z]+ +-?\d+\.\d\d USD ", line)]) == 16


@pytest.mark.parametrize(
    ("number", "ends_with"),
    [(signal.SIGINT, KeyboardInterrupt), (signal.SIGTERM, SystemExit), (signal.SIGHUP, SystemExit)],
)
def test_each_signal_lets_the_demo_clean_up_even_where_a_shell_ignores_it(
    number: signal.Signals, ends_with: type[BaseException]
) -> None:
    before = signal.signal(number, signal.SIG_IGN)
    try:
        with pytest.raises(ends_with) as raised, cleanup_on_signals():
            signal.raise_signal(number)
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)

    assert getattr(raised.value, "code", 130) == 128 + number


def _paddle_secret(lines: Sequence[str]) -> str:
    return next(line.split()[-1] for line in lines if "/webhooks/paddle" in line)


def _is_listening(url: str) -> bool:
    until = time.monotonic() + 5
    while time.monotonic() < until:
        try:
            requests.get(f"{url}/healthz", timeout=1)
        except requests.RequestException:
            return False
        time.sleep(0.1)
    return True
