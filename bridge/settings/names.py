"""Every setting by its public name: how it is read, its default, an example, and what it does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlsplit

from bridge.ledger.events import AmountBasis, ChurnAt, MovementAmount, MrrDiscounts, RefundAmount, Unattributed

Check = Callable[[str], object]

ENDPOINT = "https://pulsora.co/api/ingest"
MEBIBYTE = 1024 * 1024


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
    if value in ("sqlite:///", "sqlite:///:memory:"):
        raise ValueError("must name a file: web and worker are processes of their own")
    return value


def _address(value: str) -> str:
    host, colon, port = value.rpartition(":")
    is_socket = value.startswith("unix:/")
    if not is_socket and not (colon and _is_host(host) and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError("must be host:port, or unix:/path of a socket")
    return value


def _is_host(host: str) -> bool:
    is_ipv6 = host.startswith("[") and host.endswith("]")
    return is_ipv6 or not any(letter in ":/[] " for letter in host)


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
    _name("BIND", _address, "127.0.0.1:8000", "127.0.0.1:8000", "the address that serve listens on"),
    _name("WEB_WORKERS", _whole(1, 64), 2, "2", "web processes of serve, each on one processor"),
    _name("WEB_THREADS", _whole(1, 1024), 64, "64", "threads of each web process"),
)
