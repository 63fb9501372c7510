from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from select import select
from typing import IO, Any

import pytest
from support.api import CLICK, EVENTS
from support.batches import JSON, clicks, written
from support.server import Server, connect, wait_for

pytestmark = pytest.mark.slow

MEBIBYTE = 1024 * 1024
BODY = json.dumps(CLICK).encode()
BATCH = written(JSON, *clicks(6, data={"text": "x" * 1_000_000}))
KEYED: dict[str, Any] = {"Authorization": f"Bearer {Server.key}", "Content-Type": JSON}

EMBEDDING = """
import logging, time
from bytelog import Access, create_app
from bytelog.server.server import Server

def authenticate(token, environ):
    time.sleep(1)
    print("asked", "forwarded" if "HTTP_X_FORWARDED_FOR" in environ else "", flush=True)
    return Access("shop", ["write"]) if token == "example_api_key" else None

app = create_app(authenticate=authenticate)
with app.app_context():
    Server(app, "127.0.0.1", 0, 8).run()
"""


def head(method: str = "POST", path: str = EVENTS, length: int = 10**6, **headers: str) -> bytes:
    named = {"Host": "x", "Content-Length": str(length)} | headers
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in named.items()]
    return f"{method} {path} HTTP/1.1\r\n{''.join(lines)}\r\n".encode()


def status(response: bytes) -> list[int]:
    return [int(number) for number in re.findall(rb"HTTP/1.1 (\d+)", response)]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server"), BYTELOG_API_KEY=Server.key) as server:
        yield server


@pytest.mark.parametrize("expect", [{}, {"Expect": "100-continue"}], ids=["sends", "waits"])
@pytest.mark.parametrize(
    ("request_head", "expected"),
    [
        ({}, 401),
        ({"length": 10}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"path": "/unknown"}, 404),
        ({"method": "PUT"}, 405),
        (KEYED | {"Content-Type": "text/html"}, 415),
        (KEYED | {"Content-Encoding": "br"}, 415),
        (KEYED | {"length": 17 * MEBIBYTE}, 413),
        ({"path": "/v1/batch"}, 413),
        ({"path": "/v1/batch", "Authorization": "Basic eDo="}, 401),
        ({"path": "/hooks/unknown"}, 404),
    ],
    ids=str,
)
def test_a_request_is_refused_before_its_body_is_sent(
    server: Server, request_head: dict[str, Any], expected: int, expect: dict[str, Any]
) -> None:
    response = server.raw(head(**request_head, **expect))
    assert status(response) == [expected]
    assert b"\r\nConnection: close\r\n" in response
    assert response.split(b"\r\n\r\n")[1].startswith(b'{"error": "')


def test_a_key_without_the_scope_is_refused_before_the_body_is_sent(server: Server) -> None:
    command = [sys.executable, "-m", "bytelog", "keys", "create", "reader", "--scope", "read"]
    done = subprocess.run(
        command, env=os.environ | server.environment, capture_output=True, check=True
    )
    (key,) = re.findall(rb"byl_\w+", done.stdout)
    response = server.raw(head(Authorization=f"Bearer {key.decode()}", Content_Type=JSON))
    assert status(response) == [403]
    assert b'error="insufficient_scope"' in response


def test_an_accepted_request_gets_100_continue_and_is_stored(server: Server) -> None:
    with connect(server) as peer:
        for _ in range(2):
            peer.sendall(head(length=len(BODY), Expect="100-continue", **KEYED))
            assert peer.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
            peer.sendall(BODY)
            assert peer.recv(1000).startswith(b"HTTP/1.1 201 ")


def test_a_client_that_is_still_sending_receives_the_refusal(server: Server) -> None:
    for size in (MEBIBYTE, 15 * MEBIBYTE):
        assert server.request(EVENTS, b" " * size, Authorization="Bearer wrong").status == 401
        assert server.request("/unknown", b" " * size).status == 404


def test_valid_requests_before_a_refused_one_get_responses(server: Server) -> None:
    good = head(length=len(BODY), **KEYED) + BODY
    assert status(server.raw(good * 2 + head())) == [201, 201, 401]


@pytest.fixture
def spooling(disk: Path, serve: Callable[..., Server]) -> Server:
    return serve(BYTELOG_API_KEY=Server.key, TMPDIR=str(disk))


def test_uploads_to_an_unknown_path_leave_no_files_in_tmpdir(spooling: Server, disk: Path) -> None:
    with ExitStack() as stack:
        for _ in range(10):
            peer = stack.enter_context(connect(spooling))
            peer.sendall(head(path="/unknown", length=15 * MEBIBYTE) + bytes(2 * MEBIBYTE))
            assert peer.recv(1000).startswith(b"HTTP/1.1 404 ")
            assert shutil.disk_usage(disk).used < 65536


def test_a_body_that_no_endpoint_reads_is_not_stored(spooling: Server, disk: Path) -> None:
    upload = head("GET", "/healthz", 5 * MEBIBYTE) + bytes(5 * MEBIBYTE)
    last = head("GET", "/healthz", 0, Connection="close")
    assert status(spooling.raw(upload * 2 + last)) == [200, 200, 200]


def test_a_full_tmpdir_refuses_only_large_bodies(spooling: Server, disk: Path) -> None:
    responses = [spooling.request(EVENTS, BATCH) for _ in range(3)]
    assert [(response.status, response.body) for response in responses] == [
        (507, b'{"error": "insufficient storage"}')
    ] * 3
    assert shutil.disk_usage(disk).used < 65536
    (disk / "ballast").write_bytes(bytes(4 * MEBIBYTE - 65536))
    large = json.dumps({**CLICK, "data": {"text": "x" * 500_000}}).encode()
    assert [spooling.request(EVENTS, large).status for _ in range(10)] == [201] * 10
    assert len(spooling.request(EVENTS).body) > 5_000_000


def test_large_bodies_have_a_shared_limit_and_small_ones_are_accepted(
    tmp_path: Path, serve: Callable[..., Server]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "config.py").write_text(
        "from bytelog.server import server\nserver.SHARED_BODY_BYTES = 1_500_000\n"
    )
    server = serve(
        BYTELOG_API_KEY=Server.key,
        BYTELOG_BATCH_BYTES="1000000",
        BYTELOG_DATA=str(tmp_path / "data"),
    )
    upload = head(length=900_000, **KEYED) + b" " * 800_000
    with connect(server) as one, connect(server) as other:
        for peer in (one, other):
            peer.sendall(upload)
        (refused,), _, _ = select([one, other], [], [], 20)
        response = refused.recv(1000)
        assert status(response) == [503]
        assert b"Retry-After: 1\r\n" in response
        assert server.request(EVENTS, BODY).status == 201
        admitted = other if refused is one else one
        admitted.sendall(b" " * 100_000)
        assert status(admitted.recv(1000)) == [400]
    wait_for(lambda: server.request(EVENTS, b" " * 900_000).status == 400)


def test_bodies_of_unknown_senders_keep_out_no_body_with_a_key(
    tmp_path: Path, serve: Callable[..., Server]
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "config.py").write_text(
        "from bytelog.server import server\nserver.UNKNOWN_BODY_BYTES = 700_000\n"
    )
    server = serve(BYTELOG_API_KEY=Server.key, BYTELOG_DATA=str(tmp_path / "data"))
    upload = head(path="/v1/batch", length=500_000) + b" " * 450_000
    with connect(server) as one, connect(server) as other:
        for peer in (one, other):
            peer.sendall(upload)
        (refused,), _, _ = select([one, other], [], [], 20)
        assert status(refused.recv(1000)) == [503]
        assert server.request(EVENTS, BATCH).status == 201


def test_a_request_counts_once_against_the_rate_limit(serve: Callable[..., Server]) -> None:
    server = serve(BYTELOG_API_KEY=Server.key, BYTELOG_RATE_LIMIT="3 per minute")
    body = BODY + b" " * 100_000
    assert [server.request(EVENTS, body).status for _ in range(4)] == [201, 201, 201, 429]
    response = server.raw(head(**KEYED))
    assert status(response) == [429]
    assert b"Retry-After: " in response


class Embedded(Server):
    def _start_process(self, log: IO[str]) -> subprocess.Popen[bytes]:
        command, environment = [sys.executable, "-c", EMBEDDING], os.environ | self.environment
        return subprocess.Popen(command, env=environment, cwd=self.folder, stdout=log, stderr=log)


def test_the_hook_of_an_embedding_program_runs_once_and_delays_no_other_request(
    tmp_path: Path,
) -> None:
    with Embedded(tmp_path) as server:
        with connect(server) as unauthorized_client:
            unauthorized_client.sendall(
                head(Authorization="Bearer wrong", X_Forwarded_For="10.0.0.1")
            )
            unauthorized_client.settimeout(0.5)
            with pytest.raises(socket.timeout):
                unauthorized_client.recv(1000)
            assert server.request("/healthz").status == 200
            unauthorized_client.settimeout(20)
            assert unauthorized_client.recv(1000).startswith(b"HTTP/1.1 401 ")
        assert server.request(EVENTS, BODY + b" " * 300_000).status == 201
        assert re.findall("asked.*", server.log.read_text()) == ["asked ", "asked "]


def test_refusals_are_logged_and_counted(serve: Callable[..., Server]) -> None:
    server = serve("--access-log", BYTELOG_METRICS_KEY="m", BYTELOG_API_KEY=Server.key)
    server.raw(head())
    assert re.search(f"127.0.0.1 POST {EVENTS} 401 ", server.log.read_text())
    metrics = server.request("/metrics", Authorization="Bearer m").body.decode()
    name = 'bytelog_requests_total{endpoint="register_events",method="POST",status="401"}'
    assert f"{name} 1.0" in metrics
