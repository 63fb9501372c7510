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
HOST = "events.example"
CONTEXT = ssl._create_unverified_context()  # noqa: SLF001

NGINX = """
daemon off;
user root;
pid nginx.pid;
error_log error.log info;
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


CADDY = """
{{
	admin off
	local_certs
	skip_install_trust
	default_bind 127.0.0.1
	http_port {http}
	https_port {https}
}}
"""


class Proxy:
    """A real nginx or Caddy with the shipped configuration, except for ports and certificates."""

    def __init__(
        self, name: str, folder: Path, url: str, prefix: str = "", *other_urls: str
    ) -> None:
        require(name, "openssl")
        self.http_port, self.port = _find_free_ports()
        self.name, self.prefix = name, prefix
        servers = [address.removeprefix("http://") for address in (url, *other_urls)]
        upstream = ";\n    server ".join(servers)
        command = (
            self._nginx(folder, upstream) if name == "nginx" else self._caddy(folder, upstream)
        )
        with (folder / "proxy.log").open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, stdout=log, stderr=log, env={"HOME": str(folder)}
            )
        wait_for(lambda: self.get("/healthz")[0] == 200)
        wait_for(lambda: self.redirect("GET", "/")[0] == 308)

    def _nginx(self, folder: Path, upstream: str) -> list[str]:
        site = (DEPLOY / "nginx.conf").read_text().replace("127.0.0.1:8000", upstream)
        for port, free_port in (("80", self.http_port), ("443", self.port)):
            site = site.replace(f"listen {port}", f"listen 127.0.0.1:{free_port}")
            site = site.replace(f"listen [::]:{port}", f"listen [::1]:{free_port}")
        site = site.replace(f"/etc/letsencrypt/live/{HOST}", str(folder))
        site = site.replace("location / {", f"location {self.prefix}/ {{")
        (folder / "site").write_text(site)
        (folder / "nginx.conf").write_text(NGINX)
        names = ["-keyout", "privkey.pem", "-out", "fullchain.pem", "-subj", f"/CN={HOST}"]
        curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"]
        generate = ["openssl", "req", "-x509", *curve, "-nodes", *names]
        subprocess.run(generate, cwd=folder, check=True, capture_output=True)
        return [str(find("nginx")), "-p", f"{folder}/", "-e", "error.log", "-c", "nginx.conf"]

    def _caddy(self, folder: Path, upstream: str) -> list[str]:
        site = (DEPLOY / "Caddyfile").read_text().replace("127.0.0.1:8000", upstream)
        if self.prefix:
            site = site.replace("path /*", f"path {self.prefix} {self.prefix}/*")
        ports = CADDY.format(http=self.http_port, https=self.port)
        (folder / "Caddyfile").write_text(ports + site)
        return [str(find("caddy")), "run", "--config", "Caddyfile"]

    def open(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Response:
        # Without a context, each connection would load the certificates of all authorities.
        peer = http.client.HTTPSConnection(HOST, context=CONTEXT)
        plain = socket.create_connection(("127.0.0.1", self.port), 60)
        peer.sock = CONTEXT.wrap_socket(plain, server_hostname=HOST)
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        sent = {"Authorization": f"Bearer {Server.key}", "Content-Type": "application/json"}
        sent["Connection"] = "close"
        # A response can arrive before all of the body was sent.
        with suppress(ConnectionError, ssl.SSLEOFError):
            peer.request(method, self.prefix + path, body, sent | headers)
        return peer.getresponse()

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)

    def redirect(self, method: str, path: str) -> tuple[int, str]:
        """Return status and `Location` of the response to a request without TLS."""
        peer = http.client.HTTPConnection("127.0.0.1", self.http_port, timeout=20)
        peer.request(method, path, headers={"Host": HOST, "Connection": "close"})
        response = peer.getresponse()
        return response.status, str(response.headers["Location"])

    def curl(self, path: str, address: str, *options: str) -> str:
        """Return what curl prints for a request to an IP address."""
        resolve = f"{HOST}:{self.port}:{address}"
        command = ["curl", "-fsSk", "--max-time", "20", "--resolve", resolve, *options]
        return subprocess.check_output([*command, f"https://{HOST}:{self.port}{path}"], text=True)

    def get(self, path: str, **headers: str) -> tuple[int, Response, bytes]:
        response = self.open("GET", path, None, **headers)
        return response.status, response, response.read()

    def post(self, body: bytes) -> tuple[int, Response, bytes]:
        response = self.open("POST", EVENTS, body)
        return response.status, response, response.read()


Response = http.client.HTTPResponse


def _find_free_ports() -> tuple[int, int]:
    address = ("127.0.0.1", 0)
    with socket.create_server(address) as one, socket.create_server(address) as other:
        return one.getsockname()[1], other.getsockname()[1]
