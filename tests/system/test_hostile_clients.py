from __future__ import annotations

import json
import os
import re
import resource
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
from support.api import CLICK, EVENTS
from support.listings import MANY, copy_filled, fill, memory, read_to_the_end, start_listing
from support.server import Server, connect, wait_for

from bytelog import create_app
from bytelog.config import CONNECTIONS, READER_THREADS
from bytelog.server.server import SHORT_REQUEST_THREADS

pytestmark = pytest.mark.slow

# The configuration file is Python code, so it can shorten the deadlines.
IMPATIENT = """from bytelog.server import channel
channel.KEEP_ALIVE_SECONDS = channel.STALLED_SECONDS = 3
"""
# Both threads that check headers wait for the first key that they look up.
SLOW_FIRST_KEYS = """import time
from bytelog.auth import keys
digest, delays = keys.digest, iter((3, 3))
keys.digest = lambda key: time.sleep(next(delays, 0)) or digest(key)
"""
BODY = json.dumps(CLICK).encode()
AUTHORIZED = f"Host: x\r\nAuthorization: Bearer {Server.key}\r\n".encode()
POST = b"POST /api/v1/events HTTP/1.1\r\nContent-Type: application/json\r\n" + AUTHORIZED
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

# The bytes that a client sends first, and those it repeats; they never complete a request.
HEADERS = pytest.param(POST + b"X: ", b"x", id="headers")
SIZED_BODY = pytest.param(POST + b"Content-Length: 1000000\r\n\r\n", b"x", id="a body")
CHUNKS = pytest.param(CHUNKED, b"1\r\nx\r\n", id="chunks")
LARGE_CHUNKS = pytest.param(CHUNKED, b"2000\r\n" + b"x" * 0x2000 + b"\r\n", id="large chunks")
CHUNK_SIZE = pytest.param(CHUNKED, b"0", id="a chunk's size")
NOTHING = pytest.param(b"", b"", id="nothing")


@pytest.fixture(autouse=True)
def as_many_files_as_usual() -> Iterator[None]:
    """Set the usual limit of 1,024 open files, which servers inherit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@contextmanager
def open_connections(
    server: Server, number: int, first: bytes = b""
) -> Iterator[list[socket.socket]]:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    with ExitStack() as stack:
        peers = [stack.enter_context(connect(server)) for _ in range(number)]
        send(peers, first)
        yield peers


def send(peers: list[socket.socket], data: bytes) -> None:
    for peer in peers:
        with suppress(ConnectionError):
            peer.sendall(data)


@contextmanager
def dripping(peers: list[socket.socket], data: bytes, seconds: float = 0.05) -> Iterator[None]:
    leaving = threading.Event()

    def drip() -> None:
        while not leaving.wait(seconds):
            send(peers, data)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(drip)
        try:
            yield
        finally:
            leaving.set()


def check_that_newcomers_are_served(server: Server) -> None:
    def visit(_: int) -> float:
        began = time.monotonic()
        assert server.request(EVENTS, BODY).status == 201
        assert server.request(f"{EVENTS}/trace/unknown").status == 200
        return time.monotonic() - began

    with ThreadPoolExecutor(8) as pool:
        assert max(pool.map(visit, range(100))) < 5


@pytest.mark.parametrize(("first", "then"), [HEADERS, SIZED_BODY, CHUNKS, LARGE_CHUNKS, CHUNK_SIZE])
def test_two_hundred_endless_requests_do_not_block_other_clients(
    server: Server, first: bytes, then: bytes
) -> None:
    with open_connections(server, 200, first) as peers, dripping(peers, then):
        check_that_newcomers_are_served(server)


def test_a_thousand_idle_connections_do_not_block_other_clients_and_stay_open(
    server: Server,
) -> None:
    with open_connections(server, 1000) as peers:
        check_that_newcomers_are_served(server)
        for peer in peers:
            peer.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert received(peer, b'{"status": "ok"}').startswith(b"HTTP/1.1 200 OK\r\n")
        check_that_newcomers_are_served(server)


def test_a_thousand_idle_connections_take_no_time_from_requests(server: Server) -> None:
    def cost() -> float:
        """Return the processor time of a request, in seconds."""
        before = processor_seconds(server)
        with connect(server) as peer:
            for _ in range(300):
                peer.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
                peer.recv(1000)
        return (processor_seconds(server) - before) / 300

    def growth() -> float:
        alone = cost()
        with open_connections(server, 1000):
            return cost() / alone

    # Other processes only ever make a round slower, so the best of five counts.
    assert min(growth() for _ in range(5)) < 1.4


def processor_seconds(server: Server) -> float:
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def test_bodies_of_1900_clients_without_a_key_take_little_memory(server: Server) -> None:
    assert server.request(EVENTS, BODY).status == 201
    before = memory(server)
    head = b"POST /api/v1/events HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\n"
    with open_connections(server, 1900, head) as peers:
        send(peers, bytes(300_000))
        assert peers[-1].recv(1000).startswith(b"HTTP/1.1 401 ")
        check_that_newcomers_are_served(server)
        assert memory(server) - before < 100 * 1024


def received(peer: socket.socket, end: bytes) -> bytes:
    response = b""
    while not response.endswith(end):
        response += peer.recv(1000) or b"(closed)" + end
    return response


@pytest.mark.parametrize(("first", "then"), [NOTHING, HEADERS, SIZED_BODY, CHUNKS])
def test_newcomers_are_served_at_the_connection_limit(
    server: Server, first: bytes, then: bytes
) -> None:
    with (
        open_connections(server, CONNECTIONS + 100, first) as peers,
        dripping(peers, then, seconds=1),
    ):
        check_that_newcomers_are_served(server)


@pytest.fixture
def configured(tmp_path: Path, serve: Callable[..., Server]) -> Callable[[str], Server]:
    def start(settings: str) -> Server:
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / "config.py").write_text(settings)
        return serve(BYTELOG_API_KEY=Server.key, BYTELOG_DATA=str(tmp_path / "data"))

    return start


def test_newcomers_are_served_while_the_headers_of_all_other_requests_are_checked(
    configured: Callable[[str], Server],
) -> None:
    server = configured(SLOW_FIRST_KEYS)
    head = POST + b"Content-Length: 1000000\r\n\r\n"
    with open_connections(server, CONNECTIONS + 100, head):
        check_that_newcomers_are_served(server)


def test_newcomers_are_served_at_the_limit_of_open_files(
    configured: Callable[[str], Server],
) -> None:
    server = configured("import resource\nresource.setrlimit(resource.RLIMIT_NOFILE, (500, 500))")
    with open_connections(server, 600):
        check_that_newcomers_are_served(server)
    assert len(server.log.read_text()) < 10_000


@pytest.mark.parametrize(("first", "then"), [HEADERS, SIZED_BODY, CHUNKS])
def test_an_endless_request_times_out(
    configured: Callable[[str], Server], first: bytes, then: bytes
) -> None:
    server = configured(IMPATIENT)
    with open_connections(server, 10, first) as peers, dripping(peers, then):
        for peer in peers:
            with suppress(ConnectionResetError):
                assert peer.recv(1000) == b""
    assert server.request(EVENTS, BODY).status == 201


def test_an_endless_body_is_cut_off(server: Server) -> None:
    chunks = b"10000\r\n%s\r\n" % (b"x" * 0x10000) * 1000
    with connect(server) as peer, pytest.raises(ConnectionError):
        peer.sendall(CHUNKED + chunks)


@pytest.mark.parametrize("start", [b"", b"0\r\nX-Trailer: "], ids=["a chunk's size", "a trailer"])
def test_an_endless_chunk_line_is_rejected_early(server: Server, start: bytes) -> None:
    with connect(server) as peer:
        peer.sendall(CHUNKED + start + b"0" * 20_000)
        assert peer.recv(1000).startswith(b"HTTP/1.1 400 ")


def test_two_hundred_pipelined_posts_are_stored_in_order(server: Server) -> None:
    is_good = [number % 3 != 0 for number in range(200)]
    bodies = [json.dumps({**CLICK, "id": n if good else "bad"}) for n, good in enumerate(is_good)]
    posts = [
        b"%sContent-Length: %d\r\n\r\n%s" % (POST, len(body), body.encode()) for body in bodies
    ]
    read = b"GET %s HTTP/1.1\r\nConnection: close\r\n%s\r\n" % (EVENTS.encode(), AUTHORIZED)
    response = server.raw(b"".join(posts) + read)
    statuses = re.findall(rb"HTTP/1.1 (\d+)", response)
    assert statuses == [b"201" if good else b"400" for good in is_good] + [b"200"]
    events = json.loads(response.rpartition(b"\r\n\r\n")[2])["events"]
    assert [event["id"] for event in events] == [n for n, good in enumerate(is_good) if good]


def test_pipelined_reads_with_unread_responses_do_not_block_other_clients(server: Server) -> None:
    large = json.dumps({**CLICK, "data": {"text": "x" * 900_000}}).encode()
    assert [server.request(EVENTS, large).status for _ in range(2)] == [201, 201]
    read = b"GET %s/trace/%s HTTP/1.1\r\n%s\r\n" % (EVENTS.encode(), b"03775690", AUTHORIZED)
    with open_connections(server, READER_THREADS + SHORT_REQUEST_THREADS + 2, read * 10):
        check_that_newcomers_are_served(server)


def test_stalled_readers_lose_their_slots(
    tmp_path: Path, configured: Callable[[str], Server]
) -> None:
    copy_filled(tmp_path / "data", MANY)
    server = configured(IMPATIENT)
    with ExitStack() as stack:
        for _ in range(READER_THREADS):
            stack.enter_context(start_listing(server))
        assert server.request(EVENTS).status == 503
        wait_for(lambda: server.request(EVENTS).status == 200)


def test_a_slow_but_steady_reader_gets_everything(
    tmp_path: Path, configured: Callable[[str], Server]
) -> None:
    fill(create_app(instance_path=tmp_path / "data"), MANY)
    server = configured(IMPATIENT)
    with start_listing(server) as peer:
        for _ in range(80):
            assert peer.recv(6000)
            time.sleep(0.1)
        assert read_to_the_end(peer) > 15_000_000
