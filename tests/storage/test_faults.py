from __future__ import annotations

import json
import random
import resource
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta, tzinfo
from email.message import Message
from http.client import IncompleteRead
from pathlib import Path
from typing import Any

import pytest
from support.api import CLICK, EVENTS, Person
from support.commands import Bytelog
from support.disk import as_root
from support.listings import read_to_the_end
from support.server import Response, Server, connect, wait_for

from bytelog import create_app
from bytelog.config import BUSY_SECONDS, READER_THREADS
from bytelog.server.server import SHORT_REQUEST_THREADS

pytestmark = pytest.mark.slow

BODY = json.dumps(CLICK).encode()
BIG = json.dumps({**CLICK, "data": {"text": "x" * 50_000}}).encode()
UNAVAILABLE = b'{"error": "service unavailable"}'
START = datetime(2021, 8, 15, tzinfo=UTC)
PAGE = 4096
ONES, ZEROS, GARBAGE = b"\xff" * PAGE, bytes(PAGE), random.Random(1).randbytes(PAGE)
MANY = 12_000  # a listing of several pages; the first three are read before the status is sent


def count(server: Server) -> int:
    response = server.request(EVENTS)
    assert response.status == 200, response
    return int(json.loads(response.body)["count"])


def post_until_refused(server: Server, body: bytes) -> tuple[int, Response]:
    for stored in range(500):
        response = server.request(EVENTS, body)
        if response.status != 201:
            return stored, response
    raise AssertionError("the disk never got full")


@pytest.fixture
def server_on_disk(disk: Path, serve: Callable[..., Server]) -> Server:
    return serve(BYTELOG_API_KEY=Server.key, BYTELOG_DATA=str(disk / "data"))


@pytest.fixture
def lock(server: Server) -> Iterator[sqlite3.Connection]:
    path = server.folder / "data" / "bytelog.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield other


def test_a_full_disk_rejects_events_until_space_is_freed_and_reads_continue(
    disk: Path, server_on_disk: Server
) -> None:
    server, ballast = server_on_disk, disk / "ballast"
    ballast.write_bytes(bytes(2_000_000))
    stored, response = post_until_refused(server, BIG)
    assert (response.status, response.body) == (507, b'{"error": "insufficient storage"}')
    assert stored > 1
    assert [server.request(EVENTS, BIG).status for _ in range(3)] == [507] * 3
    assert count(server) == stored
    assert server.request("/healthz").status == 503
    ballast.unlink()
    wait_for(lambda: server.request("/healthz").status == 200)
    assert [server.request(EVENTS, BIG).status for _ in range(3)] == [201] * 3
    assert count(server) == stored + 3
    assert server.stop() == 0
    server.start()
    assert count(server) == stored + 3


def fill_up(ballast: Path) -> None:
    with suppress(OSError), ballast.open("wb", 0) as file:
        while True:
            file.write(bytes(PAGE))


@contextmanager
def failing_calls(server: Server, calls: str, error: str) -> Iterator[None]:
    """Make system calls of a running server fail, with the fault injection of strace."""
    trace = server.folder / "trace"
    command = ["strace", "-f", "-p", str(server.process.pid), "-o", str(trace)]
    with subprocess.Popen(
        [*command, "-e", f"trace={calls}", "-e", f"inject={calls}:error={error}"],
        stderr=subprocess.PIPE,
        text=True,
    ) as strace:
        try:
            assert strace.stderr
            assert "attached" in strace.stderr.readline()
            yield
        finally:
            strace.send_signal(signal.SIGINT)


def test_an_exhausted_quota_is_handled_like_a_full_disk(server: Server) -> None:
    assert server.request(EVENTS, BODY).status == 201
    with failing_calls(server, "pwrite64,fallocate", "EDQUOT"):
        response = server.request(EVENTS, BODY)
        assert (response.status, response.body) == (507, b'{"error": "insufficient storage"}')
        assert server.request("/healthz").status == 503
        assert count(server) == 1
    wait_for(lambda: server.request("/healthz").status == 200)
    assert server.request(EVENTS, BODY).status == 201
    assert count(server) == 2


def test_a_disk_failure_is_not_reported_as_a_full_disk(server: Server) -> None:
    with failing_calls(server, "pwrite64", "EIO"):
        assert server.request(EVENTS, BODY).status == 503
    assert server.request(EVENTS, BODY).status == 201


def test_a_disk_without_one_free_byte_refuses_small_events_too(
    disk: Path, server_on_disk: Server
) -> None:
    server, ballast = server_on_disk, disk / "ballast"
    assert server.request(EVENTS, BODY).status == 201
    fill_up(ballast)
    stored, response = post_until_refused(server, BODY)
    assert response.status == 507
    assert count(server) == 1 + stored
    ballast.unlink()
    assert server.request(EVENTS, BODY).status == 201
    assert count(server) == 2 + stored


def test_a_start_on_a_full_disk_fails_with_one_sentence_and_loses_nothing(
    disk: Path, server_on_disk: Server
) -> None:
    server, ballast = server_on_disk, disk / "ballast"
    assert server.request(EVENTS, BODY).status == 201
    assert server.stop() == 0
    fill_up(ballast)
    assert "cannot be used" in sentence(server)
    ballast.unlink()
    server.start()
    assert count(server) == 1


def test_a_file_size_limit_rejects_events_and_reads_continue(
    server: Server,
) -> None:
    assert server.request(EVENTS, BODY).status == 201
    unlimited = resource.RLIM_INFINITY
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (0, unlimited))
    for _ in range(3):
        assert server.request(EVENTS, BODY).status in {503, 507}
    assert count(server) == 1
    assert server.request("/healthz").status == 503
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (unlimited, unlimited))
    wait_for(lambda: server.request("/healthz").status == 200)
    assert server.request(EVENTS, BODY).status == 201
    assert count(server) == 2


def test_a_disk_that_becomes_read_only_is_reported_before_any_post(
    disk: Path, server_on_disk: Server
) -> None:
    as_root("mount", "--bind", disk, disk)
    try:
        as_root("mount", "-o", "remount,ro,bind", disk)
        assert server_on_disk.request("/healthz").status == 503
    finally:
        as_root("umount", "--lazy", disk)
    assert server_on_disk.request("/healthz").status == 200


def statuses(server: Server) -> set[int]:
    return {
        server.request(EVENTS, BODY).status,
        server.request(EVENTS).status,
        server.request(f"{EVENTS}/trace/03775690").status,
        server.request(f"{EVENTS}/summary").status,
        server.request("/healthz").status,
    }


def test_a_moved_database_is_not_used_until_it_is_moved_back(server: Server) -> None:
    assert server.request(EVENTS, BODY).status == 201
    database = server.folder / "data" / "bytelog.db"
    database.rename(database.with_name("moved.db"))
    assert statuses(server) == {503}
    assert f"{database} was moved, removed or replaced" in server.log.read_text()
    database.with_name("moved.db").rename(database)
    assert server.request("/healthz").status == 200
    assert server.request(EVENTS, BODY).status == 201
    assert count(server) == 2


def test_a_replaced_database_is_not_read_together_with_the_new_one(
    server: Server, tmp_path: Path
) -> None:
    other = Bytelog(tmp_path / "other")
    other.run("keys", "create", "alice")
    (other.folder / "bytelog.db").replace(server.folder / "data" / "bytelog.db")
    assert statuses(server) == {503}
    assert "Put it back, or restart bytelog" in server.log.read_text()
    assert server.stop() == 0


def test_a_start_on_a_read_only_disk_prints_one_sentence_and_keeps_the_events(
    disk: Path, server_on_disk: Server
) -> None:
    server = server_on_disk
    assert server.request(EVENTS, BODY).status == 201
    server.stop()
    as_root("mount", "-o", "remount,ro", disk)
    assert "Read-only file system" in sentence(server)
    as_root("mount", "-o", "remount,rw", disk)
    server.start()
    assert count(server) == 1


def sentence(server: Server) -> str:
    """Start a server, which must fail, and return its message of one sentence."""
    with pytest.raises(AssertionError):
        server.start()
    assert server.process.wait(20) == 1
    text = server.log.read_text()
    assert len(text.splitlines()) == 1, text
    assert text.startswith("Error: ")
    return text


def timed_post(server: Server) -> tuple[Response, float]:
    began = time.monotonic()
    response = server.request(EVENTS, BODY)
    return response, time.monotonic() - began


def test_posts_get_503_while_another_process_holds_the_lock(
    server: Server, lock: sqlite3.Connection
) -> None:
    with ThreadPoolExecutor() as pool:
        posts = [pool.submit(timed_post, server) for _ in range(4)]
        while not all(post.done() for post in posts):
            began = time.monotonic()
            assert count(server) == 0
            assert time.monotonic() - began < BUSY_SECONDS
    for response, seconds in (post.result() for post in posts):
        assert (response.status, response.headers["Retry-After"]) == (503, "1")
        assert response.body == UNAVAILABLE
        # One wait for the commit before, and one for the own commit.
        assert seconds < 2 * BUSY_SECONDS + 2
    lock.execute("ROLLBACK")
    assert server.request(EVENTS, BODY).status == 201
    assert count(server) == 1


def test_a_post_that_waits_for_the_lock_is_stored_when_it_is_released_in_time(
    server: Server, lock: sqlite3.Connection
) -> None:
    with ThreadPoolExecutor() as pool:
        post = pool.submit(timed_post, server)
        for _ in range(20):
            assert count(server) == 0
        assert not post.done()
        lock.execute("ROLLBACK")
        assert post.result()[0].status == 201
    assert count(server) == 1


def test_a_server_starts_and_reads_while_another_process_holds_the_lock(
    server: Server, lock: sqlite3.Connection
) -> None:
    server.stop()
    server.start()
    assert count(server) == 0
    lock.execute("ROLLBACK")
    assert server.request(EVENTS, BODY).status == 201


def event(number: int) -> dict[str, object]:
    date = (START + timedelta(seconds=number)).isoformat(timespec="milliseconds")[:-6] + "Z"
    data = {"text": f"event {number:05}"}
    return {"id": number, "name": "n", "trace_id": f"trace{number}", "date": date, "data": data}


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("whole") / "bytelog.db"
    create_app({"BYTELOG_DATABASE_URL": f"sqlite:///{path}"}, path.parent)
    rows = [{**event(number), "data": json.dumps(event(number)["data"])} for number in range(MANY)]
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.executemany(
            "INSERT INTO event (project_id, id, name, trace_id, date, data)"
            " VALUES (1, :id, :name, :trace_id, :date, :data)",
            rows,
        )
    return path


def page_of(whole: Path, number: int) -> int:
    """Return the number of the table page that contains an event."""
    return whole.read_bytes().index(b"event %05d" % number) // PAGE


def root_of(whole: Path, name: str) -> int:
    """Return the number of the first page of a table or an index."""
    with closing(sqlite3.connect(whole)) as connection:
        query = "SELECT rootpage - 1 FROM sqlite_master WHERE name = ?"
        return int(connection.execute(query, [name]).fetchone()[0])


def damaged(whole: Path, page: int, garbage: bytes) -> bytes:
    content = whole.read_bytes()
    return content[: page * PAGE] + garbage + content[(page + 1) * PAGE :]


@pytest.fixture
def serve_file(tmp_path: Path, serve: Callable[..., Server]) -> Callable[[bytes], Server]:
    def start(content: bytes) -> Server:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "bytelog.db").write_bytes(content)
        with pytest.MonkeyPatch.context() as patch:
            # A server with a damaged database may report that it is unhealthy.
            patch.setattr(Server, "request", lambda *_: Response(200, Message(), b""))
            return serve(BYTELOG_API_KEY=Server.key, BYTELOG_DATA=str(tmp_path / "data"))

    return start


def get(server: Server, path: str) -> Response | None:
    """Return the response, or None if the connection broke before its end."""
    try:
        return server.request(path)
    except (IncompleteRead, ConnectionResetError):
        return None


def list_by_http_1_0(server: Server, form: str) -> None:
    """Request a listing like nginx does: the end of the connection ends the response."""
    head = f"GET {EVENTS} HTTP/1.0\r\nAccept: {form}\r\nAuthorization: Bearer {Server.key}\r\n\r\n"
    with connect(server) as peer:
        peer.sendall(head.encode())
        read_to_the_end(peer)


@pytest.mark.parametrize("garbage", [ONES, ZEROS], ids=["ones", "zeros"])
def test_a_damaged_page_is_reported_in_json_and_the_rest_still_works(
    whole: Path, serve_file: Callable[[bytes], Server], garbage: bytes
) -> None:
    server = serve_file(damaged(whole, page_of(whole, 1000), garbage))
    for path in (EVENTS, f"{EVENTS}/trace/trace1000"):
        response = server.request(path)
        assert (response.status, response.body) == (503, UNAVAILABLE)
    trace = server.request(f"{EVENTS}/trace/trace9000")
    assert json.loads(trace.body) == {"count": 1, "events": [event(9000)]}
    assert server.request(EVENTS, BODY).status == 201
    assert json.loads(server.request(f"{EVENTS}/trace/03775690").body)["events"] == [CLICK]
    assert server.request("/healthz").status == 200
    assert "database disk image is malformed" in server.log.read_text()
    assert server.stop() == 0


def test_a_damaged_page_late_in_a_listing_breaks_the_connection(
    whole: Path, serve_file: Callable[[bytes], Server]
) -> None:
    server = serve_file(damaged(whole, page_of(whole, MANY - 1000), ONES))
    for _ in range(
        READER_THREADS + SHORT_REQUEST_THREADS + 1
    ):  # a thread that is lost would be missed
        assert get(server, EVENTS) is None
    with pytest.raises(ConnectionResetError):
        list_by_http_1_0(server, "application/x-ndjson")
    window = server.request(f"{EVENTS}?end=2021-08-15T02:00:00Z")
    assert json.loads(window.body)["events"] == [event(number) for number in range(7200)]
    assert server.request(EVENTS, BODY).status == 201
    assert "database disk image is malformed" in server.log.read_text()
    assert server.stop() == 0


def test_a_damaged_last_page_rejects_new_events_and_the_rest_is_read(
    whole: Path, serve_file: Callable[[bytes], Server]
) -> None:
    server = serve_file(damaged(whole, page_of(whole, MANY - 1), ONES))
    for _ in range(3):
        response = server.request(EVENTS, BODY)
        assert (response.status, response.body) == (503, UNAVAILABLE)
    assert server.request("/healthz").status == 503
    trace = server.request(f"{EVENTS}/trace/trace1000")
    assert json.loads(trace.body) == {"count": 1, "events": [event(1000)]}
    assert server.stop() == 0


# Roots of the tables and indexes that a request reads, and pages at fractions of the file.
PLACES = ["sqlite_sequence", "event", "event_by_date", "event_by_trace", 0.6, 0.9]


@pytest.mark.parametrize("location", PLACES)
def test_no_incomplete_response_looks_complete_whichever_page_is_damaged(
    whole: Path, serve_file: Callable[[bytes], Server], location: str | float
) -> None:
    by_part = isinstance(location, float) and int(location * whole.stat().st_size) // PAGE
    page = by_part or root_of(whole, str(location))
    server = serve_file(damaged(whole, page, GARBAGE))
    new = [CLICK] if recorded(server) else []
    events = [*(event(number) for number in range(MANY)), *new]
    assert listed(server, EVENTS) in (None, events)
    assert listed(server, f"{EVENTS}/trace/trace0") in (None, events[:1])
    assert listed(server, f"{EVENTS}/trace/03775690") in (None, new)
    assert server.request("/healthz").status in {200, 503}
    assert server.stop() == 0


def recorded(server: Server) -> bool:
    response = server.request(EVENTS, BODY)
    assert response.status == 201 or (response.status, response.body) == (503, UNAVAILABLE)
    return response.status == 201


def listed(server: Server, path: str) -> list[dict[str, object]] | None:
    """Return the events of a listing, or None if it was refused or incomplete."""
    response = get(server, path)
    if response and response.status == 200:
        return list(json.loads(response.body)["events"])
    assert response is None or (response.status, response.body) == (503, UNAVAILABLE)
    return None


def test_events_stored_while_the_clock_steps_back_are_ordered_by_date_then_arrival(
    alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = [5, 6, 2, 2, 3, 6, 1]

    class Clock(datetime):
        present = START

        @classmethod
        def now(cls, tz: tzinfo | None = None) -> Any:
            return cls.present

    monkeypatch.setattr("bytelog.timestamps.datetime", Clock)
    for number, tick in enumerate(ticks):
        Clock.present = START + timedelta(seconds=tick)
        body = {"id": number, "name": "tick", "trace_id": "t"}
        assert alice.post(body).status_code == 201
    expected = sorted((tick, number) for number, tick in enumerate(ticks))
    for listing in (alice.events(), alice.events("/trace/t")):
        pairs = [(event["date"], event["id"]) for event in listing]
        assert pairs == [(f"2021-08-15T00:00:0{tick}.000Z", number) for tick, number in expected]
