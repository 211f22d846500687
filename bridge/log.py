"""Logging: events with fields, for people or as JSON, and nothing secret in either."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from contextlib import suppress
from typing import Any, TextIO, cast

import structlog
from structlog.stdlib import ProcessorFormatter
from structlog.typing import Processor

# What looks like a secret, a signature or a person, wherever it turns up in a field.
SECRETS = re.compile(
    r"(?:whsec_|sk_|rk_|pk_|pdl_ntfset_|pdl_ntf_|pdl_live_|pdl_sdbx_|sec_|pub_)[A-Za-z0-9+/=_\-]{4,}"
    r"|(?i:bearer)\s+\S+"
    r"|[\w.+\-]+@[\w\-]+\.[\w.\-]+"
    r"|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
    r"|\b(?:v1|h1)=[0-9a-fA-F]{16,}"
    r"|-----BEGIN [A-Z ]+-----[^-]*(?:-----END [A-Z ]+-----)?"
)
HIDDEN = "[hidden]"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # a stranger's text must not steer the terminal that shows it
NEVER_TOLD = frozenset({"token", "secret", "signature", "authorization", "cookie", "password", "api_key"})
PLAIN = (bool, int, float, type(None))


def configure(log_format: str = "console", log_level: str = "info") -> None:
    """Sets up logging for this process, to stderr: our own events, and what libraries log in the same form."""
    level = getattr(logging, log_level.upper())
    ours: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    rendered: Processor = (
        structlog.processors.JSONRenderer() if log_format == "json" else structlog.dev.ConsoleRenderer(colors=False)
    )
    structlog.configure(
        processors=[*ours, rendered],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, Patient(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    theirs = ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *ours],
        processors=[ProcessorFormatter.remove_processors_meta, rendered],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(theirs)
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)


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
    """The event with everything hidden that looks like a secret or a person, however deep it lies."""
    for key, value in event.items():
        if not key.startswith("_"):  # structlog's own
            event[key] = _clean(key, value)
    return event


def hidden(text: str) -> str:
    """The text without secrets."""
    return SECRETS.sub(HIDDEN, text)


def _clean(key: object, value: object) -> object:
    if str(key).lower() in NEVER_TOLD:
        return HIDDEN
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, bytes):
        return f"[{len(value)} bytes]"
    if isinstance(value, Mapping):
        return {str(name): _clean(name, one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", one) for one in value]
    return CONTROL.sub("?", hidden(str(value)))
