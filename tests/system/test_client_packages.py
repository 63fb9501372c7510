from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from support.client_programs import environment
from support.docs_page import samples
from support.programs import require
from support.server import Server

from bytelog import Client
from bytelog.clients import packages

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("packages")
    with Server(folder, "--prefix", "/bytelog", BYTELOG_API_KEY=Server.key) as server:
        yield server


def run(*command: str | Path, folder: Path, server: Server) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env=environment(server.url) | {"PYTHONPATH": ""},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def documented_command(server: Server, program: str, prefix: str) -> list[str]:
    """Return the command of the page `/docs` that installs a package."""
    page = server.request(f"{prefix}/docs").body.decode()
    (text,) = [
        sample.text
        for sample in samples(page)
        if (sample.section, sample.kind) == ("clients", "commands")
    ]
    (command,) = [line.split() for line in text.splitlines() if line.startswith(program)]
    # The page also uses the prefix for a request without it.
    assert command[2].startswith(f"{server.url}/bytelog/clients/")
    return [*command[:2], command[2].replace("/bytelog/clients", f"{prefix}/clients")]


def trace_ids(server: Server) -> list[str]:
    return [event["trace_id"] for event in Client(server.url, server.key).events()]


def test_pip_installs_the_wheel_of_a_server_and_asks_no_index(
    shared_server: Server, tmp_path: Path
) -> None:
    server, python = shared_server, tmp_path / "venv" / "bin" / "python"
    run(sys.executable, "-m", "venv", "venv", folder=tmp_path, server=server)
    pip = (python, "-m", "pip", "--isolated")
    _, install, address = documented_command(server, "pip", "/bytelog")
    (tmp_path / "requirements.txt").write_text(f"bytelog-client @ {address}\n")
    run(*pip, install, "--no-index", "-r", "requirements.txt", folder=tmp_path, server=server)
    run(*pip, "check", folder=tmp_path, server=server)
    script = "from bytelog_client import Client; Client().record(1, 'click', 'pip')"
    run(python, "-c", script, folder=tmp_path, server=server)
    assert "pip" in trace_ids(server)
    assert "py.typed" in run(*pip, "show", "-f", "bytelog-client", folder=tmp_path, server=server)


@pytest.mark.parametrize("prefix", ["", "/bytelog"])
def test_npm_installs_the_tarball_of_a_server_and_asks_no_registry(
    shared_server: Server, tmp_path: Path, prefix: str
) -> None:
    require("npm", "node")
    server = shared_server
    (tmp_path / "package.json").write_text('{"type": "module"}')
    no_registry = ("--registry=http://127.0.0.1:9", "--cache=cache", "--no-audit", "--no-fund")
    npm, install, address = documented_command(server, "npm", prefix)
    run(npm, install, *no_registry, address, folder=tmp_path, server=server)
    script = """
import { Client } from "bytelog-client";
await new Client().record({ id: 1, name: "click", trace_id: "npm" });
"""
    run("node", "--input-type=module", "-e", script, folder=tmp_path, server=server)
    assert "npm" in trace_ids(server)
    assert (tmp_path / "node_modules" / "bytelog-client" / "bytelog.d.mts").exists()
    # Installs again by the digest in the lock file.
    run("npm", "ci", *no_registry, folder=tmp_path, server=server)


def test_a_package_has_the_same_bytes_every_time(app: Flask) -> None:
    for name, build in (
        (packages.name_wheel(), packages.build_wheel),
        (packages.name_tarball(), packages.build_tarball),
    ):
        response = app.test_client().get(f"/clients/{name}")
        assert response.data == build.__wrapped__()
        again = app.test_client().get(
            f"/clients/{name}", headers={"If-None-Match": response.headers["ETag"]}
        )
        assert (again.status_code, again.data) == (304, b"")
    with zipfile.ZipFile(io.BytesIO(packages.build_wheel())) as wheel:
        assert wheel.testzip() is None
    for name in ("bytelog_client-9-py3-none-any.whl", "bytelog-client-9.tgz"):
        assert app.test_client().get(f"/clients/{name}").status_code == 404
