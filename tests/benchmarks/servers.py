"""Servers in processes of their own, on free ports of the loopback interface."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

import click

API_KEY = "example_api_key"
EVENTS = "/api/v1/events"

ROOT = Path(__file__).parents[2]
_TIMEOUT_SECONDS = 60


@dataclass(frozen=True)
class Server:
    """A server that has responded to its first request."""

    pid: int
    port: int
    started_in: float

    @property
    def events_url(self) -> str:
        return f"http://127.0.0.1:{self.port}{EVENTS}"

    def get(self, path: str) -> Any:
        return json.loads(_get(self.port, path)[1])

    def resident(self) -> float:
        """Return the megabytes of memory that the process occupies."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.findall(r"VmRSS:\s*(\d+) kB", status)[0]) * 1024 / 1e6


def build_environment() -> dict[str, str]:
    """Return the environment without bytelog's settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith("BYTELOG_")}


@contextmanager
def run_bytelog(folder: Path, **settings: str) -> Iterator[Server]:
    """Run `bytelog serve` on a data folder."""
    settings = {"BYTELOG_API_KEY": API_KEY, "BYTELOG_DATA": str(folder), **settings}
    port = find_free_port()
    command = [sys.executable, "-m", "bytelog", "serve", "--port", str(port)]
    with run(command, port, settings) as server:
        yield server


@contextmanager
def run_application(module: str, *arguments: str) -> Iterator[Server]:
    """Run one of the applications for comparison."""
    port = find_free_port()
    command = [sys.executable, "-m", f"{__package__}.{module}", str(port), *arguments]
    with run(command, port, {}) as server:
        yield server


@contextmanager
def run(command: list[str], port: int, settings: Mapping[str, str]) -> Iterator[Server]:
    """Run a server until the block ends; raises ClickException if it does not respond."""
    began = time.perf_counter()
    with TemporaryFile("w+") as log:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**build_environment(), **settings},
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_for_response(process, port, log)
            yield Server(process.pid, port, time.perf_counter() - began)
        finally:
            _stop(process)


def _wait_for_response(process: subprocess.Popen[bytes], port: int, log: IO[str]) -> None:
    deadline = time.monotonic() + _TIMEOUT_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            status, _ = _get(port, "/healthz")
        except ConnectionError:
            status = None
        # The applications for comparison have no /healthz.
        if status in (200, 404):
            return
        time.sleep(0.002)
    log.seek(0)
    raise click.ClickException(f"the server does not respond:\n{log.read()}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_TIMEOUT_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _get(port: int, path: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_SECONDS)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {API_KEY}"})
        response = connection.getresponse()
        return response.status, response.read()
    finally:
        connection.close()


def find_free_port() -> int:
    """Return a port that no program listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port
