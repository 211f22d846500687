"""Destinations: the endpoint and token that a source's revenue events are sent to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from hashlib import sha256
from urllib.parse import urlsplit

PORTS: Mapping[str, int] = {"https": 443, "http": 80}


@dataclass(frozen=True, kw_only=True)
class Destination:
    """One Pulsora project at one endpoint. The token is in no `repr`. (No slots: two properties are cached.)"""

    endpoint: str
    token: str = field(repr=False)

    @cached_property
    def origin(self) -> str:
        """Scheme, host and port: the rate limit is counted per origin."""
        parts = urlsplit(self.endpoint)
        scheme = parts.scheme.lower()
        return f"{scheme}://{(parts.hostname or '').lower()}:{parts.port or PORTS.get(scheme, 0)}"

    @cached_property
    def id(self) -> str:
        """The name under which it is paused. A new token makes a new name, so a corrected setting starts unpaused."""
        secret = f"{self.endpoint}\n{self.token}".encode("utf-8", "surrogatepass")
        return f"{self.origin}#{sha256(secret).hexdigest()[:8]}"


Destinations = Mapping[str, Destination]  # by source
