"""The house rules that a reader relies on: every room says what it is for, and what is documented exists."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import click
import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from bridge.monitoring import metrics
from bridge.cli import commands
from bridge.store.inbox import InboxStatus
from bridge.store.outbox import DeliveryStatus
from bridge.web import errors

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(path for folder in ("bridge", "processors") for path in (ROOT / folder).rglob("*.py"))
README = (ROOT / "README.md").read_text(encoding="utf-8")


def every(group: click.Group) -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield name, command


def names(group: click.Group, prefix: str = "") -> list[str]:
    found = []
    for name, command in every(group):
        found += names(command, f"{prefix}{name} ") if isinstance(command, click.Group) else [f"{prefix}{name}"]
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_begins_with_its_purpose(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))

    assert ast.get_docstring(tree) or not tree.body


@pytest.mark.parametrize("name", names(commands))
def test_every_command_stands_in_the_readme(name: str) -> None:
    assert f"`{name}`" in README or f"pulsora-bridge {name}" in README


@pytest.mark.parametrize("name", sorted(re.findall(r"pulsora-bridge ([a-z]+)", README)))
def test_every_command_of_the_readme_exists(name: str) -> None:
    assert name in dict(every(commands))


@pytest.mark.parametrize("status", [*InboxStatus, *DeliveryStatus])
def test_every_status_is_explained(status: str) -> None:
    told = README + (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")

    assert f"`{status}`" in told


@pytest.mark.parametrize("name", [name for name, _ in metrics.ALL])
def test_every_metric_is_documented(name: str) -> None:
    assert f"`{name}`" in (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")


CODES = sorted(
    {code for code, _ in errors.CODES.values()}
    | {f"signature_{one}" for one in ("missing", "malformed", "mismatch", "stale")}
    | {"unreadable", "invalid", "internal", "store_unavailable", "schema"}
)


@pytest.mark.parametrize("code", CODES)
def test_every_error_that_a_route_answers_is_documented(code: str) -> None:
    assert f"`{code}`" in (ROOT / "docs" / "operating.md").read_text(encoding="utf-8")


def test_imports_go_downstairs() -> None:
    assert lint_imports(config_filename=str(ROOT / "setup.cfg"), no_cache=True) == EXIT_STATUS_SUCCESS


def test_everything_that_is_no_module_is_packed_into_the_wheel() -> None:
    config = ConfigParser()
    config.read(ROOT / "setup.cfg", encoding="utf-8")
    packed = {
        found
        for package, patterns in config["options.package_data"].items()
        for pattern in patterns.replace("\n", ",").split(",")
        for found in ROOT.joinpath(*package.split(".")).glob(pattern.strip() or "nothing")
    }

    files = {path for folder in ("bridge", "processors") for path in (ROOT / folder).rglob("*") if path.is_file()}
    modules = {path for path in files if path.suffix in (".py", ".pyc")}
    assert sorted(files - modules - packed) == []


def test_every_sample_for_operators_is_shipped() -> None:
    config = (ROOT / "setup.cfg").read_text(encoding="utf-8")
    samples = [path.relative_to(ROOT) for path in (ROOT / "config").rglob("*") if path.is_file()]

    assert not [path for path in samples if path.suffix != ".pyc" and f"    {path}\n" not in config]


def test_nothing_promises_what_no_wire_can() -> None:
    texts = [path.read_text(encoding="utf-8") for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *MODULES]]

    assert not [text for text in texts if re.search(r"exactly[- ]once", text, re.IGNORECASE)]
