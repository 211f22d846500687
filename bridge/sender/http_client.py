"""One POST to the ingest. Every response and every network error is returned as a value."""

from __future__ import annotations

import http.client
import io
import json
import re
import socket
import threading
import time
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import ConnectionPool, HTTPConnectionPool, HTTPSConnectionPool
from urllib3.response import BaseHTTPResponse

from bridge.log import HIDDEN, scrub
from processors.http_client import INVALID_ADDRESS, explain_network_error
from processors.values import Value

CONNECT_SECONDS = 5.0  # also for sending the body
READ_SECONDS = 15.0  # without a byte of the response
RESPONSE_SECONDS = 30.0  # for the whole response, however slowly it arrives
MAX_RESPONSE_BYTES = 32 * 1024
MAX_REASON_LENGTH = 300

# A reason is shown on terminals: no control character, and nothing invisible that could hide or reorder text.
_UNPRINTABLE = re.compile(r"[^\x20-\x7e\xa1-\u1fff\u2010-\u2027\u2030-\ud7ff]+")


class Response(Value):
    """The result of one POST. `status` None: no response. `reason` is for people, contains no secret, may be empty.

    `retry_after`: the header as received. `is_page`: the body is a web page, so it does not come from the ingest.
    """

    status: int | None
    reason: str
    took_ms: int
    retry_after: str | None = None
    is_page: bool = False


class HttpClient:
    """Posts to the ingest from any number of threads, each on its own kept connection. Sends nothing twice."""

    def __init__(
        self,
        *,
        connect_seconds: float = CONNECT_SECONDS,
        read_seconds: float = READ_SECONDS,
        response_seconds: float = RESPONSE_SECONDS,
    ) -> None:
        self._timeout = (connect_seconds, read_seconds)
        self._response_seconds = response_seconds
        self._user_agent = f"pulsora-bridge/{_version()}"
        self._of_thread = threading.local()
        self._sessions: list[_Session] = []

    def post(self, endpoint: str, token: str, body: bytes) -> Response:
        """Posts one body. Raises nothing for errors of network, server or settings."""
        started = time.monotonic()
        try:
            response = self._session().route(endpoint, token).post(body, self._timeout)
            content = _read(response)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
            return Response(status=None, reason=_explain(error), took_ms=_milliseconds_since(started))
        return Response(
            status=response.status,
            reason=_reason(content, token),
            took_ms=_milliseconds_since(started),
            retry_after=response.headers.get("Retry-After"),
            is_page=content.lstrip().startswith(b"<"),
        )

    def close(self) -> None:
        """Closes every connection. A running POST ends with a response or an error."""
        while self._sessions:
            self._sessions.pop().close()

    def _session(self) -> _Session:
        session: _Session | None = getattr(self._of_thread, "session", None)
        if session is None:
            session = _Session(self._user_agent, read_seconds=self._timeout[1], response_seconds=self._response_seconds)
            self._of_thread.session = session
            self._sessions.append(session)
        return session


# ---- The response ----------------------------------------------------------------------------------------------


def _read(response: BaseHTTPResponse) -> bytes:
    """The beginning of a response's body. The rest is not read, and a truncated body changes no status."""
    content = b""
    try:
        for piece in response.stream(4096, decode_content=False):
            content += piece
            if len(content) >= MAX_RESPONSE_BYTES:
                break
    except (urllib3.exceptions.HTTPError, OSError):
        pass
    finally:
        response.close()  # a kept connection would take the rest for the next response; one without a rest is kept
        response.release_conn()
    return content


def _reason(content: bytes, token: str) -> str:
    """The ingest's message, from `{"message": …}` or `{"error": …}`, safe to be shown; empty without one."""
    try:
        parsed = json.loads(content)
    except (ValueError, RecursionError):
        return ""
    if not isinstance(parsed, dict):
        return ""
    message = parsed.get("message") or parsed.get("error")
    if not isinstance(message, str):
        return ""
    hidden = scrub(message.replace(token, HIDDEN) if token else message)
    return _UNPRINTABLE.sub(" ", hidden).strip()[:MAX_REASON_LENGTH]


def _explain(error: BaseException) -> str:
    if isinstance(error, requests.exceptions.InvalidHeader):
        return "the token contains characters that a header cannot; see PULSORA_SECRET_TOKEN"
    explanation = explain_network_error(error)
    return f"{explanation}; see PULSORA_ENDPOINT" if explanation == INVALID_ADDRESS else explanation


def _milliseconds_since(started: float) -> int:
    return round((time.monotonic() - started) * 1000)


def _version() -> str:
    try:
        return version("pulsora-bridge")
    except PackageNotFoundError:  # a checkout that was not installed
        return "unreleased"


# ---- The session -----------------------------------------------------------------------------------------------


class _Session(requests.Session):
    """Routes to endpoints as requests finds them, without netrc, and a deadline for every response. For one thread.

    TLS is verified; proxies and CA bundles come from the environment. `read_seconds` limits the wait for each byte of a
    response, `response_seconds` that for the whole.
    """

    def __init__(self, user_agent: str, *, read_seconds: float, response_seconds: float) -> None:
        super().__init__()
        self.headers.clear()
        self.headers["User-Agent"] = user_agent
        self.headers["Content-Type"] = self.headers["Accept"] = "application/json"
        self.headers["Accept-Encoding"] = "identity"  # no gain for a short response, and no decompression bomb
        self.auth = _unchanged  # without it requests looks for the host in ~/.netrc
        self._routes: dict[tuple[str, str], _Route] = {}
        for scheme in ("https://", "http://"):
            self.mount(scheme, _Adapter(read_seconds, response_seconds))

    def route(self, endpoint: str, token: str) -> _Route:
        """The route to an endpoint, found once: requests needs twice as long for that as the whole POST takes."""
        if (endpoint, token) not in self._routes:
            self._routes[endpoint, token] = self._find(endpoint, token)
        return self._routes[endpoint, token]

    def close(self) -> None:
        """Closes the connections: a pool that is still referred to would keep its own."""
        self._routes.clear()
        super().close()

    def _find(self, endpoint: str, token: str) -> _Route:
        request = self.prepare_request(requests.Request("POST", endpoint, headers={"X-API-Token": token.encode()}))
        url = request.url or ""
        adapter = self.get_adapter(url)
        assert isinstance(adapter, _Adapter)
        found = self.merge_environment_settings(url, {}, None, None, None)
        pool = adapter.get_connection_with_tls_context(request, found["verify"], found["proxies"], found["cert"])
        adapter.cert_verify(pool, url, found["verify"], found["cert"])  # type: ignore[no-untyped-call]
        headers = {name: text for name, text in request.headers.items() if name != "Content-Length"}
        return _Route(pool=pool, url=adapter.request_url(request, found["proxies"]), headers=headers)


class _Route(Value):
    """The way to one endpoint: the connections to its host or to a proxy, and what each request says."""

    pool: ConnectionPool
    url: str
    headers: Mapping[str, str | bytes]

    def post(self, body: bytes, timeout: tuple[float, float]) -> BaseHTTPResponse:
        """The response, whose body is not read yet. No redirect is followed, and nothing is sent twice."""
        return self.pool.urlopen(  # type: ignore[attr-defined,no-any-return]  # every pool has it
            "POST",
            self.url,
            body=body,
            headers=self.headers,
            retries=False,
            redirect=False,
            assert_same_host=False,  # with a proxy the address is that of the endpoint
            timeout=urllib3.Timeout(connect=timeout[0], read=timeout[1]),
            preload_content=False,
            decode_content=False,
        )


class _Adapter(HTTPAdapter):
    """Opens connections whose responses have a deadline; the time-outs of requests limit each read, not their sum."""

    def __init__(self, read_seconds: float, response_seconds: float) -> None:
        self._pools = _pools(read_seconds, response_seconds)
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):  # that manager has its own pools; only single reads are limited
            manager.pool_classes_by_scheme = self._pools
        return manager


def _pools(read_seconds: float, response_seconds: float) -> dict[str, type[HTTPConnectionPool]]:
    class TimedResponse(http.client.HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
            super().__init__(sock, *args, **kwargs)
            deadline = time.monotonic() + response_seconds
            self.fp = io.BufferedReader(_Timed(self.fp.detach(), sock, read_seconds, deadline))

    class Plain(_OneWrite, HTTPConnection):
        response_class = TimedResponse

    class Secure(_OneWrite, HTTPSConnection):
        response_class = TimedResponse

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


class _OneWrite:
    """A connection that sends head and body of a request at once, instead of waking up the server twice."""

    _unsent: list[bytes] | None = None

    def request(self, *args: Any, **kwargs: Any) -> None:
        """Sends one request."""
        pieces: list[bytes] = []
        self._unsent = pieces
        try:
            super().request(*args, **kwargs)  # type: ignore[misc]  # of urllib3's connection
        finally:
            self._unsent = None
        self.send(b"".join(pieces))

    def send(self, data: Any) -> None:
        """Sends a piece of a request, or keeps it until the request is whole."""
        if self._unsent is None:
            super().send(data)  # type: ignore[misc]
        else:
            self._unsent.append(data)


class _Timed(io.RawIOBase):
    """Reads a socket until a deadline of the monotonic clock."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, read_seconds: float, deadline: float) -> None:
        super().__init__()
        self._raw = raw
        self._sock = sock
        self._read_seconds = read_seconds
        self._deadline = deadline

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the response takes too long")
        self._sock.settimeout(min(left, self._read_seconds))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
