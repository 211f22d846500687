"""`serve`: a supervisor of the web and worker processes, which restarts those that end unexpectedly."""

from __future__ import annotations

import os
import signal
import socket
import stat
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from errno import EADDRINUSE
from functools import partial
from multiprocessing import get_context
from typing import TYPE_CHECKING

from bridge.errors import UsageError
from bridge.importing import import_at_once
from bridge.server.cpu_affinity import pin_to_one_cpu
from bridge.server.gunicorn_config import BACKLOG, GRACEFUL_SECONDS, web_application

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from bridge.settings import Settings

RESTART_SECONDS = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0)  # delays of consecutive restarts
STABLE_SECONDS = 60.0  # a process that ran this long restarts with the first delay
STOP_SECONDS = GRACEFUL_SECONDS + 5  # gunicorn has to finish first
POLL_SECONDS = 0.1
EXAMPLE = "Example: BIND=127.0.0.1:8000"
STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)
# The supervisor has one thread and no open connections, so on Linux it may fork: children start in half the time and
# share imported code. On other systems forking without exec is not safe with the system's libraries.
PROCESSES = get_context("fork") if sys.platform == "linux" else get_context("spawn")


def serve(settings: Settings, announce: Callable[[], None], extra: Mapping[str, Target] | None = None) -> int:
    """Runs web and worker on a migrated database until a stop signal; a second one kills. The exit status.

    `announce` is called once the address is taken: it may say that the bridge listens. `extra`: further processes to
    keep running.
    """
    listener = listen(settings.bind)
    announce()
    targets: dict[str, Target] = {"web": partial(_web, listener), **worker_targets(settings.worker_processes)}
    return Supervisor({**targets, **(extra or {})}, settings).run()


Target = Callable[["Settings", int], None]  # the main function of a child; the number is its parent's process id


class Supervisor:
    """Keeps child processes running: one that ends is restarted, until a signal stops all."""

    def __init__(self, targets: Mapping[str, Target], settings: Settings) -> None:
        self._settings = settings
        self._children = [Child(name, target) for name, target in targets.items()]
        self._signals = 0

    def run(self) -> int:
        """Runs until a signal arrives. 0: all children ended in time; 1: some had to be killed."""
        for number in STOP_SIGNALS:
            signal.signal(number, self._count_signal)
        while not self._signals:
            for child in self._children:
                child.keep_alive(self._start, time.monotonic())
            time.sleep(POLL_SECONDS)
        return self._stop()

    def _count_signal(self, *_: object) -> None:
        self._signals += 1

    def _start(self, child: Child) -> BaseProcess:
        process = PROCESSES.Process(
            target=_run_child, args=(child.target, self._settings, os.getpid()), name=child.name
        )
        # Blocked until the child has reset its handlers: the supervisor's copy would swallow the child's signal.
        signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
        return process

    def _stop(self) -> int:
        """Terminates all children, and kills those that do not end in time or before a second signal."""
        alive = [child.process for child in self._children if child.process is not None and child.process.is_alive()]
        for process in alive:
            process.terminate()
        until = time.monotonic() + STOP_SECONDS
        while any(process.is_alive() for process in alive) and time.monotonic() < until and self._signals < 2:
            time.sleep(POLL_SECONDS)
        late = [process for process in alive if process.is_alive()]
        for process in late:
            process.kill()
        for process in alive:
            process.join()
        return 1 if late else 0


def _run_child(target: Target, settings: Settings, parent: int) -> None:
    """The entry point of a child: resets the signal handlers inherited from the supervisor."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOP_SIGNALS)
    target(settings, parent)


@dataclass(slots=True)
class Child:
    """A child process, and when it may be restarted."""

    name: str
    target: Target
    process: BaseProcess | None = None
    started_at: float = 0.0
    failures: int = 0
    restart_at: float = 0.0

    def keep_alive(self, start: Callable[[Child], BaseProcess], now: float) -> None:
        """Starts the process if it does not run, with a longer delay after each consecutive failure."""
        if self.process is not None and self.process.is_alive():
            return
        if self.process is not None:
            self.failures = 1 if now - self.started_at > STABLE_SECONDS else self.failures + 1
            wait = RESTART_SECONDS[min(self.failures, len(RESTART_SECONDS)) - 1]
            with suppress(OSError):  # stderr on a full disk
                sys.stderr.write(f"{self.name} ended with {self.process.exitcode}; restarting in {wait:g} s\n")
            self.process, self.restart_at = None, now + wait
        if now >= self.restart_at:
            self.process, self.started_at = start(self), now


def run_worker(settings: Settings, cpu: int | None = None) -> None:
    """Runs a worker in this process until a stop signal; a second one stops at once. `cpu`: where; None: on any."""
    import_at_once("bridge.worker.loop")
    from bridge.worker.loop import run

    stop = threading.Event()

    def request_stop(*_: object) -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in STOP_SIGNALS:
        signal.signal(number, request_stop)
    pin_to_one_cpu(os.getpid() if cpu is None else cpu)
    run(settings, stop)


def worker_targets(count: int) -> dict[str, Target]:
    """The worker processes, each on another CPU while there are enough."""
    return {"worker" if number == 0 else f"worker {number + 1}": partial(_worker, number) for number in range(count)}


def _worker(cpu: int, settings: Settings, parent: int) -> None:
    from bridge import log

    log.configure(settings.log_format, settings.log_level)
    _stop_with(parent)
    run_worker(settings, cpu)


def _web(listener: socket.socket | None, settings: Settings, parent: int) -> None:
    _stop_with(parent)
    import_at_once("bridge.web")  # before gunicorn forks: a killed worker is back at once, and memory is shared
    bind = f"fd://{listener.detach()}" if listener is not None else settings.bind
    web_application(settings, bind).run()


def listen(bind: str) -> socket.socket | None:
    """The socket that web processes listen on; None for a Unix socket, which gunicorn creates.

    The supervisor owns it: connections wait in its backlog while gunicorn restarts, and the orphans of a killed
    gunicorn master cannot keep the address occupied.
    """
    from gunicorn.util import parse_address

    address = parse_address(bind, "8000")
    if not isinstance(address, tuple):
        _require_free(str(address))
        return None
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    try:
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        cure = "Stop the other program, or choose another port: --port" if error.errno == EADDRINUSE else EXAMPLE
        reason = str(error.strerror).partition(" (while")[0]  # the address follows, a second time
        raise UsageError(f"BIND: cannot listen on {bind}: {reason}. {cure}") from error


def _require_free(path: str) -> None:
    """Raises UsageError if no Unix socket can be created at `path`: gunicorn would be restarted forever."""
    folder = os.path.dirname(os.path.abspath(path))
    if not os.access(folder, os.W_OK | os.X_OK):
        problem = "cannot be written" if os.path.isdir(folder) else "does not exist"
        raise UsageError(f"BIND: cannot listen on unix:{path}: its folder {problem}. Create it for this user")
    if os.path.exists(path) and not stat.S_ISSOCK(os.stat(path).st_mode):
        raise UsageError(f"BIND: cannot listen on unix:{path}: there is a file, and it is no socket. Name another path")
    with socket.socket(socket.AF_UNIX) as probe, suppress(FileNotFoundError, ConnectionRefusedError):
        probe.connect(path)
        raise UsageError(f"BIND: cannot listen on unix:{path}: another program listens there. Stop it first")


def _stop_with(parent: int) -> None:
    """Stops this process when its parent has been killed, so that no orphan keeps running."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()
