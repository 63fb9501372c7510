"""Commands of bytelog in separate processes, forked from one that has loaded bytelog."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, Self

Stream = int | IO[bytes] | IO[str] | None


class ForkServer:
    """The process that forks a process for each command; the first command starts it."""

    def __init__(self) -> None:
        self._requests: socket.socket | None = None

    def send(self, request: dict[str, object], files: list[int]) -> None:
        """Run a command; `files` are its standard streams and a pipe for its exit code."""
        if self._requests is None:
            self._requests = self._start()
        socket.send_fds(self._requests, [json.dumps(request).encode()], files)

    def _start(self) -> socket.socket:
        own_end, other_end = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        program = str(Path(__file__).with_name("fork_server.py"))
        command = [sys.executable, program, str(other_end.fileno())]
        with other_end:
            self._process = subprocess.Popen(command, pass_fds=[other_end.fileno()])
        return own_end

    def stop(self) -> None:
        """End the process, but not the commands that it has forked."""
        if self._requests:
            self._requests.close()
            self._process.wait(20)
            self._requests = None


FORK_SERVER = ForkServer()


def spawn(command: Sequence[str | Path], **options: Any) -> subprocess.Popen[bytes]:
    """Start a program that SIGINT can end, even if pytest ignores SIGINT."""
    return subprocess.Popen(command, preexec_fn=_restore_interrupt, **options)


def _restore_interrupt() -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)


class Process:
    """A command of bytelog, with the parts of `subprocess.Popen` that tests need."""

    def __init__(
        self,
        arguments: Sequence[str],
        environment: Mapping[str, str],
        folder: str | Path = ".",
        *,
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
    ) -> None:
        self.args = ["bytelog", *arguments]
        self.returncode: int | None = None
        request: dict[str, object] = {
            "arguments": arguments,
            "environment": dict(environment),
            "folder": str(Path(folder).absolute()),
        }
        status, status_end = os.pipe()
        streams = [_open(number, stream) for number, stream in enumerate((stdin, stdout, stderr))]
        self.stdin, self.stdout, self.stderr = (pipe for _, pipe in streams)
        files = [file for file, _ in streams] + [status_end]
        FORK_SERVER.send(request, files)
        for file in files:
            os.close(file)
        self._status = os.fdopen(status, "rb")
        self.pid = int(self._status.readline())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for pipe in (self.stdin, self.stdout, self.stderr):
            if pipe:
                pipe.close()
        self.wait()

    def poll(self) -> int | None:
        """Return the exit code, or None while the process runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait for the end, and return the exit code. Raises TimeoutExpired."""
        if self.returncode is None:
            if not select.select([self._status], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            with self._status:
                self.returncode = int(self._status.readline())
        return self.returncode

    def communicate(self, text: bytes = b"", timeout: float | None = None) -> tuple[bytes, bytes]:
        """Write to standard input, and return the output and errors. Raises TimeoutExpired."""
        with ThreadPoolExecutor(2) as pool:
            output, errors = (
                pool.submit(pipe.read if pipe else bytes) for pipe in (self.stdout, self.stderr)
            )
            if self.stdin:
                with suppress(BrokenPipeError), self.stdin:
                    self.stdin.write(text)
            try:
                self.wait(timeout)
            except subprocess.TimeoutExpired:
                self.kill()
                raise
            results = output.result(), errors.result()
        self.__exit__()
        return results

    def send_signal(self, number: int) -> None:
        """Send a signal, unless the process is known to have ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _open(number: int, stream: Stream) -> tuple[int, IO[bytes] | None]:
    """Return the file for a standard stream, and the other end if it is a pipe."""
    match stream:
        case None:
            return os.dup(number), None
        case subprocess.PIPE:
            read, write = os.pipe()
            if number == 0:
                return read, os.fdopen(write, "wb")
            return write, os.fdopen(read, "rb")
        case subprocess.DEVNULL:
            return os.open(os.devnull, os.O_RDWR), None
        case int():
            return os.dup(stream), None
        case _:
            return os.dup(stream.fileno()), None
