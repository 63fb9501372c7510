"""The real command, with its own data folder."""

from __future__ import annotations

import os
import pty
import signal
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path
from typing import Any

from support.processes import Process


class Bytelog:
    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.environment = {"BYTELOG_DATA": str(folder)}

    def start(self, *arguments: str | Path, **options: Any) -> Process:
        return Process([*map(str, arguments)], os.environ | self.environment, **options)

    def finish(
        self, *arguments: str | Path, text: bytes = b"", status: int = 0
    ) -> tuple[bytes, str]:
        """Return what a command wrote to standard output and to standard error."""
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        with self.start(*arguments, **pipes) as process:
            output, errors = process.communicate(text, timeout=120)
        assert process.returncode == status, errors
        assert b"Traceback" not in errors
        return output, errors.decode()

    def run(self, *arguments: str | Path, text: bytes = b"") -> bytes:
        return self.finish(*arguments, text=text)[0]

    def refuse(self, *arguments: str | Path, text: bytes = b"", status: int = 1) -> str:
        return self.finish(*arguments, text=text, status=status)[1]

    def on_terminal(self, *arguments: str | Path) -> bytes:
        """Return the output of a command to a terminal, which is its standard error."""
        terminal, end = pty.openpty()
        with self.start(*arguments, stdout=subprocess.DEVNULL, stderr=end) as process:
            os.close(end)
            output = b""
            while part := _read(terminal):
                output += part
        os.close(terminal)
        assert process.returncode == 0, output
        return output

    def show(self, *arguments: str | Path, columns: int = 80) -> str:
        """Return the output of a command to a terminal, which is its standard output."""
        terminal, end = pty.openpty()
        environment = {"COLUMNS": str(columns), "TERM": "xterm"} | self.environment
        command = Process([*map(str, arguments)], os.environ | environment, stdout=end)
        with command as process:
            os.close(end)
            output = b"".join(iter(lambda: _read(terminal), b""))
        os.close(terminal)
        assert process.returncode == 0, output
        return output.decode().replace("\r\n", "\n")

    def ids(self) -> list[int]:
        """Return the ids of all events in order of arrival."""
        database = sqlite3.connect(f"file:{self.folder / 'bytelog.db'}?mode=ro", uri=True)
        with closing(database):
            return [row[0] for row in database.execute("SELECT id FROM event ORDER BY key")]


def interrupt(process: Process) -> bytes:
    """Press Ctrl-C, and return the standard error of the command."""
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=20)
    # Python dies of the signal if it arrives during compilation.
    assert process.returncode in (1, -signal.SIGINT), errors
    return errors


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other end is closed
        return b""
