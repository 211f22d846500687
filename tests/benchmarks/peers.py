"""Other software with the same webhooks, installed for the run into a temporary folder.

Each gets a warm start, persistent database connections and as many processes as the bridge. Stripe's API is not called:
the key is fake, and dj-stripe's API host is a closed port, so that a call would fail. After each run the rows in its
database are counted.

- dj-stripe (Django, PyPI) on SQLite, in WAL with synchronous=FULL as the bridge, and with the immediate transactions
  that Django has for concurrent writers; under gunicorn, `gthread` with 16 threads. Two rows, because for
  a charge it would fetch that charge from Stripe's API within the request, which cannot be measured fairly here:
  - its default for an event type without a handler (`refund.created`): the signature is verified, WebhookEventTrigger
    and Event are stored;
  - `charge.succeeded` with the documented DJSTRIPE_WEBHOOK_EVENT_CALLBACK, which is meant to enqueue the event
    and here does nothing: the signature is verified, only the WebhookEventTrigger is stored.
- @supabase/stripe-sync-engine (npm) on PostgreSQL. The package is a library and its Fastify server is not published,
  so the library's `processWebhook` runs behind Node's HTTP server: the signature is verified, and the charge of
  `charge.succeeded` is written to its table. It stores the object, not the event.
"""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import psycopg
from load import SECRET, WARM, post, postgres, requests, running_server
from table import Row
from wrk import Run, prepared, row, wrk

DJANGO = {
    "settings.py": """
import os

SECRET_KEY = "bench_fake_secret"
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "urls"
WSGI_APPLICATION = "wsgi.application"
USE_TZ = True
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes", "djstripe"]
MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": os.environ["DATABASE"],
        "CONN_MAX_AGE": None,
        "OPTIONS": {
            "timeout": 30,
            "transaction_mode": "IMMEDIATE",
            "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;",
        },
    }
}
DJSTRIPE_FOREIGN_KEY_TO_FIELD = "id"
STRIPE_LIVE_MODE = False
STRIPE_TEST_SECRET_KEY = os.environ["STRIPE_KEY"]
STRIPE_API_HOST = "http://127.0.0.1:9"
if os.environ.get("CALLBACK"):
    DJSTRIPE_WEBHOOK_EVENT_CALLBACK = os.environ["CALLBACK"]
""",
    "urls.py": """
from django.http import HttpResponse
from django.urls import include, path

urlpatterns = [
    path("healthz", lambda request: HttpResponse("ok")),
    path("stripe/", include("djstripe.urls", namespace="djstripe")),
]
""",
    "wsgi.py": """
from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
""",
    "callback.py": """
def later(event, api_key=None):
    pass
""",
    # The state after `djstripe_sync_models`: the account, the key and the endpoint. The tolerance is longer because the
    # load is signed before it is posted.
    "prepare.py": """
import os
import django

django.setup()
from django.core.management import call_command
from djstripe.models import Account, APIKey, WebhookEndpoint

call_command("migrate", verbosity=0)
account = Account.objects.create(id="acct_bench", livemode=False)
APIKey.objects.create(
    secret=os.environ["STRIPE_KEY"], type="secret", livemode=False, djstripe_owner_account=account
)
WebhookEndpoint.objects.create(
    id="we_bench", livemode=False, djstripe_owner_account=account, secret=os.environ["SECRET"], status="enabled",
    url="http://127.0.0.1/", enabled_events=["*"], djstripe_uuid=os.environ["ENDPOINT"],
    djstripe_validation_method="verify_signature", djstripe_tolerance=3600,
)
""",
    "gunicorn.conf.py": """
import os

bind = os.environ["BIND"]
workers = int(os.environ["WEB_WORKERS"])
worker_class = "gthread"
threads = 16
keepalive = 5
loglevel = "warning"
control_socket_disable = True
""",
}
NODE = {
    "package.json": '{"private": true}',
    "prepare.js": """
const { runMigrations } = require("@supabase/stripe-sync-engine")

const logger = { info() {}, error(error) { console.error(error); process.exitCode = 1 } }
runMigrations({ databaseUrl: process.env.DATABASE, schema: "stripe", logger })
""",
    "server.js": """
const cluster = require("node:cluster")
const http = require("node:http")
const { StripeSync } = require("@supabase/stripe-sync-engine")

const { BIND, DATABASE, SECRET, STRIPE_KEY, WEB_WORKERS } = process.env

if (cluster.isPrimary) {
  for (let number = 0; number < Number(WEB_WORKERS); number++) cluster.fork()
} else {
  const sync = new StripeSync({
    poolConfig: { connectionString: DATABASE, max: 10 },
    stripeSecretKey: STRIPE_KEY,
    stripeWebhookSecret: SECRET,
  })
  const server = http.createServer(async (request, response) => {
    try {
      const parts = []
      for await (const part of request) parts.push(part)
      if (request.method === "POST") {
        await sync.processWebhook(Buffer.concat(parts), request.headers["stripe-signature"])
      }
      response.end(JSON.stringify({ received: true }))
    } catch (error) {
      console.error(error)
      response.statusCode = 500
      response.end(JSON.stringify({ received: false }))
    }
  })
  const [host, port] = BIND.split(":")
  server.listen(Number(port), host)
}
""",
}
KEY = "sk_test_" + "benchfake" * 3
QUIETLY = ("--loglevel=error", "--no-audit", "--no-fund")
CHARGE = "charge.succeeded"
UNHANDLED = "refund.created"  # dj-stripe 2.11 has no handler for it
TRIGGERS = "SELECT count(*) FROM djstripe_webhookeventtrigger WHERE valid"
EVENTS = "SELECT count(*) FROM djstripe_event"
CHARGES = "SELECT count(*) FROM stripe.charges"


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The load for each of them."""

    seconds: int
    web: int

    def posted(self, command: Sequence[str], folder: Path, path: str, kind: str, environ: Mapping[str, str]) -> Run:
        """A run with events of this type."""
        with (
            prepared(path, kind) as file,
            running_server(command, folder, program=(), WEB_WORKERS=str(self.web), **environ) as port,
        ):
            if not post(port, requests(WARM, "warm", path=path, kind=kind)).count:
                raise SystemExit("it responds to every webhook with an error")
            return wrk(port, file, self.seconds)


def measure(folder: Path, seconds: int, web: int) -> list[Row]:
    """Measures those that can be installed here; the reason for the others is written to stderr."""
    load = Load(seconds=seconds, web=web)
    return [*_try("dj-stripe", _djstripe, folder, load), *_try("stripe-sync-engine", _sync, folder, load)]


def _try(name: str, measure: Callable[[Path, Load], list[Row]], folder: Path, load: Load) -> list[Row]:
    try:
        return measure(folder / name, load)
    except (OSError, subprocess.SubprocessError, SystemExit) as error:
        output = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        sys.stderr.write(f"{name} is skipped: {output[-1] if output else type(error).__name__}\n")
        return []


def _djstripe(folder: Path, load: Load) -> list[Row]:
    python = _djstripe_installed(folder)
    version = _run(python, "-c", "import importlib.metadata as m; print(m.version('dj-stripe'))", folder=folder)
    name = f"dj-stripe {version.strip()} on SQLite"
    whole = _posted_to_django(folder, python, load, UNHANDLED, EVENTS)
    queued = _posted_to_django(folder, python, load, CHARGE, TRIGGERS, CALLBACK="callback.later")
    return [
        row(f"{name}: trigger and Event", [whole], note=f"{UNHANDLED}, for which it has no handler"),
        row(f"{name}: trigger only", [queued], note=f"{CHARGE}, with an event callback that does nothing"),
    ]


def _djstripe_installed(folder: Path) -> str:
    """Installs dj-stripe and a project that uses it. Returns the path of its Python."""
    _write(folder, DJANGO)
    _run(sys.executable, "-m", "venv", "venv", folder=folder)
    python = str(folder / "venv" / "bin" / "python")
    _run(python, "-m", "pip", "install", "-q", "dj-stripe", "gunicorn", folder=folder)
    return python


def _posted_to_django(folder: Path, python: str, load: Load, kind: str, count: str, **environ: str) -> Run:
    database, endpoint = folder / f"{kind}.db", str(uuid4())
    environ = {
        "DJANGO_SETTINGS_MODULE": "settings",
        "PYTHONPATH": str(folder),
        "DATABASE": str(database),
        "STRIPE_KEY": KEY,
        **environ,
    }
    _run(python, "prepare.py", folder=folder, environ={**environ, "SECRET": SECRET, "ENDPOINT": endpoint})
    command = (python, "-m", "gunicorn", "wsgi:application")
    found = load.posted(command, folder, f"/stripe/webhook/{endpoint}/", kind, environ)
    with closing(sqlite3.connect(database)) as connection:
        _check(found, connection.execute(count).fetchone()[0])
    return found


def _sync(folder: Path, load: Load) -> list[Row]:
    with postgres() as url:
        if url is None:
            return []
        version = _sync_installed(folder)
        environ = {"DATABASE": url, "SECRET": SECRET, "STRIPE_KEY": KEY}
        _run("node", "prepare.js", folder=folder, environ=environ)
        found = load.posted(("node", "server.js"), folder, "/webhooks", CHARGE, environ)
        with psycopg.connect(url) as connection:
            _check(found, connection.execute(CHARGES).fetchone()[0])  # type: ignore[index]  # a count is one row
        name = f"@supabase/stripe-sync-engine {version} on PostgreSQL"
        return [row(name, [found], note="library behind Node's HTTP server, charge upserted, no event kept")]


def _sync_installed(folder: Path) -> str:
    """Installs the package. Returns its version."""
    if not shutil.which("node") or not shutil.which("npm"):
        raise OSError("node or npm is not installed")
    _write(folder, NODE)
    _run("npm", "install", *QUIETLY, "@supabase/stripe-sync-engine", "stripe", folder=folder)
    package = folder / "node_modules" / "@supabase" / "stripe-sync-engine" / "package.json"
    return str(json.loads(package.read_text())["version"])


def _check(found: Run, stored: int) -> None:
    """The warm-up counts too, and the last webhooks may have been stored without a response."""
    assert found.count <= stored - WARM, f"{stored} stored, {found.count} acknowledged"


def _write(folder: Path, files: Mapping[str, str]) -> None:
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_text(content.lstrip())


def _run(*command: str, folder: Path, environ: Mapping[str, str] | None = None) -> str:
    """Runs a command. Returns its output, raises `subprocess.SubprocessError` if it fails."""
    environ = {**os.environ, **(environ or {})}
    found = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True, check=True, timeout=600)
    return found.stdout
