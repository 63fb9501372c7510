from __future__ import annotations

import gzip
import http.client
import json
import re
import signal
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlencode, urljoin, urlsplit

import pytest
from support.api import CLICK, EVENTS
from support.history import make_history
from support.programs import require
from support.reverse_proxy import DEPLOY, HOST, Proxy
from support.server import Server, wait_for
from support.streams import ACCEPT, read_blocks, read_events

from bytelog.config import KEEP_ALIVE_SECONDS, MAX_WAIT_SECONDS, NUMBERS

pytestmark = pytest.mark.slow

BODY = json.dumps(CLICK).encode()
GUIDE = (Path(__file__).parents[2] / "docs" / "operations.md").read_text()
DAYS = 30
"""Days of 1000 events: more than fits into the buffers between server and client."""


@pytest.fixture(params=["nginx", "caddy"])
def start(
    request: pytest.FixtureRequest, tmp_path: Path, serve: Callable[..., Server]
) -> Iterator[Callable[..., tuple[Server, Proxy]]]:
    proxies: list[Proxy] = []

    def begin(prefix: str = "", days: int = 0, **environment: str) -> tuple[Server, Proxy]:
        arguments = ("--prefix", prefix) if prefix else ()
        server = serve(*arguments, BYTELOG_API_KEY=Server.key, **environment)
        if days:
            make_history(server.folder / "data", days)
        folder = tmp_path / "proxy"
        folder.mkdir()
        proxies.append(Proxy(request.param, folder, server.url, prefix))
        return server, proxies[-1]

    yield begin
    for proxy in proxies:
        proxy.stop()


def read_metrics(server: Server) -> bytes:
    return server.request("/metrics", Authorization="Bearer metrics").body


Start = Callable[..., tuple[Server, Proxy]]


class Echo(BaseHTTPRequestHandler):
    """Sends the headers of a request back."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(bytes(self.headers))

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.mark.parametrize("prefix", ["", "/bytelog"])
def test_the_api_works_at_the_root_and_under_a_prefix(start: Start, prefix: str) -> None:
    _, proxy = start(prefix)
    assert proxy.post(BODY)[0] == 201
    assert proxy.post(BODY)[0] == 201
    _, response, body = proxy.get(f"{EVENTS}?limit=1")
    assert json.loads(body)["events"] == [CLICK]
    (link,) = re.findall("<(.*?)>", response.headers["Link"])
    following = urljoin(f"{prefix}{EVENTS}?limit=1", link).removeprefix(prefix)
    assert json.loads(proxy.get(following)[2])["events"] == [CLICK]
    status, response, body = proxy.get(EVENTS, Authorization="Bearer wrong")
    assert (status, body) == (401, b'{"error": "unauthorized"}')
    assert response.headers["WWW-Authenticate"].startswith("Bearer ")
    assert proxy.get("/nothing")[2] == b'{"error": "not found"}'
    described = json.loads(proxy.get("/openapi.json")[2])
    assert described["servers"] == [{"url": prefix or "/"}]
    assert f"{prefix}/docs/static/docs.js" in proxy.get("/docs")[2].decode()


@pytest.mark.parametrize("prefix", ["", "/bytelog"])
def test_every_trace_id_passes_the_proxy(start: Start, prefix: str) -> None:
    _, proxy = start(prefix)
    ids = ["a/b", "a//b", "%2F", "a b+c", "ü?#%", "a/../b"]
    for trace_id in ids:
        assert proxy.post(json.dumps({**CLICK, "trace_id": trace_id}).encode())[0] == 201
    for trace_id in ids:
        path = "".join(f"%{byte:02X}" for byte in trace_id.encode())
        events = json.loads(proxy.get(f"{EVENTS}/trace/{path}")[2])["events"]
        assert [event["trace_id"] for event in events] == [trace_id]


def test_long_filters_pass_the_proxy_with_their_link(start: Start) -> None:
    _, proxy = start()
    event = {**CLICK, "name": "ü" * 255, "trace_id": "ü" * 255, "data": {"text": "ü" * 800}}
    for _ in range(2):
        assert proxy.post(json.dumps(event).encode())[0] == 201
    filters = {"name": event["name"], "trace_id": event["trace_id"], "data.text": "ü" * 800}
    # Nearly the longest request line that nginx accepts.
    path = f"{EVENTS}?limit=1&{urlencode(filters)}"
    assert 7900 < len(path) < 8100
    status, response, body = proxy.get(path)
    assert (status, json.loads(body)["events"]) == (200, [event])
    assert len(response.headers["Link"]) > len(path)


def test_a_long_listing_passes_the_proxy_unchanged_compressed_or_not(start: Start) -> None:
    server, proxy = start(days=DAYS)
    direct = server.request(EVENTS).body
    assert proxy.get(EVENTS)[2] == direct
    _, response, packed = proxy.get(EVENTS, Accept_Encoding="gzip")
    assert response.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed) == direct


@pytest.mark.parametrize("start", ["nginx"], indirect=True)
def test_a_long_listing_that_breaks_off_does_not_look_complete(start: Start) -> None:
    server, proxy = start(days=4 * DAYS)
    with proxy.open("GET", EVENTS) as response:
        assert response.read(1000).startswith(b'{"count":')
        server.stop(signal.SIGKILL)
        with pytest.raises((http.client.HTTPException, OSError)):
            response.read()


def test_a_waiting_client_gets_an_event_at_once(start: Start) -> None:
    _, proxy = start()
    received: list[bytes] = []
    path = f"{EVENTS}?wait={MAX_WAIT_SECONDS}"
    listener = threading.Thread(target=lambda: received.append(proxy.get(path)[2]))
    began = time.monotonic()
    listener.start()
    time.sleep(0.5)
    assert proxy.post(BODY)[0] == 201
    listener.join()
    assert json.loads(received[0])["count"] == 1
    assert time.monotonic() - began < MAX_WAIT_SECONDS / 2


def test_an_event_stream_passes_the_proxy_at_once_and_ends_with_its_client(start: Start) -> None:
    server, proxy = start(BYTELOG_METRICS_KEY="metrics")
    with proxy.open("GET", EVENTS, Accept=ACCEPT, Accept_Encoding="gzip") as response:
        assert response.headers["Content-Encoding"] is None
        next(read_blocks(response))
        for number in range(3):
            began = time.monotonic()
            assert proxy.post(json.dumps({**CLICK, "id": number}).encode())[0] == 201
            (block,) = read_events(response, 1)
            assert block.event == {**CLICK, "id": number}
            assert time.monotonic() - began < 3
    # Caddy notices that its client has gone when something is sent.
    wait_for(lambda: proxy.post(BODY) and b"bytelog_streams 0.0" in read_metrics(server))


def test_the_largest_batch_passes_and_a_larger_one_is_rejected_by_bytelog(
    start: Start,
) -> None:
    _, proxy = start()
    most = NUMBERS["BYTELOG_BATCH_BYTES"]
    assert most
    event = json.dumps({**CLICK, "data": {"text": "x" * 500_000}})
    batch = f"[{', '.join([event] * (most // (len(event) + 2) - 1))}]".encode()
    assert proxy.post(batch)[0] == 201
    status, _, body = proxy.post(batch.ljust(most + 1))
    assert (status, json.loads(body)) == (413, {"error": "request entity too large"})


def test_a_request_without_tls_is_redirected_with_its_method_and_path(start: Start) -> None:
    _, proxy = start()
    for method, path in (("GET", "/docs"), ("POST", f"{EVENTS}?tz=Europe/Berlin")):
        status, location = proxy.redirect(method, path)
        assert status == 308
        assert re.sub(r":\d+", "", location) == f"https://{HOST}{path}"


def test_the_explorer_opens_under_its_prefix_with_and_without_the_slash(start: Start) -> None:
    _, proxy = start("/bytelog")
    assert b"<title>" in proxy.get("/")[2]
    status, response, _ = proxy.get("")
    assert status in (301, 308)
    scheme, host, path, *_ = urlsplit(response.headers["Location"])
    assert (scheme, host.partition(":")[0]) in (("", ""), ("https", HOST))
    assert path == "/bytelog/"


def test_http_2_and_ipv6_work(start: Start) -> None:
    require("curl")
    _, proxy = start()
    version = ("--http2", "--write-out", "%{http_version}")
    assert proxy.curl("/healthz", "127.0.0.1", *version) == '{"status": "ok"}2'
    assert f"{HOST}:{proxy.port}" in proxy.curl("/docs", "127.0.0.1")
    # Without an address, as shipped, Caddy listens on all.
    if proxy.name == "nginx" and socket.has_dualstack_ipv6():
        assert proxy.curl("/healthz", "[::1]", *version) == '{"status": "ok"}2'


@pytest.mark.parametrize("start", ["nginx"], indirect=True)
def test_nginx_collects_a_body_and_passes_a_listing_on_without_buffering_it(start: Start) -> None:
    server, proxy = start(days=DAYS)
    assert proxy.post(json.dumps([{**CLICK, "data": {"text": "x" * 50_000}}]).encode())[0] == 201
    with proxy.open("GET", EVENTS) as response:
        assert response.read(1000).startswith(b'{"count":')
        time.sleep(2)  # nginx would go on reading from bytelog
        response.read()
    log = (server.folder.parent / "proxy" / "error.log").read_text()
    assert "a client request body is buffered to a temporary file" in log
    assert "an upstream response is buffered to a temporary file" not in log


@pytest.mark.parametrize("name", ["nginx", "caddy"])
def test_a_client_cannot_send_the_header_of_a_sign_on_proxy(name: str, tmp_path: Path) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Echo) as echo:
        threading.Thread(target=echo.serve_forever).start()
        proxy = Proxy(name, tmp_path, f"http://127.0.0.1:{echo.server_port}")
        received = proxy.get("/", Remote_User="root", X_Other="kept")[2].lower()
        proxy.stop()
        echo.shutdown()
    assert b"x-other: kept" in received
    assert b"host: events.example" in received
    assert b"root" not in received


def test_the_proxies_wait_longer_than_bytelog_and_close_idle_connections_before_it() -> None:
    nginx, caddy = ((DEPLOY / name).read_text() for name in ("nginx.conf", "Caddyfile"))
    (read_timeout,) = re.findall(r"proxy_read_timeout (\d+)s;", nginx)
    assert int(read_timeout) > MAX_WAIT_SECONDS + (NUMBERS["BYTELOG_READ_SECONDS"] or 0)
    (keepalive,) = re.findall(r"keepalive (\d+)s\n", caddy)
    assert int(keepalive) < KEEP_ALIVE_SECONDS


class SignOn(BaseHTTPRequestHandler):
    """What nginx asks oauth2-proxy: whether a cookie is that of a session, and whose."""

    def do_GET(self) -> None:
        is_anna = self.headers.get("Cookie") == "session=anna"
        self.send_response(202 if is_anna else 401)
        self.send_header("X-Auth-Request-Email", "anna@shop.example" * is_anna)
        self.send_header("Content-Length", "0")
        self.end_headers()


class SignOnProxy(Proxy):
    """nginx with the lines of the guide for a sign-on proxy."""

    sign_on: str

    def _nginx(self, folder: Path, upstream: str) -> list[str]:
        command = super()._nginx(folder, upstream)
        (lines,) = re.findall(r"```nginx\n(.*?)```", GUIDE, re.DOTALL)
        (header,) = re.findall(r"write `(proxy_set_header Remote-User .*?)`", GUIDE)
        lines = lines.replace("127.0.0.1:4180", self.sign_on)
        site = (folder / "site").read_text().replace('proxy_set_header Remote-User "";', header)
        (folder / "site").write_text(site.replace("location / {", f"{lines}\nlocation / {{"))
        return command

    def read(self, path: str, **headers: str) -> tuple[http.client.HTTPResponse, bytes]:
        """Send a request with these headers alone."""
        context = ssl._create_unverified_context()  # noqa: SLF001
        peer = http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=context)
        with closing(peer):
            peer.request("GET", path, headers=headers)
            response = peer.getresponse()
            return response, response.read()


@pytest.fixture
def sign_on_proxy(tmp_path: Path, serve: Callable[..., Server]) -> Iterator[SignOnProxy]:
    networks = {"BYTELOG_PROXY_USER": "Remote-User", "BYTELOG_PROXY_NETWORKS": "127.0.0.1/32"}
    server = serve(BYTELOG_API_KEY=Server.key, **networks)
    with ThreadingHTTPServer(("127.0.0.1", 0), SignOn) as sign_on:
        threading.Thread(target=sign_on.serve_forever).start()
        SignOnProxy.sign_on = f"127.0.0.1:{sign_on.server_port}"
        proxy = SignOnProxy("nginx", tmp_path, server.url)
        yield proxy
        proxy.stop()
        sign_on.shutdown()


def test_the_guide_lets_people_of_a_sign_on_proxy_read(sign_on_proxy: SignOnProxy) -> None:
    read, anna = sign_on_proxy.read, {"Cookie": "session=anna"}
    assert json.loads(read("/api/v1/key", **anna)[1])["key"] == "anna@shop.example"
    assert b"data-sign-on" in read("/", **anna)[1]
    forged: list[dict[str, str]] = [{"Remote-User": "mallory"}, {"Remote_User": "mallory"}]
    for headers in forged:
        assert json.loads(read("/api/v1/key", **anna, **headers)[1])["key"] == "anna@shop.example"
    for headers in [{}, *forged]:
        assert read(EVENTS, **headers)[0].status == 401
        assert read(EVENTS, Authorization="Bearer wrong", **anna, **headers)[0].status == 401
    assert read("/")[0].headers["Location"].endswith("/oauth2/start?rd=/")
    assert sign_on_proxy.post(BODY)[0] == 201
