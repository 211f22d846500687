"""`setup`: the webhook endpoint at the processor, made and compared through its API, or described step by step."""

from __future__ import annotations

import os
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import click

from bridge.cli import env_file
from bridge.cli.environment import dotenv_path
from bridge.cli.output import json_option, print_json
from bridge.errors import BridgeError, UsageError
from bridge.settings import SERVICE_SETTINGS, Partial, partial
from processors import processors
from processors.endpoints import Endpoint, EndpointApi, at_url, compare, merged
from processors.interface import ApiError

EXAMPLE_URL = "https://hooks.example.com"


class Action(StrEnum):
    """The effect on an endpoint."""

    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ensured:
    """The endpoint as it is now. `secret` None: the API does not return it."""

    endpoint: Endpoint
    action: Action
    secret: str | None


@click.command("setup", short_help="Create, update or check the webhook endpoint at a processor, or show the steps.")
@click.argument("name", metavar="PROCESSOR|SOURCE")
@click.option("--url", help="The bridge's public URL. [default: PUBLIC_URL]")
@click.option("--create", "action", flag_value="create", help="Create the endpoint, or complete the existing one.")
@click.option("--update", "action", flag_value="update", help="Enable the existing endpoint and add missing events.")
@click.option("--check", "action", flag_value="check", help="Compare the endpoint. Exit status 1 if it is not right.")
@click.option("--test", is_flag=True, help="The API key is of test mode (Stripe) or sandbox (Paddle).")
@json_option
def setup_processor(name: str, url: str | None, action: str | None, test: bool, as_json: bool) -> None:
    """Create, update or check the webhook endpoint of a PROCESSOR or of a SOURCE of BRIDGE_CONFIG.

    Without --create, --update or --check: show the steps in the processor's dashboard and the events to select.
    Events that were selected for other purposes stay selected.
    """
    source = source_so_far(name)
    route = route_of(source, url or source.public_url or (EXAMPLE_URL if action is None else None))
    if action is None:
        _describe(source, route, as_json)
        return
    api = connected(source, test=test)
    try:
        _compared(source, api, route, as_json) if action == "check" else _ensured(source, api, route, action, as_json)
    except ApiError as error:
        raise BridgeError(str(error)) from error


def _ensured(source: Partial, api: EndpointApi, route: str, action: str, as_json: bool) -> None:
    if action == "update" and not at_url(api.listed(), route):
        raise BridgeError(f"no endpoint has the URL {route}. Create it: pulsora-bridge setup {source.name} --create")
    done = ensure(api, route, source.processor.event_types)
    place = store_secret(source, done.secret)
    if as_json:
        print_json({"id": done.endpoint.id, "url": done.endpoint.url, "action": done.action,
                    "events": done.endpoint.events, "secret_stored_in": place})  # fmt: skip
    else:
        click.echo(sentence_of(done))
        click.echo(secret_sentence(source, done, place))
    if place is None and not source.secrets:
        raise click.exceptions.Exit(1)


def _compared(source: Partial, api: EndpointApi, route: str, as_json: bool) -> None:
    faults = list(compare(api.listed(), route, source.processor.event_types, api.livemode))
    if as_json:
        print_json([{"fault": one.fault, "text": one.text, "can_update": one.can_update} for one in faults])
    for fault in faults if not as_json else ():
        cure = f". Cure it: pulsora-bridge setup {source.name} --update" if fault.can_update else ""
        click.echo(f"{fault.text}{cure}")
    if faults:
        raise click.exceptions.Exit(1)
    if not as_json:
        click.echo(f"The endpoint {route} is enabled and has all {len(source.processor.event_types)} needed events.")


# ---- Shared with `init` and `check` ----------------------------------------------------------------------------


def source_so_far(name: str) -> Partial:
    """The settings of a source or a processor so far. Raises UsageError for an unknown name."""
    found = partial(os.environ, dotenv_path(), name)
    if found is None:
        names = ", ".join(processors())
        raise UsageError(f"{name} is neither a processor ({names}) nor a source of BRIDGE_CONFIG")
    return found


def route_of(source: Partial, url: str | None) -> str:
    """The address that the processor sends webhooks to. Raises UsageError for an address that cannot be one."""
    if url is None:
        raise UsageError(f"--url or PUBLIC_URL: the bridge's public address. Example: --url {EXAMPLE_URL}")
    suffix = f"/webhooks/{source.name}"
    check = next(one.check for one in SERVICE_SETTINGS if one.name == "PUBLIC_URL")
    try:
        return f"{check(url.rstrip('/').removesuffix(suffix))}{suffix}"
    except ValueError as error:
        raise UsageError(f"--url: {error}. Example: --url {EXAMPLE_URL}") from error


def connected(source: Partial, *, test: bool) -> EndpointApi:
    """The endpoints of a source's account. Raises UsageError: no API, no key, an unusable key, or the wrong mode."""
    processor = source.processor
    if processor.endpoints is None or processor.api_key is None:
        raise UsageError(f"{processor.title} has no API for this: pulsora-bridge setup {source.name} shows the steps")
    name, key = source.spelled(processor.api_key), source.api_key
    if key is None:
        page = f". Create one: {processor.key_page(not test, source.values)}" if processor.key_page else ""
        raise UsageError(f"{name}: is not set{page}")
    for option in (processor.api_key, *processor.options):
        value = source.values.get(option.name)
        if value is not None and (wrong := option.check(value)):
            raise UsageError(f"{source.spelled(option)}: {wrong}. Example: {option.example}")
    api = processor.connect_endpoints(key, source.values)
    assert api is not None
    if wrong := mode_problem(api, test=test):
        raise UsageError(f"{name}: {wrong}")
    return api


def mode_problem(api: EndpointApi, *, test: bool) -> str | None:
    """The difference between the mode of a key and --test."""
    if api.livemode is not test:
        return None
    if test:
        return "is of live mode: leave out --test, or use a key of test mode"
    return "is of test mode: its webhooks are test traffic. Use a live key, or add --test"


def ensure(api: EndpointApi, url: str, events: tuple[str, ...]) -> Ensured:
    """Creates the endpoint of this URL, or enables the existing one and adds the missing events."""
    found = at_url(api.listed(), url)
    if len(found) > 1:
        [fault] = [one for one in compare(found, url, found[0].events, found[0].livemode) if not one.can_update]
        raise BridgeError(fault.text)
    if not found:
        created = api.create(url, events)
        return Ensured(endpoint=created, action=Action.CREATED, secret=created.secret)
    endpoint, wanted = found[0], merged(found[0], events)
    action = Action.UNCHANGED if endpoint.is_enabled and wanted == endpoint.events else Action.UPDATED
    secret = api.secret_of(endpoint, url, events)
    if action is Action.UPDATED:
        endpoint = api.update(endpoint, wanted)
    return Ensured(endpoint=endpoint, action=action, secret=secret)


def store_secret(source: Partial, secret: str | None) -> str | None:
    """Adds a webhook secret to the settings, next to those already there. The place; None: there is none to add."""
    if secret is None:
        return None
    name = source.processor.secret.name
    file = source.values.get(f"{name}_FILE")
    secrets = ",".join(dict.fromkeys([*source.secrets, secret]))
    if source.config is None and file is None:
        env_file.merge(dotenv_path(), {name: secrets})
        return str(dotenv_path())
    path = source.config.with_name(f"{source.name}.webhook_secret") if source.config and file is None else None
    chosen = path or Path(str(file))
    env_file.write_secret(chosen, secrets + "\n")
    return str(chosen)


def sentence_of(done: Ensured) -> str:
    """The effect, for people."""
    count, named = len(done.endpoint.events), f"{done.endpoint.id} for {done.endpoint.url}"
    if done.action is Action.CREATED:
        return f"Created the endpoint {named} with {count} events."
    if done.action is Action.UPDATED:
        return f"Updated the endpoint {named}: enabled, {count} events."
    return f"The endpoint {named} exists and has all needed events."


def secret_sentence(source: Partial, done: Ensured, place: str | None) -> str:
    """Where the secret is, or how to get it."""
    name = source.processor.secret.name
    if place is not None and source.config is not None:
        return f'Its secret is in {place}. In [sources.{source.name}] set: webhook_secret_file = "{place}"'
    if place is not None:
        return f"Its secret is in {place} as {name}."
    if source.secrets:
        return f"{name} is set already; the API does not show the secret of an existing endpoint to compare it."
    return (
        f"The API shows the secret of an existing endpoint no more. Open {done.endpoint.id} in the dashboard of "
        f"{source.processor.title}, reveal its secret and set {name}"
    )


# ---- Steps by hand ---------------------------------------------------------------------------------------------


def _describe(source: Partial, route: str, as_json: bool) -> None:
    chosen = source.processor
    if as_json:
        print_json({"url": route, "events": chosen.event_types, "setting": chosen.secret.name})
        return
    steps = chosen.setup_steps or ("Add a webhook endpoint with the URL {url}, and select these events:",)
    for number, step in enumerate(steps, start=1):
        click.echo(f"{number}. {step.format(url=route)}")
    for event_type in chosen.event_types:
        click.echo(f"     {event_type}")
    click.echo(f"{len(steps) + 1}. Put the secret into your settings: {_secret_setting(source)}")
    click.echo(f"{len(steps) + 2}. Check everything: pulsora-bridge check")
    if chosen.endpoints is not None:
        click.echo(f"Or let the bridge do it through the API: pulsora-bridge setup {source.name} --create", err=True)


def _secret_setting(source: Partial) -> str:
    option = source.processor.secret
    if source.config is None:
        return f"{option.name}={option.example}"
    return f'in [sources.{source.name}] of {source.config}, webhook_secret = "{option.example}"'
