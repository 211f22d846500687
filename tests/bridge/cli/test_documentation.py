"""The documentation of commands and settings matches the code."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from bridge.cli import commands
from bridge.sandbox.demo_report import HEADER, DemoReport, conclusion
from bridge.settings import SERVICE_SETTINGS, SOURCE_SETTINGS, Setting
from bridge.store import Store
from bridge.web import create_app
from processors import processors
from processors.interface import Option
from tests.settings import ADMIN_TOKEN, some_settings

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]


def every(group: click.Group, prefix: str = "") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if isinstance(command, click.Group):
            yield from every(command, f"{prefix}{name} ")
        else:
            assert command is not None
            yield f"{prefix}{name}", command


def section(name: str) -> str:
    """The section of a command in docs/commands.md."""
    return COMMANDS.partition(f"### {name}\n")[2].partition("\n#")[0]


@pytest.mark.parametrize(
    ("name", "command"), list(every(commands)), ids=lambda value: str(getattr(value, "name", value))
)
def test_every_command_is_described_with_each_of_its_options(name: str, command: click.Command) -> None:
    text = section(name)

    assert text.strip(), f"docs/commands.md has no section {name}"
    for option in command.params:
        shown = option.name.upper() if isinstance(option, click.Argument) and option.name else option.opts[-1]
        assert f"`{shown}`" in text or f"`{shown} " in text, f"{name}: {shown} is not described"


def test_nothing_is_described_that_is_not_there() -> None:
    known = dict(every(commands))

    for name in re.findall(r"^### (.+)$", COMMANDS, re.MULTILINE):
        described = set(re.findall(r"^- `(--[a-z-]+)", section(name), re.MULTILINE))
        assert described == {opt for option in known[name].params for opt in option.opts if opt.startswith("--")}


@pytest.mark.parametrize("setting", [*SOURCE_SETTINGS, *SERVICE_SETTINGS], ids=lambda one: one.name)
def test_every_setting_stands_in_the_readme_with_its_default(setting: Setting) -> None:
    [row] = re.findall(rf"^\| `{setting.name}` \| (.*?) \|", README, re.MULTILINE)

    assert row.strip("` ") == _shown(setting.default)


def _shown(default: object) -> str:
    if default in (None, ""):
        return ""
    if isinstance(default, bool):
        return "1" if default else "0"
    return f"{default:g}" if isinstance(default, float) else str(default)


@pytest.mark.parametrize(
    "option", [one for each in processors().values() for one in (each.secret, *each.options)], ids=lambda one: one.name
)
def test_every_setting_of_a_processor_stands_in_the_readme(option: Option) -> None:
    assert f"| `{option.name}` |" in README


def test_no_setting_stands_in_the_readme_that_is_not_there() -> None:
    known = {one.name for one in (*SOURCE_SETTINGS, *SERVICE_SETTINGS)} | {"BRIDGE_CONFIG"}
    for processor in processors().values():
        own = {processor.secret.name, *(option.name for option in processor.options)}
        known |= own | {processor.secret.name.replace("WEBHOOK_SECRET", "API_KEY")}

    assert set(re.findall(r"^\| `([A-Z_]+)` \|", README, re.MULTILINE)) - known == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))

    assert [link for link in links if "://" not in link and not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_python_example_can_be_read(page: Path) -> None:
    for example in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        ast.parse(example)


def test_the_readme_registers_an_attribution_that_is_taken(sqlite_store: Store, sqlite_url: str) -> None:
    [body] = re.findall(r"/attributions .*?-d '(\{.*?\})'", README, re.DOTALL)
    client = create_app(some_settings(sqlite_url), sqlite_store).test_client()

    response = client.post("/attributions", data=body, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})

    assert response.status_code == 200, response.get_data(as_text=True)
    assert json.loads(body)["source"] in processors()


def test_the_symptoms_that_are_explained_are_what_the_bridge_answers() -> None:
    for code in re.findall(r"`(signature_[a-z]+)`", README):
        assert code.removeprefix("signature_") in {"missing", "malformed", "stale", "mismatch"}


def test_the_readme_shows_the_demo_as_it_prints_today() -> None:
    shown = README.partition("$ pulsora-bridge demo\n")[2].partition("```")[0].splitlines()

    assert HEADER in shown
    assert shown[-1] == conclusion(DemoReport(events=[{}] * 16))
    assert len([line for line in shown if " fp_demo" in line]) == 16
    assert [line for line in shown if len(line) > 80] == []
