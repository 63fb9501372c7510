"""A real `bytelog serve` on its own port."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from email.message import Message
from pathlib import Path
from typing import IO, NamedTuple, Self

from support.processes import Process, spawn


class Response(NamedTuple):
    status: int
    headers: Message
    body: bytes


class Server:
    """A real `bytelog serve` on its own port."""

    key = "example_api_key"

    def __init__(self, folder: Path, *arguments: str, **environment: str) -> None:
        self.folder = folder
        self.log = folder / "serve.log"
        self.arguments = ("--port", "0", *arguments)
        self.environment = {"BYTELOG_DATA": str(folder / "data"), **environment}
        self.start()

    def start(self) -> None:
        with self.log.open("w") as log:
            self.process = self._start_process(log)
        wait_for(
            lambda: "listens on http" in self.log.read_text() or self.process.poll() is not None
        )
        assert self.process.poll() is None, self.log.read_text()
        self.url = self.log.read_text().split("listens on ")[1].split()[0]
        wait_for(lambda: self.request("/healthz").status == 200)

    def keep_port(self) -> None:
        """Let the next start use the same port."""
        self.arguments = ("--port", self.url.rpartition(":")[2])

    def _start_process(self, log: IO[str]) -> Process | subprocess.Popen[bytes]:
        arguments, environment = ["serve", *self.arguments], os.environ | self.environment
        return Process(arguments, environment, self.folder, stdout=log, stderr=log)

    def request(
        self, path: str, body: bytes | None = None, method: str | None = None, **headers: str
    ) -> Response:
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"} | {
            name.replace("_", "-"): value for name, value in headers.items()
        }
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as response:
                return Response(response.status, response.headers, response.read())
        except urllib.error.HTTPError as error:
            with error:
                return Response(error.code, error.headers, error.read())

    def raw(self, request: bytes) -> bytes:
        with socket.create_connection(("127.0.0.1", int(self.url.rpartition(":")[2])), 20) as peer:
            peer.sendall(request)
            return b"".join(iter(lambda: peer.recv(65536), b""))

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(40)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


class SpawnedServer(Server):
    """A server whose process is started like by a user, not forked."""

    program: Sequence[str | Path] = (sys.executable, "-m", "bytelog")

    def keep_port(self) -> None:
        """Let the next start use the same port."""
        self.arguments = ("--port", self.url.rpartition(":")[2])

    def _start_process(self, log: IO[str]) -> subprocess.Popen[bytes]:
        command = [*self.program, "serve", *self.arguments]
        environment = os.environ | self.environment
        return spawn(command, cwd=self.folder, env=environment, stdout=log, stderr=log)


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with suppress(OSError):
            if condition():
                return
        time.sleep(0.01)
    raise AssertionError(f"not within {seconds} seconds")


def connect(server: Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), 20)
