"""The executable."""

from __future__ import annotations

import fcntl
import subprocess
from pathlib import Path

import pytest

from support.programs import require


@pytest.fixture(scope="session")
def executable(tmp_path_factory: pytest.TempPathFactory, testrun_uid: str) -> Path:
    """Return the executable, which the first of the test processes builds."""
    require("gcc", "libpython", "strip")
    build = Path(__file__).parents[2] / "deploy" / "build.sh"
    folder = tmp_path_factory.getbasetemp().parent / f"dist-{testrun_uid}"
    folder.mkdir(exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (folder / "bytelog").exists():
            subprocess.run([build, folder], check=True, capture_output=True)
    return folder / "bytelog"
