from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.client import HTTPException
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from benchmarks.cluster import Cluster, find
from flask import Flask
from sqlalchemy import inspect
from support.api import CLICK, EVENTS, Person
from support.commands import Bytelog
from support.reverse_proxy import Proxy
from support.server import Server, wait_for
from support.steady_clients import PAUSE_SECONDS

from bytelog import create_app
from bytelog.migrations.upgrade import HEAD
from bytelog.queries.formats import LINES
from bytelog.queries.selection import BEGINNING, END, Shapes
from bytelog.queries.statements import Kind, prepare
from bytelog.storage.database import db
from bytelog.storage.errors import UnusableDatabase
from bytelog.storage.keyset import Order
from bytelog.storage.partitions import PARTITION_DAYS
from bytelog.storage.postgresql import PostgreSQL
from bytelog.storage.postgresql_rows import COPY_EVENTS

TODAY = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0)


@pytest.fixture
def name(own_database: str) -> str:
    return own_database


@pytest.fixture
def sql(shared_cluster: Cluster, name: str) -> Callable[[str], list[tuple[Any, ...]]]:
    return lambda statement: shared_cluster.sql(statement, name)


@pytest.fixture
def app(name: str, tmp_path: Path) -> Flask:
    return create_app({"TESTING": True}, tmp_path / "instance")


GUIDE = (Path(__file__).parents[2] / "docs" / "postgresql.md").read_text()
GUIDE_COMMANDS = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)

Sql = Callable[[str], list[tuple[Any, ...]]]


def event(days: int, **members: Any) -> dict[str, Any]:
    return {**CLICK, "date": (TODAY + timedelta(days)).isoformat(), **members}


def partitions(sql: Sql) -> dict[str, int]:
    """Return the number of events in each partition that is not empty."""
    return dict(sql("SELECT tableoid::regclass::text, count(*) FROM event GROUP BY 1"))


def partition(days: int) -> str:
    return (TODAY + timedelta(days)).strftime("event_%Y%m%d")


def test_each_day_since_the_first_write_has_a_partition(alice: Person, sql: Sql) -> None:
    for days in (0, 1, PARTITION_DAYS, PARTITION_DAYS + 1, -1, -10_000):
        alice.post(event(days))
    assert partitions(sql) == {
        **{partition(days): 1 for days in (0, 1, PARTITION_DAYS)},
        "event_default": 3,
    }


def test_events_move_into_the_partition_that_is_created_for_their_day(
    app: Flask, alice: Person, name: str, sql: Sql, tmp_path: Path
) -> None:
    alice.post([event(0, id=number) for number in range(3)])
    sql(f"ALTER TABLE event DETACH PARTITION {partition(0)}")
    sql(f"INSERT INTO event_default SELECT * FROM {partition(0)}")
    sql(f"DROP TABLE {partition(0)}")
    before = alice.events()
    later = create_app({"BYTELOG_API_KEY": "k"}, tmp_path / "later")
    assert Person(later.test_client(), "k").post(event(0)).status_code == 201
    assert partitions(sql) == {partition(0): 4}
    assert alice.events() == before


def test_a_long_reader_delays_partitions_but_no_events(
    alice: Person, sql: Sql, shared_cluster: Cluster, name: str, tmp_path: Path
) -> None:
    alice.post(event(0))
    sql(f"DROP TABLE {partition(3)}")
    with create_app({"BYTELOG_API_KEY": "k"}, tmp_path / "dump").app_context():
        with db.engine.connect() as dump:
            dump.exec_driver_sql("BEGIN; SELECT count(*) FROM event")
            later = create_app({"BYTELOG_API_KEY": "k"}, tmp_path / "later")
            assert Person(later.test_client(), "k").post(event(3)).status_code == 201
            dump.exec_driver_sql("COMMIT")
        db.engine.dispose()
    assert partitions(sql) == {partition(0): 1, "event_default": 1}


def test_pruning_drops_the_partitions_of_past_days(
    alice: Person, bob: Person, name: str, sql: Sql, tmp_path: Path
) -> None:
    for days in (0, 1, 2):
        alice.post(event(days))
        bob.post(event(days))
    alice.post(event(-5))
    before = (TODAY + timedelta(days=2)).isoformat()
    output = Bytelog(tmp_path).run("prune", "--before", before, "--yes")
    assert output.startswith(b"Deleted 5 events from before")
    assert [item["date"][:10] for item in alice.events()] == [before[:10]]
    assert partitions(sql) == {partition(2): 2}
    assert partition(1) not in str(sql("SELECT relname FROM pg_class"))


def test_partitions_are_dropped_where_the_longest_rule_has_expired_their_events(
    alice: Person, bob: Person, name: str, sql: Sql, tmp_path: Path
) -> None:
    for days in (-10, -3):
        start, end = (TODAY + timedelta(days)).date(), (TODAY + timedelta(days + 1)).date()
        bounds = f"FROM ('{start}') TO ('{end}')"
        sql(f"CREATE TABLE {partition(days)} PARTITION OF event FOR VALUES {bounds}")
        alice.post(event(days))
        bob.post(event(days))
    bytelog = Bytelog(tmp_path)
    bytelog.environment["BYTELOG_KEEP"] = "5d, shop=1d"
    assert bytelog.run("prune", "--yes").startswith(b"Deleted 3 events")
    assert partitions(sql) == {partition(-3): 1}
    assert partition(-10) not in str(sql("SELECT relname FROM pg_class"))


def test_partitions_of_an_administrator_are_not_changed(
    alice: Person, name: str, sql: Sql, tmp_path: Path
) -> None:
    for number, other in enumerate(("event_2020", "event_202011", "event_archive")):
        bounds = f"FROM ('{2000 + number}-01-01') TO ('{2001 + number}-01-01')"
        sql(f"CREATE TABLE {other} PARTITION OF event FOR VALUES {bounds}")
    alice.post([event(0), {**CLICK, "date": "2000-05-05T00:00:00Z"}])
    assert partitions(sql) == {partition(0): 1, "event_2020": 1}
    output = Bytelog(tmp_path).run("prune", "--before", TODAY.date().isoformat())
    assert output.startswith(b"Deleted 1 events from before")
    assert "event_2020" in str(sql("SELECT relname FROM pg_class"))


def test_commands_report_the_contents_of_postgresql(
    alice: Person, name: str, tmp_path: Path
) -> None:
    alice.post(event(0))
    command = Bytelog(tmp_path)
    checked = command.run("check").decode()
    assert f"Schema: {HEAD}, that of this version" in checked
    assert checked.split()[-3:] == ["shop", TODAY.isoformat()[:10], "1"]
    assert "damage" not in checked
    assert "Events: 1\n" in command.run("stats").decode()
    assert "pg_dump" in command.refuse("backup", tmp_path / "copy.db")


def test_an_export_that_is_imported_is_exported_again_unchanged(
    alice: Person, name: str, tmp_path: Path
) -> None:
    alice.post([event(days, id=days, data={"é\n": [days, "\0"]}) for days in range(-3, 3)])
    command = Bytelog(tmp_path)
    exported = command.run("export", "--project", "shop")
    assert exported.count(b"\n") == 6
    for round_number in ("6 events into copy", "0 events into copy"):
        assert round_number in command.run("import", "--project", "copy", text=exported).decode()
    assert command.run("export", "--project", "copy") == exported


def test_every_migration_is_applied(app: Flask, sql: Sql) -> None:
    assert sql("SELECT version_num FROM bytelog_version") == [(HEAD,)]
    with app.app_context():
        inspector = inspect(db.engine)
        for table in db.metadata.sorted_tables:
            columns = {column["name"] for column in inspector.get_columns(table.name)}
            assert columns == set(table.columns.keys())
        db.engine.dispose()


def test_processes_that_start_at_once_create_one_schema(
    shared_cluster: Cluster, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shared_cluster.sql("CREATE DATABASE fresh")
    monkeypatch.setenv("BYTELOG_DATABASE_URL", shared_cluster.url("fresh"))
    pipes = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
    started = [Bytelog(tmp_path).start("keys", "create", "alice", **pipes) for _ in range(4)]
    for process in started:
        _, errors = process.communicate(timeout=60)
        assert process.returncode == 0, errors
    assert shared_cluster.sql("SELECT name FROM project", "fresh") == [("default",)]
    shared_cluster.sql("DROP DATABASE fresh WITH (FORCE)")


@pytest.mark.parametrize(
    "query",
    ["/trace/a%00b", "?name=%00", "?trace_id=%00", "?data.a%00=1", "?data.a=%00"],
)
def test_nul_in_a_request_is_rejected_or_finds_nothing(alice: Person, query: str) -> None:
    response = alice.get(query)
    assert response.status_code == 400 or (response.json or {})["count"] == 0


def test_the_arrivals_of_a_small_project_are_read_without_those_of_others(
    app: Flask, alice: Person, bob: Person, sql: Sql
) -> None:
    alice.post(CLICK)
    for _ in range(5):
        bob.post([CLICK] * 1000)
    sql("ANALYZE event")
    kind = Kind(PostgreSQL, LINES, Order.ARRIVAL, Shapes((), ()))
    page = prepare(kind).after_position[0].page
    values: dict[str, object] = {"project_id": 2, "key": 0, "last": 5001, "rows": 100}
    values |= {"start": BEGINNING, "end": END}
    with app.app_context(), db.engine.connect() as connection:
        plan = connection.exec_driver_sql(f"EXPLAIN {page.text}", dict(page.bind(values)))
        assert "project_id_key_idx" in str(plan.all())


def test_a_post_gets_503_while_another_writer_holds_the_lock(alice: Person, app: Flask) -> None:
    assert alice.post(CLICK).status_code == 201
    with app.app_context(), db.engine.connect() as other:
        other.exec_driver_sql("BEGIN; SELECT pg_advisory_xact_lock(6453612)")
        for body in (CLICK, [CLICK] * COPY_EVENTS):
            response = alice.post(body)
            assert (response.status_code, response.headers["Retry-After"]) == (503, "1")
        other.exec_driver_sql("ROLLBACK")
    assert alice.post(CLICK).status_code == 201
    assert len(alice.events()) == 2


def test_a_database_in_another_encoding_is_rejected(
    shared_cluster: Cluster, tmp_path: Path
) -> None:
    shared_cluster.sql("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0")
    with pytest.raises(UnusableDatabase, match="create it with ENCODING 'UTF8'"):
        create_app({"BYTELOG_DATABASE_URL": shared_cluster.url("latin")}, tmp_path)
    shared_cluster.sql("DROP DATABASE latin WITH (FORCE)")


def test_the_error_for_an_unreachable_server_contains_no_password(tmp_path: Path) -> None:
    url = "postgresql+psycopg://me:secret@127.0.0.1:1/bytelog"
    with pytest.raises(UnusableDatabase, match="Check that its server runs") as refused:
        create_app({"BYTELOG_DATABASE_URL": url}, tmp_path)
    assert "127.0.0.1" in str(refused.value)
    assert "secret" not in str(refused.value)


def test_the_error_for_a_missing_driver_explains_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(UnusableDatabase, match=r"pip install 'bytelog\[postgres\]'"):
        create_app({"BYTELOG_DATABASE_URL": "postgresql+psycopg://h/d"}, tmp_path)


def test_the_greeting_names_the_database_without_its_password(
    serve: Callable[..., Server], shared_cluster: Cluster, name: str
) -> None:
    url = shared_cluster.url(name).replace("postgres@", "postgres:secret@")
    server = serve(BYTELOG_API_KEY=Server.key, BYTELOG_DATABASE_URL=url)
    assert f"127.0.0.1:{shared_cluster.port}/{name}" in server.log.read_text()
    server.stop()
    assert "secret" not in server.log.read_text()


def follow(server: Server, seen: list[int], stopped: threading.Event) -> None:
    path = f"{EVENTS}?order=arrival&limit=1000"
    while True:
        is_last = stopped.is_set()
        response = server.request(path)
        seen += [item["id"] for item in json.loads(response.body)["events"]]
        path = EVENTS + response.headers["Link"].partition(">")[0][1:]
        if is_last and response.body.startswith(b'{"count":0,'):
            return


def test_two_servers_on_one_database_lose_and_duplicate_nothing(
    serve: Callable[..., Server], name: str
) -> None:
    servers = [serve(BYTELOG_API_KEY=Server.key) for _ in range(2)]
    numbers = count()
    acknowledged: list[int] = []
    seen: list[list[int]] = [[], []]
    stopped = threading.Event()

    def write(server: Server) -> None:
        for round_number in range(60):
            size = 1000 if round_number % 15 == 7 else 1
            batch = [{**CLICK, "id": next(numbers)} for _ in range(size)]
            assert server.request(EVENTS, json.dumps(batch).encode()).status == 201
            acknowledged.extend(item["id"] for item in batch)

    readers = [
        threading.Thread(target=follow, args=(server, seen_ids, stopped))
        for server, seen_ids in zip(servers, seen, strict=True)
    ]
    writers = [threading.Thread(target=write, args=[servers[item % 2]]) for item in range(6)]
    for thread in readers + writers:
        thread.start()
    for thread in writers:
        thread.join()
    stopped.set()
    for thread in readers:
        thread.join()
    assert seen[0] == seen[1]
    assert sorted(seen[0]) == sorted(acknowledged) == list(range(len(acknowledged)))


def is_recorded(proxy: Proxy, number: int) -> bool:
    body = json.dumps({**CLICK, "id": number}).encode()
    with suppress(OSError, HTTPException):
        response = proxy.open("POST", EVENTS, body, Idempotency_Key=f"event-{number}")
        response.read()
        return response.status == 201
    return False


def record_all(proxy: Proxy, numbers: range) -> None:
    for number in numbers:
        while not is_recorded(proxy, number):
            time.sleep(PAUSE_SECONDS)


def test_no_event_is_lost_or_duplicated_when_servers_behind_nginx_are_killed(
    serve: Callable[..., Server], name: str, tmp_path: Path
) -> None:
    servers = [serve(BYTELOG_API_KEY=Server.key) for _ in range(2)]
    folder = tmp_path / "nginx"
    folder.mkdir()
    proxy = Proxy("nginx", folder, servers[0].url, "", servers[1].url)
    writers = [
        threading.Thread(target=record_all, args=(proxy, range(start, start + 150)))
        for start in range(0, 600, 150)
    ]
    for thread in writers:
        thread.start()
    for number, server in enumerate(servers):
        wait_for(lambda: (folder / "access.log").read_text().count("\n") > 100 * (number + 1))  # noqa: B023
        server.stop(signal.SIGKILL)
        server.keep_port()
        server.start()
    for thread in writers:
        thread.join()
    proxy.stop()
    events = json.loads(servers[0].request(EVENTS).body)["events"]
    assert sorted(item["id"] for item in events) == list(range(600))


def test_an_idempotency_key_is_known_to_every_server(
    serve: Callable[..., Server], name: str
) -> None:
    servers = [serve(BYTELOG_API_KEY=Server.key) for _ in range(2)]
    statuses: list[int] = []

    def send(server: Server, key: str, body: dict[str, Any]) -> None:
        response = server.request(EVENTS, json.dumps(body).encode(), Idempotency_Key=key)
        statuses.append(response.status)

    for round_number in range(10):
        threads = [
            threading.Thread(target=send, args=(servers[item % 2], f"key-{round_number}", CLICK))
            for item in range(6)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert set(statuses) <= {201, 409}
    assert json.loads(servers[0].request(EVENTS).body)["count"] == 10
    send(servers[1], "key-3", {**CLICK, "id": 2})
    assert statuses[-1] == 422


def test_a_revoked_key_stops_working_at_a_running_server(
    serve: Callable[..., Server], name: str, tmp_path: Path
) -> None:
    server = serve(BYTELOG_API_KEY=Server.key)
    command = Bytelog(tmp_path)
    server.key = command.run("keys", "create", "shop").decode().strip()
    assert server.request(EVENTS).status == 200
    command.run("keys", "revoke", "shop")
    wait_for(lambda: server.request(EVENTS).status == 401, seconds=1.5)


def test_the_commands_of_the_guide_work_as_printed(shared_cluster: Cluster, tmp_path: Path) -> None:
    make, run, move, replica, failover = GUIDE_COMMANDS
    commands = f"set -e\nbytelog keys create alice\n{make}{move}{run}{replica}{failover}"
    commands = commands.replace("bytelog serve", "").replace("pip install 'bytelog[postgres]'", "")
    for host in ("@127.0.0.1", "@10.0.0.3"):
        commands = commands.replace(f"{host}/", f"@127.0.0.1:{shared_cluster.port}/")
    commands = commands.replace("10.0.0.2:5432", "127.0.0.1:1")
    commands = commands.replace("10.0.0.3:5432", f"127.0.0.1:{shared_cluster.port}")
    environment = {
        "PATH": os.pathsep.join(
            [str(Path(sys.executable).parent), str(find("psql").parent), os.environ["PATH"]]
        ),
        "PGHOST": "127.0.0.1",
        "PGPORT": str(shared_cluster.port),
        "PGUSER": "postgres",
        "BYTELOG_DATA": str(tmp_path),
    }
    (indexes,) = re.findall(r"```sql\n(.*?)```", GUIDE, re.DOTALL)
    (tmp_path / "indexes.sql").write_text(indexes)
    commands += "psql -q -v ON_ERROR_STOP=1 -f indexes.sql postgres > plans\nbytelog keys list\n"
    script = ["bash", "-c", commands]
    done = subprocess.run(script, env=environment, cwd=tmp_path, capture_output=True, text=True)
    shared_cluster.sql("DROP DATABASE bytelog")
    shared_cluster.sql("DROP USER bytelog")
    assert done.returncode == 0, done.stderr
    assert "All 0 are the same" in done.stdout
    assert done.stdout.splitlines()[-1].split()[1] == "alice"
