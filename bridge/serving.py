"""Serving: gunicorn's options in one place, and web and worker together as one command."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

from bridge.affinity import keep_to_one_processor
from bridge.errors import WrongUsage

if TYPE_CHECKING:
    from multiprocessing.process import BaseProcess

    from bridge.settings import Settings

RESTART_SECONDS = (0.5, 1.0, 2.0, 5.0, 15.0, 30.0)  # what dies again and again is started ever more slowly
CALM_SECONDS = 60.0  # what lived this long starts the count anew
GRACE_SECONDS = 25
TICK_SECONDS = 0.1
BACKLOG = 2048
STOPPING = (signal.SIGTERM, signal.SIGINT)
# The supervisor has one thread and no connection open, so on Linux its parts may be copies of it: they start in half
# the time and share what was imported. Elsewhere the system's own libraries do not bear that.
PROCESSES = get_context("fork") if sys.platform == "linux" else get_context("spawn")


def gunicorn_options(environ: Mapping[str, str] | None = None) -> dict[str, Any]:
    """What gunicorn runs with. Imports nothing heavy: the master reads this before its workers fork.

    Most of a request is waiting for the disk, so there are many threads and few processes. Slow clients hold none.
    """
    found = os.environ if environ is None else environ
    return {
        "bind": found.get("BIND", "127.0.0.1:8000"),
        "worker_class": "bridge.doorway.Doorway",
        "workers": int(found.get("WEB_WORKERS", "2")),
        "threads": int(found.get("WEB_THREADS", "64")),
        "worker_connections": 2000,
        "backlog": BACKLOG,
        "timeout": 60,
        "graceful_timeout": GRACE_SECONDS - 5,  # it has to end before the supervisor loses patience
        "post_fork": _after_fork,
        "keepalive": 5,
        "limit_request_line": 4094,
        "limit_request_fields": 64,
        "limit_request_field_size": 16 * 1024,
        "forwarder_headers": "",  # a stranger's SCRIPT_NAME would lead past the paths that a proxy keeps shut
        "max_requests": 0,
        "accesslog": None,
        "errorlog": "-",
        "loglevel": "warning",
        "proc_name": "pulsora-bridge",
        "control_socket_disable": True,
    }


def _after_fork(arbiter: Any, worker: Any) -> None:
    """Called by gunicorn in a new worker, which still has its master's signal handlers."""
    worker.signals_before_boot = arbiter.SIG_QUEUE


def serve(settings: Settings) -> int:
    """Runs migrations, then web and worker until a signal says stop; the exit status. A second signal stops at once."""
    from bridge.store import open_store

    store = open_store(settings.database_url)
    store.migrate()
    store.close()
    return Supervisor({"web": partial(_web, _listener(settings.bind)), "worker": _worker}, settings).run()


Work = Callable[["Settings", int], None]  # one process of the service; the number is its parent's process id


class Supervisor:
    """Keeps the service's processes running: one that dies is started anew, until all are told to stop."""

    def __init__(self, parts: Mapping[str, Work], settings: Settings) -> None:
        self._settings = settings
        self._parts = [Part(name, work) for name, work in parts.items()]
        self._asked = 0

    def run(self) -> int:
        """Runs until a signal comes. 0: everything ended when asked; 1: something had to be killed."""
        for number in STOPPING:
            signal.signal(number, self._ask)
        while not self._asked:
            for part in self._parts:
                part.keep_alive(self._start, time.monotonic())
            time.sleep(TICK_SECONDS)
        return self._stop()

    def _ask(self, *_: object) -> None:
        self._asked += 1

    def _start(self, part: Part) -> BaseProcess:
        process = PROCESSES.Process(target=_part, args=(part.work, self._settings, os.getpid()), name=part.name)
        signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)  # one that comes now is not lost on either of the two
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
        return process

    def _stop(self) -> int:
        """Tells all to finish what they have in hand; those that do not, or after a second signal, are killed."""
        alive = [part.process for part in self._parts if part.process is not None and part.process.is_alive()]
        for process in alive:
            process.terminate()
        until = time.monotonic() + GRACE_SECONDS
        while any(process.is_alive() for process in alive) and time.monotonic() < until and self._asked < 2:
            time.sleep(TICK_SECONDS)
        late = [process for process in alive if process.is_alive()]
        for process in late:
            process.kill()
        for process in alive:
            process.join()
        return 1 if late else 0


def _part(work: Work, settings: Settings, parent: int) -> None:
    """The first that a new process does: signals are its own from now on."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)
    work(settings, parent)


@dataclass(slots=True)
class Part:
    """One process of the service, and when it may be started again."""

    name: str
    work: Work
    process: BaseProcess | None = None
    began: float = 0.0
    deaths: int = 0
    not_before: float = 0.0

    def keep_alive(self, start: Callable[[Part], BaseProcess], now: float) -> None:
        """Starts the process when it does not run, ever more slowly when it dies again and again."""
        if self.process is not None and self.process.is_alive():
            return
        if self.process is not None:
            self.deaths = 1 if now - self.began > CALM_SECONDS else self.deaths + 1
            wait = RESTART_SECONDS[min(self.deaths, len(RESTART_SECONDS)) - 1]
            with suppress(OSError):  # a log on a full disk
                sys.stderr.write(f"{self.name} ended with {self.process.exitcode}; it starts again in {wait:g} s\n")
            self.process, self.not_before = None, now + wait
        if now >= self.not_before:
            self.process, self.began = start(self), now


def work(settings: Settings) -> None:
    """Runs a worker in this process until a signal says stop; a second signal stops at once."""
    from bridge.worker import run

    stop = threading.Event()

    def asked(*_: object) -> None:
        if stop.is_set():
            os._exit(1)
        stop.set()

    for number in STOPPING:
        signal.signal(number, asked)
    keep_to_one_processor(os.getpid())
    run(settings, stop)


def _worker(settings: Settings, parent: int) -> None:
    from bridge import log

    log.configure(settings.log_format, settings.log_level)
    _end_with(parent)
    work(settings)


def _web(listener: socket.socket | None, settings: Settings, parent: int) -> None:
    _end_with(parent)
    import_module("bridge.web")  # before the fork: a worker that was killed is back at once, and memory is shared
    bind = f"fd://{listener.detach()}" if listener is not None else settings.bind
    _gunicorn(settings, bind).run()


def _listener(bind: str) -> socket.socket | None:
    """The socket that web processes listen on; None for a Unix socket, which gunicorn makes.

    It is the supervisor's, so while gunicorn is started again new connections wait instead of being refused, and
    nothing that a killed gunicorn left behind can keep the address from it.
    """
    from gunicorn.util import parse_address

    address = parse_address(bind, "8000")
    if not isinstance(address, tuple):
        return None
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    try:
        return socket.create_server(address[:2], family=family, backlog=BACKLOG)
    except OSError as error:
        raise WrongUsage(f"BIND: cannot listen on {bind}: {error.strerror}. Example: BIND=127.0.0.1:8000") from error


def _end_with(parent: int) -> None:
    """A child whose parent was killed stops too, so that nothing is left running behind an operator's back."""

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, name="parent", daemon=True).start()


def _gunicorn(settings: Settings, bind: str) -> Any:
    """gunicorn's own application object around ours."""
    from gunicorn.app.base import BaseApplication

    class Web(BaseApplication):
        def load_config(self) -> None:
            options = gunicorn_options() | {
                "bind": bind,
                "workers": settings.web_workers,
                "threads": settings.web_threads,
            }
            for name, value in options.items():
                if name in self.cfg.settings:
                    self.cfg.set(name, value)

        def load(self) -> Any:
            from bridge import log
            from bridge.web import create_app

            log.configure(settings.log_format, settings.log_level)
            return create_app(settings)

    return Web()
