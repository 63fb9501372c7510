from __future__ import annotations

import itertools
import json
import random
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from benchmarks.cluster import Cluster, find
from flask import Flask
from support.api import CLICK, Person, close

from bytelog import create_app
from bytelog.events import store
from bytelog.events.schemas import EventFields
from bytelog.maintenance import inspection
from bytelog.queries.formats import LINES
from bytelog.queries.listing import SHORT_EVENTS
from bytelog.queries.selection import Cursor, Selection
from bytelog.storage.idempotency import IdempotencyToken
from bytelog.storage.keyset import Order
from bytelog.storage.reader import NO_LIMITS

WRITERS = 6
SECONDS = 4
ARRIVALS = "?order=arrival&limit=100"

# Delays commits at random, after all keys are assigned.
SLOW_COMMITS = """
    CREATE FUNCTION wait_briefly() RETURNS trigger LANGUAGE plpgsql
        AS 'BEGIN PERFORM pg_sleep(random() * 0.02); RETURN NULL; END';
    CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON event DEFERRABLE INITIALLY DEFERRED
        FOR EACH ROW WHEN (NEW.name = 'slow') EXECUTE FUNCTION wait_briefly();
"""

Sql = Callable[[str], list[tuple[Any, ...]]]


@pytest.fixture
def sql(shared_cluster: Cluster, own_database: str) -> Sql:
    return lambda statement: shared_cluster.sql(statement, own_database)


@pytest.fixture
def open_process(own_database: str, tmp_path: Path) -> Callable[[], Flask]:
    """Return a function that opens a service with connections of its own, as a process does."""
    numbers = itertools.count()
    settings = {"BYTELOG_API_KEY": "k", "BYTELOG_METRICS_KEY": "m"}
    return lambda: create_app(settings, tmp_path / str(next(numbers)))


def events(numbers: Iterator[int], size: int) -> list[dict[str, Any]]:
    some = [{**CLICK, "id": number} for number in itertools.islice(numbers, size)]
    some[0]["name"] = "slow"
    return some


class Arrivals:
    """The ids of the events that arrive, read by a client that follows them."""

    def __init__(self, person: Person, query: str = ARRIVALS) -> None:
        self.person = person
        self.ids: list[int] = []
        self._query = query
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._read_all)
        self._thread.start()

    def finish(self) -> list[int]:
        self._is_over.set()
        self._thread.join()
        return self.ids

    def read(self) -> int:
        """Read a page; returns its number of events."""
        response = self.person.get(self._query)
        self._query = response.headers["Link"].partition(">")[0].strip("<")
        found = [event["id"] for event in (response.json or {})["events"]]
        self.ids += found
        return len(found)

    def _read_all(self) -> None:
        is_last = False
        while self.read() or not is_last:
            is_last = self._is_over.is_set()


def list_ids(app: Flask) -> set[int]:
    """Return the ids of a listing of all events, which contains as many as it has counted."""
    with app.app_context():
        listing = store.select(Selection(1), LINES)
        lines = LINES.postprocess(b"".join(listing.pages)).splitlines()
    ids = {json.loads(line)["id"] for line in lines}
    assert len(ids) == listing.count
    return ids


def follow_stream(app: Flask, seen: list[int], is_over: threading.Event) -> None:
    """Read arrivals as event streams do, from the beginning."""
    selection = Selection(1, cursor=Cursor(0))
    with app.app_context():
        while True:
            is_last = is_over.is_set()
            arrived = store.read_arrivals(selection, NO_LIMITS)
            seen += [
                int(line.partition(b'"id":')[2].partition(b",")[0]) for _, line in arrived.events
            ]
            selection = Selection(1, cursor=arrived.next)
            if is_last and not arrived.events:
                return


def test_followers_miss_nothing_while_commits_overtake_each_other(
    open_process: Callable[[], Flask], sql: Sql
) -> None:
    sql(SLOW_COMMITS)
    numbers = itertools.count()
    acknowledged: set[int] = set()
    until = time.monotonic() + SECONDS

    def write(app: Flask, seed: int) -> None:
        person, chance = Person(app.test_client(), "k"), random.Random(seed)
        while time.monotonic() < until:
            batch = events(numbers, chance.choice([1, 1, 3, 60]))
            headers = {**person.headers, "Idempotency-Key": str(batch[0]["id"])}
            is_known = chance.random() < 0.3
            response = person.post(batch, headers=headers if is_known else person.headers)
            assert response.status_code == 201
            acknowledged.update(event["id"] for event in batch)

    apps = [open_process() for _ in range(WRITERS)]
    reader = open_process()
    follower = Arrivals(Person(reader.test_client(), "k"))
    streamed: list[int] = []
    is_over = threading.Event()
    threads = [threading.Thread(target=write, args=(app, seed)) for seed, app in enumerate(apps)]
    stream = threading.Thread(target=follow_stream, args=(reader, streamed, is_over))
    for thread in (*threads, stream):
        thread.start()
    while time.monotonic() < until:
        before = set(acknowledged)
        assert before <= list_ids(reader)
    for thread in threads:
        thread.join()
    is_over.set()
    stream.join()
    followed = follower.finish()
    assert len(acknowledged) > 100
    assert sorted(followed) == sorted(streamed) == sorted(acknowledged)
    assert followed == streamed


@contextmanager
def open_transaction(cluster: Cluster, database: str, statement: str) -> Iterator[None]:
    """Run a statement in a transaction of another program, which commits after the block."""
    address = f"host=127.0.0.1 port={cluster.port} user=postgres dbname={database}"
    with psycopg.connect(address, application_name="forgetful") as connection:
        connection.execute(statement.encode())
        yield


INSERT = """
    INSERT INTO event (project_id, id, name, trace_id, date, data)
    VALUES (1, 0, 'n', 't', '2021-08-15', '{}')
"""


def test_a_listing_has_what_was_visible_at_its_start(
    open_process: Callable[[], Flask], shared_cluster: Cluster, own_database: str
) -> None:
    app = open_process()
    person = Person(app.test_client(), "k")
    person.post(CLICK)
    with app.app_context():
        with open_transaction(shared_cluster, own_database, INSERT):
            person.post([{**CLICK, "id": number} for number in range(1, SHORT_EVENTS + 1)])
            listings = [
                store.select(Selection(1, order=order, limit=limit), LINES)
                for order in (Order.DATE, Order.NEWEST)
                for limit in (None, 1000)
            ]
            person.post(CLICK)
        for listing in listings:
            lines = LINES.postprocess(b"".join(listing.pages)).splitlines()
            assert len(lines) == listing.count == SHORT_EVENTS + 1
            assert 0 not in [json.loads(line)["id"] for line in lines]
    assert len(person.events()) == SHORT_EVENTS + 3


def read_horizon_age(person: Person) -> float:
    metrics = person.client.get("/metrics", headers={"Authorization": "Bearer m"}).text
    return float(re.findall(r"^bytelog_arrival_horizon_age_seconds (.*)", metrics, re.MULTILINE)[0])


def test_a_transaction_that_is_left_open_holds_back_arrivals_and_loses_nothing(
    open_process: Callable[[], Flask], shared_cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inspection, "HELD_BACK_SECONDS", 0)
    app = open_process()
    person = Person(app.test_client(), "k")
    person.post(CLICK)
    page = person.get(ARRIVALS)
    following = page.headers["Link"].partition(">")[0].strip("<")
    with open_transaction(shared_cluster, "postgres", "SELECT pg_current_xact_id()"):
        for number in (2, 3):
            person.post({**CLICK, "id": number})
            assert len(person.events()) == number
            for _ in range(2):
                held = person.get(following)
                assert (held.json or {})["events"] == []
                following = held.headers["Link"].partition(">")[0].strip("<")
        assert read_horizon_age(person) > 0
        checked = app.test_cli_runner().invoke(args=["check"]).output
        assert "user postgres in database postgres, application forgetful" in checked
        (remedy,) = re.findall(r"SELECT pg_terminate_backend\(\d+\);", checked)
        new = person.get("?order=arrival&cursor=end").headers["Link"].partition(">")[0].strip("<")
    assert remedy
    for cursor in (following, new):
        assert [event["id"] for event in (person.get(cursor).json or {})["events"]] == [2, 3]
    assert read_horizon_age(person) == 0


def test_requests_with_the_same_keys_in_opposite_orders_store_each_once(
    open_process: Callable[[], Flask], sql: Sql
) -> None:
    sql(SLOW_COMMITS)
    apps = [open_process() for _ in range(WRITERS)]

    def record(app: Flask, number: int) -> None:
        ids = [str(key) for key in range(40)][:: 1 if number % 2 else -1]
        fields = ("slow", "t", "2021-08-15T00:00:00.000Z", "{}")
        with app.app_context():
            for start in range(0, len(ids), 5):
                some = ids[start : start + 5]
                messages = [(key, EventFields(int(key), *fields)) for key in some]
                store.record_messages(1, "test", messages)
                token = IdempotencyToken(1, f"request {ids[start]}", "")
                store.record(1, [EventFields(1000, *fields)], token)

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(record, apps, range(WRITERS)))
    assert sql("SELECT count(*), count(DISTINCT id) FROM event WHERE id < 1000") == [(40, 40)]
    assert sql("SELECT count(*) FROM event WHERE id = 1000") == [(16,)]


def test_followers_go_on_after_a_dump_is_restored_into_a_new_server(
    open_process: Callable[[], Flask],
    shared_cluster: Cluster,
    own_database: str,
    cluster_folder: Callable[[], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    person = Person(open_process().test_client(), "k")
    for number in range(1, 4):
        person.post({**CLICK, "id": number})
    following = person.get("?order=arrival&limit=2").headers["Link"].partition(">")[0].strip("<")
    new = Cluster(cluster_folder(), fsync="off").create().start()
    dump: list[str | Path] = [
        find("pg_dump"),
        "-d",
        shared_cluster.url(own_database).replace("+psycopg", ""),
    ]
    restore: list[str | Path] = [find("psql"), "-q", "-d", new.url().replace("+psycopg", "")]
    subprocess.run(restore, input=subprocess.check_output(dump), check=True, capture_output=True)
    monkeypatch.setenv("BYTELOG_DATABASE_URL", new.url())
    restored = Person(open_process().test_client(), "k")
    assert [event["id"] for event in restored.events()] == [1, 2, 3]
    restored.post({**CLICK, "id": 4})
    assert [event["id"] for event in (restored.get(following).json or {})["events"]] == [3, 4]
    close(restored.client.application)
    new.stop()
