from __future__ import annotations

import gzip
import http.client
import json
import re
import signal
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest
from conftest import CLICK, EVENTS, Server, wait_for
from live import make_history

from bytelog.config import MAX_WAIT_SECONDS, NUMBERS

DEPLOY = Path(__file__).parent.parent / "deploy"
BODY = json.dumps(CLICK).encode()
DAYS = 30
"""Days of a thousand events: more than fits into the buffers on the way."""

NGINX = """
daemon off;
user root;
pid nginx.pid;
error_log error.log;
events {}
http {
  access_log access.log;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  include site;
}
"""


class Proxy:
    """A real nginx or Caddy with the configuration that is shipped, but for ports and names."""

    def __init__(
        self, name: str, folder: Path, server: Server, prefix: str = "", *others: Server
    ) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self.name, self.prefix = name, prefix
        servers = [it.url.removeprefix("http://") for it in (server, *others)]
        upstream = ";\n    server ".join(servers)
        command = (
            self._nginx(folder, upstream) if name == "nginx" else self._caddy(folder, upstream)
        )
        with (folder / "proxy.log").open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, stdout=log, stderr=log, env={"HOME": str(folder)}
            )
        wait_for(lambda: self.get("/healthz")[0] == 200)

    def _nginx(self, folder: Path, upstream: str) -> list[str]:
        site = (DEPLOY / "nginx.conf").read_text().replace("127.0.0.1:8000", upstream)
        site = site.replace("listen 443", f"listen 127.0.0.1:{self.port}")
        site = site.replace("/etc/letsencrypt/live/events.example", str(folder))
        site = site.replace("location / {", f"location {self.prefix}/ {{")
        (folder / "site").write_text(site)
        (folder / "nginx.conf").write_text(NGINX)
        names = ["-keyout", "privkey.pem", "-out", "fullchain.pem"]
        make = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x"]
        subprocess.run([*make, *names], cwd=folder, check=True, capture_output=True)
        return ["/usr/sbin/nginx", "-p", f"{folder}/", "-e", "error.log", "-c", "nginx.conf"]

    def _caddy(self, folder: Path, upstream: str) -> list[str]:
        site = (DEPLOY / "Caddyfile").read_text().replace("127.0.0.1:8000", upstream)
        site = site.replace("events.example {", f"http://127.0.0.1:{self.port} {{")
        site = site.replace("handle /* {", f"handle {self.prefix}/* {{")
        (folder / "Caddyfile").write_text("{\n\tadmin off\n}\n" + site)
        return ["/usr/bin/caddy", "run", "--config", "Caddyfile"]

    def open(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Response:
        address = ("127.0.0.1", self.port)
        if self.name == "nginx":
            context = ssl._create_unverified_context()  # noqa: SLF001
            peer: http.client.HTTPConnection = http.client.HTTPSConnection(
                *address, timeout=60, context=context
            )
        else:
            peer = http.client.HTTPConnection(*address, timeout=60)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"Authorization": f"Bearer {Server.key}", "Content-Type": "application/json"}
        sent["Connection"] = "close"
        peer.request(method, self.prefix + path, body, sent | headers)
        return peer.getresponse()

    def get(self, path: str, **headers: str) -> tuple[int, Response, bytes]:
        answer = self.open("GET", path, None, **headers)
        return answer.status, answer, answer.read()

    def post(self, body: bytes) -> tuple[int, Response, bytes]:
        answer = self.open("POST", EVENTS, body)
        return answer.status, answer, answer.read()


Response = http.client.HTTPResponse


@pytest.fixture(params=["nginx", "caddy"])
def start(
    request: pytest.FixtureRequest, tmp_path: Path, serve: Callable[..., Server]
) -> Iterator[Callable[..., tuple[Server, Proxy]]]:
    proxies: list[Proxy] = []

    def begin(prefix: str = "", days: int = 0) -> tuple[Server, Proxy]:
        arguments = ("--prefix", prefix) if prefix else ()
        server = serve(*arguments, BYTELOG_API_KEY=Server.key)
        if days:
            make_history(server.folder / "data", days)
        folder = tmp_path / "proxy"
        folder.mkdir()
        proxies.append(Proxy(request.param, folder, server, prefix))
        return server, proxies[-1]

    yield begin
    for proxy in proxies:
        proxy.process.send_signal(signal.SIGTERM)
        proxy.process.wait(20)


Start = Callable[..., tuple[Server, Proxy]]


@pytest.mark.parametrize("prefix", ["", "/bytelog"])
def test_the_api_works_at_the_root_and_under_a_prefix(start: Start, prefix: str) -> None:
    _, proxy = start(prefix)
    assert proxy.post(BODY)[0] == 201
    assert proxy.post(BODY)[0] == 201
    _, answer, body = proxy.get(f"{EVENTS}?limit=1")
    assert json.loads(body)["events"] == [CLICK]
    (link,) = re.findall("<(.*?)>", answer.headers["Link"])
    following = urljoin(f"{prefix}{EVENTS}?limit=1", link).removeprefix(prefix)
    assert json.loads(proxy.get(following)[2])["events"] == [CLICK]
    status, answer, body = proxy.get(EVENTS, Authorization="Bearer wrong")
    assert (status, body) == (401, b'{"error": "unauthorized"}')
    assert answer.headers["WWW-Authenticate"].startswith("Bearer ")
    assert proxy.get("/nothing")[2] == b'{"error": "not found"}'
    described = json.loads(proxy.get("/openapi.json")[2])
    assert described["servers"] == [{"url": prefix or "/"}]


@pytest.mark.parametrize("prefix", ["", "/bytelog"])
def test_every_trace_id_gets_through(start: Start, prefix: str) -> None:
    _, proxy = start(prefix)
    ids = ["a/b", "a//b", "%2F", "a b+c", "ü?#%", "a/../b"]
    for trace_id in ids:
        assert proxy.post(json.dumps({**CLICK, "trace_id": trace_id}).encode())[0] == 201
    for trace_id in ids:
        path = "".join(f"%{byte:02X}" for byte in trace_id.encode())
        found = json.loads(proxy.get(f"{EVENTS}/trace/{path}")[2])["events"]
        assert [event["trace_id"] for event in found] == [trace_id]


def test_a_long_listing_comes_as_it_is_packed_or_not(start: Start) -> None:
    server, proxy = start(days=DAYS)
    direct = server.request(EVENTS).body
    assert proxy.get(EVENTS)[2] == direct
    _, answer, packed = proxy.get(EVENTS, Accept_Encoding="gzip")
    assert answer.headers["Content-Encoding"] == "gzip"
    assert gzip.decompress(packed) == direct


@pytest.mark.parametrize("start", ["nginx"], indirect=True)
def test_a_long_listing_that_breaks_off_does_not_look_whole(start: Start) -> None:
    server, proxy = start(days=4 * DAYS)
    with proxy.open("GET", EVENTS) as answer:
        assert answer.read(1000).startswith(b'{"count":')
        server.stop(signal.SIGKILL)
        with pytest.raises((http.client.HTTPException, OSError)):
            answer.read()


def test_who_waits_hears_of_an_event_at_once(start: Start) -> None:
    _, proxy = start()
    heard: list[bytes] = []
    path = f"{EVENTS}?wait={MAX_WAIT_SECONDS}"
    listener = threading.Thread(target=lambda: heard.append(proxy.get(path)[2]))
    began = time.monotonic()
    listener.start()
    time.sleep(0.5)
    assert proxy.post(BODY)[0] == 201
    listener.join()
    assert json.loads(heard[0])["count"] == 1
    assert time.monotonic() - began < MAX_WAIT_SECONDS / 2


def test_the_largest_batch_gets_through_and_a_larger_one_is_refused_by_bytelog(
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
