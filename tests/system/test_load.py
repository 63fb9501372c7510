from __future__ import annotations

import json
import math
import socket
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from statistics import median
from typing import NamedTuple, Self

import pytest
from support.api import CLICK, EVENTS
from support.effort import LONG
from support.listings import MANY, memory
from support.server import Server, wait_for

from bytelog.config import READER_THREADS
from bytelog.storage.sqlite_connection import WAL_LIMIT_BYTES

pytestmark = pytest.mark.slow

WRITERS, PEAK_SECONDS, SOAK_SECONDS = 8, 5, 1800 if LONG else 30
MAX_GROWTH_KIB = 8 * 1024
SLOW_READERS, ROUND_SECONDS, ROUNDS = 32, 1, 101 if LONG else 7


def paced(seconds: float, per_second: float) -> Iterator[int]:
    """Yield numbers at a steady rate, without pauses after a delay."""
    began = time.monotonic()
    for number in count():
        time.sleep(max(0, began + number / per_second - time.monotonic()))
        if time.monotonic() > began + seconds:
            return
        yield number


class Client:
    """A client that keeps its connection open and counts the responses by status."""

    events = count()

    def __init__(self, server: Server) -> None:
        self.connection = HTTPConnection(server.url.removeprefix("http://"), timeout=30)
        self.headers = {"Authorization": f"Bearer {server.key}", "Content-Type": "application/json"}
        self.responses: Counter[int] = Counter()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def request(self, method: str, path: str, body: str | None = None) -> None:
        self.connection.request(method, path, body, self.headers)
        with self.connection.getresponse() as response:
            response.read()
        self.responses[response.status] += 1

    def write(self, seconds: float, per_second: float = math.inf) -> None:
        for number in paced(seconds, per_second):
            event = {"id": next(self.events), "name": "click", "trace_id": f"{number // 4}"}
            self.request("POST", EVENTS, json.dumps({**event, "data": CLICK["data"]}))
            if number % 20 == 19:
                self.connection.close()  # the next request opens another

    def read(self, seconds: float, per_second: float) -> None:
        for _ in paced(seconds, per_second):
            recently = datetime.now(UTC) - timedelta(seconds=5)
            self.request("GET", f"{EVENTS}?start={recently:%Y-%m-%dT%H:%M:%SZ}")
            self.request("GET", f"{EVENTS}/trace/1")
            self.request("POST", EVENTS, "not an event")


@contextmanager
def clients(server: Server) -> Iterator[list[Client]]:
    with ExitStack() as stack:
        yield [stack.enter_context(Client(server)) for _ in range(WRITERS)]


def throughput(writers: Sequence[Client], seconds: float) -> float:
    """Post as fast as possible, and return the number of events recorded a second."""
    before = sum(writer.responses[201] for writer in writers)
    with ThreadPoolExecutor(len(writers)) as pool:
        list(pool.map(lambda writer: writer.write(seconds), writers))
    return (sum(writer.responses[201] for writer in writers) - before) / seconds


def fill_page_caches(server: Server) -> None:
    """Read all events in each worker thread, because SQLite's page caches are no growth."""
    with ThreadPoolExecutor(READER_THREADS) as pool:
        for _ in range(3):
            list(pool.map(lambda _: server.request(EVENTS), range(READER_THREADS)))


class Sample(NamedTuple):
    memory: int
    files: int
    threads: int
    log: int


def sample(server: Server) -> Sample:
    process, log = Path(f"/proc/{server.process.pid}"), server.folder / "data" / "bytelog.db-wal"
    files, threads = (len(list((process / name).iterdir())) for name in ("fd", "task"))
    return Sample(memory(server), files, threads, log.stat().st_size)


def quarters(samples: Sequence[Sample]) -> list[Sample]:
    """Return the medians of each quarter of the samples."""
    length = len(samples) // 4
    parts = [samples[start : start + length] for start in range(0, 4 * length, length)]
    return [Sample(*(median(values) for values in zip(*part, strict=True))) for part in parts]


@pytest.mark.long
def test_nothing_fails_and_nothing_grows_under_half_the_peak_load(server: Server) -> None:
    with clients(server) as (*writers, reader), ThreadPoolExecutor(WRITERS) as pool:
        half = throughput(writers, PEAK_SECONDS) / 2
        fill_page_caches(server)
        work = [pool.submit(writer.write, SOAK_SECONDS, half / len(writers)) for writer in writers]
        work.append(pool.submit(reader.read, SOAK_SECONDS, per_second=1))
        samples = [sample(server) for _ in paced(SOAK_SECONDS, per_second=1)]
        for done in work:
            done.result()
    responses = sum((client.responses for client in (*writers, reader)), Counter[int]())
    assert responses.keys() == {200, 201, 400}
    assert stored(server) == responses[201] > half * SOAK_SECONDS / 2
    _, early, _, late = quarters(samples)
    assert late.memory - early.memory < MAX_GROWTH_KIB, (early, late)
    assert late.files - early.files < 8, (early, late)
    assert late.threads == early.threads
    assert max(sample.log for sample in samples) <= WAL_LIMIT_BYTES


def stored(server: Server) -> int:
    with closing(sqlite3.connect(server.folder / "data" / "bytelog.db")) as database:
        query = "SELECT count(*), count(DISTINCT id) FROM event"
        ((events, distinct),) = database.execute(query)
    assert events == distinct
    return int(events)


class SlowReader:
    """A client that reads a kilobyte at a time, and retries a refused request after Retry-After."""

    def __init__(self, server: Server) -> None:
        key = f"Authorization: Bearer {server.key}"
        self.request = f"GET {EVENTS} HTTP/1.1\r\nHost: x\r\n{key}\r\n\r\n".encode()
        self.peer = socket.socket()
        # With a small buffer, unread data waits in the server, as for a client with a slow line.
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.peer.settimeout(20)
        self.peer.connect(("127.0.0.1", int(server.url.rpartition(":")[2])))
        self.peer.sendall(self.request)
        self.refusals = self.reads = 0

    def read(self) -> None:
        text = self.peer.recv(1024)
        if text.startswith(b"HTTP/1.1 503 "):
            while not text.endswith(b"}"):
                text += self.peer.recv(1024)
            assert b"\r\nRetry-After: 1\r\n" in text
            self.refusals += 1
            self.peer.sendall(self.request)
        else:
            assert text
            self.reads += 1


@contextmanager
def slow_readers(server: Server) -> Iterator[list[SlowReader]]:
    leaving, all_answered = threading.Event(), threading.Event()

    def read() -> None:
        while not leaving.wait(1):
            for reader in readers:
                reader.read()
            all_answered.set()

    with ExitStack() as stack, ThreadPoolExecutor(1) as pool:
        readers = [SlowReader(server) for _ in range(SLOW_READERS)]
        for reader in readers:
            stack.enter_context(reader.peer)
        reading = pool.submit(read)
        try:
            wait_for(lambda: all_answered.is_set() or reading.done())
            yield readers
        finally:
            leaving.set()
        reading.result()


def is_quiet(server: Server) -> bool:
    """Return whether the server is idle: buffers are full and closed connections noticed."""
    before = processor_ticks(server)
    time.sleep(0.2)
    return processor_ticks(server) - before <= 1


def processor_ticks(server: Server) -> int:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().split()
    return int(fields[13]) + int(fields[14])


@pytest.mark.long
def test_32_slow_readers_do_not_slow_writers_and_all_but_8_get_503(
    serve: Callable[..., Server],
) -> None:
    server = serve(BYTELOG_API_KEY=Server.key, events=MANY)
    ratios: list[float] = []
    with clients(server) as writers:
        # Other load on the machine affects some rounds; blocking readers would affect all.
        while len(ratios) < ROUNDS and (LONG or sum(ratio >= 0.7 for ratio in ratios) < 2):
            wait_for(lambda: is_quiet(server))
            alone = throughput(writers, ROUND_SECONDS)
            with slow_readers(server) as readers:
                wait_for(lambda: is_quiet(server))
                ratios.append(throughput(writers, ROUND_SECONDS) / alone)
            reading = [reader for reader in readers if reader.reads]
            assert len(reading) == READER_THREADS
            assert all(reader.refusals for reader in readers if reader not in reading)
    assert sorted(ratios)[-2] >= 0.7, ratios
