"""Rules for the whole project: complete documentation, layered imports, packaging, plain wording."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path

import click
import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from bridge.cli import commands
from bridge.monitoring import metrics
from bridge.store.inbox import InboxStatus
from bridge.store.outbox import DeliveryStatus
from bridge.web import errors

ROOT = Path(__file__).resolve().parents[1]
MODULES = sorted(path for folder in ("bridge", "processors") for path in (ROOT / folder).rglob("*.py"))
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCS = README + "".join(path.read_text(encoding="utf-8") for path in sorted((ROOT / "docs").glob("*.md")))


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


def test_a_module_begins_with_its_purpose() -> None:
    trees = {path.relative_to(ROOT): ast.parse(path.read_text(encoding="utf-8")) for path in MODULES}

    assert [str(path) for path, tree in trees.items() if tree.body and not ast.get_docstring(tree)] == []


@pytest.mark.parametrize("name", names(commands))
def test_every_command_is_documented(name: str) -> None:
    assert f"`{name}`" in DOCS or f"pulsora-bridge {name}" in DOCS


@pytest.mark.parametrize("name", sorted(set(re.findall(r"pulsora-bridge ([a-z]+)", DOCS))))
def test_every_documented_command_exists(name: str) -> None:
    assert name in dict(every(commands))


@pytest.mark.parametrize("status", [*InboxStatus, *DeliveryStatus])
def test_every_status_is_explained(status: str) -> None:
    assert f"`{status}`" in DOCS


@pytest.mark.parametrize("name", [name for name, _ in metrics.ALL])
def test_every_metric_is_documented(name: str) -> None:
    assert f"`{name}`" in DOCS


CODES = sorted(
    {code for code, _ in errors.CODES.values()}
    | {f"signature_{one}" for one in ("missing", "malformed", "mismatch", "stale")}
    | {"unreadable", "invalid", "internal", "store_unavailable", "schema"}
)


@pytest.mark.parametrize("code", CODES)
def test_every_error_code_of_a_route_is_documented(code: str) -> None:
    assert f"`{code}`" in DOCS


ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
RULES = re.findall(r"^\| .+ \| \[(.+?)\]\(\.\./(.+?)\) \| `(.+?)` \|$", ARCHITECTURE, re.MULTILINE)


@pytest.mark.parametrize(("shown", "path", "name"), RULES, ids=[f"{path}:{name}" for _, path, name in RULES])
def test_a_rule_is_where_the_architecture_page_says(shown: str, path: str, name: str) -> None:
    module = (ROOT / path).read_text(encoding="utf-8")

    assert shown == path
    assert re.search(rf"^(?:def {name}\(|class {name}\b|{name}\b.*=)", module, re.MULTILINE)


def test_at_least_twenty_rules_can_be_looked_up() -> None:
    assert len(RULES) >= 20


def test_every_package_is_described() -> None:
    packages = [path.parent.relative_to(ROOT) for path in sorted((ROOT / "bridge").glob("*/__init__.py"))]

    assert [package for package in packages if f"**`{package.as_posix()}/`**" not in ARCHITECTURE] == []


PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "tests").glob("*/*.md"))]
PATH = re.compile(r"`((?:bridge|processors|tests|config|docs|\.ci)/[\w./-]*)`")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_path_in_the_documentation_exists(page: Path) -> None:
    paths = sorted(set(PATH.findall(page.read_text(encoding="utf-8"))))

    assert [path for path in paths if not (ROOT / path).exists() and "NAME" not in path] == []


def test_the_import_contracts_hold() -> None:
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


# Words that the project once used for something else, or that standard English has a better word for.
RETIRED_WORDS = (
    "told|tell|tells|telling|lest|whoever|beside|besides|stands|crown|crowned|headless|door|doorway|downstairs|house"
    "|burnt|learnt|lives|story|stories|lane|crew|shelf|desk|remarks|ruling|halt|doubts|standin|stand-in|handed_back|mend"
    "|mends|mended|books|anchored|touched|beats|intake|throng|reckon|reckoning|comes to|goes on|so many|by itself"
    "|by themselves|of (?:its|their|his|her|one's) own|revenue_to_come|mrr_to_come|not_told"
)
RETIRED = re.compile(rf"(?<!\w)(?:{RETIRED_WORDS})(?!\w)", re.IGNORECASE)
OPENING = re.compile(r'"""(?:What|Who|Whose)\b|^\s*# (?:What|Who|Whose)\b[^?]*$')  # a question as a subject
SHIPPED = [
    path
    for pattern in ("bridge/**/*", "processors/**/*", "config/**/*", "docs/*", "*.md", "*.py")
    for path in sorted(ROOT.glob(pattern))
    if path.suffix in (".py", ".html", ".css", ".js", ".md", ".yaml", ".toml", ".example", ".service", ".conf")
    and "versions" not in path.parts  # migrations name the tables of their time
]


def test_no_retired_word_is_in_shipped_code_or_docs() -> None:
    hits = [
        f"{path.relative_to(ROOT)}:{number}: {found[0].strip()}: {line.strip()[:90]}"
        for path in SHIPPED
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for found in [*RETIRED.finditer(line), *OPENING.finditer(line)]
    ]

    if hits:
        pytest.fail(f"{len(hits)} retired words:\n" + "\n".join(hits), pytrace=False)


def test_no_retired_word_is_in_a_name_or_a_text_of_the_tests() -> None:
    files = [path for path in sorted((ROOT / "tests").rglob("*")) if path.suffix in (".py", ".md")]
    hits = [
        f"{path.relative_to(ROOT)}:{number}: {found[0]}"
        for path in files
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        for found in RETIRED.finditer(line.replace("_", " "))
        if " " not in found[0]  # phrases are for prose
    ]

    assert hits == []
