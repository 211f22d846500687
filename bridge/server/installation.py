"""Whether the import names `bridge` and `processors` are installed by this distribution alone."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path

DISTRIBUTION = "pulsora-bridge"
PACKAGES = ("bridge", "processors")


def import_conflicts() -> Iterator[str]:
    """A sentence for each package that another distribution installs too, and if the two come from different places."""
    installed = packages_distributions()
    for package in PACKAGES:
        others = sorted(set(installed.get(package, ())) - {DISTRIBUTION})
        if others:
            yield f"{package} is also installed by {', '.join(others)}, which may overwrite files of {DISTRIBUTION}"
    folders = {package: Path(str(import_module(package).__file__)).parent for package in PACKAGES}
    if len({folder.parent for folder in folders.values()}) > 1:
        yield " and ".join(f"{package} is imported from {folder}" for package, folder in folders.items())
