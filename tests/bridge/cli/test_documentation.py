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
from bridge.settings import SERVICE_SETTINGS, SOURCE_SETTINGS, Setting, known_names
from bridge.store import Store
from bridge.web import create_app
from processors import processors
from processors.facts import Place
from processors.interface import Option
from tests.settings import ADMIN_TOKEN, some_settings
from tests.settings_table import default_text, with_tables

ROOT = Path(__file__).resolve().parents[3]
README = (ROOT / "README.md").read_text(encoding="utf-8")
COMMANDS = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
SETTINGS = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
ATTRIBUTION = (ROOT / "docs" / "attribution.md").read_text(encoding="utf-8")
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), ROOT / "tests" / "faults" / "README.md"]


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
def test_every_setting_is_in_the_table_with_its_default(setting: Setting) -> None:
    [row] = re.findall(rf"^\| `{setting.name}` \| (.*?) \|", SETTINGS, re.MULTILINE)

    assert row.strip("` ") == default_text(setting.default)


@pytest.mark.parametrize(
    "option", [one for each in processors().values() for one in (each.secret, *each.options)], ids=lambda one: one.name
)
def test_every_setting_of_a_processor_is_in_the_table(option: Option) -> None:
    assert f"| `{option.name}` |" in SETTINGS


def test_the_table_has_each_setting_once_and_no_others() -> None:
    assert sorted(re.findall(r"^\| `([A-Z_]+)` \|", SETTINGS, re.MULTILINE)) == sorted(known_names())


def test_the_tables_of_settings_are_generated_from_the_declarations() -> None:
    assert with_tables(SETTINGS) == SETTINGS, "run: PYTHONPATH=. .venv/bin/python tests/settings_table.py"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#]*)(?:#([^)]*))?\)", page.read_text(encoding="utf-8"))
    targets = [(page.parent / link if link else page, anchor) for link, anchor in links if "://" not in link]

    assert [str(target) for target, _ in targets if not target.exists()] == []
    assert [f"{target.name}#{anchor}" for target, anchor in targets if anchor and anchor not in anchors(target)] == []


def anchors(page: Path) -> set[str]:
    """The anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_in_the_index() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    pages = [page.name for page in (ROOT / "docs").iterdir() if page.is_file()]

    assert [name for name in pages if f"({name})" not in index] == ["index.md"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_python_example_can_be_read(page: Path) -> None:
    for example in re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL):
        ast.parse(example)


def test_the_example_of_an_attribution_is_accepted(sqlite_store: Store, sqlite_url: str) -> None:
    [body] = re.findall(r"/attributions .*?-d '(\{.*?\})'", ATTRIBUTION, re.DOTALL)
    client = create_app(some_settings(sqlite_url), sqlite_store).test_client()

    response = client.post("/attributions", data=body, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})

    assert response.status_code == 200, response.get_data(as_text=True)
    assert json.loads(body)["source"] in processors()


def test_the_sources_of_an_attribution_are_listed_in_their_order() -> None:
    listed = re.findall(r"^\| \d? ?\| `([a-z_]+)` \|", ATTRIBUTION, re.MULTILINE)

    assert listed == [place.value for place in Place]


def test_the_symptoms_that_are_explained_are_responses_of_the_bridge() -> None:
    codes = {code for page in PAGES for code in re.findall(r"`signature_([a-z]+)`", page.read_text(encoding="utf-8"))}

    assert codes == {"missing", "malformed", "stale", "mismatch"}


def test_the_readme_shows_the_demo_as_it_prints_today() -> None:
    shown = README.partition("$ pulsora-bridge demo\n")[2].partition("```")[0].splitlines()

    assert HEADER in shown
    assert shown[-1] == conclusion(DemoReport(events=[{}] * 16))
    assert len([line for line in shown if " fp_demo" in line]) == 16
    assert [line for line in shown if len(line) > 80] == []
