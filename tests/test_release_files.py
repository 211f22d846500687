"""The files about dependencies agree: constraints, hashes and the bill of materials."""

from __future__ import annotations

import json
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PIN = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)", re.MULTILINE)


def pins(name: str) -> set[tuple[str, str]]:
    return {(plain(found[1]), found[2]) for found in PIN.finditer((ROOT / name).read_text(encoding="utf-8"))}


def plain(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def test_production_has_the_versions_that_the_tests_passed_with() -> None:
    production = pins("constraints-hashed.txt")

    assert len(production) > 20
    assert production - pins("constraints.txt") == set()


def test_every_production_dependency_has_a_hash() -> None:
    blocks = re.split(r"\n(?=[a-zA-Z])", (ROOT / "constraints-hashed.txt").read_text(encoding="utf-8"))

    assert [block for block in blocks if "==" in block and "--hash=sha256:" not in block] == []


def test_the_bill_of_materials_lists_the_same_versions_and_no_path_of_a_machine() -> None:
    text = (ROOT / "sbom.cdx.json").read_text(encoding="utf-8")
    bom = json.loads(text)
    listed = {(plain(one["name"]), one["version"]) for one in bom["components"]} - {("pip", "")}

    assert bom["bomFormat"] == "CycloneDX"
    assert {one for one in listed if one[0] != "pulsora-bridge"} <= pins("constraints-hashed.txt")
    assert "file://" not in text
