from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from benchmarks.cluster import Cluster
from support.commands import Bytelog

COMMANDS = [
    "backup copy.db",
    "check",
    "export copy.ndjson",
    "keys list",
    "keys revoke alice",
    "migrate --to postgresql+psycopg://host/database",
    "prune --keep-days 30",
    "query",
    "stats",
    "tail",
]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_reads_creates_no_database(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    monkeypatch.chdir(tmp_path)
    bytelog, file = Bytelog(tmp_path / "data"), tmp_path / "data" / "bytelog.db"
    assert f"there is no database at {file}." in bytelog.refuse(*command.split())
    assert [*tmp_path.iterdir()] == []


def test_a_database_outside_the_data_folder_is_not_created(tmp_path: Path) -> None:
    bytelog, file = Bytelog(tmp_path / "data"), tmp_path / "other.db"
    bytelog.environment["BYTELOG_DATABASE_URL"] = f"sqlite:///{file}"
    assert f"there is no database at {file}." in bytelog.refuse("stats")
    assert [*tmp_path.iterdir()] == []


def test_a_command_that_reads_creates_no_tables_in_the_file_of_another_program(
    tmp_path: Path,
) -> None:
    file = tmp_path / "bytelog.db"
    with closing(sqlite3.connect(file)) as database:
        database.execute("CREATE TABLE mine (number INTEGER)")
    content = file.read_bytes()
    assert f"there is no database at {file}." in Bytelog(tmp_path).refuse("stats")
    assert file.read_bytes() == content


@pytest.mark.postgresql
def test_no_tables_are_created_in_an_empty_postgresql_database(
    shared_cluster: Cluster, tmp_path: Path
) -> None:
    shared_cluster.sql("CREATE DATABASE without_tables")
    bytelog = Bytelog(tmp_path)
    bytelog.environment["BYTELOG_DATABASE_URL"] = shared_cluster.url("without_tables")
    for command in COMMANDS:
        errors = bytelog.refuse(*command.split())
        assert "there is no database at" in errors
        assert "without_tables" in errors


def test_config_creates_nothing(tmp_path: Path) -> None:
    bytelog = Bytelog(tmp_path / "data")
    assert f"{tmp_path / 'data'}" in bytelog.run("config").decode()
    assert [*tmp_path.iterdir()] == []
