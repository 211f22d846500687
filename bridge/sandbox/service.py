"""A bridge of one's own on this machine: the real service in a process of its own, with a database of its own."""

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

READY_SECONDS = 30
STOP_SECONDS = 15
SYSTEM = ("PATH", "HOME", "LANG", "LC_ALL", "TZ", "TMPDIR", "PYTHONPATH", "PYTHONHOME", "SYSTEMROOT")


@contextmanager
def running(folder: Path, settings: Mapping[str, str]) -> Iterator[str]:
    """The real `serve` with these settings, its database and log in `folder`; its address. Stopped at the end."""
    port = _free_port()
    log = folder / "bridge.log"
    with log.open("w") as written:
        process = subprocess.Popen(  # this program itself
            [sys.executable, "-m", "bridge.cli", "serve"],
            cwd=folder,
            env=_environment(folder, settings, port),
            stdout=written,
            stderr=written,
            start_new_session=True,  # Ctrl-C reaches only the caller, who then stops it
        )
        try:
            _await(f"http://127.0.0.1:{port}/readyz", process, log)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _environment(folder: Path, settings: Mapping[str, str], port: int) -> dict[str, str]:
    """All that it is told: of the caller's environment only what a program needs to run at all."""
    code = str(Path(bridge.__file__).resolve().parents[1])
    found = {name: value for name, value in os.environ.items() if name in SYSTEM}
    found["PYTHONPATH"] = os.pathsep.join(filter(None, (code, found.get("PYTHONPATH"))))
    found |= {"DATABASE_URL": f"sqlite:///{folder / 'bridge.db'}", "BIND": f"127.0.0.1:{port}"}
    return {**found, **settings}


def _await(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Waits until the bridge is ready. Raises BridgeError with the end of its log when it is not."""
    until = time.monotonic() + READY_SECONDS
    with session() as here:
        while time.monotonic() < until and process.poll() is None:
            with suppress(requests.RequestException):
                if here.get(url, timeout=2).ok:
                    return
            time.sleep(0.05)
    raise BridgeError("the bridge did not start:\n" + log.read_text()[-3000:])


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def session() -> requests.Session:
    """Talks to this machine, so past whatever proxy the environment names."""
    found = requests.Session()
    found.trust_env = False
    return found
