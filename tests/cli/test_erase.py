from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from benchmarks.cluster import Cluster
from support.api import CLICK
from support.commands import Bytelog
from support.load import TODAY, posting
from support.server import Server

SECRET = "Lima Street 5"
EVENTS_OF_USERS = [
    {
        **CLICK,
        "id": number,
        "trace_id": f"{number % 2 and SECRET} {number * 7919 % 997}",
        "data": {"user": number % 2, "text": SECRET * (500 if number == 1 else number % 2)},
    }
    for number in range(2000)
]


@pytest.fixture
def bytelog(tmp_path: Path, database: str) -> Bytelog:
    command = Bytelog(tmp_path / "data")
    command.folder.mkdir()
    lines = "\n".join(map(json.dumps, EVENTS_OF_USERS))
    command.run("import", "--project", "shop", text=lines.encode())
    return command


def shop(bytelog: Bytelog) -> list[int]:
    lines = bytelog.run("query", "order=arrival", "--project", "shop").splitlines()
    return [json.loads(line)["id"] for line in lines]


def contents(bytelog: Bytelog) -> bytes:
    return b"".join(path.read_bytes() for path in bytelog.folder.iterdir())


@pytest.mark.each_database
def test_the_events_that_match_are_deleted(bytelog: Bytelog) -> None:
    arguments = ("erase", "data.user=1", "name=click", "--project", "shop")
    assert bytelog.run(*arguments, "--dry-run") == b"1000 events match.\n"
    assert len(shop(bytelog)) == 2000
    output, errors = bytelog.finish(*arguments, "--yes")
    assert (output, errors) == (b"Deleted 1000 events.\n", "")
    assert shop(bytelog) == list(range(0, 2000, 2))
    assert bytelog.run(*arguments) == b"Deleted 0 events.\n"


def test_the_number_of_events_is_confirmed_first(bytelog: Bytelog) -> None:
    arguments = ("erase", "data.user=1", "--project", "shop")
    question = "Delete 1000 events of project shop? [y/N]: "
    assert bytelog.finish(*arguments, text=b"n\n", status=1)[1].startswith(question)
    assert len(shop(bytelog)) == 2000
    assert bytelog.run(*arguments, text=b"y\n") == b"Deleted 1000 events.\n"


@pytest.mark.parametrize(
    ("arguments", "status", "reason"),
    [
        ((), 2, "bytelog prune"),
        (("start=2021-08-15",), 2, "bytelog prune"),
        (("user=1",), 2, "user: Unknown field."),
        (("name=click", "dry_run=true"), 2, "dry_run: Unknown field."),
        (("name=click", "--project", "bank"), 1, "no project 'bank'"),
    ],
)
def test_wrong_arguments_delete_nothing(
    tmp_path: Path, arguments: tuple[str, ...], status: int, reason: str
) -> None:
    bytelog = Bytelog(tmp_path / "data")
    assert "there is no database at" in bytelog.refuse("erase", "name=click")
    bytelog.run("import", text=json.dumps(CLICK).encode())
    assert reason in bytelog.refuse("erase", *arguments, "--yes", status=status)
    assert bytelog.ids() == [CLICK["id"]]


def test_the_text_is_in_no_file_afterwards(bytelog: Bytelog) -> None:
    assert SECRET.encode() in contents(bytelog)
    bytelog.run("erase", "data.user=1", "--project", "shop", "--yes")
    assert SECRET.encode() not in contents(bytelog)
    assert b"No damage was found" in bytelog.run("check")


def test_events_are_erased_while_a_client_posts(
    bytelog: Bytelog, serve: Callable[..., Server]
) -> None:
    server = serve(BYTELOG_API_KEY=Server.key, BYTELOG_DATA=str(bytelog.folder))
    with posting(server) as acknowledged:
        output, errors = bytelog.finish("erase", "data.user=1", "--project", "shop", "--yes")
    assert output == b"Deleted 1000 events.\n"
    assert "run this command again while no server runs" in errors
    assert [number for number in bytelog.ids() if number >= TODAY] == acknowledged
    assert shop(bytelog) == list(range(0, 2000, 2))
    server.stop()
    assert bytelog.finish("erase", "data.user=1", "--project", "shop")[1] == ""
    assert SECRET.encode() not in contents(bytelog)


def tables(cluster: Cluster, name: str) -> bytes:
    """Return the files of a database's tables and indexes, with all that is in memory written."""
    cluster.sql("CHECKPOINT")
    ((number,),) = cluster.sql(f"SELECT oid FROM pg_database WHERE datname = '{name}'")
    folder = cluster.folder / "data" / "base" / str(number)
    return b"".join(path.read_bytes() for path in folder.iterdir())


def test_the_text_is_in_no_table_of_postgresql_after_a_full_vacuum(
    shared_cluster: Cluster, own_database: str, bytelog: Bytelog
) -> None:
    # Statistics have values of the table, as autovacuum collects them.
    shared_cluster.sql("ANALYZE event", own_database)
    assert SECRET.encode() in tables(shared_cluster, own_database)
    bytelog.run("erase", "data.user=1", "--project", "shop", "--yes")
    vacuumed = "SELECT relname FROM pg_stat_user_tables WHERE last_vacuum IS NOT NULL"
    assert ("event_default",) in shared_cluster.sql(vacuumed, own_database)
    shared_cluster.sql("VACUUM FULL event, pg_statistic", own_database)
    assert SECRET.encode() not in tables(shared_cluster, own_database)


def test_progress_is_shown_on_a_terminal(bytelog: Bytelog) -> None:
    output = bytelog.on_terminal("erase", "data.user=1", "--project", "shop", "--yes")
    assert b"Deleting" in output
    assert b"100%" in output
