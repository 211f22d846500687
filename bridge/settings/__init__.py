"""The settings: environment, `NAME_FILE` secrets, a `.env` file and a TOML file become one frozen value.

Everything is checked at start, and every problem is reported at once: the name, the problem, an example.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from bridge.errors import SettingsError
from bridge.ledger.policy import Policy
from bridge.settings.declarations import Setting, settings_of
from bridge.settings.model import POLICY_SETTINGS, SERVICE_SETTINGS, SOURCE_SETTINGS, Settings, Source
from bridge.settings.sources import CONFIG, misspelled, read_dotenv, read_files, read_toml, text_of
from processors import processors
from processors.interface import Option, Processor

__all__ = [
    "SERVICE_SETTINGS", "SOURCE_SETTINGS", "Partial", "Setting", "Settings", "Source", "known_names", "load", "partial",
]  # fmt: skip


def load(environ: Mapping[str, str], *, dotenv: Path | None = None) -> Settings:
    """The settings of an environment and a `.env` file, which the environment overrides.

    Raises SettingsError with every problem found, not only the first.
    """
    problems: list[str] = []
    known = [*known_names(), *(one for processor in processors().values() for one in _rule_names(processor))]
    values = read_files({**read_dotenv(dotenv, problems), **environ}, known, "", problems)
    warnings = tuple(misspelled(values, known))

    def report(name: str, wrong: str, example: str) -> None:
        problems.append(f"{name}: {wrong}. Example: {name}={example}")

    service = {field: _read(one, values, report) for field, one in settings_of(Settings).items()}
    sources = dict(_sources(values, problems))
    if not sources and not problems:
        names = ", ".join(processor.secret.name for processor in processors().values())
        problems.append(f"no source is configured: set at least one of {names}. Example: STRIPE_WEBHOOK_SECRET=whsec_…")
    if problems:
        raise SettingsError(list(dict.fromkeys([*problems, *warnings])))
    return Settings(sources=sources, warnings=warnings, **service)


@dataclass(frozen=True, slots=True, kw_only=True)
class Partial:
    """All that is set for one source so far, complete or not, for the commands that complete it.

    `config`: the TOML file whose table the source is; None for a source of the environment.
    """

    name: str
    processor: Processor
    values: Mapping[str, str]
    public_url: str | None
    config: Path | None

    @property
    def secrets(self) -> tuple[str, ...]:
        """The webhook secrets that are set."""
        return tuple(one.strip() for one in self.values.get(self.processor.secret.name, "").split(",") if one.strip())

    @property
    def api_key(self) -> str | None:
        """The API key that is set."""
        return None if self.processor.api_key is None else self.values.get(self.processor.api_key.name)

    def spelled(self, option: Option) -> str:
        """The name of a setting where it is stated: in the environment, or in the source's table."""
        if self.config is None:
            return option.name
        return f"[sources.{self.name}] {_toml_key(option.name, self.processor)}"


def partial(environ: Mapping[str, str], dotenv: Path | None, name: str) -> Partial | None:
    """The settings of a source so far: a table of BRIDGE_CONFIG, or a processor's settings in the environment.

    None: there is no table of this name, and no such processor. Raises SettingsError if a file cannot be read.
    """
    problems: list[str] = []
    values = read_files({**read_dotenv(dotenv, problems), **environ}, known_names(), "", problems)
    url = values.get("PUBLIC_URL")
    found: Partial | None = None
    if name in processors():
        found = Partial(name=name, processor=processors()[name], values=values, public_url=url, config=None)
    for table_name, table in read_toml(values[CONFIG], problems) if CONFIG in values else ():
        chosen = processors().get(str(table.get("processor")))
        if table_name == name and chosen is not None:
            own = {**_shared(values, chosen), **_of_table(name, table, chosen, problems)}
            found = Partial(name=name, processor=chosen, values=own, public_url=url, config=Path(values[CONFIG]))
    if problems:
        raise SettingsError(problems)
    return found


def known_names() -> list[str]:
    """The names of all settings: the processors' and the bridge's own."""
    of_processors = [name for processor in processors().values() for name in _own_names(processor)]
    own = [one.name for one in (*SOURCE_SETTINGS, *SERVICE_SETTINGS)]
    return list(dict.fromkeys([*of_processors, *own, CONFIG]))


# ---- Sources ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Values:
    """The values a source is built from. `own`: the names set in its own table; None: it is no table's source."""

    name: str
    processor: Processor
    values: Mapping[str, str]
    own: Mapping[str, str] | None
    problems: list[str]

    def problem(self, name: str, wrong: str, example: str) -> None:
        """Records a problem in the words of the place to correct it: the source's table, or the environment."""
        if self.own is None or (name in self.values and name not in self.own):
            self.problems.append(f"{name}: {wrong}. Example: {name}={example}")
            return
        key = _toml_key(name, self.processor)
        value = example if example.isdecimal() or example in ("true", "false") else f'"{example}"'
        self.problems.append(f"[sources.{self.name}] {key}: {wrong}. Example: {key} = {value}")

    def read(self, one: Setting) -> Any:
        return _read(one, self.values, self.problem)

    def read_rule(self, one: Setting) -> Any:
        """A rule's value: the source's own table wins over the name with the processor's prefix, that over the plain.

        Stripe's and Paddle's own pages count differently, so each processor may have separate rules.
        """
        prefixed = replace(one, name=_prefix(self.processor) + one.name)
        return self.read(prefixed if prefixed.name in self.values and one.name not in (self.own or ()) else one)


def _sources(values: Mapping[str, str], problems: list[str]) -> Iterator[tuple[str, Source]]:
    built_in = [name for name, processor in processors().items() if processor.secret.name in values]
    for name in built_in:
        found = _Values(name=name, processor=processors()[name], values=values, own=None, problems=problems)
        yield name, _source(found)
    for name, table in read_toml(values[CONFIG], problems) if CONFIG in values else ():
        chosen = processors().get(str(table.get("processor")))
        if name in built_in:
            secret = processors()[name].secret.name
            problems.append(f"[sources.{name}]: {secret} already makes a source of this name. Choose another")
        elif chosen is None:
            names = ", ".join(processors())
            problems.append(f'[sources.{name}] processor: must be one of {names}. Example: processor = "stripe"')
        else:
            own = _of_table(name, table, chosen, problems)
            everything = {**_shared(values, chosen), **own}
            yield name, _source(_Values(name=name, processor=chosen, values=everything, own=own, problems=problems))


def _of_table(name: str, table: Mapping[str, Any], processor: Processor, problems: list[str]) -> dict[str, str]:
    """The settings of a source's table, by their names in the environment. An unknown key is a problem."""
    where = f"[sources.{name}] "
    allowed = [one.name for one in SOURCE_SETTINGS] + _own_names(processor)
    found: dict[str, str] = {}
    for key, value in table.items():
        full, written = _from_toml(key, processor), text_of(value)
        if full.removesuffix("_FILE") in allowed and written is not None:
            found[full] = written
        elif full.removesuffix("_FILE") in allowed:
            problems.append(f"{where}{key}: must be a text, a number, or true or false")
        elif key != "processor":
            close = get_close_matches(key, [one.lower() for one in allowed], 1)
            problems.append(
                f"{where}{key}: there is no such setting" + (f". Did you mean {close[0]}?" if close else "")
            )
    return read_files(found, allowed, where, problems)


def _from_toml(key: str, processor: Processor) -> str:
    """The environment's name of a key in a source's table: `webhook_secret` and `api_key` are the processor's own."""
    plain = key.removesuffix("_file")
    return _short_keys(processor).get(plain, plain.upper()) + ("_FILE" if key != plain else "")


def _toml_key(name: str, processor: Processor) -> str:
    """The inverse of `_from_toml`."""
    return next((key for key, full in _short_keys(processor).items() if full == name), name.lower())


def _short_keys(processor: Processor) -> dict[str, str]:
    """The settings that have another name in a source's table."""
    own = {"webhook_secret": processor.secret.name, "token": "PULSORA_SECRET_TOKEN", "endpoint": "PULSORA_ENDPOINT"}
    return own | ({"api_key": processor.api_key.name} if processor.api_key is not None else {})


def _shared(values: Mapping[str, str], processor: Processor) -> dict[str, str]:
    """The settings a named source inherits from the environment: all but those of one account of the processor."""
    of_machine = [option.name for option in processor.options if option.of_machine]
    names = [*(one.name for one in SOURCE_SETTINGS), *_rule_names(processor), *of_machine]
    return {name: values[name] for name in names if name in values}


def _source(of: _Values) -> Source:
    read = {field: of.read(one) for field, one in settings_of(Source).items()}
    policy = {field: of.read_rule(one) for field, one in POLICY_SETTINGS.items()}
    if "PULSORA_SECRET_TOKEN" not in of.values and not read["dry_run"]:
        of.problem("PULSORA_SECRET_TOKEN", "is missing", "sec_…")
    return Source(
        name=of.name,
        processor=of.processor.name,
        secrets=_secrets(of),
        api_key=_api_key(of),
        options=_options(of),
        policy=Policy(source=of.name, payment_processor=of.processor.payment_processor, **policy),
        **read,
    )


def _secrets(of: _Values) -> tuple[str, ...]:
    """A processor's webhook secrets, separated by commas where it allows several."""
    option = of.processor.secret
    written = of.values.get(option.name, "")
    parts = written.split(",") if option.multiple else [written]
    secrets = tuple(part.strip() for part in parts if part.strip())
    if not secrets:
        of.problem(option.name, "is missing", option.example)
    for wrong in _wrong(option, secrets):
        of.problem(option.name, wrong, option.example)
    return secrets


def _options(of: _Values) -> dict[str, str]:
    """The values of the processor's other options, by name. Records a problem for each that its check refuses."""
    options = {option.name: of.values[option.name] for option in of.processor.options if option.name in of.values}
    for option in of.processor.options:
        for wrong in _wrong(option, [options[option.name]] if option.name in options else ()):
            of.problem(option.name, wrong, option.example)
    return options


def _wrong(option: Option, values: Iterable[str]) -> list[str]:
    return [problem for value in values if (problem := option.check(value)) is not None]


def _api_key(of: _Values) -> str | None:
    option = of.processor.api_key
    key = None if option is None else of.values.get(option.name)
    if option is not None and key is not None and (problem := option.check(key)) is not None:
        of.problem(option.name, problem, option.example)
    return key


# ---- One value -------------------------------------------------------------------------------------------------


def _read(one: Setting, values: Mapping[str, str], report: Callable[[str, str, str], None]) -> Any:
    value = values.get(one.name)
    if value is None:
        return one.default
    try:
        return one.check(value)
    except ValueError as error:
        report(one.name, str(error), one.example)
        return one.default


def _prefix(processor: Processor) -> str:
    return processor.name.upper().replace("-", "_") + "_"


def _rule_names(processor: Processor) -> list[str]:
    """The names of the rule settings with this processor's prefix, such as STRIPE_MRR_DISCOUNTS."""
    return [_prefix(processor) + one.name for one in POLICY_SETTINGS.values()]


def _own_names(processor: Processor) -> list[str]:
    api_key = () if processor.api_key is None else (processor.api_key,)
    return [option.name for option in (processor.secret, *api_key, *processor.options)]
