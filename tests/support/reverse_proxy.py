"""A real nginx or Caddy in front of a server."""

from __future__ import annotations

import http.client
import socket
import ssl
import subprocess
from contextlib import suppress
from pathlib import Path

from support.api import EVENTS
from support.programs import find, require
from support.server import Server, wait_for

DEPLOY = Path(__file__).parents[2] / "deploy"


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
    """A real nginx or Caddy with the shipped configuration, except for ports and names."""

    def __init__(
        self, name: str, folder: Path, server: Server, prefix: str = "", *others: Server
    ) -> None:
        require(name, "openssl")
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self.name, self.prefix = name, prefix
        servers = [
            upstream_server.url.removeprefix("http://") for upstream_server in (server, *others)
        ]
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
        generate = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=x"]
        subprocess.run([*generate, *names], cwd=folder, check=True, capture_output=True)
        return [str(find("nginx")), "-p", f"{folder}/", "-e", "error.log", "-c", "nginx.conf"]

    def _caddy(self, folder: Path, upstream: str) -> list[str]:
        site = (DEPLOY / "Caddyfile").read_text().replace("127.0.0.1:8000", upstream)
        site = site.replace("events.example {", f"http://127.0.0.1:{self.port} {{")
        site = site.replace("handle /* {", f"handle {self.prefix}/* {{")
        (folder / "Caddyfile").write_text("{\n\tadmin off\n}\n" + site)
        return [str(find("caddy")), "run", "--config", "Caddyfile"]

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
        peer.connect()
        # A response can arrive before all of the body was sent.
        with suppress(ConnectionError):
            peer.request(method, self.prefix + path, body, sent | headers)
        return peer.getresponse()

    def get(self, path: str, **headers: str) -> tuple[int, Response, bytes]:
        response = self.open("GET", path, None, **headers)
        return response.status, response, response.read()

    def post(self, body: bytes) -> tuple[int, Response, bytes]:
        response = self.open("POST", EVENTS, body)
        return response.status, response, response.read()


Response = http.client.HTTPResponse
