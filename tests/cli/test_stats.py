from __future__ import annotations

import json
import os
import pty
import re
import subprocess
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from flask import Flask
from support.api import CLICK, Person
from support.commands import Bytelog, interrupt
from support.history import day, make_history
from support.load import posting
from support.server import Server, wait_for

DAYS = 3


@pytest.fixture
def bytelog(tmp_path: Path) -> Bytelog:
    make_history(tmp_path / "data", DAYS)
    return Bytelog(tmp_path / "data")


def run_stats(bytelog: Bytelog) -> str:
    return bytelog.run("stats").decode()


def rows(output: str, project: str = "default") -> list[list[str]]:
    return [line.split() for line in output.split(f"Project {project}\n\n")[1].splitlines()]


def run_in_terminal(bytelog: Bytelog, columns: int) -> list[str]:
    terminal, end = pty.openpty()
    bytelog.environment["COLUMNS"] = str(columns)
    with bytelog.start("stats", stdout=end, stderr=subprocess.DEVNULL) as process:
        os.close(end)
        text = b""
        with suppress(OSError):  # the other end is closed
            while part := os.read(terminal, 65536):
                text += part
    os.close(terminal)
    assert process.returncode == 0, text
    return text.decode().splitlines()


def test_events_are_counted_by_name_and_day(bytelog: Bytelog) -> None:
    heading, *days, total = rows(run_stats(bytelog))
    assert heading == ["DAY", "EVENTS", "click", "paypal_payment", "sign_up"]
    bar = "#" * 60
    assert days == [[day(number), "1,000", "500", "250", "250", bar] for number in range(DAYS)]
    assert total == ["all", "3,000", "1,500", "750", "750"]


def test_json_has_the_days_and_the_sizes(bytelog: Bytelog) -> None:
    content = json.loads(bytelog.run("stats", "--json"))
    size = (bytelog.folder / "bytelog.db").stat().st_size
    assert content["database"] == str(bytelog.folder / "bytelog.db")
    assert (content["bytes"], content["free_bytes"], content["events"]) == (size, 0, 3000)
    names = {"click": 500, "paypal_payment": 250, "sign_up": 250}
    assert content["days"] == [
        {"project": "default", "day": day(number), "events": 1000, "names": names}
        for number in range(DAYS)
    ]


def test_the_size_is_reported(bytelog: Bytelog) -> None:
    heading = run_stats(bytelog).partition("\n\n")[0]
    size = (bytelog.folder / "bytelog.db").stat().st_size
    assert f"Database: {bytelog.folder / 'bytelog.db'}\n" in heading
    assert f"Size: {size / 1e6:.1f} MB, of which 0.0 MB are free\n" in heading
    assert re.search(r"\nLog: \d\.\d MB\nEvents: 3,000$", heading)


def test_each_project_has_its_own_table(bytelog: Bytelog) -> None:
    bytelog.run("keys", "create", "alice", "--project", "shop")
    make_history(bytelog.folder, 1, project_id=2)
    assert rows(run_stats(bytelog), "shop")[-1][:2] == ["all", "1,000"]
    assert run_stats(bytelog).index("Project default") < run_stats(bytelog).index("Project shop")


def test_the_bars_are_proportional_to_the_events(app: Flask, alice: Person) -> None:
    for number in (1, 2, 2, 3, 3, 3):
        assert alice.post({**CLICK, "date": f"2021-08-0{number}"}).status_code == 201
    _, *days, _ = rows(run_stats(Bytelog(Path(app.instance_path))), "shop")
    assert [len(row[-1]) for row in days] == [20, 40, 60]


def test_older_days_are_summed(bytelog: Bytelog) -> None:
    make_history(bytelog.folder, 32)
    _, earlier, first, *_ = rows(run_stats(bytelog))
    assert earlier == ["earlier", "4,000", "2,000", "1,000", "1,000"]
    assert first[0] == day(2)


def test_less_frequent_names_are_summed(app: Flask, alice: Person) -> None:
    for number in range(30):
        assert alice.post({**CLICK, "name": f"n{number}"}).status_code == 201
        assert alice.post({**CLICK, "name": "most"}).status_code == 201
    heading, only_day, _ = rows(run_stats(Bytelog(Path(app.instance_path))), "shop")
    assert heading[2] == "most"
    assert heading[-1] == "others"
    assert sum(int(count) for count in only_day[2 : len(heading)]) == 60


def test_control_characters_of_a_name_are_not_printed(app: Flask, alice: Person) -> None:
    for name in ("\x1b[2Jgone", "a\nb", "long" * 60):
        assert alice.post({**CLICK, "name": name}).status_code == 201
    output = run_stats(Bytelog(Path(app.instance_path)))
    assert "?[2Jgone" in output
    assert "a?b" in output
    assert "longlonglonglon…" in output
    assert "\x1b" not in output


@pytest.mark.parametrize("columns", [40, 80, 200])
def test_the_chart_fits_the_terminal(bytelog: Bytelog, columns: int) -> None:
    lines = [line for line in run_in_terminal(bytelog, columns) if "▇" in line]
    assert len(lines) == DAYS
    assert all(len(line) <= columns for line in lines)


def test_an_empty_database_has_no_table(app: Flask) -> None:
    output = run_stats(Bytelog(Path(app.instance_path)))
    assert output.endswith("Events: 0\n")


@pytest.mark.slow
def test_events_are_counted_while_a_server_writes(
    bytelog: Bytelog, serve: Callable[..., Server]
) -> None:
    server = serve(BYTELOG_API_KEY=Server.key, BYTELOG_DATA=str(bytelog.folder))
    with posting(server) as acknowledged:
        wait_for(lambda: acknowledged)
        before = len(acknowledged)
        total = rows(run_stats(bytelog))[-1]
    assert before <= int(total[1].replace(",", "")) - DAYS * 1000 <= len(acknowledged)


@pytest.mark.slow
def test_ctrl_c_stops_the_command(bytelog: Bytelog) -> None:
    make_history(bytelog.folder, 40)
    process = bytelog.start("stats", stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    wait_for((bytelog.folder / "bytelog.db-wal").exists)
    assert interrupt(process).endswith(b"\nAborted!\n")
