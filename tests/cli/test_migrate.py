from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest
from benchmarks.cluster import Cluster
from flask import Flask
from support.api import CLICK, EVENTS, Person
from support.commands import Bytelog, interrupt
from support.history import make_history
from support.server import Server

from bytelog import create_app
from bytelog.maintenance.migration.digests import MIGRATE_EVENTS
from bytelog.maintenance.migration.source import PARTITION_EVENTS
from bytelog.testing import KEY

DAYS = 20
"""The length of the history in days, with 1000 events each."""


@pytest.fixture
def name(shared_cluster: Cluster) -> Iterator[str]:
    shared_cluster.sql("CREATE DATABASE target")
    yield "target"
    shared_cluster.sql("DROP DATABASE target WITH (FORCE)")


@pytest.fixture
def url(shared_cluster: Cluster, name: str) -> str:
    return shared_cluster.url(name)


@pytest.fixture
def bytelog(tmp_path: Path) -> Bytelog:
    return Bytelog(tmp_path / "data")


def listed(server: Server, query: str = "") -> bytes:
    response = server.request(EVENTS + query)
    assert response.status == 200
    return response.body


def test_a_running_service_moves_with_every_acknowledged_event(
    serve: Callable[..., Server], url: str
) -> None:
    old = serve(BYTELOG_API_KEY=Server.key)
    command = Bytelog(old.folder / "data")
    own_key = command.run("keys", "create", "alice", "--project", "shop").decode().strip()
    make_history(old.folder / "data", DAYS)
    numbers, acknowledged, done = count(10**6), list[int](), threading.Event()

    def write() -> None:
        while not done.is_set():
            event = {**CLICK, "id": next(numbers)}
            once = f"once-{event['id']}"
            if old.request(EVENTS, json.dumps(event).encode(), Idempotency_Key=once).status == 201:
                acknowledged.append(event["id"])

    writer = threading.Thread(target=write)
    writer.start()
    output = command.run("migrate", "--to", url).decode()
    assert re.search(r"Copied \d{5} events. All \d{5} are the same", output)
    done.set()
    writer.join()
    arrivals = listed(old, "?order=arrival")
    link = old.request(f"{EVENTS}?order=arrival&limit=10").headers["Link"]
    following = link.partition("<")[2].partition(">")[0]
    later = listed(old, following)
    assert old.stop() == 0
    command.run("migrate", "--to", url)
    new = serve(BYTELOG_API_KEY=Server.key, BYTELOG_DATABASE_URL=url)
    assert listed(new, "?order=arrival") == arrivals
    assert listed(new, following) == later
    assert set(acknowledged) <= {event["id"] for event in json.loads(listed(new))["events"]}
    again = json.dumps({**CLICK, "id": acknowledged[-1]}).encode()
    once = f"once-{acknowledged[-1]}"
    assert new.request(EVENTS, again, Idempotency_Key=once).status == 201
    assert listed(new, "?order=arrival") == arrivals
    assert new.request(EVENTS, Authorization=f"Bearer {own_key}").status == 200


def test_an_interrupted_migration_continues_where_it_stopped(
    bytelog: Bytelog, url: str, shared_cluster: Cluster, name: str
) -> None:
    make_history(bytelog.folder, DAYS)
    for number in (signal.SIGKILL, signal.SIGINT):
        process = bytelog.start("migrate", "--to", url, stderr=subprocess.PIPE)
        before = copied(shared_cluster, name)
        while copied(shared_cluster, name) < before + MIGRATE_EVENTS:
            assert process.poll() is None
            time.sleep(0.01)
        if number == signal.SIGINT:
            assert b"the same command again" in interrupt(process)
        else:
            process.kill()
            process.communicate()
    left = 1000 * DAYS - copied(shared_cluster, name)
    assert left < 1000 * DAYS
    assert bytelog.run("migrate", "--to", url).startswith(
        b"Copied %d events. All %d" % (left, 1000 * DAYS)
    )
    assert bytelog.run("migrate", "--to", url).startswith(
        b"Copied 0 events. All %d" % (1000 * DAYS)
    )


def copied(cluster: Cluster, name: str) -> int:
    if cluster.sql("SELECT to_regclass('event')", name) == [(None,)]:
        return 0
    return int(cluster.sql("SELECT count(*) FROM event", name)[0][0])


def test_busy_days_get_partitions_and_pruned_events_are_deleted(
    bytelog: Bytelog, url: str, shared_cluster: Cluster, name: str
) -> None:
    make_history(bytelog.folder, 3)
    bytelog.run("migrate", "--to", url)
    rows = shared_cluster.sql(
        "SELECT tableoid::regclass::text, count(*) FROM event GROUP BY 1", name
    )
    assert [number for _, number in rows] == [PARTITION_EVENTS] * 3
    last = max(rows)[0]
    day = f"{last[6:10]}-{last[10:12]}-{last[12:14]}"
    bytelog.run("prune", "--before", day, "--yes")
    assert bytelog.run("migrate", "--to", url).startswith(b"Copied 0 events. All 1000 ")
    assert copied(shared_cluster, name) == 1000


def test_no_key_of_an_event_is_used_twice(
    app: Flask, alice: Person, bytelog: Bytelog, url: str, tmp_path: Path
) -> None:
    alice.post([{**CLICK, "date": f"20{year}-01-01"} for year in (30, 20, 21)])
    cursor = alice.get("?order=arrival").headers["Link"].partition("cursor=")[2].partition(">")[0]
    bytelog.environment["BYTELOG_DATA"] = app.instance_path
    bytelog.run("prune", "--before", "2025-01-01", "--yes")
    bytelog.run("migrate", "--to", url)
    moved = create_app({"BYTELOG_DATABASE_URL": url, "BYTELOG_API_KEY": "k"}, tmp_path / "moved")
    moved.test_client().post(EVENTS, json=CLICK, headers={"Authorization": "Bearer k"})
    with moved.app_context():
        person = Person(moved.test_client(), "k")
        assert len(person.events(f"?order=arrival&cursor={cursor}")) == 1


def test_a_difference_is_reported(
    bytelog: Bytelog, url: str, shared_cluster: Cluster, name: str
) -> None:
    make_history(bytelog.folder, 1)
    bytelog.run("migrate", "--to", url)
    shared_cluster.sql("UPDATE event SET data = '{}' WHERE key = 700", name)
    assert "keys 1 to 1000 differ" in bytelog.refuse("migrate", "--to", url)


def test_a_database_with_events_of_its_own_is_left_unchanged(
    bytelog: Bytelog, url: str, tmp_path: Path
) -> None:
    make_history(bytelog.folder, 1)
    other = create_app({"BYTELOG_DATABASE_URL": url, "BYTELOG_API_KEY": KEY}, tmp_path / "other")
    person = Person(other.test_client(), KEY)
    person.post(CLICK)
    before = person.events()
    assert "has events of its own" in bytelog.refuse("migrate", "--to", url)
    assert person.events() == before


@pytest.fixture
def switched(bytelog: Bytelog, url: str, tmp_path: Path) -> tuple[Person, list[dict[str, object]]]:
    """Return a client of a service that moved to PostgreSQL, and the events recorded there."""
    make_history(bytelog.folder, 1)
    bytelog.run("migrate", "--to", url)
    moved = create_app({"BYTELOG_DATABASE_URL": url, "BYTELOG_API_KEY": KEY}, tmp_path / "moved")
    person = Person(moved.test_client(), KEY)
    assert person.post([{**CLICK, "id": number} for number in range(5)]).status_code == 201
    return person, person.events("?order=arrival")


@pytest.mark.parametrize("pruned", ["2021-01-01", "2021-08-02"])
def test_events_recorded_after_the_switch_are_never_deleted(
    bytelog: Bytelog,
    url: str,
    switched: tuple[Person, list[dict[str, object]]],
    pruned: str,
) -> None:
    person, events = switched
    make_history(bytelog.folder, 2)  # The old server has recorded events too.
    bytelog.run("prune", "--before", pruned, "--yes")
    assert "has events of its own" in bytelog.refuse("migrate", "--to", url)
    assert person.events("?order=arrival") == events


def test_a_second_source_is_refused_before_any_change(
    bytelog: Bytelog, url: str, shared_cluster: Cluster, name: str, tmp_path: Path
) -> None:
    make_history(bytelog.folder, 1)
    bytelog.run("keys", "create", "alice", "--project", "shop")
    bytelog.run("migrate", "--to", url)
    query = (
        "SELECT (SELECT count(*) FROM event), (SELECT array_agg(digest) FROM api_key),"
        " (SELECT array_agg(name) FROM project), (SELECT last_value FROM event_key_seq)"
    )
    before = shared_cluster.sql(query, name)
    other = Bytelog(tmp_path / "other")
    make_history(other.folder, 2)
    other.run("keys", "create", "bob", "--project", "bank")
    assert "the copy of another database" in other.refuse("migrate", "--to", url)
    assert shared_cluster.sql(query, name) == before


def test_a_target_with_keys_but_no_events_is_refused(
    bytelog: Bytelog, url: str, shared_cluster: Cluster, name: str, tmp_path: Path
) -> None:
    service = Bytelog(tmp_path / "service")
    service.environment["BYTELOG_DATABASE_URL"] = url
    service.run("keys", "create", "bob", "--project", "bank")
    bytelog.run("keys", "create", "alice", "--project", "shop")
    assert "a project of its own, 'bank'" in bytelog.refuse("migrate", "--to", url)
    assert shared_cluster.sql("SELECT name FROM api_key", name) == [("bob",)]


def delete_note(cluster: Cluster, name: str) -> None:
    """Make the target look as version 0.1.0 left it."""
    tables = "epoch, cursor_secret, sealed_log, seal_leaf, arrival_day, set_aside_event, follower"
    tables += ", moved_project, moved_range, moved_epoch"
    cluster.sql(f"DROP TABLE migration_note, {tables}", name)
    cluster.sql("ALTER TABLE api_key DROP COLUMN last_used, DROP COLUMN bound", name)
    cluster.sql("ALTER TABLE project DROP COLUMN applied_rules", name)
    cluster.sql("UPDATE bytelog_version SET version_num = '0003'", name)
    cluster.sql("COMMENT ON TABLE event IS 'copied by bytelog migrate'", name)


def test_a_copy_by_the_first_release_is_continued_if_the_source_has_all_its_events(
    bytelog: Bytelog, url: str, shared_cluster: Cluster, name: str
) -> None:
    make_history(bytelog.folder, 2)
    bytelog.run("migrate", "--to", url)
    delete_note(shared_cluster, name)
    shared_cluster.sql("DELETE FROM event WHERE key > 1500", name)
    assert bytelog.run("migrate", "--to", url).startswith(b"Copied 500 events. All 2000 ")
    delete_note(shared_cluster, name)
    bytelog.run("prune", "--before", "2021-08-02")
    assert "no note that they were copied" in bytelog.refuse("migrate", "--to", url)
    assert copied(shared_cluster, name) == 2000


def test_pruned_events_are_deleted_only_if_they_equal_the_copied_ones(
    bytelog: Bytelog, url: str, shared_cluster: Cluster, name: str
) -> None:
    make_history(bytelog.folder, 2)
    bytelog.run("migrate", "--to", url)
    shared_cluster.sql("UPDATE event SET data = '{}' WHERE key = 7", name)
    bytelog.run("prune", "--before", "2021-08-02")
    assert "not those that were copied" in bytelog.refuse("migrate", "--to", url)
    assert copied(shared_cluster, name) == 2000


def test_a_restored_backup_does_not_delete_newer_events_from_the_copy(
    bytelog: Bytelog, url: str, shared_cluster: Cluster, name: str, tmp_path: Path
) -> None:
    make_history(bytelog.folder, 1)
    bytelog.run("migrate", "--to", url)
    bytelog.run("backup", tmp_path / "copy.db")
    make_history(bytelog.folder, 1, project_id=1)
    bytelog.run("migrate", "--to", url)
    (tmp_path / "copy.db").rename(bytelog.folder / "bytelog.db")
    for ending in ("-wal", "-shm"):
        Path(f"{bytelog.folder}/bytelog.db{ending}").unlink(missing_ok=True)
    assert "restored from a backup" in bytelog.refuse("migrate", "--to", url)
    assert copied(shared_cluster, name) == 2000


def test_a_key_revoked_after_the_switch_stays_revoked(
    bytelog: Bytelog, url: str, shared_cluster: Cluster, name: str
) -> None:
    bytelog.run("keys", "create", "alice", "--project", "shop")
    bytelog.run("migrate", "--to", url)
    shared_cluster.sql("UPDATE api_key SET revoked = now()", name)
    assert "'alice' is revoked there alone" in bytelog.refuse("migrate", "--to", url)
    assert shared_cluster.sql("SELECT count(revoked) FROM api_key", name) == [(1,)]


def test_progress_is_shown_on_a_terminal_only(bytelog: Bytelog, url: str) -> None:
    make_history(bytelog.folder, 1)
    output = bytelog.on_terminal("migrate", "--to", url)
    assert b"Copying" in output
    assert b"Comparing" in output
    assert bytelog.finish("migrate", "--to", url)[1] == ""


@pytest.mark.parametrize("parameters", ["", "?password=secret&sslpassword=secret"])
def test_no_password_is_shown(bytelog: Bytelog, url: str, parameters: str) -> None:
    make_history(bytelog.folder, 1)
    secret = url.replace("postgres@", "postgres:secret@") + parameters
    assert b"secret" not in bytelog.run("migrate", "--to", secret)
    assert "secret" not in bytelog.refuse("migrate", "--to", secret.replace("/target", "/missing"))


@pytest.mark.parametrize("wrong", ["nonsense", "mysql://host/name"])
def test_a_url_of_another_database_is_rejected(bytelog: Bytelog, wrong: str) -> None:
    bytelog.run("keys", "create", "alice")
    assert "--to" in bytelog.refuse("migrate", "--to", wrong)
