from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from support.api import CLICK, EVENTS
from support.server import Server, connect

BODY = json.dumps(CLICK).encode()
KEY = b"Authorization: Bearer %s\r\nContent-Type: application/json\r\n" % Server.key.encode()
SIZED = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CHUNKS = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
HOST = b"Host: x\r\n"


def post(headers: bytes, body: bytes, version: bytes = b"1.1", host: bytes = HOST) -> bytes:
    start = b"POST %s HTTP/%s\r\n" % (EVENTS.encode(), version)
    return start + host + KEY + headers + b"\r\n" + body


def get(host: bytes, version: bytes = b" HTTP/1.1", target: bytes = b"/healthz") -> bytes:
    return b"GET %s%s\r\n%s\r\n" % (target, version, host)


GOOD = post(SIZED, BODY)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("server"), BYTELOG_API_KEY=Server.key) as server:
        yield server


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (post(b"Content-Length: %s\r\n" % (b"9" * 5000), b""), 413),
        (get(HOST, target=b"http://[::1/x"), 400),
        (get(HOST, target=b"http://a]/"), 400),
        (post(CHUNKED, CHUNKS, b"1.0"), 400),
        (post(CHUNKED + SIZED, CHUNKS), 400),
        (post(b"Transfer-Encoding: chunked, chunked\r\n", CHUNKS), 400),
        (post(CHUNKED + CHUNKED, CHUNKS), 400),
        (post(b"Transfer-Encoding: gzip, chunked\r\n", CHUNKS), 400),
        (post(b"Transfer-Encoding:\r\n" + SIZED, BODY), 400),
        (post(b"X: y\r\n Transfer-Encoding: chunked\r\n" + SIZED, BODY), 400),
        (post(SIZED + SIZED, BODY), 400),
        (get(b""), 400),
        (get(HOST + HOST), 400),
        (get(b"Host: a\r\nHost: b\r\n"), 400),
        (get(b"Host:\r\n"), 400),
        (get(b"Host: a/b\r\n"), 400),
        (get(b"Host: user@a\r\n"), 400),
        (get(b"Host: [::1\r\n"), 400),
        (get(b"Host: a:b\r\n"), 400),
        (get(b"Host: %s\r\n" % (b"a" * 256)), 400),
        (get(HOST, b" HTTP/2.0"), 505),
        (get(HOST, b" HTTP/1.9"), 505),
        (get(HOST, b""), 505),
    ],
    ids=lambda value: value.decode()[:60] if isinstance(value, bytes) else None,
)
def test_a_request_with_an_ambiguous_end_or_host_is_refused_and_the_connection_closed(
    server: Server, request_bytes: bytes, status: int
) -> None:
    response = server.raw(GOOD + request_bytes + GOOD)
    assert re.findall(rb"HTTP/1\.\d (\d+)", response) == [b"201", b"%d" % status]
    assert b"\r\nConnection: close\r\n" in response
    assert b'{"error": "' in response


@pytest.mark.parametrize(
    "host",
    [b"my_service:8000", b"[::1]:80", b"127.0.0.1", b"EXAMPLE.org.", b"xn--bcher-kva.example:"],
)
def test_a_valid_host_is_accepted(server: Server, host: bytes) -> None:
    response = server.raw(get(b"Host: %s\r\nConnection: close\r\n" % host))
    assert response.startswith(b"HTTP/1.1 200 ")


def test_http_1_0_needs_no_host_header(server: Server) -> None:
    assert server.raw(get(b"", b" HTTP/1.0")).startswith(b"HTTP/1.0 200 ")


def test_a_client_that_sends_tls_gets_a_response_at_once(server: Server) -> None:
    with connect(server) as peer:
        peer.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        peer.settimeout(5)
        assert peer.recv(1000) == b""
