"""How a setting is declared: its name, check, default, example and help, in one place, as a field of a dataclass."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from enum import StrEnum
from importlib.metadata import PackageNotFoundError, distribution
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from processors.placeholders import is_placeholder

Check = Callable[[str], object]  # the value of a text; raises ValueError, whose message completes "NAME: …"

MEBIBYTE = 1024 * 1024
DEFAULT_MAX_BODY_BYTES = 2 * MEBIBYTE
ALERT_URL = re.compile(r"[a-z][a-z0-9]*://.", re.IGNORECASE)
ALERT_SEPARATOR = re.compile(r",(?=\s*[a-zA-Z][a-zA-Z0-9]*://)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting. `name`: in the environment. `example`: a valid value, shown next to each problem."""

    name: str
    check: Check
    default: Any
    example: str
    help: str


def setting(
    name: str, check: Check, default: Any, help_text: str, *, example: str | None = None, is_secret: bool = False
) -> Any:
    """A dataclass field that the operator sets. The example is the default unless given."""
    declared = Setting(
        name=name,
        check=check,
        default=default,
        example=_text_of(default) if example is None else example,
        help=help_text,
    )
    return field(default=default, repr=not is_secret, metadata={"setting": declared})


def settings_of(kind: type) -> Mapping[str, Setting]:
    """The settings that a dataclass declares, by field."""
    return {one.name: one.metadata["setting"] for one in fields(kind) if "setting" in one.metadata}


def _text_of(default: Any) -> str:
    if isinstance(default, bool):
        return str(int(default))
    return f"{default:g}" if isinstance(default, float) else str(default)


# ---- Checks ----------------------------------------------------------------------------------------------------


def text(value: str) -> str:
    """Any text."""
    return value


def whole(least: int, most: int) -> Check:
    """A whole number from `least` to `most`."""

    def check(value: str) -> int:
        if not value.isascii() or not value.isdigit() or not least <= int(value) <= most:
            raise ValueError(f"must be a whole number from {least} to {most}")
        return int(value)

    return check


def number(least: float, most: float) -> Check:
    """A number from `least` to `most`."""

    def check(value: str) -> float:
        try:
            number = float(value)
        except ValueError:
            number = -1.0
        if not least <= number <= most:
            raise ValueError(f"must be a number from {least:g} to {most:g}")
        return number

    return check


def switch(value: str) -> bool:
    """On or off."""
    if value.lower() in ("1", "true", "yes", "on"):
        return True
    if value.lower() in ("0", "false", "no", "off"):
        return False
    raise ValueError("must be 1 or 0")


def one_of(kind: type[StrEnum]) -> Check:
    """A member of an enumeration."""

    def check(value: str) -> StrEnum:
        try:
            return kind(value.lower())
        except ValueError:
            raise ValueError(f"must be one of {', '.join(kind)}") from None

    return check


def secret_token(value: str) -> str:
    """A Pulsora project's secret token. Its public token is a common mistake and could not send anything."""
    if value.startswith("pub_"):
        raise ValueError(
            "is a public token (pub_…): Pulsora refuses revenue events sent with one. Use the secret token"
        )
    if not value.startswith("sec_"):
        raise ValueError("does not look like a secret token, which begins with sec_")
    if is_placeholder(value):
        raise ValueError("is still the placeholder of the documentation. Pulsora shows yours in the project's settings")
    return value


def endpoint_url(value: str) -> str:
    """An https URL, or http on this machine: the secret token is sent to it."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http or https address")
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise ValueError("would send the secret token unencrypted: use https")
    return value


def public_url(value: str) -> str:
    """The bridge's own address as processors see it: https, or http on this machine, without /webhooks/… at its end."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must begin with https://")
    if parts.scheme == "http" and parts.hostname not in ("127.0.0.1", "localhost", "::1"):
        raise ValueError("must begin with https://: processors send webhooks only over TLS")
    if parts.query or parts.fragment or parts.username:
        raise ValueError("must be an address without query or password")
    if "/webhooks" in parts.path:
        raise ValueError("must be the address of the bridge: leave out /webhooks/…, which is added for each source")
    return value.rstrip("/")


def alert_urls(value: str) -> tuple[str, ...]:
    """Addresses of apprise, separated by commas. An address may contain commas itself."""
    found = tuple(one.strip() for one in ALERT_SEPARATOR.split(value) if one.strip())
    wrong = [str(number) for number, one in enumerate(found, 1) if not ALERT_URL.match(one)]
    if wrong:
        raise ValueError(f"address {' and '.join(wrong)} does not begin with a kind such as mailtos:// or slack://")
    if find_spec("apprise") is None:
        raise ValueError("needs the library apprise: pip install 'pulsora-bridge[alerts]'")
    return found


def otlp_endpoint(value: str) -> str:
    """The address of an OpenTelemetry collector, without /v1/traces."""
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be an http or https address")
    try:
        distribution("opentelemetry-exporter-otlp-proto-http")
    except PackageNotFoundError:
        raise ValueError("needs OpenTelemetry: pip install 'pulsora-bridge[otel]'") from None
    return value


def database(value: str) -> str:
    """An SQLAlchemy URL of an SQLite file or a PostgreSQL database."""
    if not value.startswith(("sqlite:///", "postgresql://", "postgres://", "postgresql+psycopg://")):
        raise ValueError("must be a sqlite:/// or postgresql:// address")
    if value in ("sqlite:///", "sqlite:///:memory:"):
        raise ValueError("must name a file: web and worker are separate processes")
    return value


def listen_address(value: str) -> str:
    """`host:port`, or `unix:/path`."""
    host, colon, port = value.rpartition(":")
    is_socket = value.startswith("unix:/")
    if not is_socket and not (colon and _is_host(host) and port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise ValueError("must be host:port, or unix:/path of a socket")
    return value


def _is_host(host: str) -> bool:
    is_ipv6 = host.startswith("[") and host.endswith("]")
    return is_ipv6 or not any(letter in ":/[] " for letter in host)
