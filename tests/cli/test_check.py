from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from support.api import CLICK, EVENTS
from support.commands import Bytelog, interrupt
from support.history import day, make_history
from support.load import posting
from support.server import Server, wait_for

from bytelog.migrations.upgrade import HEAD

DAYS = 3


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a command whose folder `data` has two projects, with a backup beside it."""
    folder = tmp_path_factory.mktemp("original")
    make_history(folder / "data", DAYS)
    bytelog = Bytelog(folder / "data")
    bytelog.run("keys", "create", "alice", "--project", "shop")
    make_history(folder / "data", 1, project_id=2)
    bytelog.run("backup", folder / "copy.db")
    return folder


@pytest.fixture
def bytelog(original: Path, tmp_path: Path) -> Bytelog:
    shutil.copytree(original / "data", tmp_path / "data")
    return Bytelog(tmp_path / "data")


@pytest.fixture
def file(original: Path, tmp_path: Path) -> Path:
    (tmp_path / "backups").mkdir()
    return Path(shutil.copy(original / "copy.db", tmp_path / "backups"))


@pytest.fixture
def changed(file: Path) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(file, isolation_level=None)) as database:
        yield database


def counts(output: bytes) -> list[list[str]]:
    return [line.split() for line in output.decode().partition("EVENTS\n")[2].splitlines()]


def test_the_events_are_counted_by_project_and_day(bytelog: Bytelog) -> None:
    checked = bytelog.run("check")
    assert checked.startswith(f"Database: {bytelog.folder / 'bytelog.db'}\nSchema: ".encode())
    assert b", that of this version\nNo damage was found.\n" in checked
    assert counts(checked) == [
        *(["default", day(number), "1000"] for number in range(DAYS)),
        ["shop", day(0), "1000"],
    ]


def test_json_has_the_schema_and_the_counts(bytelog: Bytelog) -> None:
    content = json.loads(bytelog.run("check", "--json"))
    assert [*content] == ["database", "schema", "damage", "days", "held_back_by", "seal"]
    assert (content["schema"], content["damage"]) == (HEAD, None)
    assert content["days"][-1] == {"project": "shop", "day": day(0), "events": 1000}


def test_a_backup_has_the_same_counts(bytelog: Bytelog, file: Path) -> None:
    assert counts(bytelog.run("check", file)) == counts(bytelog.run("check"))


def test_a_file_is_checked_without_a_data_folder(file: Path, tmp_path: Path) -> None:
    nowhere = Bytelog(tmp_path / "nowhere")
    assert len(counts(nowhere.run("check", file))) == DAYS + 1
    assert not nowhere.folder.exists()


@pytest.mark.parametrize("mode", ["delete", "wal"])
def test_an_older_file_is_not_upgraded(
    bytelog: Bytelog, file: Path, changed: sqlite3.Connection, mode: str
) -> None:
    changed.execute(f"PRAGMA journal_mode={mode}")
    changed.execute("UPDATE bytelog_version SET version_num = '0001'")
    changed.close()
    before = file.read_bytes()
    assert b"Schema: 0001, older than this version\n" in bytelog.run("check", file)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_a_file_of_a_newer_version_is_reported(
    bytelog: Bytelog, file: Path, changed: sqlite3.Connection
) -> None:
    changed.execute("UPDATE bytelog_version SET version_num = '9999'")
    assert "it was written by a newer bytelog: its schema is 9999" in bytelog.refuse("check", file)


def test_a_file_of_another_program_is_reported(
    bytelog: Bytelog, file: Path, changed: sqlite3.Connection, tmp_path: Path
) -> None:
    changed.execute("DROP TABLE bytelog_version")
    assert "it is a database of another program" in bytelog.refuse("check", file)
    file.write_bytes(b"garbage" * 1000)
    assert f"{file} cannot be checked: file is not a database" in bytelog.refuse("check", file)
    assert "does not exist" in bytelog.refuse("check", tmp_path / "nothing", status=2)


@pytest.mark.parametrize("position", [0.3, 0.6, 0.9])
def test_a_damaged_page_is_reported(bytelog: Bytelog, file: Path, position: float) -> None:
    with file.open("r+b") as content:
        content.seek(int(position * file.stat().st_size) // 4096 * 4096)
        content.write(b"\xff" * 4096)
    output, refused = bytelog.finish("check", file, "--json", status=1)
    assert json.loads(output)["damage"] in refused
    assert f"{file} is damaged: " in refused
    assert "Restore a backup" in refused


def test_a_damaged_database_in_the_data_folder_is_reported(bytelog: Bytelog) -> None:
    database_file = bytelog.folder / "bytelog.db"
    with database_file.open("r+b") as content:
        content.seek(database_file.stat().st_size // 8192 * 4096)
        content.write(b"\xff" * 4096)
    assert f"{database_file} is damaged" in bytelog.refuse("check")


def test_an_index_without_an_event_is_damage(
    bytelog: Bytelog, file: Path, changed: sqlite3.Connection
) -> None:
    changed.execute("PRAGMA writable_schema=ON")
    changed.execute(
        "UPDATE sqlite_master SET sql = sql || ' WHERE id < 0' WHERE name = 'event_by_trace'"
    )
    changed.close()
    assert "wrong # of entries in index event_by_trace" in bytelog.refuse("check", file)


def test_an_event_of_a_missing_project_is_damage(
    bytelog: Bytelog, file: Path, changed: sqlite3.Connection
) -> None:
    # SQLite checks the tables in an undefined order.
    changed.execute("DELETE FROM api_key")
    changed.execute("DELETE FROM project WHERE name = 'shop'")
    assert "of event refers to no project" in bytelog.refuse("check", file)


@pytest.mark.parametrize("date", ["'2021-08-15t10:00:00.000Z'", "x'32'"])
def test_a_date_that_another_program_wrote_is_damage(
    bytelog: Bytelog, file: Path, changed: sqlite3.Connection, date: str
) -> None:
    changed.execute(f"UPDATE event SET date = {date} WHERE key = 7")
    assert "is damaged: an event of project 'default' has the date " in bytelog.refuse(
        "check", file
    )


@pytest.mark.slow
def test_a_database_is_checked_while_a_server_writes_to_it(
    bytelog: Bytelog, serve: Callable[..., Server]
) -> None:
    server = serve(BYTELOG_API_KEY=Server.key, BYTELOG_DATA=str(bytelog.folder))
    with posting(server) as acknowledged:
        wait_for(lambda: acknowledged)
        checked = counts(bytelog.run("check"))
        by_name = counts(bytelog.run("check", bytelog.folder / "bytelog.db"))
    assert len(checked) == len(by_name) == DAYS + 2
    assert 0 < int(checked[DAYS][2]) < int(by_name[DAYS][2]) <= len(acknowledged)


def test_a_link_to_a_database_in_use_is_checked_with_its_log(
    bytelog: Bytelog, serve: Callable[..., Server], tmp_path: Path
) -> None:
    server = serve(BYTELOG_API_KEY=Server.key, BYTELOG_DATA=str(tmp_path / "live"))
    assert server.request(EVENTS, json.dumps(CLICK).encode()).status == 201
    link = tmp_path / "link.db"
    link.symlink_to("live/bytelog.db")
    assert counts(bytelog.run("check", link)) == [["default", "2021-08-15", "1"]]


@pytest.mark.slow
def test_ctrl_c_stops_a_check(bytelog: Bytelog) -> None:
    make_history(bytelog.folder, 40)
    process = bytelog.start("check", stderr=subprocess.PIPE)
    wait_for((bytelog.folder / "bytelog.db-wal").exists)
    assert interrupt(process).endswith(b"\nAborted!\n")
