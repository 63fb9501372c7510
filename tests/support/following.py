"""Commands that follow events until they are stopped."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
from collections.abc import Callable
from typing import Self

from support.processes import Process

PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}


class Following:
    """A running command that follows events, and the lines that it has written."""

    def __init__(self, process: Process) -> None:
        self.process = process
        self.lines: list[str] = []
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append(line.decode())

    @property
    def ids(self) -> list[int]:
        return [json.loads(line)["id"] for line in self.lines]

    def finish(self) -> None:
        """Press Ctrl-C, which is not an error."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(20) == 0
        self._thread.join()
        assert self.process.stderr is not None
        assert self.process.stderr.read() == b""
        self.process.__exit__()

    def kill(self) -> None:
        self.process.kill()
        self._thread.join()
        self.process.__exit__()


def close_output(process: Process, post_more: Callable[[], None] | None) -> None:
    """Close the output of a command after its first line, which ends it without an error."""
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.readline()
    process.stdout.close()
    if post_more:
        post_more()
    assert process.wait(20) == 0
    assert process.stderr.read() == b""
