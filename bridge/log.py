"""Logging: events with fields, for people or as JSON, and nothing secret in either."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog

# What looks like a secret, a signature or a person, wherever it turns up in a field.
SECRETS = re.compile(
    r"(?:whsec_|sk_|rk_|pk_|pdl_ntfset_|pdl_ntf_|pdl_live_|pdl_sdbx_|sec_|pub_)[A-Za-z0-9+/=_\-]{4,}"
    r"|(?i:bearer)\s+\S+"
    r"|[\w.+\-]+@[\w\-]+\.[\w.\-]+"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
    r"|\b(?:v1|h1)=[0-9a-fA-F]{16,}"
)
HIDDEN = "[hidden]"


def configure(log_format: str = "console", log_level: str = "info") -> None:
    """Sets up structlog and the standard library's logging for this process; both write to stderr."""
    level = getattr(logging, log_level.upper())
    logging.basicConfig(level=max(level, logging.WARNING), format="%(message)s", stream=sys.stderr, force=True)
    rendered = (
        structlog.processors.JSONRenderer() if log_format == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            rendered,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, Patient(sys.stderr))),
        cache_logger_on_first_use=True,
    )


class Patient:
    """A stream that loses what cannot be written: a log on a full disk must not stop what is logged."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Writes, if it can be."""
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        """Flushes, if it can be."""
        with suppress(OSError):
            self._stream.flush()


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The event with everything hidden that looks like a secret or a person."""
    for key, value in event.items():
        event[key] = hidden(value) if isinstance(value, str) else value
    return event


def hidden(text: str) -> str:
    """The text without secrets."""
    return SECRETS.sub(HIDDEN, text)
