"""Databases that take long to fill: each is filled once, and copied for the tests."""

from __future__ import annotations

import atexit
import shutil
from collections.abc import Callable
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

Fill = Callable[[Path, int], None]
"""Fills the database in a data folder with a number of events, or days of events."""


def copy_filled_by(fill: Fill, number: int, folder: Path) -> None:
    """Create a data folder with a copy of a filled database."""
    folder.mkdir(parents=True)
    shutil.copy(_original(fill, number) / "bytelog.db", folder)


@cache
def _original(fill: Fill, number: int) -> Path:
    folder = Path(mkdtemp(prefix="bytelog-filled-"))
    atexit.register(shutil.rmtree, folder)
    fill(folder, number)
    return folder
