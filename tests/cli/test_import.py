from __future__ import annotations

import gzip
import json
import random
import signal
import subprocess
import time
from pathlib import Path

import pytest
from support.api import CLICK, EVENTS
from support.commands import Bytelog
from support.server import Server, wait_for

from bytelog import timestamps
from bytelog.config import MAX_BODY_BYTES
from bytelog.maintenance.import_lines import MAX_LINE_BYTES
from bytelog.maintenance.imports import IMPORT_EVENTS

CONTINUES = "Run the same command again: it continues where it stopped."


def line(number: int, **changes: object) -> bytes:
    return json.dumps({**CLICK, "id": number, **changes}).encode() + b"\n"


def lines(first: int, last: int) -> bytes:
    return b"".join(map(line, range(first, last + 1)))


@pytest.fixture
def bytelog(tmp_path: Path) -> Bytelog:
    return Bytelog(tmp_path / "data")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "events"


def test_the_same_file_adds_nothing_when_imported_again(bytelog: Bytelog, file: Path) -> None:
    file.write_bytes(lines(1, 5))
    assert bytelog.run("import", file) == b"Imported 5 events into default.\n"
    size = file.stat().st_size
    nothing = f"Imported 0 events into default; the first {size} bytes were imported before.\n"
    assert bytelog.run("import", file).decode() == nothing
    assert bytelog.run("import", text=file.read_bytes()).decode() == nothing
    assert bytelog.ids() == [1, 2, 3, 4, 5]


def test_a_file_that_has_grown_adds_its_new_lines(bytelog: Bytelog, file: Path) -> None:
    file.write_bytes(lines(1, 3).rstrip())
    bytelog.run("import", file)
    file.write_bytes(lines(1, 5))
    assert bytelog.run("import", file).startswith(b"Imported 2 events into default; the first ")
    assert bytelog.run("import", file).startswith(b"Imported 0 events")
    file.write_bytes(lines(1, 3).rstrip())
    assert bytelog.run("import", file).startswith(b"Imported 0 events")
    assert bytelog.ids() == [1, 2, 3, 4, 5]


def test_another_file_is_imported_from_its_start(bytelog: Bytelog, file: Path) -> None:
    file.write_bytes(lines(1, 3))
    bytelog.run("import", file)
    file.write_bytes(lines(7, 7) + lines(2, 3))
    assert bytelog.run("import", file) == b"Imported 3 events into default.\n"
    assert bytelog.ids() == [1, 2, 3, 7, 2, 3]


def test_the_same_file_is_imported_into_each_project(bytelog: Bytelog, file: Path) -> None:
    file.write_bytes(lines(1, 2))
    bytelog.run("import", file)
    assert bytelog.run("import", "--project", "shop", file) == b"Imported 2 events into shop.\n"
    assert bytelog.run("export", "--project", "shop") == bytelog.run("export")


def test_a_line_without_a_date_gets_the_current_time(bytelog: Bytelog) -> None:
    before = timestamps.format_utc(timestamps.now())
    bytelog.run("import", text=b'\n{"id": 1, "name": "n", "trace_id": "t"}\n \r\n')
    event = json.loads(bytelog.run("export"))
    assert before <= event["date"] <= timestamps.format_utc(timestamps.now())
    assert event["data"] == {}


@pytest.mark.parametrize("first", [b"", b"id,name,trace_id,date,data\r\n"])
def test_a_byte_order_mark_is_ignored(bytelog: Bytelog, first: bytes) -> None:
    second = b'1,"n","t",2021-08-15,{}\r\n' if first else line(1)
    bytelog.run("import", text=b"\xef\xbb\xbf" + first + second)
    assert bytelog.ids() == [1]
    assert "line 2: " in bytelog.refuse("import", text=line(2) + b"\xef\xbb\xbf" + line(3))


def test_a_gzip_file_is_decompressed(bytelog: Bytelog, file: Path) -> None:
    members = [gzip.compress(lines(1, 2)), gzip.compress(lines(3, 3000))]
    file.write_bytes(members[0])
    assert b"Imported 2 events" in bytelog.run("import", file)
    file.write_bytes(b"".join(members)[:-2000])
    assert "is damaged or incomplete: " in bytelog.refuse("import", file)
    assert 2 < len(bytelog.ids()) < 3000
    file.write_bytes(b"".join(members))
    bytelog.run("import", text=file.read_bytes())
    assert bytelog.ids() == [*range(1, 3001)]
    assert b"Imported 0 events" in bytelog.run("import", text=lines(1, 3000))
    assert b"100%" in bytelog.on_terminal("import", "--project", "shop", file)


def test_invalid_lines_are_saved_once_and_the_others_stored(
    bytelog: Bytelog, file: Path, tmp_path: Path
) -> None:
    aside = tmp_path / "invalid"
    long = b" " * MAX_LINE_BYTES + line(4)
    invalid = {1: b"\xff\n", 3: line(2, name=""), 4: long, 6: b"[]"}
    file.write_bytes(invalid[1] + line(1) + invalid[3] + invalid[4] + line(5) + invalid[6])
    output, errors = bytelog.finish("import", "--skip-invalid", aside, file)
    assert (output, bytelog.ids()) == (b"Imported 2 events into default.\n", [1, 5])
    assert errors == f"Set 4 invalid lines aside in {aside}.\n"
    bytelog.run("import", "--skip-invalid", aside, file)
    records = [json.loads(record) for record in aside.read_text().splitlines()]
    assert [record["line"] for record in records] == [*invalid]
    assert [record["error"][:9] for record in records] == [
        *("Not I-JSO", "name: Mus", "Longer th", "Not I-JSO")
    ]
    assert [record["text"] for record in records[:2]] == ["\\xff", invalid[3].decode().strip()]
    assert bytelog.ids() == [1, 5]


def test_invalid_rows_of_csv_are_saved_completely(bytelog: Bytelog, tmp_path: Path) -> None:
    rows = ['1,"n","t",2021-08-15,{}', '2,"n\nn","t",soon,{}', '3,"n"n,', '4,"n","t",2021-08-15,{}']
    text = "\r\n".join(["id,name,trace_id,date,data", *rows]).encode()
    bytelog.run("import", "--skip-invalid", tmp_path / "invalid", text=text)
    records = map(json.loads, (tmp_path / "invalid").read_text().splitlines())
    assert [(record["line"], record["text"]) for record in records] == [(4, rows[1]), (5, rows[2])]
    assert bytelog.ids() == [1, 4]
    file = tmp_path / "invalid"
    assert "another file" in bytelog.refuse("import", "--skip-invalid", file, file, status=2)


def test_a_line_that_retention_would_delete_at_once_stops_the_import(
    bytelog: Bytelog, file: Path
) -> None:
    file.write_bytes(line(1, date=timestamps.format_utc(timestamps.days_ago(1))) + line(2))
    bytelog.environment["BYTELOG_KEEP_DAYS"] = "90"
    assert "line 2: date: Must not be before " in bytelog.refuse("import", file)
    assert bytelog.ids() == [1]


def test_an_empty_file_imports_no_events(bytelog: Bytelog) -> None:
    assert bytelog.run("import", text=b"") == b"Imported 0 events into default.\n"


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (b"{", "Not I-JSON: Expecting property name enclosed in double quotes: column 2 (char 1)."),
        (b"[]", "Not I-JSON: not an object."),
        (b"\xff", "Not I-JSON: 'utf-8' codec can't decode byte 0xff in position 0"),
        (b'{"id": 1, "id": 2}', "Not I-JSON: a name appears twice in one object."),
        (line(1)[:-2], "Not I-JSON: Expecting ',' delimiter"),
        (line(1, name=""), "name: Must be a string of 1 to 255 characters, without NUL."),
        (
            line(1, name="", trace_id=5),
            "name: Must be a string of 1 to 255 characters, without NUL. t",
        ),
        (line(1, nmae="n"), "nmae: Unknown field."),
        (line(2**63), "id: Must be a 64-bit integer."),
        (line(1, date="soon"), "date: Must be a date"),
        (b'{"id": 1, "name": "n"}', "trace_id: Missing data for required field."),
        (
            line(1, data={"a": "x" * MAX_BODY_BYTES}),
            f"data: Must have at most {MAX_BODY_BYTES} bytes",
        ),
        (b" " * MAX_LINE_BYTES + line(1), f"Longer than {MAX_LINE_BYTES} bytes."),
    ],
)
def test_an_invalid_line_is_reported_with_its_number_and_the_reason(
    bytelog: Bytelog, wrong: bytes, complaint: str
) -> None:
    output = bytelog.refuse("import", text=b"\n" + line(1) + wrong.rstrip() + b"\n" + line(3))
    assert output.startswith(f"Error: line 3: {complaint}")
    assert "Fix the line and run the same command again: it continues there." in output
    assert bytelog.ids() == [1]


def test_an_import_continues_at_the_line_that_was_fixed(bytelog: Bytelog, file: Path) -> None:
    before = lines(1, IMPORT_EVENTS + 5)
    file.write_bytes(before + b"wrong\n" + lines(5001, 5003) + b"wrong\n")
    assert f"line {IMPORT_EVENTS + 6}: " in bytelog.refuse("import", file)
    assert bytelog.ids() == [*range(1, IMPORT_EVENTS + 6)]
    file.write_bytes(before + lines(5000, 5003) + b"wrong\n")
    assert f"line {IMPORT_EVENTS + 10}: " in bytelog.refuse("import", file)
    assert bytelog.ids() == [*range(1, IMPORT_EVENTS + 6), *range(5000, 5004)]


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        (b'2,"n","t",2021-08-15', "line 4: Must have 5 cells, not 4."),
        (b'x,"n","t",2021-08-15,{}', "line 4: id: Must be a 64-bit integer."),
        (b'2,"n","t",2021-08-15,"{""a"":1},{}"', "line 4: Not I-JSON: text follows"),
        (b'2,"n","t",2021-08-15,"[]"', "line 4: Not I-JSON: not an object."),
        (b'2,"n\nn","t",soon,{}', "line 5: date: Must be a date"),
        (b'2,"n"n,"t",2021-08-15,{}', "line 4: Not CSV: ',' expected after '\"'."),
        (b'2,"n', "line 4: Not CSV: unexpected end of data."),
        (b'2,"' + 5 * (b"n" * 2**20 + b'\n","'), "line 7: Continues a record of more than "),
    ],
)
def test_an_invalid_line_of_csv_is_reported_with_its_number_and_the_reason(
    bytelog: Bytelog, wrong: bytes, complaint: str
) -> None:
    header = b"id,name,trace_id,date,data\r\n"
    right = b'1,"two\nlines","t",2021-08-15,{}\r\n'
    assert complaint in bytelog.refuse("import", text=header + right + wrong)
    assert bytelog.ids() == [1]


def test_an_import_of_csv_continues_at_the_line_that_was_fixed(bytelog: Bytelog) -> None:
    before = b'id,name,trace_id,date,data\r\n1,"two\nlines","t",2021-08-15,{}\r\n'
    assert "line 4: " in bytelog.refuse("import", text=before + b"wrong\r\n")
    bytelog.run("import", text=before + b'2,"n","t",2021-08-15,{}\r\n')
    assert bytelog.ids() == [1, 2]


def test_data_in_csv_may_nest_as_deep_as_an_export_can_write(bytelog: Bytelog) -> None:
    deep = b'{"a":' * 62 + b"{}" + b"}" * 62
    cell = b'"' + deep.replace(b'"', b'""') + b'"'
    header = b"id,name,trace_id,date,data\r\n"
    bytelog.run("import", text=header + b"1,n,t,2021-08-15," + cell)
    assert bytelog.run("import", "--project", "again", text=bytelog.run("export")).endswith(b".\n")
    deeper = header + b"1,n,t,2021-08-15," + cell.replace(b"{}", b'{"""":{}}')
    assert "nested deeper than 63 levels" in bytelog.refuse("import", text=deeper)


@pytest.mark.slow
def test_an_interrupted_import_continues_without_duplicates(bytelog: Bytelog, file: Path) -> None:
    file.write_bytes(lines(1, 30_000))
    bytelog.run("import", text=b"")
    process = bytelog.start("import", file, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for(lambda: len(bytelog.ids()) >= 2 * IMPORT_EVENTS)
    process.send_signal(signal.SIGINT)
    output, errors = process.communicate(timeout=20)
    assert (process.returncode, output) == (1, b"")
    assert errors.decode() == f"Error: interrupted. {CONTINUES}\n"
    stored = len(bytelog.ids())
    assert stored < 30_000
    assert stored % IMPORT_EVENTS == 0
    assert f"Imported {30_000 - stored} events" in bytelog.run("import", file).decode()
    assert bytelog.ids() == [*range(1, 30_001)]


@pytest.mark.slow
def test_an_import_killed_at_any_time_stores_every_event_once(bytelog: Bytelog, file: Path) -> None:
    file.write_bytes(lines(1, 20_000))
    began = time.monotonic()
    bytelog.run("import", "--project", "measured", file)
    seconds = time.monotonic() - began
    for _ in range(6):
        process = bytelog.start("import", file, stdout=subprocess.DEVNULL)
        time.sleep(random.uniform(0.3, 0.7) * seconds)
        process.kill()
        process.wait()
    bytelog.run("import", file)
    assert bytelog.ids()[20_000:] == [*range(1, 20_001)]


@pytest.mark.slow
def test_two_imports_of_a_file_at_once_store_no_duplicates(bytelog: Bytelog, file: Path) -> None:
    file.write_bytes(lines(1, 20_000))
    bytelog.run("import", text=b"")
    both = [bytelog.start("import", file, stderr=subprocess.PIPE) for _ in range(2)]
    output = [process.communicate(timeout=60)[1].decode() for process in both]
    assert 0 in [process.returncode for process in both]
    assert set(output) <= {
        "",
        "Error: another import into this project is running. Run the same command again when "
        "that import has ended.\n",
    }
    bytelog.run("import", file)
    assert bytelog.ids() == [*range(1, 20_001)]


@pytest.mark.slow
def test_a_server_stores_every_event_while_an_import_runs(server: Server, file: Path) -> None:
    file.write_bytes(lines(1, 20_000))
    bytelog = Bytelog(server.folder / "data")
    process = bytelog.start("import", file)
    posted = 0
    while process.poll() is None:
        assert server.request(EVENTS, line(-1)).status == 201
        posted += 1
    assert process.returncode == 0
    assert posted > 5
    stored = bytelog.ids()
    assert [number for number in stored if number > 0] == [*range(1, 20_001)]
    assert len(stored) == 20_000 + posted
    assert json.loads(server.request(f"{EVENTS}?id=20000").body)["count"] == 1


def test_progress_is_shown_only_on_a_terminal(bytelog: Bytelog, file: Path) -> None:
    file.write_bytes(lines(1, 3000))
    assert bytelog.finish("import", file)[1] == ""
    output = bytelog.on_terminal("import", "--project", "shop", file)
    assert b"Importing" in output
    assert b"100%" in output


@pytest.mark.parametrize(
    "arguments", [["--from", "excel"], ["--project", ""], ["/nowhere/events"], ["."]]
)
def test_an_invalid_argument_is_rejected(bytelog: Bytelog, arguments: list[str]) -> None:
    assert "Invalid value" in bytelog.refuse("import", *arguments, status=2)
