"""The real service in a separate process on this machine, with a separate database and settings."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

import requests

import bridge
from bridge.errors import BridgeError

DATABASE = "bridge.db"
READY_SECONDS = 30
STOP_SECONDS = 15
INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "PYTHONHOME", "SYSTEMROOT")


@contextmanager
def running_service(folder: Path, settings: Mapping[str, str]) -> Iterator[str]:
    """Runs `serve` with these settings, its database and log in `folder`. Yields its URL; stops it at the end."""
    port = _free_port()
    log = folder / "bridge.log"
    with log.open("w") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "bridge.cli", "serve"],
            cwd=folder,
            env=_environment(folder, settings, port),
            stdout=output,
            stderr=output,
            start_new_session=True,  # Ctrl-C reaches the caller alone, which then stops the service
        )
        try:
            _await_ready(f"http://127.0.0.1:{port}/readyz", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def local_session() -> requests.Session:
    """An HTTP session for this machine: it bypasses the proxies of the environment."""
    session = requests.Session()
    session.trust_env = False
    return session


def _environment(folder: Path, settings: Mapping[str, str], port: int) -> dict[str, str]:
    """The service's whole environment. The caller's own settings of a bridge are left out."""
    code = str(Path(bridge.__file__).resolve().parents[1])
    found = {name: value for name, value in os.environ.items() if name in INHERITED}
    found["PYTHONPATH"] = os.pathsep.join(filter(None, (code, found.get("PYTHONPATH"))))
    found |= {"DATABASE_URL": f"sqlite:///{folder / DATABASE}", "BIND": f"127.0.0.1:{port}"}
    return {**found, **settings}


def _await_ready(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Waits until the service is ready. Raises BridgeError with the end of its log if it is not."""
    until = time.monotonic() + READY_SECONDS
    with local_session() as session:
        while time.monotonic() < until and process.poll() is None:
            with suppress(requests.RequestException):
                if session.get(url, timeout=2).ok:
                    return
            time.sleep(0.05)
    raise BridgeError("the bridge did not start:\n" + log.read_text()[-3000:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
