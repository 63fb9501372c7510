from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from flask import Flask
from support.api import CLICK, Person
from support.cells import HOSTILE_CELLS
from support.commands import Bytelog, interrupt
from support.listings import MANY, copy_filled
from support.server import wait_for

from bytelog.config import MAX_BODY_BYTES

UNUSUAL = [
    {**CLICK, "id": -(2**63), "name": 'quo"te, "comma"', "trace_id": "a/b\\c"},
    {**CLICK, "id": 2**63 - 1, "name": "line\nend\r\nand\ttab", "trace_id": "\r"},
    {**CLICK, "name": "=1+1", "trace_id": "'"},
    {**CLICK, "name": "'=1+1", "trace_id": "''"},
    {**CLICK, "name": "＝１", "trace_id": "@ -"},
    {**CLICK, "name": "žluťoučký 🐴 \u2028 \x7f", "trace_id": "\ufeff"},
    {**CLICK, "name": "id", "trace_id": "id,name,trace_id,date,data"},
    {**CLICK, "date": "0001-01-01T00:00:00Z"},
    {**CLICK, "date": "9999-12-31T23:59:59.999Z"},
    {**CLICK, "data": {"a": {"data": {"}{": 'Z"}{'}}, "z": [None, True, 1.5e300]}},
]
AS_WRITTEN = rb"""
{"id":7,"name":"n","trace_id":"t","data":{"big":123456789012345678901234567890,"f":1.10,"e":1E5}}
{"id":7,"name":"n","trace_id":"t","data":{"\u0000\ud83d\ude00":"\u00e9\/","":{"":[{}]}}}
"""


@pytest.fixture
def filled(alice: Person, app: Flask) -> Bytelog:
    for event in UNUSUAL:
        assert alice.post(event).status_code == 201
    lines = alice.client.post(
        "/api/v1/events",
        data=AS_WRITTEN,
        content_type="application/x-ndjson",
        headers=alice.headers,
    )
    assert lines.status_code == 201
    return Bytelog(Path(app.instance_path))


@pytest.fixture
def large(tmp_path: Path) -> Bytelog:
    copy_filled(tmp_path / "large", 2 * MANY)
    return Bytelog(tmp_path / "large")


@pytest.mark.parametrize("form", ["ndjson", "csv"])
def test_an_imported_export_is_exported_again_byte_for_byte(
    filled: Bytelog, tmp_path: Path, form: str
) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    filled.run("export", "--project", "shop", "--format", form, first)
    other = Bytelog(tmp_path / "other")
    assert other.run("import", first) == b"Imported 12 events into default.\n"
    other.run("export", "--format", form, second)
    assert second.read_bytes() == first.read_bytes()
    lines = other.run("export")
    assert lines == filled.run("export", "--project", "shop")
    assert lines.count(b"\n") == 12
    assert b'{"big":123456789012345678901234567890,"f":1.10,"e":1E5}' in lines


def test_an_export_equals_the_listing_of_the_api(filled: Bytelog, alice: Person) -> None:
    for form, kind in (("ndjson", "application/x-ndjson"), ("csv", "text/csv")):
        exported = filled.run("export", "--project", "shop", "--format", form)
        assert exported == alice.get(Accept=kind).data


@pytest.mark.slow
def test_the_largest_event_is_exported_and_imported_again(
    alice: Person, app: Flask, tmp_path: Path
) -> None:
    largest = {**CLICK, "data": {"text": ""}}
    largest["data"] = {"text": "x" * (MAX_BODY_BYTES - len(json.dumps(largest)))}
    assert alice.post(json.dumps(largest).encode()).status_code == 201
    quotes = {**CLICK, "data": {"texts": [""] * (MAX_BODY_BYTES // 3 - 100)}}
    assert alice.post(json.dumps(quotes, separators=(",", ":")).encode()).status_code == 201
    source, target = Bytelog(Path(app.instance_path)), Bytelog(tmp_path / "other")
    for form in ("ndjson", "csv"):
        exported = source.run("export", "--project", "shop", "--format", form)
        target.run("import", "--project", form, text=exported)
        assert target.run("export", "--project", form, "--format", form) == exported


def test_an_export_for_excel_starts_with_a_byte_order_mark_and_is_imported(
    filled: Bytelog, tmp_path: Path
) -> None:
    exported = filled.run("export", "--format", "csv", "--bom")
    assert exported == b"\xef\xbb\xbf" + filled.run("export", "--format", "csv")
    other = Bytelog(tmp_path / "other")
    other.run("import", text=exported)
    assert other.run("export") == filled.run("export")
    assert "only for" in filled.refuse("export", "--bom", status=2)


@pytest.fixture(scope="module")
def hostile_table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a CSV export of hostile names and data."""
    folder = tmp_path_factory.mktemp("hostile")
    bytelog, file = Bytelog(folder / "data"), folder / "events.csv"
    events = [
        {**CLICK, "name": text, "trace_id": text, "data": {text: text}} for text in HOSTILE_CELLS
    ]
    bytelog.run("import", text="\n".join(map(json.dumps, events)).encode())
    bytelog.run("export", "--format", "csv", file)
    bytelog.run("import", "--project", "again", file)
    assert bytelog.run("export", "--project", "again") == bytelog.run("export")
    return file


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("soffice"), reason="needs LibreOffice Calc")
@pytest.mark.parametrize("separator", [ord(","), ord(";"), ord("\t")])
def test_libreoffice_finds_no_formula_with_any_separator(
    hostile_table: Path, tmp_path: Path, separator: int
) -> None:
    command = ["soffice", "--headless", f"-env:UserInstallation={(tmp_path / 'user').as_uri()}"]
    command += ["--convert-to", "fods", f"--infilter=CSV:{separator},34,76,1"]
    command += ["--outdir", str(tmp_path), str(hostile_table)]
    subprocess.run(command, check=True, capture_output=True)
    table = (tmp_path / "events.fods").read_text()
    assert table.count("<table:table-cell") > len(HOSTILE_CELLS)
    assert "table:formula" not in table


@pytest.mark.parametrize(
    ("conditions", "ids"),
    [
        ([], [1, 2, 3]),
        (["--start", "2021-08-15"], [2, 3]),
        (["--end", "2021-08-15"], [1]),
        (["--start", "2021-08-15", "--end", "2021-08-16"], [2]),
        (["--name", "click"], [1, 3]),
        (["--trace-id", "a/b"], [2]),
        (["--name", "click", "--trace-id", "a/b"], []),
    ],
)
def test_an_export_contains_the_selected_events(
    alice: Person, bob: Person, app: Flask, conditions: list[str], ids: list[int]
) -> None:
    for day, name, trace_id in ((16, "click", "t"), (14, "click", "t"), (15, "buy", "a/b")):
        event = {"id": day - 13, "name": name, "trace_id": trace_id, "date": f"2021-08-{day}"}
        assert alice.post(event).status_code == 201
    assert bob.post({**CLICK, "id": 9}).status_code == 201
    exported = Bytelog(Path(app.instance_path)).run("export", "--project", "shop", *conditions)
    assert [json.loads(line)["id"] for line in exported.splitlines()] == ids


def test_a_file_is_replaced_at_once_and_only_its_owner_can_read_it(
    filled: Bytelog, tmp_path: Path
) -> None:
    (tmp_path / "events").write_text("an older export")
    (tmp_path / "events").chmod(0o644)
    (tmp_path / "link").symlink_to("events")
    filled.run("export", "--project", "shop", tmp_path / "link")
    assert (tmp_path / "events").read_bytes() == filled.run("export", "--project", "shop")
    assert stat.S_IMODE((tmp_path / "events").stat().st_mode) == 0o600
    assert (tmp_path / "link").is_symlink()
    assert not [*tmp_path.glob(".bytelog-*")]


def test_a_pipe_is_written_and_not_replaced(filled: Bytelog, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    received: list[bytes] = []
    read = (tmp_path / "pipe").read_bytes
    reader = threading.Thread(target=lambda: received.append(read()), daemon=True)
    reader.start()
    filled.run("export", "--project", "shop", tmp_path / "pipe")
    reader.join(20)
    assert received == [filled.run("export", "--project", "shop")]
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.slow
def test_an_interrupted_export_keeps_the_older_file(large: Bytelog, tmp_path: Path) -> None:
    (tmp_path / "events").write_text("an older export")
    process = large.start("export", tmp_path / "events", stderr=subprocess.PIPE)
    wait_for(lambda: sum(part.stat().st_size for part in tmp_path.glob(".bytelog-*")) > 100_000)
    assert interrupt(process) == b"Error: interrupted; the export is not complete.\n"
    assert (tmp_path / "events").read_text() == "an older export"
    assert not [*tmp_path.glob(".bytelog-*")]


@pytest.mark.slow
def test_a_reader_that_closes_its_pipe_is_no_error(large: Bytelog) -> None:
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with large.start("export", **pipes) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--project", "shpo"], "there is no project 'shpo'; choose one of these: default, shop."),
        (["/nowhere/events"], "/nowhere/events cannot be written: No such file or directory"),
    ],
)
def test_an_export_that_fails_reports_the_reason(
    filled: Bytelog, arguments: list[str], complaint: str
) -> None:
    assert complaint in filled.refuse("export", *arguments)


@pytest.mark.parametrize("suffix", ["", "-wal", "-lock"])
def test_an_export_never_replaces_a_file_of_the_database(filled: Bytelog, suffix: str) -> None:
    target = filled.folder / f"bytelog.db{suffix}"
    ids = filled.ids()
    assert "belongs to the live database" in filled.refuse("export", target)
    assert filled.ids() == ids


@pytest.mark.parametrize(
    "arguments",
    [
        ["--name", ""],
        ["--name", "n" * 256],
        ["--trace-id", os.fsdecode(b"\xff")],
        ["--project", "a\nb"],
        ["--start", "soon"],
        ["--format", "xml"],
        ["."],
    ],
)
def test_an_invalid_argument_is_rejected(tmp_path: Path, arguments: list[str]) -> None:
    assert "Invalid value" in Bytelog(tmp_path).refuse("export", *arguments, status=2)


@pytest.mark.slow
def test_progress_is_shown_only_on_a_terminal(large: Bytelog, tmp_path: Path) -> None:
    output = large.on_terminal("export", tmp_path / "events")
    assert b"Exporting" in output
    assert b"100%" in output
    assert large.finish("export", tmp_path / "events") == (b"", "Exported 200000 events.\n")


@pytest.mark.slow
def test_the_flask_command_exports_too(filled: Bytelog, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "export", "--project", "shop"]
    root = Path(__file__).parents[2]
    exported = subprocess.check_output(command, cwd=root, env=os.environ | filled.environment)
    assert exported == filled.run("export", "--project", "shop")
