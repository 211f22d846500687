"""`init`: from nothing to the first signed webhook, by questions on a terminal or by options in scripts."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import click

from bridge.cli import endpoint, env_file, service_files
from bridge.cli.check import findings_of, report
from bridge.cli.confirmation import is_interactive
from bridge.cli.environment import DOTENV, dotenv_path, load_settings
from bridge.cli.output import Grade
from bridge.errors import BridgeError, UsageError
from bridge.settings import SERVICE_SETTINGS, SOURCE_SETTINGS, Partial, Settings
from bridge.store import inbox, open_store, refusals
from processors import processors
from processors.interface import ApiError, Processor

CREATABLE = [name for name, one in processors().items() if one.endpoints is not None]
# Subjects of `check` that can only be right once the bridge runs.
UNTIL_STARTED = ("worker", "web", "public URL", "database")
POLL_SECONDS = 1.0


@click.command(short_help="Connect a processor: endpoint, secrets, service file, first webhook.")
@click.option("--processor", "name", type=click.Choice(CREATABLE), help="The processor to connect.")
@click.option("--api-key", help="Its API key; better in the environment or typed at the question.")
@click.option("--pulsora-token", help="The secret token of your Pulsora project.")
@click.option("--url", help="The bridge's public URL.")
@click.option("--webhook-secret", help="The secret of an endpoint that exists already, if its API does not show it.")
@click.option("--test", is_flag=True, help="The API key is of test mode (Stripe) or sandbox (Paddle).")
@click.option("--service", type=click.Choice(service_files.KINDS), help="The service file to write. [default: none]")
@click.option("--no-wait", is_flag=True, help="Do not wait for the first signed webhook.")
@click.option("--wait-minutes", default=30, show_default=True, type=click.IntRange(1), help="How long to wait.")
def init(
    name: str | None, api_key: str | None, pulsora_token: str | None, url: str | None, webhook_secret: str | None,
    test: bool, service: str | None, no_wait: bool, wait_minutes: int,
) -> None:  # fmt: skip
    """Connect a processor: creates the webhook endpoint through its API, or completes the existing one.

    Asks for what neither options nor settings state, and stores it in .env or --env-file, readable by you alone. Ends
    with a check and waits for the first signed webhook. Running it again changes nothing that is done already.
    """
    chosen = name or _ask("Processor", None, "--processor", lambda one: None, choices=CREATABLE)
    source = endpoint.source_so_far(chosen)
    given = {"PULSORA_SECRET_TOKEN": pulsora_token, "PUBLIC_URL": url, _key_name(source.processor): api_key}
    _gather(source, given, test=test)
    source = endpoint.source_so_far(chosen)
    _connect(source, webhook_secret, test=test)
    settings = load_settings()
    _write_service(service, source, settings)
    _finish(settings, source.name, None if no_wait else wait_minutes)


# ---- Questions -------------------------------------------------------------------------------------------------


def _gather(source: Partial, given: dict[str, str | None], *, test: bool) -> None:
    """Takes each value from its option, else the settings, else a question, and stores what is new."""
    processor, values = source.processor, source.values
    assert processor.api_key is not None
    key_name = processor.api_key.name
    if processor.key_page is not None and not (given[key_name] or values.get(key_name)):
        click.echo(f"Create an API key, and copy it here: {processor.key_page(not test, values)}", err=True)
    checks: dict[str, tuple[str, str, Callable[[str], str | None]]] = {
        key_name: (f"{processor.title} API key", "--api-key", partial(_key_problem, source, test)),
        "PULSORA_SECRET_TOKEN": ("Pulsora secret token", "--pulsora-token", _check_of("PULSORA_SECRET_TOKEN")),
        "PUBLIC_URL": (f"Public URL of the bridge, such as {endpoint.EXAMPLE_URL}", "--url", _check_of("PUBLIC_URL")),
    }
    found = {
        name: _ask(label, given[name] or values.get(name), option, check)
        for name, (label, option, check) in checks.items()
    }
    if source.config is None and not values.get("ADMIN_TOKEN"):
        found["ADMIN_TOKEN"] = secrets.token_hex(24)
    new = {name: value for name, value in found.items() if values.get(name) != value}
    if new:
        env_file.merge(dotenv_path(), new)
        click.echo(f"Stored in {dotenv_path()}: {', '.join(new)}.")
    for name in new:
        if name in os.environ:
            raise UsageError(f"{name}: the environment has another value, which wins over {dotenv_path()}. Unset it")


def _ask(
    label: str, value: str | None, option: str, check: Callable[[str], str | None], choices: list[str] | None = None
) -> str:
    """The value, or the answer to the question, asked again until it is valid. Raises UsageError in scripts."""
    while True:
        if value is None and not is_interactive():
            raise UsageError(f"{option}: is missing. Give it as an option, or run init on a terminal")
        secret = choices is None and option != "--url"
        kind = None if choices is None else click.Choice(choices)
        answer: str = value or click.prompt(label, hide_input=secret, type=kind, err=True)
        wrong = check(answer.strip())
        if wrong is None:
            return answer.strip()
        if not is_interactive():
            raise UsageError(f"{option}: {wrong}")
        click.echo(f"  {wrong if value is None else f'{label}: {wrong}'}", err=True)
        value = None


def _key_problem(source: Partial, test: bool, key: str) -> str | None:
    """Why the wizard cannot use this API key: its form, or its mode."""
    processor = source.processor
    assert processor.api_key is not None
    if wrong := processor.api_key.check(key):
        return wrong
    api = processor.connect_endpoints(key, source.values)
    return None if api is None else endpoint.mode_problem(api, test=test)


def _check_of(name: str) -> Callable[[str], str | None]:
    declared = next(one for one in (*SERVICE_SETTINGS, *SOURCE_SETTINGS) if one.name == name)

    def problem(value: str) -> str | None:
        try:
            declared.check(value)
        except ValueError as error:
            return f"{error}. Example: {declared.example}"
        return None

    return problem


def _key_name(processor: Processor) -> str:
    assert processor.api_key is not None  # every processor in CREATABLE has one
    return processor.api_key.name


# ---- The endpoint ----------------------------------------------------------------------------------------------


def _connect(source: Partial, webhook_secret: str | None, *, test: bool) -> None:
    """Makes or completes the endpoint, and stores its secret and the mode of the key."""
    route = endpoint.route_of(source, source.public_url)
    api = endpoint.connected(source, test=test)
    try:
        missing = api.missing_permissions()
        for permission, purpose in missing.items():
            click.echo(f"The API key lacks the permission {permission}: {purpose} will not work.", err=True)
        done = endpoint.ensure(api, route, source.processor.event_types)
    except ApiError as error:
        raise BridgeError(f"{error}. Run init again: nothing is done twice") from error
    changed = {name: value for name, value in api.mode_settings.items() if source.values.get(name, "live") != value}
    if changed:
        env_file.merge(dotenv_path(), changed)
    place = endpoint.store_secret(source, done.secret or _typed_secret(source, done, webhook_secret))
    click.echo(endpoint.sentence_of(done))
    click.echo(endpoint.secret_sentence(source, done, place))


def _typed_secret(source: Partial, done: endpoint.Ensured, given: str | None) -> str | None:
    """The secret that only the dashboard shows; None: it is set already."""
    if source.secrets and given is None:
        return None
    if given is None:
        click.echo(endpoint.secret_sentence(source, done, None), err=True)
    return _ask("Webhook secret", given, "--webhook-secret", source.processor.secret.check)


def _write_service(kind: str | None, source: Partial, settings: Settings) -> None:
    if kind is None and is_interactive():
        kind = click.prompt("Service file", type=click.Choice(service_files.KINDS), default="none", err=True)
    for path in service_files.write(kind or "none", dotenv_path(), source.public_url or "", settings.database_url):
        click.echo(f"Wrote {path}. {service_files.NEXT_STEP[kind or 'none']}")


# ---- The end ---------------------------------------------------------------------------------------------------


def _finish(settings: Settings, name: str, wait_minutes: int | None) -> None:
    """Checks everything, and waits for the first signed webhook."""
    findings = [one for one in findings_of(settings) if one.about not in UNTIL_STARTED or one.grade is Grade.OK]
    report(findings, as_json=False)
    has_problem = any(one.grade is Grade.PROBLEM for one in findings)
    started = [one for one in findings if one.about == "worker"]
    if not started:
        option = "" if dotenv_path() == DOTENV else f"--env-file {dotenv_path()} "
        click.echo(f"Start the bridge, from this folder in another terminal: pulsora-bridge {option}serve")
    if wait_minutes is not None:
        _wait(settings, name, wait_minutes)
    if has_problem:
        raise click.exceptions.Exit(1)


def _wait(settings: Settings, name: str, minutes: int) -> None:
    """Waits until a webhook of the source is stored; shows those that are refused. Ctrl-C ends the waiting."""
    click.echo(f"Waiting for the first signed webhook at {settings.public_url}/webhooks/{name} (Ctrl-C to stop) …")
    began, shown = datetime.now(UTC), 0
    until = time.monotonic() + minutes * 60
    while time.monotonic() < until:
        first, refused = _arrived(settings, name, began)
        if first is not None:
            click.echo(f"Received {first.type} ({first.event_id}). {name} is connected.")
            return
        if refused > shown:
            shown = refused
            click.echo(f"Refused so far: {refused}. The secret may be of another endpoint or mode", err=True)
        time.sleep(POLL_SECONDS)
    raise BridgeError(
        f"no webhook arrived in {minutes} min. Is the bridge running, and does pulsora-bridge check pass?"
    )


def _arrived(settings: Settings, name: str, began: datetime) -> tuple[inbox.InboxRow | None, int]:
    """The newest webhook of the source, and how many were refused this hour. (None, 0): no database yet."""
    path = Path(settings.database_url.removeprefix("sqlite:///").partition("?")[0])
    if settings.database_url.startswith("sqlite:///") and not path.exists():
        return None, 0
    store = open_store(settings.database_url)
    try:
        if store.schema_mismatch():
            return None, 0
        with store.reading() as tx:
            rows = [one for one in inbox.listing(tx, None, name, 20) if not one.type.startswith("bridge.")]
            refused = sum(one.count for one in refusals.since(tx, began) if one.source == name and one.last_at >= began)
        return next(iter(rows), None), refused
    finally:
        store.close()
