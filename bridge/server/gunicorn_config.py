"""gunicorn's configuration, from the same settings under `serve` and under `gunicorn -c config/gunicorn.conf.py`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from bridge.errors import SettingsError
from bridge.server import banner
from bridge.settings import Settings, load

GRACEFUL_SECONDS = 20
BACKLOG = 2048


def gunicorn_options(settings: Settings) -> dict[str, Any]:
    """gunicorn's options by name.

    Most of a request is waiting for the disk, so there are many threads and few processes.
    """

    def post_fork(arbiter: Any, worker: Any) -> None:
        worker.signals_before_boot = arbiter.SIG_QUEUE  # a new worker still has its master's signal handlers
        worker.max_body_bytes = settings.max_body_bytes

    return {
        "bind": settings.bind,
        "worker_class": "bridge.server.gunicorn_worker.BufferingWorker",
        "workers": settings.web_workers,
        "threads": settings.web_threads,
        "worker_connections": 2000,
        "backlog": BACKLOG,
        "timeout": 60,
        "graceful_timeout": GRACEFUL_SECONDS,
        "post_fork": post_fork,
        "post_worker_init": _connect,
        "keepalive": 5,
        "limit_request_line": 4094,
        "limit_request_fields": 64,
        "limit_request_field_size": 16 * 1024,
        "forwarder_headers": "",  # a client's SCRIPT_NAME would bypass the paths that a proxy blocks
        "max_requests": 0,
        "accesslog": None,
        "errorlog": "-",
        "loglevel": "warning",
        "proc_name": "pulsora-bridge",
        "control_socket_disable": True,
    }


def _connect(worker: Any) -> None:
    """Called by gunicorn in each web process, before it serves. An application may also be another one than ours."""
    from bridge.web.context import KEY

    ours = getattr(worker.wsgi, "extensions", {}).get(KEY)
    if ours is not None:
        ours.store.connect()


def options_from_environment() -> dict[str, Any]:
    """The options by the environment and `.env`. Invalid settings end the process as they end `serve`: exit status 2.

    gunicorn would print a traceback for any other exception in its configuration file.
    """
    try:
        settings = load(os.environ, dotenv=Path(".env"))
    except SettingsError as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from None
    return {**gunicorn_options(settings), "when_ready": lambda _: banner.announce(settings)}


def web_application(settings: Settings, bind: str) -> Any:
    """gunicorn's application object for the bridge, listening on `bind`."""
    from gunicorn.app.base import BaseApplication

    class Web(BaseApplication):
        def load_config(self) -> None:
            for name, value in (gunicorn_options(settings) | {"bind": bind}).items():
                self.cfg.set(name, value)

        def load(self) -> Any:
            from bridge import log
            from bridge.web import create_app

            log.configure(settings.log_format, settings.log_level)
            return create_app(settings)

    return Web()
