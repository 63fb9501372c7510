"""Packages of npm that tests run, installed once for each lock file."""

from __future__ import annotations

import os
import shutil
import subprocess
from fcntl import LOCK_EX, flock
from hashlib import sha256
from pathlib import Path

from support.programs import require

# Outside the checkout and kept: installing takes several seconds.
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bytelog-tests"
INSTALL = ["npm", "ci", "--ignore-scripts", "--prefer-offline", "--no-audit", "--no-fund"]


def install_packages(folder: Path) -> Path:
    """Return a folder with the `node_modules` of the lock file in a folder."""
    require("node", "npm")
    lock_file = folder / "package-lock.json"
    home = CACHE / sha256(lock_file.read_bytes()).hexdigest()[:16]
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        flock(lock, LOCK_EX)
        if not (home / "complete").exists():
            shutil.rmtree(home, ignore_errors=True)
            shutil.copytree(folder, home)
            subprocess.run(INSTALL, cwd=home, check=True, capture_output=True)
            (home / "complete").touch()
    return home
