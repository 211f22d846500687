"""The disk of which only what was synced is left."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("unsynced_disk.c")


@pytest.fixture(scope="session")
def unsynced_disk(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The library to preload, which copies each file when it is synced."""
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler")
    library = tmp_path_factory.mktemp("disk") / "unsynced_disk.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-O1", "-o", str(library), str(SOURCE), "-ldl"], check=True)
    return str(library)
