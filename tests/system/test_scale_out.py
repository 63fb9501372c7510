from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from itertools import count
from pathlib import Path

import pytest
from benchmarks.servers import find_free_port
from support.api import CLICK, EVENTS
from support.commands import Bytelog
from support.programs import find, require
from support.server import Server, wait_for

pytestmark = pytest.mark.slow

GUIDE = (Path(__file__).parents[2] / "docs" / "scale-out.md").read_text()
COMMANDS = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)
GROUPS, LOCATION = re.findall(r"```nginx\n(.*?)```", GUIDE, re.DOTALL)
(CADDYFILE,) = re.findall(r"```caddy\n(.*?)```", GUIDE, re.DOTALL)

NGINX = """
daemon off;
pid nginx.pid;
user root;
error_log error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path body;
  proxy_temp_path proxy;
  fastcgi_temp_path fastcgi;
  uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  include groups.conf;
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_set_header Host $http_host;
      {location}
    }}
  }}
}}
"""


class Groups:
    """Two servers behind a proxy with the lines of the guide."""

    def __init__(self, name: str, folder: Path, north: Server, south: Server) -> None:
        require(name)
        self.name, self.folder = name, folder
        self.north, self.south = north, south
        self.port, admin = find_free_port(), find_free_port()
        if name == "nginx":
            (folder / "groups.conf").write_text(self._with_ports(GROUPS))
            site = NGINX.format(port=self.port, location=LOCATION)
            (folder / "nginx.conf").write_text(site)
            self.program = f"{find('nginx')} -p {folder}/ -e error.log -c nginx.conf"
            command = self.program.split()
        else:
            sites = re.sub("(.*events.example)", rf"http://\1:{self.port}", CADDYFILE)
            options = f"{{\n\tadmin 127.0.0.1:{admin}\n\tdefault_bind 127.0.0.1\n}}\n"
            (folder / "Caddyfile").write_text(options + self._with_ports(sites))
            self.program = str(find("caddy"))
            command = [self.program, "run", "--config", "Caddyfile"]
        with (folder / "log").open("w") as log:
            self.process = subprocess.Popen(
                command, cwd=folder, stdout=log, stderr=log, env={"HOME": str(folder)}
            )
        wait_for(lambda: self.request("bank", "/healthz")[0] == 200)

    def _with_ports(self, text: str) -> str:
        for port, server in (("8001", self.north), ("8002", self.south)):
            text = text.replace(f"127.0.0.1:{port}", server.url.removeprefix("http://"))
        return text

    def run(self, command: str) -> None:
        """Run a command of the guide."""
        for name, server in (("north", self.north), ("south", self.south)):
            command = command.replace(f"/srv/{name}", server.environment["BYTELOG_DATA"])
        command = command.replace(" bytelog ", f" {sys.executable} -m bytelog ")
        command = re.sub(r"/etc/(nginx|caddy)", str(self.folder), command)
        command = re.sub(r"^(nginx|caddy)", self.program, command, flags=re.MULTILINE)
        environment = os.environ | {"HOME": str(self.folder)}
        done = subprocess.run(
            ["sh", "-ec", command], env=environment, capture_output=True, text=True, timeout=30
        )
        assert done.returncode == 0, done.stderr

    def request(
        self, project: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, bytes, str]:
        peer = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        host = {"Host": f"{project}.events.example", "Connection": "close"}
        json_type = {"Content-Type": "application/json"}
        try:
            peer.request("POST" if body else "GET", path, body, host | json_type | named)
            response = peer.getresponse()
            return response.status, response.read(), response.headers.get("Link", "")
        except (ConnectionError, http.client.HTTPException) as error:
            # Caddy drops connections, and responses too, when it reloads its file.
            return HTTPStatus.BAD_GATEWAY, str(error).encode(), ""


@pytest.fixture(params=["nginx", "caddy"])
def groups(
    request: pytest.FixtureRequest, tmp_path: Path, serve: Callable[..., Server]
) -> Iterator[Groups]:
    folder = tmp_path / "proxy"
    folder.mkdir()
    groups = Groups(request.param, folder, serve(), serve())
    yield groups
    groups.process.terminate()
    groups.process.wait(20)


def create_key(server: Server, project: str) -> str:
    command = Bytelog(Path(server.environment["BYTELOG_DATA"]))
    key = command.run("keys", "create", project, "--project", project).decode().split()[-1]
    return f"Bearer {key}"


def test_a_project_moves_under_load_and_outlives_the_other_group(groups: Groups) -> None:
    _, _, move, *switches, delete = COMMANDS
    stop, go = (switches[0], switches[2]) if groups.name == "nginx" else (switches[1], switches[3])
    shop, bank = create_key(groups.north, "shop"), create_key(groups.north, "bank")
    acknowledged, followed = list[int](), list[int]()
    done, ended = threading.Event(), threading.Event()

    def post(number: int) -> int:
        body = json.dumps({**CLICK, "id": number}).encode()
        once = {"Idempotency_Key": f"once-{number}"}
        return groups.request("shop", EVENTS, body, Authorization=shop, **once)[0]

    def record() -> None:
        for number in count():
            while post(number) != 201:
                time.sleep(0.01)
            acknowledged.append(number)
            if done.is_set():
                return

    def follow() -> None:
        path = f"{EVENTS}?order=arrival&limit=50"
        while not (ended.is_set() and len(followed) >= len(acknowledged)):
            status, text, link = groups.request("shop", path, Authorization=shop)
            assert status in (200, 502, 503), text
            if status == 200:
                followed.extend(event["id"] for event in json.loads(text)["events"])
                path = EVENTS + link.partition("<")[2].partition(">")[0]
            time.sleep(0.01)

    threads = [threading.Thread(target=target) for target in (record, follow)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(acknowledged) > 50)
    groups.run(move)
    groups.run(stop)
    wait_for(lambda: groups.request("shop", "/healthz")[0] == 503)
    time.sleep(0.5)  # The guide waits for the requests in progress, too.
    groups.run(move)
    groups.run(go)
    moved = len(acknowledged)
    wait_for(lambda: len(acknowledged) > moved + 50)
    groups.run(delete)
    assert groups.request("bank", EVENTS, Authorization=bank)[0] == 200
    groups.north.kill()
    wait_for(lambda: len(acknowledged) > moved + 100)
    assert groups.request("bank", EVENTS, Authorization=bank)[0] == 502
    done.set()
    threads[0].join(20)
    ended.set()
    threads[1].join(20)
    assert acknowledged == followed == list(range(len(acknowledged)))
    assert post(0) == 201
    _, text, _ = groups.request("shop", f"{EVENTS}?order=arrival", Authorization=shop)
    assert [event["id"] for event in json.loads(text)["events"]] == acknowledged
