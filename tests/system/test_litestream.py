from __future__ import annotations

import http.client
import json
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from threading import Thread

import pytest
from support.api import CLICK, EVENTS
from support.server import Server, wait_for

from bytelog import create_app
from bytelog.storage.writer import current_writer

pytestmark = pytest.mark.slow

PROGRAM = Path(sys.executable).with_name("litestream")
BATCH = 200
BATCHES = 500
CHECKPOINTED = 4_000_000

CONFIG = """
socket:
  enabled: true
  path: socket
dbs:
  - path: {database}
    replica:
      type: file
      path: {replica}
"""


class Client:
    """A client that posts batches of events numbered from 0 until it or its server stops."""

    def __init__(self, server: Server, first: int = 0) -> None:
        self.acknowledged = first
        self._server = server
        self._is_stopped = False
        self._thread = Thread(target=self._post)
        self._thread.start()

    def stop(self) -> int:
        self._is_stopped = True
        self._thread.join()
        return self.acknowledged

    def _post(self) -> None:
        with suppress(OSError, http.client.HTTPException):
            for first in count(self.acknowledged, BATCH):
                if self._is_stopped or first >= BATCH * BATCHES:
                    return
                numbers = range(first, first + BATCH)
                batch = [
                    {**CLICK, "id": number, "trace_id": f"{number * 7919 % 100_000}"}
                    for number in numbers
                ]
                assert self._server.request(EVENTS, json.dumps(batch).encode()).status == 201
                self.acknowledged = first + BATCH


class Litestream:
    """A real `litestream replicate`."""

    def __init__(self, folder: Path) -> None:
        self.database = folder / "data" / "bytelog.db"
        self._folder = folder
        self._log = folder / "litestream.log"
        config = CONFIG.format(database=self.database, replica=folder / "replica")
        (folder / "litestream.yml").write_text(config)
        self.start()

    def start(self) -> None:
        (self._folder / "socket").unlink(missing_ok=True)
        with self._log.open("a") as log:
            self.process = subprocess.Popen(
                [PROGRAM, "replicate", "-config", "litestream.yml"],
                cwd=self._folder,
                stdout=log,
                stderr=log,
            )
        wait_for(lambda: self._run("sync", "-wait", "-socket", "socket").returncode == 0)

    def sync(self) -> None:
        assert self._run("sync", "-wait", "-socket", "socket").returncode == 0

    def restore(self) -> None:
        assert self._run("restore", "-config", "litestream.yml").returncode == 0

    def stop(self, number: int = signal.SIGTERM) -> None:
        self.process.send_signal(number)
        self.process.wait(60)

    def _run(self, command: str, *options: str) -> subprocess.CompletedProcess[bytes]:
        arguments: list[str | Path] = [PROGRAM, command, *options, self.database]
        return subprocess.run(arguments, cwd=self._folder, capture_output=True, timeout=60)


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    return serve(BYTELOG_API_KEY=Server.key, BYTELOG_CHECKPOINTS="off")


@pytest.fixture
def litestream(server: Server) -> Iterator[Litestream]:
    litestream = Litestream(server.folder)
    yield litestream
    litestream.process.kill()
    litestream.process.wait()


def restored(server: Server, litestream: Litestream) -> list[int]:
    """Delete the data folder, restore it from the replica, and return the events' numbers."""
    server.stop(signal.SIGKILL)
    shutil.rmtree(server.folder / "data")
    litestream.restore()
    with closing(sqlite3.connect(litestream.database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    server.start()
    events = json.loads(server.request(f"{EVENTS}?order=arrival").body)["events"]
    return [event["id"] for event in events]


def test_synced_events_are_restored_from_the_replica(
    server: Server, litestream: Litestream
) -> None:
    client = Client(server)
    wait_for(lambda: litestream.database.stat().st_size > CHECKPOINTED, seconds=60)
    acknowledged = client.acknowledged
    litestream.sync()
    litestream.stop(signal.SIGKILL)
    numbers = restored(server, litestream)
    assert len(numbers) >= acknowledged
    assert numbers == list(range(len(numbers)))
    assert len(numbers) <= client.stop() + BATCH
    assert server.request(EVENTS, json.dumps(CLICK).encode()).status == 201


def test_a_stopped_litestream_has_synced_everything(server: Server, litestream: Litestream) -> None:
    client = Client(server)
    wait_for(lambda: client.acknowledged > 2000)
    acknowledged = client.stop()
    litestream.stop()
    assert restored(server, litestream) == list(range(acknowledged))


def test_restarts_of_bytelog_or_litestream_lose_no_events(
    server: Server, litestream: Litestream
) -> None:
    client = Client(server)
    wait_for(lambda: client.acknowledged > 2000)
    litestream.stop()
    wait_for(lambda: client.acknowledged > 4000)
    acknowledged = client.stop()
    server.stop()
    server.start()
    litestream.start()
    client = Client(server, first=acknowledged)
    wait_for(lambda: client.acknowledged > acknowledged + 2000)
    acknowledged = client.stop()
    litestream.sync()
    litestream.stop(signal.SIGKILL)
    assert restored(server, litestream) == list(range(acknowledged))


@pytest.mark.parametrize(("setting", "is_emptied"), [(None, True), ("on", True), ("off", False)])
def test_bytelog_does_not_checkpoint_when_checkpoints_are_off(
    setting: str | None, is_emptied: bool, tmp_path: Path
) -> None:
    app = create_app({"BYTELOG_CHECKPOINTS": setting}, tmp_path)
    before = (tmp_path / "bytelog.db").stat().st_size
    row = (1, 1, "click", "03775690", "2021-08-15T23:41:41.507Z", json.dumps({"text": "x" * 5000}))
    with app.app_context():
        for _ in range(6):
            current_writer().append([row] * 500)
    assert ((tmp_path / "bytelog.db").stat().st_size > before) == is_emptied
