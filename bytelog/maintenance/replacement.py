"""Writing a file that is complete or does not exist."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import IO


def follow_links(path: Path) -> Path:
    """Return the path of the file to replace, which a link may name."""
    # Before Python 3.13, `Path.resolve` raises RuntimeError for links that name each other.
    return Path(os.path.realpath(path))


@contextmanager
def open_replacement(path: Path) -> Iterator[IO[bytes]]:
    """Open a new file, which replaces `path` once it is complete; only its owner can read it."""
    try:
        with _temporary_file(path.parent) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
    except OSError as error:
        raise OSError(
            f"{path} cannot be written: {error.strerror}. Free disk space, or choose another file."
        ) from error


@contextmanager
def _temporary_file(folder: Path) -> Iterator[IO[bytes]]:
    with NamedTemporaryFile(dir=folder, prefix=".bytelog-", delete=False) as file:
        try:
            yield file
        except BaseException:
            Path(file.name).unlink()
            raise
