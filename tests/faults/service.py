"""Runs the real `serve` in its own process group, which is killed as a whole after the test."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import psutil
import requests

from tests.settings import ADMIN_TOKEN, PADDLE_SECRET, STRIPE_SECRET, TOKEN

ROOT = Path(__file__).resolve().parents[2]
DISABLED_GUARDS = Path(__file__).with_name("disabled_guards.py")
PATIENCE_SECONDS = 60.0
SECRETS = (STRIPE_SECRET, PADDLE_SECRET, TOKEN, ADMIN_TOKEN)


class Service:
    """`pulsora-bridge serve` on a free port. `disabled`: the guards that `disabled_guards.py` removes from it."""

    def __init__(
        self, folder: Path, *, database_url: str, endpoint: str, disabled: str | None = None, **more: str
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = folder / "bridge.log"
        self.folder = folder
        self._command = [sys.executable, str(DISABLED_GUARDS)] if disabled else [sys.executable, "-m", "bridge.cli"]
        self._environ = {
            "PATH": os.environ.get("PATH", ""),
            "PYTHONPATH": str(ROOT),
            "PYTHONUNBUFFERED": "1",
            "STRIPE_WEBHOOK_SECRET": STRIPE_SECRET,
            "PADDLE_WEBHOOK_SECRET": PADDLE_SECRET,
            "PULSORA_SECRET_TOKEN": TOKEN,
            "PULSORA_ENDPOINT": endpoint,
            "ADMIN_TOKEN": ADMIN_TOKEN,
            "DATABASE_URL": database_url,
            "SETTLE_SECONDS": "0",
            "RATE_LIMIT_PER_HOUR": "0",
            "LOG_FORMAT": "json",
            "BIND": f"127.0.0.1:{self.port}",
            **({"DISABLED_GUARDS": disabled} if disabled else {}),
            **more,
        }
        self._groups: list[subprocess.Popen[bytes]] = []

    def start(self, *command: str) -> subprocess.Popen[bytes]:
        """Starts `serve` or another command in its own process group."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                [*self._command, *(command or ("serve",))],
                cwd=self.folder,
                env=self._environ,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        self._groups.append(process)
        return process

    def run(self, program: str, *args: str) -> str:
        """The output of a Python program with the service's settings."""
        command = [sys.executable, "-c", program, *args]
        ended = subprocess.run(command, cwd=self.folder, env=self._environ, capture_output=True, text=True, timeout=120)
        return ended.stdout + ended.stderr

    def await_ready(self, seconds: float = PATIENCE_SECONDS) -> float:
        """Waits until the service is ready. Returns the seconds it took."""
        started = time.monotonic()
        while time.monotonic() - started < seconds:
            if self.is_ready():
                return time.monotonic() - started
            assert all(group.poll() is None for group in self._groups), f"the service exited:\n{self.logged()[-3000:]}"
            time.sleep(0.02)
        raise AssertionError(f"not ready within {seconds} s:\n{self.logged()[-3000:]}")

    def is_ready(self) -> bool:
        """Whether `/readyz` answers 200."""
        try:
            return requests.get(f"{self.url}/readyz", timeout=5).ok
        except requests.RequestException:
            return False

    def processes(self) -> dict[str, list[psutil.Process]]:
        """The running processes by part: `serve`, `web` (gunicorn's master), `requests` (its workers) and `worker`."""
        found: dict[str, list[psutil.Process]] = {"serve": [], "web": [], "requests": [], "worker": []}
        for group in self._groups:
            with suppress(psutil.Error):
                top = psutil.Process(group.pid)
                found["serve"].append(top)
                for child in top.children():
                    own = child.children()
                    found["web" if own else "worker"].append(child)
                    found["requests"] += own
        return found

    def kill(self, part: str) -> None:
        """kill -9 of one part, or of `everything` at once."""
        if part == "everything":
            return self.kill_groups()
        for process in self.processes()[part]:
            with suppress(psutil.Error):
                process.kill()
        return None

    def kill_groups(self) -> None:
        """kill -9 of every process group."""
        for group in self._groups:
            with suppress(ProcessLookupError):
                os.killpg(group.pid, signal.SIGKILL)
        for group in self._groups:
            group.wait()
        self._groups.clear()

    def stop(self, seconds: float = 30) -> list[int]:
        """Sends SIGTERM to all. Returns the exit statuses."""
        for group in self._groups:
            group.terminate()
        return [group.wait(seconds) for group in self._groups]

    def restart(self) -> None:
        """Starts the service again after a stop, and waits until it is ready."""
        self._groups.clear()
        self.start()
        self.await_ready()

    def logged(self) -> str:
        """The log so far."""
        return self.log.read_text(errors="replace") if self.log.exists() else ""

    def logs_of(self, *events: str) -> Sequence[str]:
        """The log lines that contain one of these texts."""
        return [line for line in self.logged().splitlines() if any(event in line for event in events)]


@contextmanager
def running(
    folder: Path, *, database_url: str, endpoint: str, disabled: str | None = None, **more: str
) -> Iterator[Service]:
    """A ready service, killed at the end of the block."""
    service = Service(folder, database_url=database_url, endpoint=endpoint, disabled=disabled, **more)
    try:
        service.start()
        service.await_ready()
        yield service
    finally:
        service.kill_groups()


def free_port() -> int:
    """A port that is currently free."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
