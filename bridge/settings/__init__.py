"""The settings: environment, `NAME_FILE` secrets, a `.env` file and a TOML file become one frozen value.

Everything is checked at start and every problem is reported at once: its name, what is wrong, an example of right.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from bridge.errors import SettingsError
from bridge.ledger.events import Policy
from bridge.settings import given
from bridge.settings.names import OF_SERVICE, OF_SOURCES, Name
from bridge.settings.values import Settings, Source
from processors import processors
from processors.base import Option, Processor

__all__ = ["OF_SERVICE", "OF_SOURCES", "Settings", "Source", "known_names", "load"]


def load(environ: Mapping[str, str], *, dotenv: Path | None = None) -> Settings:
    """The settings. Raises SettingsError with every problem that was found, not only the first."""
    problems: list[str] = []
    together = {**given.dotenv(dotenv, problems), **environ}
    known = known_names()
    values = given.with_files(together, known, "", problems)
    doubts = tuple(given.doubts(values, known))
    service = {one.name.lower(): _read(one, values, one.name, problems) for one in OF_SERVICE}
    sources = {name: source for name, source in _sources(values, problems)}
    if not sources and not problems:
        names = ", ".join(processor.secret.name for processor in processors().values())
        problems.append(f"no source is configured: set at least one of {names}. Example: STRIPE_WEBHOOK_SECRET=whsec_…")
    if problems:
        raise SettingsError(list(dict.fromkeys([*problems, *doubts])))
    return Settings(sources=sources, doubts=doubts, **service)


def known_names() -> list[str]:
    """Every setting there is: the bridge's own, and those that processors declare."""
    of_processors = [name for processor in processors().values() for name in _own_names(processor)]
    return list(dict.fromkeys([*of_processors, *(one.name for one in (*OF_SOURCES, *OF_SERVICE)), given.CONFIG]))


# ---- Sources ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Given:
    """What a source is made from. `own`: the names that its own table sets; problems with these name the table."""

    name: str
    processor: Processor
    values: Mapping[str, str]
    own: Mapping[str, str]
    problems: list[str]

    def problem(self, name: str, wrong: str, example: str) -> None:
        where = f"[sources.{self.name}] " if name in self.own else ""
        self.problems.append(f"{where}{name}: {wrong}. Example: {name}={example}")

    def read(self, one: Name) -> Any:
        where = f"[sources.{self.name}] " if one.name in self.own else ""
        return _read(one, self.values, where + one.name, self.problems)


def _sources(values: Mapping[str, str], problems: list[str]) -> Iterator[tuple[str, Source]]:
    built_in = [name for name, processor in processors().items() if processor.secret.name in values]
    for name in built_in:
        found = _Given(name=name, processor=processors()[name], values=values, own={}, problems=problems)
        yield name, _source(found)
    for name, table in given.tables(values[given.CONFIG], problems) if given.CONFIG in values else ():
        chosen = processors().get(str(table.get("processor")))
        if name in built_in:
            secret = processors()[name].secret.name
            problems.append(f"[sources.{name}]: {secret} already makes a source of this name. Choose another")
        elif chosen is None:
            names = ", ".join(processors())
            problems.append(f'[sources.{name}] processor: must be one of {names}. Example: processor = "stripe"')
        else:
            own = _of_table(name, table, chosen, problems)
            everything = {**_shared(values), **own}
            yield name, _source(_Given(name=name, processor=chosen, values=everything, own=own, problems=problems))


def _of_table(name: str, table: Mapping[str, Any], processor: Processor, problems: list[str]) -> dict[str, str]:
    """A source's own settings by their names in the environment. An unknown key is a problem."""
    where = f"[sources.{name}] "
    allowed = [one.name for one in OF_SOURCES] + _own_names(processor)
    found: dict[str, str] = {}
    for key, value in table.items():
        full, written = _from_toml(key, processor), given.text(value)
        if full.removesuffix("_FILE") in allowed and written is not None:
            found[full] = written
        elif full.removesuffix("_FILE") in allowed:
            problems.append(f"{where}{key}: must be a text, a number, or true or false")
        elif key != "processor":
            close = get_close_matches(key, [one.lower() for one in allowed], 1)
            problems.append(
                f"{where}{key}: there is no such setting" + (f". Did you mean {close[0]}?" if close else "")
            )
    return given.with_files(found, allowed, where, problems)


def _from_toml(key: str, processor: Processor) -> str:
    """The environment's name of a key in a source's table: `webhook_secret` and `api_key` are the processor's own."""
    own = {"webhook_secret": processor.secret.name, "api_key": api_key_name(processor)}
    own |= {"token": "PULSORA_SECRET_TOKEN", "endpoint": "PULSORA_ENDPOINT"}
    plain = key.removesuffix("_file")
    return own.get(plain, plain.upper()) + ("_FILE" if key != plain else "")


def _shared(values: Mapping[str, str]) -> dict[str, str]:
    """What a named source inherits from the environment: policy and destination, never a processor's secrets."""
    return {one.name: values[one.name] for one in OF_SOURCES if one.name in values}


def _source(of: _Given) -> Source:
    read = {one.name: of.read(one) for one in OF_SOURCES}
    if "PULSORA_SECRET_TOKEN" not in of.values and not read["DRY_RUN"]:
        of.problem("PULSORA_SECRET_TOKEN", "is missing", "sec_…")
    return Source(
        name=of.name,
        processor=of.processor.name,
        secrets=_secrets(of),
        token=read["PULSORA_SECRET_TOKEN"],
        api_key=_api_key(of),
        endpoint=read["PULSORA_ENDPOINT"],
        options=_options(of),
        policy=_policy(of, read),
        settle_seconds=read["SETTLE_SECONDS"],
        hold_hours=read["HOLD_HOURS"],
        tolerance_seconds=read["SIGNATURE_TOLERANCE_SECONDS"],
        forward_test_events=read["FORWARD_TEST_EVENTS"],
        dry_run=read["DRY_RUN"],
    )


def _secrets(of: _Given) -> tuple[str, ...]:
    """A processor's webhook secrets: comma-separated, but a public key is one whole text."""
    option = of.processor.secret
    written = of.values.get(option.name, "")
    parts = [written] if option.name.endswith("PUBLIC_KEY") else written.split(",")
    secrets = tuple(part.strip() for part in parts if part.strip())
    if not secrets:
        of.problems.append(
            f"[sources.{of.name}] webhook_secret: is missing. Example: webhook_secret = {option.example}"
        )
    for wrong in _wrong(option, secrets):
        of.problem(option.name, wrong, option.example)
    return secrets


def _options(of: _Given) -> dict[str, str]:
    """What else a processor reads."""
    options = {option.name: of.values[option.name] for option in of.processor.options if option.name in of.values}
    for option in of.processor.options:
        for wrong in _wrong(option, [options[option.name]] if option.name in options else ()):
            of.problem(option.name, wrong, option.example)
    return options


def _wrong(option: Option, values: Iterable[str]) -> list[str]:
    return [problem for value in values if (problem := option.check(value)) is not None]


def _api_key(of: _Given) -> str | None:
    name = api_key_name(of.processor)
    key = of.values.get(name)
    if key is not None and of.processor.secret.check(key) is None:
        of.problem(name, "looks like a webhook secret. Use a restricted API key that may only read", "rk_live_…")
    return key


def _policy(of: _Given, read: Mapping[str, Any]) -> Policy:
    chosen = {one.name: read[one.name.upper()] for one in fields(Policy) if one.name.upper() in read}
    return Policy(source=of.name, payment_processor=of.processor.payment_processor, **chosen)


# ---- One value -------------------------------------------------------------------------------------------------


def _read(one: Name, values: Mapping[str, str], shown: str, problems: list[str]) -> Any:
    value = values.get(one.name)
    if value is None:
        return one.default
    try:
        return one.read(value)
    except ValueError as error:
        problems.append(f"{shown}: {error}. Example: {one.name}={one.example}")
        return one.default


def _own_names(processor: Processor) -> list[str]:
    api_key = [api_key_name(processor)] if processor.api is not None else []
    return [processor.secret.name, *api_key, *(option.name for option in processor.options)]


def api_key_name(processor: Processor) -> str:
    """The setting of a processor's API key: `STRIPE_API_KEY`."""
    return processor.secret.name.removesuffix("_WEBHOOK_SECRET").removesuffix("_PUBLIC_KEY") + "_API_KEY"
