from __future__ import annotations

import ast
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest
from support.api import CLICK, EVENTS
from support.programs import require
from support.server import Server, SpawnedServer, wait_for

pytestmark = pytest.mark.slow

WRITERS, EVENT_COUNT = 4, 120
# Ten pages an event, so that the log reaches 1000 pages and a checkpoint runs.
DATA = {"text": "x" * 40_000}
DATABASE, LOG = "bytelog.db", "bytelog.db-wal"

TRACED = "--trace=pwrite64,ftruncate,fsync,fdatasync,?unlink,unlinkat,recvfrom,sendto"
STRACE = ("strace", "-D", "--follow-forks", "--decode-fds=path", "--string-limit=1000000", TRACED)
UNFINISHED = " <unfinished ...>"

WRITTEN = re.compile(r'pwrite64\(\d+<(.+?)>, (".*"), \d+, (\d+)\) += (\d+)')
TRUNCATED = re.compile(r"ftruncate\(\d+<(.+?)>, (\d+)\) += 0")
REMOVED = re.compile(r'unlink(?:at)?\(.*?"(.+?)".*\) += 0')
SYNC_BEGUN = re.compile(r"(?:fsync|fdatasync)\(\d+<(.+?)>")
SYNCED = re.compile(r"(?:fsync|fdatasync)\(\d+<(.+?)>\) += 0")
RECEIVED = re.compile(r'recvfrom\((\d+)<.*?>, (".*"), \d+,')
ACKNOWLEDGED = re.compile(r'sendto\((\d+)<.*?>, "HTTP/1\.1 201 ')
TRACE_ID = re.compile(rb'"trace_id": "(.+?)"')


class RecordedServer(SpawnedServer):
    program = (sys.executable, "-m", "bytelog")

    def start(self) -> None:
        require("strace")
        self.trace, self.data = self.folder / "trace", self.folder / "data"
        strace = [*STRACE, "--output", str(self.trace)]
        command = [*strace, *self.program, "serve", *self.arguments]
        with self.log.open("w") as log:
            # strace runs in the background and ends with the server, which is the child process.
            self.process = subprocess.Popen(
                command, cwd=self.folder, env=os.environ | self.environment, stdout=log, stderr=log
            )
        try:
            wait_for(lambda: "listens on http" in self.log.read_text() or self.process.poll())
            assert self.process.poll() is None, self.log.read_text()
        except BaseException:
            self.stop(signal.SIGKILL)
            raise
        self.url = self.log.read_text().split("listens on ")[1].split()[0]

    def post(self, number: int) -> None:
        event = {**CLICK, "trace_id": f"trace-{number}", "data": DATA}
        response = self.request(EVENTS, json.dumps(event).encode())
        assert response.status == 201, response.body

    def end(self) -> None:
        self.stop(signal.SIGKILL)
        last = re.compile(rf"^{self.process.pid} +\+\+\+ killed by", re.MULTILINE)
        wait_for(lambda: last.search(self.trace.read_text()[-4000:]))


class WeakenedServer(RecordedServer):
    program = (
        sys.executable,
        "-c",
        "import bytelog.__main__, bytelog.storage.sqlite_connection\n"
        "bytelog.storage.sqlite_connection.PRAGMAS['synchronous'] = 'NORMAL'\n"
        "bytelog.__main__.main()",
    )


class File:
    def __init__(self) -> None:
        self.content = bytearray()
        self.synced = b""

    def write(self, data: bytes, offset: int) -> None:
        self.content.extend(bytes(max(0, offset - len(self.content))))
        self.content[offset : offset + len(data)] = data

    def truncate(self, size: int) -> None:
        self.write(b"", size)
        del self.content[size:]


class Replay:
    def __init__(self, server: RecordedServer) -> None:
        self.trace, self.folder = server.trace, server.data
        self.files: defaultdict[str, File] = defaultdict(File)
        self.acknowledged: list[str] = []
        self._durable: dict[str, File] = {}
        self._syncing: dict[str, bytes] = {}
        self._received: defaultdict[str, bytes] = defaultdict(bytes)

    def until_each_acknowledgement(self) -> Iterator[dict[str, bytes]]:
        for thread, call, is_over in calls(self.trace):
            if is_over:
                self._end(thread, call)
            elif begun := SYNC_BEGUN.match(call):
                # A write during a sync may come too late to be synced.
                self._syncing[thread] = bytes(self.files[begun[1]].content)
            elif sent := ACKNOWLEDGED.match(call):
                self._acknowledge(self._received.pop(sent[1]))
                yield {Path(name).name: file.synced for name, file in self._durable.items()}

    def _acknowledge(self, request: bytes) -> None:
        trace_id = TRACE_ID.search(request)
        assert trace_id, request
        self.acknowledged.append(trace_id[1].decode())

    def _end(self, thread: str, call: str) -> None:
        if done := WRITTEN.match(call):
            self.files[done[1]].write(unquoted(done[2])[: int(done[4])], int(done[3]))
        elif done := TRUNCATED.match(call):
            self.files[done[1]].truncate(int(done[2]))
        elif done := REMOVED.match(call):
            self.files.pop(done[1], None)
        elif done := SYNCED.match(call):
            self._sync(done[1], self._syncing.pop(thread))
        elif done := RECEIVED.match(call):
            self._received[done[1]] += unquoted(done[2])

    def _sync(self, name: str, content: bytes) -> None:
        if name == str(self.folder):
            # Before this sync, a power cut would have restored a removed file.
            del self.files[name]
            self._durable = dict(self.files)
        else:
            self.files[name].synced = content
            self._durable[name] = self.files[name]


def calls(trace: Path) -> Iterator[tuple[str, str, bool]]:
    begun: dict[str, str] = {}
    for line in trace.read_text("ascii").splitlines():
        thread, call = line.split(maxsplit=1)
        if resumed := re.match(r"<\.\.\. \w+ resumed>", call):
            call = begun.pop(thread) + call[resumed.end() :]
        else:
            yield thread, call, False
        if call.endswith(UNFINISHED):
            begun[thread] = call.removesuffix(UNFINISHED)
        else:
            yield thread, call, True


def unquoted(text: str) -> bytes:
    return bytes(ast.literal_eval("b" + text))


def record(server: RecordedServer) -> Replay:
    try:
        with ThreadPoolExecutor(WRITERS) as writers:
            list(writers.map(server.post, range(EVENT_COUNT)))
    finally:
        server.end()
    return Replay(server)


def stored_in(files: dict[str, bytes], folder: Path) -> Counter[str]:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for name, content in files.items():
        (folder / name).write_bytes(content)
    with closing(sqlite3.connect(folder / DATABASE)) as database:
        database.execute("PRAGMA synchronous=OFF")
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        return Counter(trace_id for (trace_id,) in database.execute("SELECT trace_id FROM event"))


def test_no_acknowledged_event_is_lost_when_the_power_fails(tmp_path: Path) -> None:
    replay = record(RecordedServer(tmp_path, BYTELOG_API_KEY=Server.key))
    databases = set()
    for files in replay.until_each_acknowledgement():
        stored = stored_in(files, tmp_path / "rebuilt")
        assert {event: stored[event] for event in replay.acknowledged if stored[event] != 1} == {}
        databases.add(files[DATABASE])
    assert len(set(replay.acknowledged)) == EVENT_COUNT
    assert len(databases) > 1, "the log was never emptied into the database"
    # The recording is complete: replaying all writes gives the real files.
    for path in (replay.folder / DATABASE, replay.folder / LOG):
        assert replay.files[str(path)].content == path.read_bytes(), path


def test_the_simulated_power_cut_detects_a_server_that_does_not_sync(tmp_path: Path) -> None:
    replay = record(WeakenedServer(tmp_path, BYTELOG_API_KEY=Server.key))
    assert any(
        set(replay.acknowledged) - stored_in(files, tmp_path / "rebuilt").keys()
        for files in replay.until_each_acknowledgement()
    )
