"""What `check` finds: how something stands, and how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Grade(StrEnum):
    """How a finding is to be taken."""

    OK = "ok"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What was looked at, how it stands, and how to mend it."""

    about: str
    grade: Grade
    text: str


def ok(about: str, text: str) -> Finding:
    """It is as it should be."""
    return Finding(about=about, grade=Grade.OK, text=text)


def warning(about: str, text: str) -> Finding:
    """It works, and may not be what is wanted."""
    return Finding(about=about, grade=Grade.WARNING, text=text)


def problem(about: str, text: str) -> Finding:
    """It does not work."""
    return Finding(about=about, grade=Grade.PROBLEM, text=text)
