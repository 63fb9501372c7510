from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pytest
from support.api import EVENTS as ADDRESS
from support.commands import Bytelog
from support.docs_page import EVENTS, Sample, samples
from support.programs import require
from support.server import Server, wait_for

pytestmark = pytest.mark.slow

PROGRAMS = Path(sys.executable).parent
LIVE_DATABASE = "/var/lib/bytelog/bytelog.db"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    keys = {"BYTELOG_API_KEY": Server.key, "BYTELOG_METRICS_KEY": "metrics"}
    with Server(tmp_path_factory.mktemp("connect"), **keys) as server:
        assert server.request(ADDRESS, json.dumps(EVENTS).encode()).status == 201
        yield server


@pytest.fixture(scope="module")
def page(server: Server) -> list[Sample]:
    text = server.request("/docs").body.decode()
    return samples(text.replace("YOUR_API_KEY", server.key))


def file(page: list[Sample], caption: str) -> str:
    (text,) = [sample.text for sample in page if sample.caption == caption]
    return text


def commands(page: list[Sample], program: str) -> list[str]:
    section = f"connect-{program}"
    return [
        sample.text for sample in page if (sample.section, sample.kind) == (section, "commands")
    ]


def run(command: str, folder: Path, **environment: str) -> str:
    """Return the output of a command, for which the programs of this environment are found."""
    path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    return subprocess.check_output(
        ["bash", "-ec", command],
        cwd=folder,
        env=os.environ | {"PATH": path, **environment},
        text=True,
        stderr=subprocess.STDOUT,
    )


@contextmanager
def run_in_background(command: str, folder: Path, **environment: str) -> Iterator[str]:
    """Run the command of a server on a free port until the block ends; yields its URL."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = command.replace(":8000", f":{port}").replace("8001", port)
    path = f"{PROGRAMS}{os.pathsep}{os.environ['PATH']}"
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(
            ["sh", "-c", f"exec {command}"],
            cwd=folder,
            env=os.environ | {"PATH": path, **environment},
            stdout=log,
            stderr=log,
        )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def fetch(url: str, **headers: str) -> bytes:
    request = urllib.request.Request(url, headers=headers)
    with urllib.request.urlopen(request, timeout=20) as response:
        content: bytes = response.read()
        return content


def test_pandas_reads_events_with_their_trace_ids(page: list[Sample], tmp_path: Path) -> None:
    (tmp_path / "read_events.py").write_text(file(page, "read_events.py"))
    (shown,) = {sample.output for sample in page if sample.caption == "read_events.py"}
    printed = run("python -W error read_events.py", tmp_path)
    assert [line.rstrip() for line in printed.splitlines()] == shown.splitlines()


def test_duckdb_queries_the_saved_events(
    page: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    require("curl")
    (save,) = commands(page, "duckdb")
    run(save, tmp_path)
    monkeypatch.chdir(tmp_path)
    relation = duckdb.sql(file(page, "traces.sql"))
    assert relation
    assert relation.fetchall() == [("03758690", 1, "17039485"), ("03775690", 2, None)]


def test_datasette_sees_each_event_of_a_running_server_and_a_backup(
    page: list[Sample], server: Server, tmp_path: Path
) -> None:
    live, copy = commands(page, "datasette")
    database = server.folder / "data" / "bytelog.db"
    sql = "?_shape=arrays&sql=select+distinct+name+from+event"
    with run_in_background(live.replace(LIVE_DATABASE, str(database)), tmp_path) as url:
        wait_for(lambda: b"click" in fetch(f"{url}/bytelog.json{sql}"))
        event = {**EVENTS[0], "name": "new", "date": "2022-01-01", "trace_id": "new"}
        assert server.request(ADDRESS, json.dumps(event).encode()).status == 201
        assert b"new" in fetch(f"{url}/bytelog.json{sql}")
    backup, serve = copy.splitlines()
    run(backup, tmp_path, BYTELOG_DATA=str(server.folder / "data"))
    with run_in_background(serve, tmp_path) as url:
        wait_for(lambda: b"new" in fetch(f"{url}/copy.json{sql}"))


@pytest.mark.skipif(not shutil.which("soffice"), reason="needs LibreOffice Calc")
def test_libreoffice_keeps_the_zeros_of_trace_ids(
    page: list[Sample], server: Server, tmp_path: Path
) -> None:
    table = server.request(f"{ADDRESS}?end=2022-01-01", Accept="text/csv").body
    (tmp_path / "events.csv").write_bytes(table)
    (convert,) = commands(page, "libreoffice")
    user = f"soffice -env:UserInstallation={(tmp_path / 'user').as_uri()}"
    run(convert.replace("soffice", user), tmp_path)
    with zipfile.ZipFile(tmp_path / "events.xlsx") as workbook:
        texts = workbook.read("xl/sharedStrings.xml").decode()
    assert ">03775690<" in texts
    assert ">2021-08-15T23:41:41.507Z<" in texts


def test_the_url_for_grafana_returns_the_buckets_of_a_dashboard(
    page: list[Sample], server: Server
) -> None:
    url = file(page, "URL of a query")
    window = {"from": "2021-08-15T00:00:00.000Z", "to": "2021-08-16T00:00:00.000Z"}
    for name, date in window.items():
        url = url.replace(f"${{__{name}:date:iso}}", date)
    response = json.loads(fetch(url, Authorization=f"Bearer {server.key}"))
    assert [bucket["count"] for bucket in response["buckets"]] == [3]


def test_prometheus_accepts_the_configuration(page: list[Sample], tmp_path: Path) -> None:
    require("promtool")
    (tmp_path / "bytelog.key").write_text("metrics")
    text = file(page, "prometheus.yml").replace("/etc/prometheus", str(tmp_path))
    (tmp_path / "prometheus.yml").write_text(text)
    assert "SUCCESS" in run("promtool check config prometheus.yml", tmp_path)


def test_the_script_for_rsyslog_needs_no_environment(
    page: list[Sample], server: Server, tmp_path: Path
) -> None:
    require("curl")
    (tmp_path / "bytelog.sh").write_bytes(server.request("/clients/bytelog.sh").body)
    text = file(page, "/usr/local/bin/bytelog-syslog, executable")
    script = tmp_path / "bytelog-syslog"
    script.write_text(text.replace("/usr/local/lib", str(tmp_path)))
    script.chmod(0o755)
    line = json.dumps({**EVENTS[0], "trace_id": "rsyslog", "date": "2022-01-01"}) + "\n"
    subprocess.run([script], input=line, env={}, text=True, check=True)
    listing = server.request(f"{ADDRESS}/trace/rsyslog")
    assert json.loads(listing.body)["count"] == 1


def test_the_configuration_for_language_models_is_that_of_the_guide(
    page: list[Sample], server: Server
) -> None:
    guide = (Path(__file__).parents[2] / "docs" / "mcp.md").read_text()
    text = file(page, "mcpServers.json").replace(server.key, "YOUR_API_KEY")
    assert text.replace(server.url, "http://127.0.0.1:8000") in guide


def test_bash_completes_commands_and_options(page: list[Sample], tmp_path: Path) -> None:
    (load,) = commands(page, "completion")
    words = "COMP_WORDS=(bytelog serve --po); COMP_CWORD=2"
    complete = f'{words}; _bytelog_completion bytelog; echo "${{COMPREPLY[@]}}"'
    assert run(f"{load}\n{complete}", tmp_path).split() == ["--port"]


def test_gunicorn_serves_the_application_and_an_event_stream(
    page: list[Sample], tmp_path: Path
) -> None:
    (tmp_path / "wsgi.py").write_text(file(page, "wsgi.py"))
    gunicorn = commands(page, "wsgi")[0].replace("timeout 5", "timeout 1")
    data = tmp_path / "data"
    key = Bytelog(data).run("keys", "create", "gunicorn").decode().strip()
    headers = {"Authorization": f"Bearer {key}", "Accept": "text/event-stream"}
    with run_in_background(gunicorn, tmp_path, BYTELOG_DATA=str(data)) as url:
        wait_for(lambda: fetch(f"{url}/healthz"))
        request = urllib.request.Request(url + ADDRESS, headers=headers)
        with urllib.request.urlopen(request, timeout=20) as stream:
            assert stream.readline() == b"retry: 2000\n"
