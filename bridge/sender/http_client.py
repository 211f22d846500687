"""One POST to the ingest: every answer and every fault of the network comes out as a value."""

from __future__ import annotations

import http.client
import json
import re
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import requests
import urllib3

from bridge.sender.session import Session

CONNECT_SECONDS = 5.0  # also for sending the body
SILENCE_SECONDS = 15.0  # without a byte of the answer
ANSWER_SECONDS = 30.0  # for all of the answer, however it drips
LARGEST_ANSWER = 32 * 1024
LONGEST_REASON = 300

# What of an answer may be shown: no token, no e-mail address, nothing that moves a terminal's cursor.
_SECRET = re.compile(r"\b(?:sec|pub)_\w+|[^\s\"'<>]+@[^\s\"'<>]+")
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa1-\u1fff\u2010-\u2027\u2030-\ud7ff]+")

# From what says most to what says least: the first that stands anywhere in the chain of causes.
_FAULTS: tuple[tuple[type[BaseException], str], ...] = (
    (urllib3.exceptions.NameResolutionError, "the host name cannot be resolved"),
    (ssl.SSLCertVerificationError, "the TLS certificate is not trusted"),
    (ssl.SSLError, "TLS failed"),
    (requests.exceptions.ProxyError, "the proxy failed"),
    (requests.exceptions.ConnectTimeout, "no connection in time"),
    (ConnectionRefusedError, "the connection was refused"),
    (TimeoutError, "no whole answer in time"),
    (urllib3.exceptions.ReadTimeoutError, "no whole answer in time"),
    (http.client.RemoteDisconnected, "the connection was closed without an answer"),
    (ConnectionError, "the connection was reset"),
    (http.client.HTTPException, "what came back is not HTTP"),
    (requests.exceptions.InvalidHeader, "the token cannot stand in a header; see PULSORA_SECRET_TOKEN"),
    (ValueError, "the address cannot be used; see PULSORA_ENDPOINT"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What came of one POST. `status` None: no answer. `reason` is for people and holds no secret; may be empty.

    `retry_after` is the header as it came. `is_page`: the body is a web page, so something else than the ingest spoke.
    """

    status: int | None
    reason: str
    took_ms: int
    retry_after: str | None = None
    is_page: bool = False


class Client:
    """Posts to the ingest from any number of threads, each on a kept connection of its own. Sends nothing twice."""

    def __init__(
        self,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        silence_seconds: float = SILENCE_SECONDS,
        answer_seconds: float = ANSWER_SECONDS,
    ) -> None:
        self._timeout = (connect_seconds, silence_seconds)
        self._answer_seconds = answer_seconds
        self._user_agent = f"pulsora-bridge/{_version()}"
        self._of_thread = threading.local()
        self._sessions: list[Session] = []

    def post(self, endpoint: str, token: str, body: bytes) -> Answer:
        """Post one body and say what came of it. Raises nothing for what network, server or settings do."""
        started = time.monotonic()
        headers = {"X-API-Token": token.encode()}
        try:
            session = self._session()
            with session.post(endpoint, data=body, headers=headers, timeout=self._timeout, stream=True) as response:
                said = _said(response)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            return Answer(status=None, reason=_fault(error), took_ms=_since(started))
        return Answer(
            status=response.status_code,
            reason=_reason(said, token),
            took_ms=_since(started),
            retry_after=response.headers.get("Retry-After"),
            is_page=said.lstrip().startswith(b"<"),
        )

    def close(self) -> None:
        """Close every connection; a post that is under way ends as it can."""
        while self._sessions:
            self._sessions.pop().close()

    def _session(self) -> Session:
        session: Session | None = getattr(self._of_thread, "session", None)
        if session is None:
            session = Session(
                user_agent=self._user_agent,
                silence_seconds=self._timeout[1],
                answer_seconds=self._answer_seconds,
            )
            self._of_thread.session = session
            self._sessions.append(session)
        return session


def _said(response: requests.Response) -> bytes:
    """The beginning of an answer's body. What follows is not read, and a body cut short changes no status."""
    said = b""
    try:
        for piece in response.raw.stream(4096, decode_content=False):
            said += piece
            if len(said) >= LARGEST_ANSWER:
                response.raw.close()  # else the rest would be taken for the next answer
                break
    except (urllib3.exceptions.HTTPError, OSError):
        response.raw.close()
    return said


def _reason(said: bytes, token: str) -> str:
    """The ingest's own sentence out of `{"message": …}` or `{"error": …}`, fit to be shown; empty without one."""
    try:
        answer = json.loads(said)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(answer, dict):
        return ""
    sentence = answer.get("message") or answer.get("error")
    if not isinstance(sentence, str):
        return ""
    hidden = _SECRET.sub("***", sentence.replace(token, "***") if token else sentence)
    return _UNPRINTABLE.sub(" ", hidden).strip()[:LONGEST_REASON]


def _fault(error: BaseException) -> str:
    causes = tuple(_chain(error))
    for kind, sentence in _FAULTS:
        if any(isinstance(cause, kind) for cause in causes):
            return sentence
    return f"the network failed ({type(causes[-1]).__name__})"


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and all that it wraps: requests and urllib3 keep causes in `args`, `reason` and `__cause__`."""
    yield error
    for inner in (*error.args, getattr(error, "reason", None), error.__cause__):
        if isinstance(inner, BaseException):
            yield from _chain(inner)


def _since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


def _version() -> str:
    try:
        return version("pulsora-bridge")
    except PackageNotFoundError:  # a checkout that was not installed
        return "unreleased"
