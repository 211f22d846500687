"""Import names that another distribution uses too are reported."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import pytest

from bridge.server.installation import import_conflicts


def install(site: Path, name: str, *modules: str) -> None:
    """The metadata of an installed distribution with these top-level modules."""
    folder = site / f"{name}-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (folder / "top_level.txt").write_text("\n".join(modules))


def test_a_distribution_of_its_own_has_no_conflicts() -> None:
    assert list(import_conflicts()) == []


def test_another_distribution_with_the_same_import_name_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, "card-game", "bridge", "whist")
    monkeypatch.syspath_prepend(tmp_path)

    assert list(import_conflicts()) == [
        "bridge is also installed by card-game, which may overwrite files of pulsora-bridge"
    ]


def test_packages_from_different_places_are_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    foreign = ModuleType("processors")
    foreign.__file__ = "/elsewhere/processors/__init__.py"
    monkeypatch.setitem(sys.modules, "processors", foreign)

    [conflict] = import_conflicts()

    assert conflict.endswith("and processors is imported from /elsewhere/processors")
