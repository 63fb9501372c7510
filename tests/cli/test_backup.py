from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest
from flask import Flask
from support.api import CLICK, EVENTS, Person
from support.commands import Bytelog, interrupt
from support.history import make_history
from support.load import posting
from support.server import Server, wait_for

from bytelog.maintenance import snapshots
from bytelog.storage.writer import current_writer

DAYS = 40


@pytest.fixture
def bytelog(tmp_path: Path) -> Bytelog:
    make_history(tmp_path / "data", DAYS)
    return Bytelog(tmp_path / "data")


@pytest.fixture
def busy(bytelog: Bytelog, serve: Callable[..., Server]) -> Server:
    return serve(BYTELOG_API_KEY=Server.key, BYTELOG_DATA=str(bytelog.folder))


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    (tmp_path / "backups").mkdir()
    return tmp_path / "backups" / "copy.db"


def ids(file: Path) -> list[int]:
    with closing(sqlite3.connect(file)) as database:
        return [row[0] for row in database.execute("SELECT id FROM event ORDER BY key")]


def has_copied(folder: Path, size: int) -> bool:
    return any(path.stat().st_size > size for path in folder.glob(".copy.db-*/copy.db"))


@pytest.mark.slow
def test_a_backup_under_load_has_every_event_acknowledged_before_it(
    bytelog: Bytelog, busy: Server, copy: Path
) -> None:
    with posting(busy) as acknowledged:
        wait_for(lambda: len(acknowledged) > 20)
        before = list(acknowledged)
        output = bytelog.run("backup", copy).decode()
        after = len(acknowledged)
    history = list(range(DAYS * 1000))
    stored = ids(copy)
    assert stored[: len(history)] == history
    assert stored[len(history) :][: len(before)] == before
    assert after > len(before)
    assert output.startswith(f"Wrote {copy}: {len(stored)} events, ")
    assert b"No damage was found" in bytelog.run("check", copy)


def test_a_backup_is_one_file_that_only_its_owner_can_read(bytelog: Bytelog, copy: Path) -> None:
    bytelog.run("backup", copy)
    with closing(sqlite3.connect(copy)) as database:
        assert database.execute("PRAGMA journal_mode").fetchone() == ("delete",)
    assert [path.name for path in copy.parent.iterdir()] == [copy.name]
    assert oct(copy.stat().st_mode)[-3:] == "600"


def test_a_backup_works_in_a_new_data_folder(
    bytelog: Bytelog, copy: Path, serve: Callable[..., Server], tmp_path: Path
) -> None:
    bytelog.run("backup", copy)
    (tmp_path / "new").mkdir()
    copy.rename(tmp_path / "new" / "bytelog.db")
    server = serve(BYTELOG_API_KEY=Server.key, BYTELOG_DATA=str(tmp_path / "new"))
    assert server.request(EVENTS, json.dumps(CLICK).encode()).status == 201
    assert json.loads(server.request(EVENTS).body)["count"] == DAYS * 1000 + 1


def test_a_file_of_the_same_name_is_replaced(bytelog: Bytelog, copy: Path) -> None:
    copy.write_text("an older one")
    bytelog.run("backup", copy)
    assert len(ids(copy)) == DAYS * 1000


def test_a_link_is_kept_and_its_target_replaced(bytelog: Bytelog, copy: Path) -> None:
    link = copy.with_name("newest.db")
    link.symlink_to(copy.name)
    bytelog.run("backup", link)
    assert link.is_symlink()
    assert len(ids(copy)) == DAYS * 1000


def test_a_link_to_itself_is_replaced(bytelog: Bytelog, copy: Path) -> None:
    copy.symlink_to(copy.name)
    bytelog.run("backup", copy)
    assert len(ids(copy)) == DAYS * 1000
    copy.unlink()
    copy.symlink_to(copy.name)
    bytelog.run("export", copy)
    assert copy.read_bytes().count(b"\n") == DAYS * 1000


@pytest.mark.parametrize("part", ["event", "event_by_date", "event_by_trace"])
def test_a_damaged_database_does_not_replace_an_older_backup(
    bytelog: Bytelog, copy: Path, part: str
) -> None:
    copy.write_text("an older one")
    database_file = bytelog.folder / "bytelog.db"
    with closing(sqlite3.connect(database_file)) as database:
        query = "SELECT rootpage - 1 FROM sqlite_master WHERE name = ?"
        (page,) = database.execute(query, [part]).fetchone()
    with database_file.open("r+b") as file:
        file.seek(4096 * page)
        file.write(b"\xff" * 4096)
    assert "Run `bytelog check`." in bytelog.refuse("backup", copy)
    assert copy.read_text() == "an older one"
    assert list(copy.parent.iterdir()) == [copy]


@pytest.mark.parametrize("ending", ["", "-wal", "-shm", "-lock", "-journal"])
def test_the_database_of_the_data_folder_is_not_overwritten(bytelog: Bytelog, ending: str) -> None:
    database_file = bytelog.folder / f"bytelog.db{ending}"
    assert "belongs to the live database" in bytelog.refuse("backup", database_file)
    assert len(bytelog.ids()) == DAYS * 1000


def test_a_database_that_another_program_uses_is_not_overwritten(
    bytelog: Bytelog, copy: Path
) -> None:
    with closing(sqlite3.connect(copy, isolation_level=None)) as other:
        other.execute("PRAGMA journal_mode=WAL")
        other.execute("CREATE TABLE theirs (number)")
        assert "copy.db-wal is beside it" in bytelog.refuse("backup", copy)
        assert other.execute("SELECT count(*) FROM theirs").fetchone() == (0,)


def test_a_path_that_is_not_a_file_is_not_replaced(bytelog: Bytelog, copy: Path) -> None:
    os.mkfifo(copy)
    assert "is not a file" in bytelog.refuse("backup", copy)
    assert "is a directory" in bytelog.refuse("backup", copy.parent, status=2)
    assert "Choose another folder" in bytelog.refuse("backup", "/proc/copy.db")


def test_a_backup_without_enough_free_space_is_not_started(bytelog: Bytelog, disk: Path) -> None:
    assert "Free disk space" in bytelog.refuse("backup", disk / "copy.db")
    assert list(disk.iterdir()) == []


def test_progress_is_shown_on_a_terminal(bytelog: Bytelog, copy: Path) -> None:
    output = bytelog.on_terminal("backup", copy)
    assert b"Copying" in output
    assert b"100%" in output


@pytest.mark.slow
def test_ctrl_c_leaves_no_partial_file_and_keeps_the_older_backup(
    bytelog: Bytelog, busy: Server, copy: Path
) -> None:
    copy.write_text("an older one")
    with posting(busy):
        for megabytes in range(4):
            process = bytelog.start("backup", copy, stderr=subprocess.PIPE)
            wait_for(partial(has_copied, copy.parent, megabytes * 10**6))
            assert interrupt(process).endswith(b"\nAborted!\n")
            assert list(copy.parent.iterdir()) == [copy]
    assert copy.read_text() == "an older one"
    assert b"No damage was found" in bytelog.run("check")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_removes_the_partial_copy(bytelog: Bytelog, copy: Path, number: int) -> None:
    process = bytelog.start("backup", copy, stderr=subprocess.PIPE)
    wait_for(partial(has_copied, copy.parent, 10**6))
    process.send_signal(number)
    assert process.communicate(timeout=20)[1].endswith(b"\nAborted!\n")
    assert process.returncode == 1
    assert list(copy.parent.iterdir()) == []


def test_a_backup_does_not_prevent_checkpoints(app: Flask, alice: Person) -> None:
    with app.app_context():
        with current_writer().exclusive_connection() as writing:
            writing.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
        with snapshots.open_service() as reading:
            assert alice.post(CLICK).status_code == 201
            with current_writer().exclusive_connection() as writing:
                _, _, written = writing.exec_driver_sql("PRAGMA wal_checkpoint(PASSIVE)").one()
            assert written > 0
            assert reading.exec_driver_sql("SELECT count(*) FROM event").scalar() == 0
        assert alice.events() == [CLICK]


def test_a_database_in_memory_cannot_be_backed_up(bytelog: Bytelog, copy: Path) -> None:
    bytelog.environment["BYTELOG_DATABASE_URL"] = "sqlite://"
    assert "in memory" in bytelog.refuse("backup", copy)
