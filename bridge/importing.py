"""Imports of large parts of the program."""

from __future__ import annotations

import gc
import sys
from importlib import import_module
from types import ModuleType


def import_at_once(name: str) -> ModuleType:
    """The module, imported with all that it needs, and without garbage collection meanwhile.

    Imports make many objects and no garbage. Searching those again and again takes a fifth of a command's time, and a
    forked process that does so copies the memory that it shares with its parent.
    """
    if name in sys.modules:
        return sys.modules[name]
    gc.disable()
    try:
        return import_module(name)
    finally:
        gc.freeze()
        gc.enable()
