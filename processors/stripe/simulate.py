"""Life cycles of Stripe customers to simulate: every webhook that Stripe sends for them, signed by nobody yet."""

from __future__ import annotations

from collections.abc import Mapping

from processors.base import Scenario

SCENARIOS: Mapping[str, Scenario] = {}
