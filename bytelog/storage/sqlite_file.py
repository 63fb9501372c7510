"""Creating an SQLite file before SQLite opens it."""

from __future__ import annotations

import os
from pathlib import Path

from .errors import UnusableDatabase


def create(folder: Path, name: str) -> Path:
    """Create the data folder, and a file with access for its owner only; returns its real path.

    The locks and the side files of a database are found by its path, and must be the same for all
    who open it, through whatever link. Raises UnusableDatabase.
    """
    file = Path(os.path.realpath(folder / name))
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _create(file)
    except OSError as error:
        raise UnusableDatabase(
            f"the database {error.filename} cannot be written: {error.strerror}. Create its "
            "folder for the user that runs bytelog, or choose another with BYTELOG_DATA or "
            "BYTELOG_DATABASE_URL."
        ) from error
    return file


def _create(file: Path) -> None:
    # Closing a file releases all locks that the process has on it, those of SQLite included. So a
    # file is only opened here if SQLite cannot have it open (https://sqlite.org/howtocorrupt.html).
    if not (file.is_file() and os.access(file, os.R_OK | os.W_OK)):
        os.close(os.open(file, os.O_CREAT | os.O_RDWR, 0o600))
    if file.stat().st_nlink > 1:
        raise UnusableDatabase(
            f"the database {file} has another name, a hard link, and is damaged when programs open "
            "it by different names. Remove the other name, or copy the file."
        )
