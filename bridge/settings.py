"""The settings: environment, `NAME_FILE` secrets, a `.env` file and a TOML file become one frozen value.

Everything is checked at start and every problem is reported at once: its name, what is wrong, an example of right.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dotenv import dotenv_values

from bridge.errors import SettingsError
from bridge.ledger.events import AmountBasis, ChurnAt, MovementAmount, MrrDiscounts, Policy, RefundAmount, Unattributed
from processors import processors
from processors.base import Processor

Check = Callable[[str], object]

ENDPOINT = "https://pulsora.co/api/ingest"
MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One place that webhooks come from: a processor's endpoint, and the Pulsora project that its revenue goes to."""

    name: str
    processor: str
    secrets: tuple[str, ...] = field(repr=False)
    token: str = field(default="", repr=False)
    api_key: str | None = field(default=None, repr=False)
    endpoint: str = ENDPOINT
    options: Mapping[str, str] = field(default_factory=dict, repr=False)
    policy: Policy = field(default_factory=Policy)
    settle_seconds: float = 90
    hold_hours: float = 1
    tolerance_seconds: int = 300
    forward_test_events: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that the operator decides. No secret is in its `repr`."""

    sources: Mapping[str, Source]
    database_url: str = field(default="sqlite:///bridge.db", repr=False)
    rate_limit_per_hour: int = 2000
    sender_threads: int = 8
    max_body_bytes: int = 2 * MEBIBYTE
    admin_token: str | None = field(default=None, repr=False)
    retention_days: int = 30
    log_format: str = "console"
    log_level: str = "info"
    trusted_proxies: int = 0
    bind: str = "127.0.0.1:8000"
    web_workers: int = 1
    web_threads: int = 64


# ---- How each setting is read ------------------------------------------------------------------------------------


def _text(value: str) -> str:
    return value


def _whole(least: int, most: int) -> Check:
    def read(value: str) -> int:
        if not value.isascii() or not value.isdigit() or not least <= int(value) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(value)

    return read


def _number(least: float, most: float) -> Check:
    def read(value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not least <= number <= most:
            raise ValueError(f"must be a number from {least:g} to {most:g}")
        return number

    return read


def _switch(value: str) -> bool:
    if value.lower() in ("1", "true", "yes", "on"):
        return True
    if value.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError("must be 1 or 0")


def _one_of(kind: type[StrEnum]) -> Check:
    def read(value: str) -> StrEnum:
        try:
            return kind(value.lower())
        except ValueError:
            raise ValueError(f"must be one of {', '.join(kind)}") from None

    return read


def _token(value: str) -> str:
    if value.startswith("pub_"):
        raise ValueError(
            "is a public token (pub_…): Pulsora refuses revenue events sent with one. Use the secret token"
        )
    if not value.startswith("sec_"):
        raise ValueError("does not look like a secret token, which begins with sec_")
    return value


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http or https address")
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise ValueError("would send the secret token unencrypted: use https")
    return value


def _database(value: str) -> str:
    if not value.startswith(("sqlite:///", "postgresql://", "postgres://", "postgresql+psycopg://")):
        raise ValueError("must be a sqlite:/// or postgresql:// address")
    return value


class LogFormat(StrEnum):
    """`LOG_FORMAT`."""

    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    """`LOG_LEVEL`."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """One setting: how it is read, what it is when it is not set, an example, and what it does."""

    name: str
    read: Check
    default: Any
    example: str
    help: str


def _name(name: str, read: Check, default: Any, example: str, help_text: str) -> Name:
    return Name(name=name, read=read, default=default, example=example, help=help_text)


OF_SOURCES: tuple[Name, ...] = (
    _name("PULSORA_SECRET_TOKEN", _token, "", "sec_…", "the secret token of your Pulsora project"),
    _name("PULSORA_ENDPOINT", _url, ENDPOINT, ENDPOINT, "where revenue events are sent"),
    _name(
        "SETTLE_SECONDS",
        _number(0, 3600),
        90.0,
        "90",
        "how long a customer's events must be quiet before they are settled",
    ),
    _name("SIGNATURE_TOLERANCE_SECONDS", _whole(1, 86400), 300, "300", "how old or early a signature may be"),
    _name(
        "UNATTRIBUTED",
        _one_of(Unattributed),
        Unattributed.HOLD,
        "hold",
        "events of an unknown visit: hold, send or drop",
    ),
    _name("HOLD_HOURS", _number(0, 720), 1.0, "1", "how long an event waits for its visit, then it is sent without"),
    _name(
        "FINGERPRINT_KEY",
        _text,
        "visitor_fingerprint",
        "visitor_fingerprint",
        "the metadata key of the visitor's fingerprint",
    ),
    _name("SESSION_KEY", _text, "session_id", "session_id", "the metadata key of the session"),
    _name("CUSTOMER_ID_KEY", _text, None, "user_id", "the metadata key of your own customer id, as passed to identify"),
    _name(
        "AMOUNT_BASIS",
        _one_of(AmountBasis),
        AmountBasis.GROSS,
        "gross",
        "amounts with tax (gross) or without (net_of_tax)",
    ),
    _name("REFUND_AMOUNT", _one_of(RefundAmount), RefundAmount.NEGATIVE, "negative", "the sign of a refund's amount"),
    _name(
        "MOVEMENT_AMOUNT",
        _one_of(MovementAmount),
        MovementAmount.ZERO,
        "zero",
        "amount of an event that moves no money: zero or mrr",
    ),
    _name(
        "CHURN_AT",
        _one_of(ChurnAt),
        ChurnAt.END,
        "end",
        "a scheduled cancellation is churn at its end or at its request",
    ),
    _name(
        "MRR_DISCOUNTS",
        _one_of(MrrDiscounts),
        MrrDiscounts.FOREVER,
        "forever",
        "which discounts lower MRR: forever, recurring or none",
    ),
    _name("FORWARD_TEST_EVENTS", _switch, False, "0", "send test-mode events to Pulsora too"),
    _name("DRY_RUN", _switch, False, "0", "settle everything, send nothing"),
)

OF_SERVICE: tuple[Name, ...] = (
    _name("DATABASE_URL", _database, "sqlite:///bridge.db", "sqlite:///bridge.db", "where everything is kept"),
    _name("RATE_LIMIT_PER_HOUR", _whole(0, 10**9), 2000, "2000", "requests to Pulsora in any hour; 0: no limit"),
    _name("SENDER_THREADS", _whole(1, 128), 8, "8", "how many events are sent at the same time"),
    _name("MAX_BODY_BYTES", _whole(1024, 64 * MEBIBYTE), 2 * MEBIBYTE, "2097152", "the largest webhook that is read"),
    _name(
        "ADMIN_TOKEN",
        _text,
        None,
        "a-long-random-text",
        "opens /admin and POST /attributions; not set: both are closed",
    ),
    _name("RETENTION_DAYS", _whole(1, 3650), 30, "30", "how long raw webhook bodies are kept once settled"),
    _name("LOG_FORMAT", _one_of(LogFormat), LogFormat.CONSOLE, "console", "console or json"),
    _name("LOG_LEVEL", _one_of(LogLevel), LogLevel.INFO, "info", "debug, info, warning or error"),
    _name("TRUSTED_PROXIES", _whole(0, 10), 0, "1", "how many proxies in front may say who the client is"),
    _name("BIND", _text, "127.0.0.1:8000", "127.0.0.1:8000", "the address that serve listens on"),
    _name("WEB_WORKERS", _whole(1, 64), 1, "1", "web processes of serve"),
    _name("WEB_THREADS", _whole(1, 1024), 64, "64", "threads of each web process"),
)


# ---- Loading -----------------------------------------------------------------------------------------------------


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
    """A source's own settings by their names in the environment. A key that means nothing is a problem, not a silence."""
    allowed = {one.name for one in OF_SOURCES} | {option.name for option in processor.options}
    allowed |= {processor.secret.name, _api_key_name(processor)}
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
    own = {"webhook_secret": processor.secret.name, "api_key": _api_key_name(processor)}
    own |= {"token": "PULSORA_SECRET_TOKEN", "endpoint": "PULSORA_ENDPOINT"}
    return own.get(key, key.upper())


def _shared(values: Mapping[str, str]) -> dict[str, str]:
    """What a named source inherits from the environment: policy and destination, never a processor's secrets."""
    return {one.name: values[one.name] for one in OF_SOURCES if one.name in values}


def _source(name: str, processor: Processor, values: Mapping[str, str], where: str, problems: list[str]) -> Source:
    read = {one.name: _read(one, values, where + one.name, problems) for one in OF_SOURCES}
    secrets = tuple(part.strip() for part in values.get(processor.secret.name, "").split(",") if part.strip())
    if processor.secret.name.endswith("PUBLIC_KEY"):
        secrets = (values.get(processor.secret.name, ""),)
    if not secrets:
        problems.append(f"{where}{processor.secret.name}: is missing. Example: {processor.secret.example}")
    for secret in secrets:
        wrong = processor.secret.check(secret)
        if wrong is not None:
            problems.append(
                f"{where}{processor.secret.name}: {wrong}. Example: {processor.secret.name}={processor.secret.example}"
            )
    options = {option.name: values[option.name] for option in processor.options if option.name in values}
    for option in processor.options:
        wrong = option.check(options[option.name]) if option.name in options else None
        if wrong is not None:
            problems.append(f"{where}{option.name}: {wrong}. Example: {option.name}={option.example}")
    if not read["PULSORA_SECRET_TOKEN"] and not read["DRY_RUN"] and "PULSORA_SECRET_TOKEN" not in values:
        problems.append(f"{where}PULSORA_SECRET_TOKEN: is missing. Example: PULSORA_SECRET_TOKEN=sec_…")
    api_key = values.get(_api_key_name(processor))
    if api_key is not None and processor.secret.check(api_key) is None:
        key = _api_key_name(processor)
        problems.append(
            f"{where}{key}: looks like a webhook secret. Use a restricted API key that may only read. "
            f"Example: {key}=rk_live_…"
        )
    return Source(
        name=name,
        processor=processor.name,
        secrets=secrets,
        token=read["PULSORA_SECRET_TOKEN"],
        api_key=api_key,
        endpoint=read["PULSORA_ENDPOINT"],
        options=options,
        policy=_policy(name, processor, read),
        settle_seconds=read["SETTLE_SECONDS"],
        hold_hours=read["HOLD_HOURS"],
        tolerance_seconds=read["SIGNATURE_TOLERANCE_SECONDS"],
        forward_test_events=read["FORWARD_TEST_EVENTS"],
        dry_run=read["DRY_RUN"],
    )


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
        yield _api_key_name(processor), f"a read key of {processor.title}'s API (optional)"


def _api_key_name(processor: Processor) -> str:
    return processor.secret.name.removesuffix("_WEBHOOK_SECRET").removesuffix("_PUBLIC_KEY") + "_API_KEY"
