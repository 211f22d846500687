"""A requests session with bounds: no redirects, no cookies, no netrc, and an end to every answer."""

from __future__ import annotations

import http.client
import io
import socket
import time
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool


class Session(requests.Session):
    """Posts JSON. TLS is verified; proxies and CA bundles are as the environment says. For one thread.

    `silence_seconds` bounds the wait for each byte of an answer, `answer_seconds` that for all of it.
    """

    def __init__(self, *, user_agent: str, silence_seconds: float, answer_seconds: float) -> None:
        super().__init__()
        self.headers.clear()
        self.headers["User-Agent"] = user_agent
        self.headers["Content-Type"] = self.headers["Accept"] = "application/json"
        self.headers["Accept-Encoding"] = "identity"  # a short answer gains nothing, and no bomb can hide in it
        self.auth = _unchanged  # else requests looks for the host in ~/.netrc
        self._environment: dict[object, Any] = {}
        self.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        for scheme in ("https://", "http://"):
            self.mount(scheme, _Adapter(silence_seconds, answer_seconds))

    def merge_environment_settings(self, url: Any, *settings: Any) -> Any:
        """Proxies and CA bundle for an address, looked up once: walking the environment costs as much as a post."""
        if url not in self._environment:
            self._environment[url] = super().merge_environment_settings(url, *settings)
        return self._environment[url]

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Nowhere. (Told not to follow, requests would still read all of a redirect's body and parse its target.)"""


class _Adapter(HTTPAdapter):
    """Opens connections whose answers have a deadline; the time-outs of requests bound each silence, not their sum."""

    def __init__(self, silence_seconds: float, answer_seconds: float) -> None:
        self._pools = _pools(silence_seconds, answer_seconds)
        super().__init__(max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **kwargs)
        if not proxy.lower().startswith("socks"):  # that has pools of its own, and only its silences are bounded
            manager.pool_classes_by_scheme = self._pools
        return manager


def _pools(silence_seconds: float, answer_seconds: float) -> dict[str, type[HTTPConnectionPool]]:
    class Answer(http.client.HTTPResponse):
        def __init__(self, sock: socket.socket, *args: Any, **kwargs: Any) -> None:
            super().__init__(sock, *args, **kwargs)
            until = time.monotonic() + answer_seconds
            self.fp = io.BufferedReader(_Timed(self.fp.detach(), sock, silence_seconds, until))

    class Plain(HTTPConnection):
        response_class = Answer

    class Secure(HTTPSConnection):
        response_class = Answer

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    return {"http": PlainPool, "https": SecurePool}


class _Timed(io.RawIOBase):
    """What a socket says until an instant of the monotonic clock."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, silence_seconds: float, until: float) -> None:
        super().__init__()
        self._raw = raw
        self._sock = sock
        self._silence_seconds = silence_seconds
        self._until = until

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any, /) -> int | None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer takes too long")
        self._sock.settimeout(min(left, self._silence_seconds))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


def _unchanged(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request
