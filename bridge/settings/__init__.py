"""The settings: environment, `NAME_FILE` secrets, a `.env` file and a TOML file become one frozen value.

Everything is checked at start and every problem is reported at once: its name, what is wrong, an example of right.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from dotenv import dotenv_values

from bridge.errors import SettingsError
from bridge.ledger.events import Policy
from bridge.settings.names import OF_SERVICE, OF_SOURCES, Name
from bridge.settings.values import Settings, Source
from processors import processors
from processors.base import Processor

__all__ = ["OF_SERVICE", "OF_SOURCES", "Settings", "Source", "load"]


def load(environ: Mapping[str, str], *, dotenv: Path | None = None) -> Settings:
    """The settings. Raises SettingsError with every problem that was found, not only the first."""
    problems: list[str] = []
    values = _with_files({**_dotenv(dotenv), **environ}, problems)
    service = {one.name.lower(): _read(one, values, one.name, problems) for one in OF_SERVICE}
    sources = {name: source for name, source in _sources(values, problems)}
    if not sources and not problems:
        names = ", ".join(processor.secret.name for processor in processors().values())
        problems.append(f"no source is configured: set at least one of {names}. Example: STRIPE_WEBHOOK_SECRET=whsec_…")
    if problems:
        raise SettingsError(problems)
    return Settings(sources=sources, **service)


def _dotenv(path: Path | None) -> dict[str, str]:
    if path is None or not path.is_file():
        return {}
    return {name: value for name, value in dotenv_values(path).items() if value is not None}


def _with_files(environ: Mapping[str, str], problems: list[str]) -> dict[str, str]:
    """The environment with every `NAME_FILE` read into NAME, trimmed; empty values count as not set."""
    known = {one.name for one in (*OF_SOURCES, *OF_SERVICE)} | {name for name, _ in _processor_names()}
    values = {name: value.strip() for name, value in environ.items() if value.strip()}
    for name in sorted(known):
        path = values.get(f"{name}_FILE")
        if path is None:
            continue
        if name in values:
            problems.append(f"{name}_FILE: {name} is set as well. Set only one of the two")
            continue
        try:
            values[name] = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            problems.append(
                f"{name}_FILE: cannot be read ({type(error).__name__}). Example: {name}_FILE=/run/secrets/name"
            )
    return values


def _sources(values: Mapping[str, str], problems: list[str]) -> Iterable[tuple[str, Source]]:
    for name, processor in processors().items():
        if processor.secret.name in values:
            yield name, _source(name, processor, values, "", problems)
    path = values.get("BRIDGE_CONFIG")
    if path is None:
        return
    for name, table in _tables(path, problems).items():
        where = f"[sources.{name}] "
        chosen = str(table.get("processor"))
        if chosen not in processors():
            problems.append(
                f'{where}processor: must be one of {", ".join(processors())}. Example: processor = "stripe"'
            )
            continue
        processor = processors()[chosen]
        own = _of_table(table, processor, where, problems)
        yield name, _source(name, processor, {**_shared(values), **own}, where, problems)


def _tables(path: str, problems: list[str]) -> Mapping[str, Mapping[str, Any]]:
    try:
        found = tomllib.loads(Path(path).read_text(encoding="utf-8")).get("sources", {})
    except (OSError, ValueError) as error:
        problems.append(f"BRIDGE_CONFIG: cannot be read: {error}. Example: BRIDGE_CONFIG=/etc/pulsora-bridge.toml")
        return {}
    return {name: table for name, table in found.items() if isinstance(table, dict)}


def _of_table(table: Mapping[str, Any], processor: Processor, where: str, problems: list[str]) -> dict[str, str]:
    """A source's own settings by their names in the environment. An unknown key is a problem."""
    allowed = {one.name for one in OF_SOURCES} | {option.name for option in processor.options}
    allowed |= {processor.secret.name, api_key_name(processor)}
    found: dict[str, str] = {}
    for key, value in table.items():
        name = _from_toml(key, processor)
        if name in allowed:
            found[name] = {True: "1", False: "0"}[value] if isinstance(value, bool) else str(value)
        elif key != "processor":
            close = get_close_matches(key, [one.lower() for one in allowed], 1)
            hint = f". Did you mean {close[0]}?" if close else ""
            problems.append(f"{where}{key}: there is no such setting{hint}")
    return found


def _from_toml(key: str, processor: Processor) -> str:
    """The environment's name of a key in a source's table: `webhook_secret` and `api_key` are the processor's own."""
    own = {"webhook_secret": processor.secret.name, "api_key": api_key_name(processor)}
    own |= {"token": "PULSORA_SECRET_TOKEN", "endpoint": "PULSORA_ENDPOINT"}
    return own.get(key, key.upper())


def _shared(values: Mapping[str, str]) -> dict[str, str]:
    """What a named source inherits from the environment: policy and destination, never a processor's secrets."""
    return {one.name: values[one.name] for one in OF_SOURCES if one.name in values}


def _source(name: str, processor: Processor, values: Mapping[str, str], where: str, problems: list[str]) -> Source:
    read = {one.name: _read(one, values, where + one.name, problems) for one in OF_SOURCES}
    if not read["PULSORA_SECRET_TOKEN"] and not read["DRY_RUN"] and "PULSORA_SECRET_TOKEN" not in values:
        problems.append(f"{where}PULSORA_SECRET_TOKEN: is missing. Example: PULSORA_SECRET_TOKEN=sec_…")
    return Source(
        name=name,
        processor=processor.name,
        secrets=_secrets(processor, values, where, problems),
        token=read["PULSORA_SECRET_TOKEN"],
        api_key=_api_key(processor, values, where, problems),
        endpoint=read["PULSORA_ENDPOINT"],
        options=_options(processor, values, where, problems),
        policy=_policy(name, processor, read),
        settle_seconds=read["SETTLE_SECONDS"],
        hold_hours=read["HOLD_HOURS"],
        tolerance_seconds=read["SIGNATURE_TOLERANCE_SECONDS"],
        forward_test_events=read["FORWARD_TEST_EVENTS"],
        dry_run=read["DRY_RUN"],
    )


def _secrets(processor: Processor, values: Mapping[str, str], where: str, problems: list[str]) -> tuple[str, ...]:
    """A processor's webhook secrets: comma-separated, but a public key is one whole text."""
    option = processor.secret
    written = values.get(option.name, "")
    parts = [written] if option.name.endswith("PUBLIC_KEY") else written.split(",")
    secrets = tuple(part.strip() for part in parts if part.strip())
    if not secrets:
        problems.append(f"{where}{option.name}: is missing. Example: {option.name}={option.example}")
    wrong = [problem for secret in secrets if (problem := option.check(secret)) is not None]
    problems += [f"{where}{option.name}: {problem}. Example: {option.name}={option.example}" for problem in wrong]
    return secrets


def _options(processor: Processor, values: Mapping[str, str], where: str, problems: list[str]) -> dict[str, str]:
    """What else a processor reads."""
    options = {option.name: values[option.name] for option in processor.options if option.name in values}
    for option in processor.options:
        wrong = option.check(options[option.name]) if option.name in options else None
        if wrong is not None:
            problems.append(f"{where}{option.name}: {wrong}. Example: {option.name}={option.example}")
    return options


def _api_key(processor: Processor, values: Mapping[str, str], where: str, problems: list[str]) -> str | None:
    name = api_key_name(processor)
    key = values.get(name)
    if key is not None and processor.secret.check(key) is None:
        told = "looks like a webhook secret. Use a restricted API key that may only read"
        problems.append(f"{where}{name}: {told}. Example: {name}=rk_live_…")
    return key


def _policy(name: str, processor: Processor, read: Mapping[str, Any]) -> Policy:
    decided = [one.name for one in fields(Policy) if one.name.upper() in read]
    chosen = {key: read[key.upper()] for key in decided}
    return Policy(source=name, payment_processor=processor.payment_processor, **chosen)


def _read(one: Name, values: Mapping[str, str], shown: str, problems: list[str]) -> Any:
    value = values.get(one.name)
    if value is None:
        return one.default
    try:
        return one.read(value)
    except ValueError as error:
        problems.append(f"{shown}: {error}. Example: {one.name}={one.example}")
        return one.default


def _processor_names() -> Iterable[tuple[str, str]]:
    for processor in processors().values():
        for option in (processor.secret, *processor.options):
            yield option.name, option.help
        yield api_key_name(processor), f"a read key of {processor.title}'s API (optional)"


def api_key_name(processor: Processor) -> str:
    return processor.secret.name.removesuffix("_WEBHOOK_SECRET").removesuffix("_PUBLIC_KEY") + "_API_KEY"
