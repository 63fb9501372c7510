from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import pytest
from flask import Flask
from support import api
from support.docs_page import EVENTS, RUNTIMES, Sample, plain, samples
from support.server import Server, wait_for
from werkzeug.middleware.dispatcher import DispatcherMiddleware
from werkzeug.test import Client

from bytelog import config, create_app
from bytelog.api.openapi import document
from bytelog.api.response_headers import PAGE_POLICY
from bytelog.auth import keys
from bytelog.cli.commands import COMMANDS
from bytelog.web.docs import LANGUAGES

PROGRAMS = Path(sys.executable).parent
EMPTY = {"quick-start", "background", "record", "batches", "retries"}
"""The sections whose samples start with an empty project."""

CONNECT_FILES = {
    "read_events.py",
    "traces.sql",
    "URL of a query",
    "prometheus.yml",
    "/etc/syslog-ng/conf.d/bytelog.conf",
    "/etc/rsyslog.d/bytelog.conf",
    "/usr/local/bin/bytelog-syslog, executable",
    "mcpServers.json",
    "wsgi.py",
}

STORED = {"quick-start": EVENTS[:1], "record": EVENTS[1:2], "batches": EVENTS}
"""The events stored after a sample of a section."""


class Reader:
    """A reader of a server's page, who runs each sample in a new project and folder."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.page = server.request("/docs").body.decode()
        names = set(re.findall(r"/clients/([\w.-]+)", self.page))
        self._clients = {name: server.request(f"/clients/{name}").body for name in names}
        self._service = create_app({}, server.folder / "data")

    def run(self, sample: Sample) -> tuple[str, list[object]]:
        """Return the output of a sample and the events stored after it."""
        name = f"{sample.section}-{sample.kind}"
        folder = self.server.folder / name
        folder.mkdir()
        for client, content in self._clients.items():
            (folder / client).write_bytes(content)
        with self._service.app_context():
            key = keys.create(name, name, keys.SCOPES)
        authorization = f"Bearer {key}"
        if sample.section not in EMPTY:
            body = json.dumps(EVENTS).encode()
            self.server.request(api.EVENTS, body, Authorization=authorization)
        printed = sample.run(folder, key)
        response = self.server.request(api.EVENTS, Authorization=authorization)
        return printed, json.loads(response.body)["events"]


@pytest.fixture(scope="module")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reader]:
    with Server(tmp_path_factory.mktemp("docs"), BYTELOG_API_KEY=Server.key) as server:
        yield Reader(server)


@pytest.fixture
def page(app: Flask) -> str:
    return app.test_client().get("/docs").text


@pytest.mark.slow
@pytest.mark.parametrize("kind", RUNTIMES)
def test_every_sample_gets_the_documented_result(
    reader: Reader, kind: str, subtests: pytest.Subtests
) -> None:
    matching_samples = [sample for sample in samples(reader.page) if sample.kind == kind]
    assert len(matching_samples) >= 5
    for sample in matching_samples:
        with subtests.test(sample.section):
            printed, stored = reader.run(sample)
            assert sample.documents(printed), printed
            assert stored == STORED.get(sample.section, stored)


def test_every_sample_is_run_by_a_test(page: str) -> None:
    captions = {"config.py, in the data folder", "app.py", "litestream.yml", "Response"}
    captions |= {"record.py", "record.mts"}  # in test_generated_clients.py
    captions |= {"stream.js, in a web page"}  # in test_docs_in_browser.py
    captions |= CONNECT_FILES  # in test_connect.py
    for sample in samples(page):
        assert sample.kind in {*RUNTIMES, "commands"} or sample.caption in captions


def test_every_language_has_the_same_samples(page: str) -> None:
    sections = {
        kind: [sample.section for sample in samples(page) if sample.kind == kind]
        for kind in LANGUAGES
    }
    assert sections["python"] == sections["javascript"]
    assert sections["ruby"] == sections["python"]
    assert sections["shell"] == [sample for sample in sections["python"] if sample != "background"]


def commands(page: str, section: str) -> str:
    (text,) = [
        sample.text
        for sample in samples(page)
        if (sample.section, sample.kind) == (section, "commands")
    ]
    return text


def environment(folder: Path) -> dict[str, str]:
    path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    return os.environ | {"PATH": path, "BYTELOG_DATA": str(folder / "data")}


def run(command: str, folder: Path, text: str = "") -> None:
    done = subprocess.run(
        ["sh", "-ec", command],
        cwd=folder,
        env=environment(folder),
        input=text,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@contextmanager
def run_in_background(command: str, folder: Path) -> Iterator[Path]:
    """Run a command until the block ends; yields the file with its output."""
    log = folder / "log"
    with log.open("w") as output:
        process = subprocess.Popen(
            ["sh", "-c", f"exec env {command}"],
            cwd=folder,
            env=environment(folder),
            stdout=output,
            stderr=output,
        )
    try:
        yield log
    finally:
        process.terminate()
        process.wait(20)


@pytest.mark.slow
def test_the_commands_of_the_page_work(page: str, tmp_path: Path) -> None:
    run(commands(page, "keys"), tmp_path)
    run("bytelog import --project shop", tmp_path, json.dumps(EVENTS[0]))
    for section in ("export", "query", "backup", "prune", "erase"):
        run(commands(page, section), tmp_path)
    assert (tmp_path / "august.csv").exists()
    assert json.loads((tmp_path / "clicks.ndjson").read_text()) == EVENTS[0]
    assert (tmp_path / "bytelog-copy.db").exists()


@pytest.mark.slow
def test_the_command_that_follows_events_works(page: str, tmp_path: Path) -> None:
    run("bytelog import --project shop", tmp_path, json.dumps(EVENTS[0]))
    with run_in_background(commands(page, "tail"), tmp_path) as log:
        wait_for(lambda: log.read_text().endswith("\n"))
        assert json.loads(log.read_text()) == EVENTS[0]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("section", "name", "file"),
    [("follow", "click", "clicks.txt"), ("overdue", "order", "unpaid.txt")],
)
def test_the_commands_that_pass_events_on_work(
    page: str, tmp_path: Path, section: str, name: str, file: str
) -> None:
    event = {**EVENTS[0], "name": name}
    run("bytelog import --project shop", tmp_path, json.dumps(event))
    with run_in_background(commands(page, section), tmp_path):
        wait_for(lambda: (tmp_path / file).read_text().endswith("\n"))
        assert json.loads((tmp_path / file).read_text()) == event


@pytest.mark.slow
def test_the_commands_that_send_webhooks_work(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run("bytelog import --project shop", tmp_path, json.dumps(EVENTS[0] | {"name": "order"}))
    export, command = commands(page, "webhooks").splitlines()
    show = ["sh", "-c", f'{export}; printf %s "$BYTELOG_WEBHOOK_SECRET"']
    monkeypatch.setenv("BYTELOG_WEBHOOK_SECRET", subprocess.check_output(show, text=True))
    command = command.replace("https://billing.example", "http://127.0.0.1:1")
    with run_in_background(f"{command} --allow-private --from-start", tmp_path) as log:
        wait_for(lambda: "cannot be reached: [Errno 111]" in log.read_text())


@pytest.mark.slow
@pytest.mark.parametrize("section", ["serve", "settings"])
def test_the_commands_that_start_a_server_work(page: str, tmp_path: Path, section: str) -> None:
    command = commands(page, section).replace("/var/lib/bytelog", str(tmp_path / "data"))
    command = command.replace("--port 8000", "").replace("bytelog serve", "bytelog serve --port 0")
    with run_in_background(command, tmp_path) as log:
        wait_for(lambda: "listens on http" in log.read_text())


def file(page: str, caption: str) -> str:
    (text,) = [sample.text for sample in samples(page) if sample.caption == caption]
    return text


def test_the_sample_settings_file_is_valid(page: str, tmp_path: Path) -> None:
    (tmp_path / "config.py").write_text(file(page, "config.py, in the data folder"))
    app = create_app(instance_path=tmp_path)
    assert app.config["BYTELOG_KEEP_DAYS"] == 90
    assert app.config["BYTELOG_RATE_LIMIT"] == "100 per minute"


def test_the_embedding_sample_serves_the_api(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "sample"}
    exec(file(page, "app.py"), names)
    for application in (names["app"], names["service"]):
        assert application.test_client().get(api.EVENTS).status_code == 401


@pytest.mark.slow
def test_the_litestream_sample_restores_a_replica(page: str, tmp_path: Path) -> None:
    database, replica = tmp_path / "data" / "bytelog.db", tmp_path / "replica"

    def local_page(text: str) -> str:
        text = text.replace("/var/lib/bytelog", str(database.parent))
        return text.replace("/backups/bytelog", str(replica))

    run("bytelog import", tmp_path, json.dumps(EVENTS[0]))
    (tmp_path / "litestream.yml").write_text(local_page(file(page, "litestream.yml")))
    replicate, restore = local_page(commands(page, "litestream")).splitlines()
    with run_in_background(replicate, tmp_path):
        wait_for(lambda: any(replica.rglob("*.ltx")))
    shutil.rmtree(database.parent)
    run(f"{restore}; bytelog export there.ndjson", tmp_path)
    assert json.loads((tmp_path / "there.ndjson").read_text()) == EVENTS[0]


def test_every_setting_is_on_the_page(page: str) -> None:
    for name, meaning in config.SETTINGS.items():
        assert f"{name}{meaning.replace('`', '')}" in plain(page)


def test_every_command_and_option_is_on_the_page(page: str) -> None:
    text = plain(page)
    for command in COMMANDS:
        parts = command.commands.values() if isinstance(command, click.Group) else [command]
        for part in parts:
            prefix = f"{command.name} " if part is not command else ""
            assert f"bytelog {prefix}{part.name} [OPTIONS]" in text
            for option in part.params:
                assert option.opts[0] in text or isinstance(option, click.Argument)


def tables(page: str) -> list[list[str]]:
    """Return the row headings of each table."""
    matching_samples = re.findall(r"<table>.*?</table>", page, re.DOTALL)
    return [
        re.findall(r'<th scope="row"><code>([^<]+)</code>', table) for table in matching_samples
    ]


def test_every_endpoint_and_parameter_is_on_the_page(app: Flask, page: str) -> None:
    for path, methods in document(app)["paths"].items():
        for method, operation in methods.items():
            assert f"{method.upper()} {path}" in plain(page)
            parameters = [
                (sample["in"], sample["name"]) for sample in operation.get("parameters", ())
            ]
            for location in {location for location, _ in parameters}:
                names = {
                    name
                    for parameter_location, name in parameters
                    if parameter_location == location
                } - {"members"}
                assert any(names <= set(table) for table in tables(page)), names


def test_every_field_and_error_is_on_the_page(app: Flask, page: str) -> None:
    components = document(app)["components"]
    for schema in components["schemas"].values():
        assert list(schema["properties"]) in tables(page)
        for details in schema["properties"].values():
            assert details.get("description", "").replace("`", "") in plain(page)
    for response in components["responses"].values():
        assert response["description"].replace("`", "") in plain(page)


def test_a_new_field_appears_on_the_page(
    page: str, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    from bytelog.events import schemas

    colour = schemas.Text(metadata={"description": "Its colour."})
    monkeypatch.setitem(schemas.NewEventSchema._declared_fields, "colour", colour)  # noqa: SLF001
    app.extensions.pop("bytelog.openapi")
    assert "Its colour." not in page
    assert "Its colour." in app.test_client().get("/docs").text


def test_every_internal_link_of_the_page_has_a_target(page: str) -> None:
    anchors = re.findall(r' id="([^"]+)"', page)
    assert len(anchors) == len(set(anchors))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(anchors)


def test_the_page_needs_no_key_and_loads_only_files_of_the_server(app: Flask) -> None:
    response = app.test_client().get("/docs")
    assert response.status_code == 200
    assert response.headers["Content-Security-Policy"] == PAGE_POLICY
    assert "unsafe" not in PAGE_POLICY
    assert not re.search(r"<script>|<style| style=| on\w+=", response.text)


def test_the_page_and_its_samples_work_under_a_prefix(app: Flask) -> None:
    client = Client(DispatcherMiddleware(app, {"/bytelog": app}))
    page = client.get("/bytelog/docs", base_url="https://events.example").text
    assert '"https://events.example/bytelog/api/v1/events' in plain(page)
    loaded = re.findall(r'(?:src|rel="stylesheet" href)="([^"]+)"', page)
    assert len(loaded) == 3
    for address in loaded:
        with client.get(address) as response:
            assert response.status_code == 200


def test_the_samples_contain_the_url_from_the_settings(tmp_path: Path) -> None:
    app = create_app({"BYTELOG_URL": "https://log.example/team/"}, tmp_path)
    page = plain(app.test_client().get("/docs").text)
    assert '"https://log.example/team/api/v1/events' in page
    assert "localhost" not in page


def test_the_page_uses_no_memory_for_the_names_in_host_headers(app: Flask) -> None:
    client = app.test_client()
    assert client.get("/docs").status_code == 200
    tracemalloc.start()
    for number in range(20):
        host = f"{number}.{'a' * 60}.{'b' * 60}.example"
        assert host in client.get("/docs", headers={"Host": host}).text
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert kept < 1_000_000


def test_the_host_header_is_escaped(app: Flask) -> None:
    response = app.test_client().get("/docs", headers={"Host": '"><script>alert(1)</script>'})
    assert "<script>alert" not in response.text


@pytest.mark.slow
def test_the_service_starts_without_loading_pygments(tmp_path: Path) -> None:
    script = "import bytelog, sys; bytelog.create_app(); sys.exit('pygments' in sys.modules)"
    subprocess.run([sys.executable, "-c", script], cwd=tmp_path, check=True)
