from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import NullPool, create_engine, inspect

from bytelog import create_app
from bytelog.migrations import upgrade as migrations
from bytelog.storage.database import db
from bytelog.storage.errors import UnusableDatabase
from bytelog.storage.models import Base


def columns(path: Path) -> dict[str, object]:
    tables = inspect(create_engine(f"sqlite:///{path}", poolclass=NullPool))
    return {
        name: (
            [
                (column["name"], str(column["type"]), column["nullable"])
                for column in tables.get_columns(name)
            ],
            sorted(
                (index["name"] or "", index["column_names"]) for index in tables.get_indexes(name)
            ),
            tables.get_foreign_keys(name),
            tables.get_unique_constraints(name),
        )
        for name in tables.get_table_names()
    }


def test_the_revision_is_the_newest_migration() -> None:
    config = Config()
    config.set_main_option("script_location", "bytelog:migrations")
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == migrations.HEAD


def test_all_migrations_together_give_the_schema_of_a_new_database(
    app: Flask, tmp_path: Path
) -> None:
    old = tmp_path / "old.db"
    with sqlite3.connect(old) as connection:
        connection.execute(
            "CREATE TABLE bytelog_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY)"
        )
    connection.close()
    stepped = create_app({"BYTELOG_DATABASE_URL": f"sqlite:///{old}"}, tmp_path)
    with app.app_context():
        new = Path(str(db.engine.url.database))
    assert columns(old) == columns(new)
    with stepped.app_context(), db.engine.connect() as connection_:
        context = MigrationContext.configure(
            connection_, opts={"include_name": lambda name, kind, _: name != "bytelog_version"}
        )
        assert compare_metadata(context, Base.metadata) == []


def test_a_database_of_the_first_release_is_upgraded_with_its_events(
    tmp_path: Path,
) -> None:
    settings = {"BYTELOG_API_KEY": "k"}
    first = Config()
    first.set_main_option("script_location", "bytelog:migrations")
    first.set_main_option("path_separator", "os")
    old = create_engine(f"sqlite:///{tmp_path / 'bytelog.db'}")
    with old.begin() as connection:
        first.attributes["connection"] = connection
        command.upgrade(first, "0001")
        connection.exec_driver_sql(
            "INSERT INTO event (project_id, id, name, trace_id, date, data)"
            " VALUES (1, 7, 'click', 't', '2021-08-15T23:41:41.507Z', '{}')"
        )
    old.dispose()
    client = create_app(settings, tmp_path).test_client()
    headers = {"Authorization": "Bearer k"}
    listed = client.get("/api/v1/events", headers=headers).json
    assert listed is not None
    assert [event["id"] for event in listed["events"]] == [7]
    event = {"id": 8, "name": "n", "trace_id": "t"}
    once = {**headers, "Idempotency-Key": "a"}
    assert client.post("/api/v1/events", json=event, headers=once).status_code == 201


def test_a_database_of_a_newer_bytelog_is_rejected_and_left_unchanged(tmp_path: Path) -> None:
    create_app(instance_path=tmp_path)
    with sqlite3.connect(tmp_path / "bytelog.db") as connection:
        connection.execute("UPDATE bytelog_version SET version_num = '9999'")
    connection.close()
    before = (tmp_path / "bytelog.db").read_bytes()
    with pytest.raises(UnusableDatabase, match="newer bytelog"):
        create_app(instance_path=tmp_path)
    assert (tmp_path / "bytelog.db").read_bytes() == before


def test_tables_of_another_program_in_the_file_are_left_unchanged(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "bytelog.db") as connection:
        connection.execute("CREATE TABLE alembic_version (version_num TEXT)")
        connection.execute("INSERT INTO alembic_version VALUES ('theirs')")
    create_app(instance_path=tmp_path)
    assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [("theirs",)]
    connection.close()
