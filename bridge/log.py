"""Structured logging, as text or JSON, with secrets and personal data redacted in both."""

from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager, suppress
from types import ModuleType
from typing import TYPE_CHECKING, Any, TextIO, cast

if TYPE_CHECKING:
    from structlog.typing import Processor

# Secrets, signatures, e-mail addresses and the credentials of a URL, anywhere in a text.
PARTS = (
    r"(?:whsec_|sk_|rk_|pk_|pdl_ntfset_|pdl_ntf_|pdl_live_|pdl_sdbx_|sec_|pub_)[A-Za-z0-9+/=_\-]{4,}",
    r"(?i:bearer)\s+\S+",
    r"[^\s\"'<>()/:,;@]+@[^\s\"'<>()/:,;@]+",
    r"(?<=://)[^/\s:@]+:[^/\s@]+(?=@)",
    r"\b(?:v1|h1)=[0-9a-fA-F]{16,}",
    r"-----BEGIN [A-Z ]+-----[^-]*(?:-----END [A-Z ]+-----)?",
)
SECRETS = re.compile("|".join(PARTS))
# The same without the addresses, which need an @: looking for one takes most of the time, and few texts have it.
SECRETS_WITHOUT_AT = re.compile("|".join(part for part in PARTS if "@" not in part))
HIDDEN = "[hidden]"
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # a client's text must not control the terminal that shows it
SECRET_FIELDS = frozenset({"token", "secret", "signature", "authorization", "cookie", "password", "api_key"})
ENCODER = json.JSONEncoder(default=repr)
PLAIN = (bool, int, float, type(None))


def configure(log_format: str = "console", log_level: str = "info") -> None:
    """Configures logging to stderr for this process. Records of libraries get the same format and redaction."""
    with _without_rich():
        import structlog  # not above: most users of this module only need `scrub`
        from structlog.stdlib import ProcessorFormatter

    level = getattr(logging, log_level.upper())
    ours: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
        _in_order,
    ]
    rendered: Processor = _as_json if log_format == "json" else structlog.dev.ConsoleRenderer(colors=False)
    structlog.configure(
        processors=[*ours, rendered],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, LossyStream(sys.stderr))),
        cache_logger_on_first_use=True,
    )
    theirs = ProcessorFormatter(
        foreign_pre_chain=[structlog.stdlib.add_logger_name, *ours],
        processors=[ProcessorFormatter.remove_processors_meta, rendered],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(theirs)
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)


@contextmanager
def _without_rich() -> Iterator[None]:
    """Meanwhile an import of rich fails, unless it is imported already.

    structlog imports it to format tracebacks, which are plain text here, and that takes three quarters of its import.
    """
    if "rich" in sys.modules:
        yield
        return
    sys.modules["rich"] = cast(ModuleType, None)  # as the import system documents it
    try:
        yield
    finally:
        del sys.modules["rich"]


class LossyStream:
    """A stream that drops what cannot be written: logging to a full disk must not stop the service."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        """Writes, or drops the text."""
        with suppress(OSError):
            self._stream.write(text)

    def flush(self) -> None:
        """Flushes, ignoring errors."""
        with suppress(OSError):
            self._stream.flush()


def redact(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: replaces secrets and personal data in every field, at any depth."""
    for key, value in event.items():
        if not key.startswith("_"):  # structlog's own
            event[key] = _clean(key, value)
    return event


def _as_json(_: Any, __: str, event: MutableMapping[str, Any]) -> str:
    """A structlog processor: the line. All values are plain by now, and one encoder serves all lines."""
    return ENCODER.encode(event)


def _in_order(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor: time, level and event first, so that a line of JSON can be read from its beginning."""
    first = {name: event[name] for name in ("timestamp", "level", "event") if name in event}
    return {**first, **event}


def scrub(text: str) -> str:
    """The text with secrets and personal data replaced by HIDDEN."""
    return (SECRETS if "@" in text else SECRETS_WITHOUT_AT).sub(HIDDEN, text)


def _clean(key: object, value: object) -> object:
    if str(key).lower() in SECRET_FIELDS:
        return HIDDEN
    if type(value) is str:  # most are
        return _clean_text(value)
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, bytes):
        return f"[{len(value)} bytes]"
    if isinstance(value, Mapping):
        return {str(name): _clean(name, one) for name, one in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean("", one) for one in value]
    return _clean_text(str(value))


def _clean_text(text: str) -> str:
    scrubbed = scrub(text)
    return scrubbed if scrubbed.isprintable() else CONTROL.sub("?", scrubbed)
