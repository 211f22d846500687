"""Questions before a step that cannot be taken back: asked on a terminal, answered by an option in scripts."""

from __future__ import annotations

import sys

import click

from bridge.errors import UsageError

yes_option = click.option("--yes", is_flag=True, help="Do not ask for confirmation.")


def is_interactive() -> bool:
    """Whether somebody can answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def ask(question: str) -> bool:
    """The answer to a question, on stderr so that stdout can be piped. No is the default."""
    return click.confirm(question, default=False, err=True)


def confirm(statement: str, *, yes: bool) -> None:
    """States a consequence and continues only after a yes. Raises UsageError where nobody can answer."""
    if yes:
        return
    if not is_interactive():
        raise UsageError(f"{statement} Add --yes to confirm")
    if not ask(f"{statement} Continue?"):
        raise click.Abort
