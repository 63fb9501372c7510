from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from support.api import CLICK, Person
from support.commands import Bytelog, interrupt
from support.history import make_history
from support.server import wait_for

from bytelog.cli.terminal import measure
from bytelog.config import MAX_WAIT_SECONDS

ORDER = {
    "id": 2,
    "name": "order",
    "trace_id": "a/b",
    "date": "2021-08-15T22:30:00.000Z",
    "data": {"plan": "pro", "amount": 129.90, "address": {"city": "Lima"}},
}
SIGN_UP = {**ORDER, "id": 3, "name": "sign_up", "date": "2021-08-16T08:00:00.000Z", "data": {}}
ESCAPE = re.compile(r"\x1b\[[0-9;]*m")


@pytest.fixture
def record(alice: Person, app: Flask) -> Callable[..., Bytelog]:
    def record_events(*events: dict[str, Any]) -> Bytelog:
        for event in events:
            assert alice.post(event).status_code == 201
        return Bytelog(Path(app.instance_path))

    return record_events


@pytest.fixture
def bytelog(record: Callable[..., Bytelog]) -> Bytelog:
    return record(CLICK, ORDER, SIGN_UP)


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> Bytelog:
    folder = tmp_path_factory.mktemp("history") / "data"
    make_history(folder, 2)
    return Bytelog(folder)


@pytest.mark.each_database
def test_the_parameters_are_those_of_the_api(
    bytelog: Bytelog, alice: Person, subtests: pytest.Subtests
) -> None:
    for parameters in (
        [],
        ["name=click"],
        ["name=click", "name=order"],
        ["name[not]=click", "order=newest"],
        ["data.amount[gt]=100"],
        ['data."address".city=Lima'],
        ["q=lima"],
        ["start=2021-08-16", "tz=Europe/Berlin"],
        ["trace_id[prefix]=a/", "limit=1"],
        ["order=arrival", "cursor=end"],
    ):
        query = "?" + "&".join(parameters)
        with subtests.test(query):
            for name, kind in (("ndjson", "application/x-ndjson"), ("csv", "text/csv")):
                printed = bytelog.run("query", *parameters, "--project", "shop", "--format", name)
                assert printed == alice.get(query, Accept=kind).data


def test_a_quoted_name_may_contain_an_equals_sign(record: Callable[..., Bytelog]) -> None:
    bytelog = record(CLICK, {**CLICK, "id": 2, "data": {"a=b": "c=d"}})
    printed = bytelog.run("query", 'data."a=b"=c=d', "--project", "shop")
    assert [json.loads(line)["id"] for line in printed.splitlines()] == [2]


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["limit=0"], "Error: limit: Must be a whole number from 1 to 10000.\n"),
        (["name[gt]=a"], "Error: name[gt]: Unknown field.\n"),
        (["q=a", "q=b"], "Error: q: Given more than once.\n"),
        (["data.amount[gt]=x"], "Error: data.amount[gt]: Must be a number such as 12.5.\n"),
        (["limit=0", "tz=Berlin"], "tz: Must be a time zone such as Europe/Berlin.\n"),
        (["click"], "Error: 'click' is not PARAMETER=VALUE, such as name=click.\n"),
        (["name=" + os.fsdecode(b"\xff")], "is not UTF-8.\n"),
        (["--format", "xml"], "Invalid value for '--format'"),
    ],
)
def test_an_invalid_argument_is_named(
    history: Bytelog, arguments: list[str], complaint: str
) -> None:
    assert complaint in history.refuse("query", *arguments, status=2)


def test_an_unknown_project_is_named(bytelog: Bytelog) -> None:
    errors = bytelog.refuse("query", "--project", "shpo")
    assert errors == "Error: there is no project 'shpo'; choose one of these: default, shop.\n"


def test_a_cursor_of_a_lost_event_is_explained(bytelog: Bytelog, alice: Person) -> None:
    link = alice.get("?limit=1").headers["Link"]
    cursor = re.sub("-[a-z]{8}>.*", "-aaaaaaaa", link.partition("cursor=")[2])
    errors = bytelog.refuse("query", f"cursor={cursor}", "--project", "shop")
    assert "lost when a backup was restored. Start again without the cursor." in errors


def test_ctrl_c_ends_a_command_that_waits(tmp_path: Path) -> None:
    make_history(tmp_path / "data", 1)
    bytelog = Bytelog(tmp_path / "data")
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = bytelog.start("query", "name=nothing", f"wait={MAX_WAIT_SECONDS}", **pipes)
    wait_for((bytelog.folder / "bytelog.db-wal").exists)
    assert b"Traceback" not in interrupt(process)


def test_a_terminal_shows_a_table_with_aligned_columns(bytelog: Bytelog) -> None:
    shown = bytelog.show("query", "--project", "shop", columns=120)
    assert ESCAPE.sub("", shown).splitlines() == [
        "DATE                      NAME     TRACE_ID  ID  DATA",
        "2021-08-15T22:30:00.000Z  order    a/b        2  "
        '{"address":{"city":"Lima"},"amount":129.9,"plan":"pro"}',
        '2021-08-15T23:41:41.507Z  click    03775690   1  {"clicked_on":"sign up button"}',
        "2021-08-16T08:00:00.000Z  sign_up  a/b        3  {}",
    ]


def test_a_table_elsewhere_has_the_same_lines_without_colors(bytelog: Bytelog) -> None:
    arguments = ["query", "--project", "shop"]
    table = bytelog.run(*arguments, "--format", "table").decode()
    assert table == ESCAPE.sub("", bytelog.show(*arguments, columns=120))
    assert "\x1b" not in table


def test_names_have_colors_unless_the_user_wants_none(bytelog: Bytelog) -> None:
    shown = bytelog.show("query", "--project", "shop")
    colors = re.findall(r"(\x1b\[\d+m)(order|click|sign_up) *\x1b\[0m", shown)
    assert len({color for color, _ in colors}) == 3
    bytelog.environment["NO_COLOR"] = "1"
    assert bytelog.show("query", "--project", "shop") == ESCAPE.sub("", shown)


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_a_table_fits_the_terminal(record: Callable[..., Bytelog], columns: int) -> None:
    bytelog = record(
        CLICK,
        {**CLICK, "trace_id": "0b0f1d3e-6f0c-4f0e-9d5c-3a4e0b9d7a11", "id": -(2**63)},
        {**CLICK, "name": "n" * 255, "trace_id": "t" * 255, "data": {"text": "x" * 9000}},
        {**CLICK, "name": "東京" * 60, "data": {"city": "東京" * 500}},
    )
    lines = bytelog.show("query", "--project", "shop", columns=columns).splitlines()
    assert len(lines) == 5
    assert max(measure(ESCAPE.sub("", line)) for line in lines) == columns


def test_nothing_of_an_event_controls_the_terminal(record: Callable[..., Bytelog]) -> None:
    hostile = "\x1b[2J\x9b31m\r\n\t\x07\u202eabc\u2028\x7f"
    bytelog = record({**CLICK, "name": hostile, "trace_id": hostile, "data": {hostile: hostile}})
    for table in (
        bytelog.show("query", "--project", "shop", columns=400),
        bytelog.run("query", "--project", "shop", "--format", "table").decode(),
    ):
        plain = ESCAPE.sub("", table)
        assert len(plain.splitlines()) == 2
        assert plain.replace("\n", "").isprintable()
        assert plain.count(r"\u001b[2J\u009b31m\r\n\t\u0007\u202eabc\u2028\u007f") == 4


@pytest.mark.parametrize(("form", "lines"), [("ndjson", 1), ("csv", 3)])
def test_a_terminal_shows_control_characters_escaped_in_every_format(
    record: Callable[..., Bytelog], form: str, lines: int
) -> None:
    bytelog = record({**CLICK, "name": "\x1b[2J\x9b31m\r\n\t\u202e\x7f"})
    shown = bytelog.show("query", "--project", "shop", "--format", form)
    assert len(shown.splitlines()) == lines
    assert shown.replace("\n", "").isprintable()
    assert r"\u001b[2J\u009b31m" in shown
    printed = bytelog.run("query", "--project", "shop", "--format", "ndjson")
    assert form == "csv" or json.loads(shown) == json.loads(printed)


def test_a_table_without_a_limit_shows_how_to_get_the_rest(history: Bytelog) -> None:
    table, note = history.finish("query", "--format", "table")
    assert len(table.splitlines()) == 1001
    assert note.startswith("1000 events are shown, and there are more.\n")
    (cursor,) = re.findall("cursor=.+", note)
    rest, note = history.finish("query", "--format", "table", cursor)
    assert len(rest.splitlines()) == 1001
    assert note == ""
    assert history.run("query").count(b"\n") == 2000


@pytest.mark.parametrize("order", ["date", "newest", "arrival"])
def test_a_table_of_all_events_has_no_note(history: Bytelog, order: str) -> None:
    parameters = ["end=2021-08-02", f"order={order}"]
    table, note = history.finish("query", *parameters, "--format", "table")
    assert len(table.splitlines()) == 1001
    assert note == ""


def test_a_table_without_events_says_so(bytelog: Bytelog) -> None:
    written = bytelog.finish("query", "name=other", "--format", "table", "--project", "shop")
    assert written == (b"", "No event matches.\n")


@pytest.mark.slow
def test_the_flask_command_queries_too(bytelog: Bytelog) -> None:
    command = [sys.executable, "-m", "flask", "--app", "wsgi", "query", "--project", "shop"]
    root = Path(__file__).parents[2]
    printed = subprocess.check_output(command, cwd=root, env=os.environ | bytelog.environment)
    assert printed == bytelog.run("query", "--project", "shop")
