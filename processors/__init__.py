"""The registry: built-in processors, and those that other distributions register by entry point."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points

from processors.interface import Processor

GROUP = "pulsora_bridge.processors"

# Explicit, since entry points are absent in a checkout that was not installed.
BUILT_IN: Mapping[str, str] = {
    "stripe": "processors.stripe",
    "paddle": "processors.paddle",
    "paddle-classic": "processors.paddle_classic",
}


@cache
def processors() -> Mapping[str, Processor]:
    """Every processor by name. Another distribution cannot replace a built-in one."""
    found = {name: _load(import_module(module).processor, name) for name, module in BUILT_IN.items()}
    for entry in entry_points(group=GROUP):
        if entry.name not in found:
            found[entry.name] = _load(entry.load(), entry.name)
    return found


def _load(value: object, name: str) -> Processor:
    if not isinstance(value, Processor):
        raise TypeError(
            f"processor {name!r}: the entry point must name a processors.interface.Processor, not {value!r}"
        )
    return value
