from __future__ import annotations

import json
import socket
import threading
import time
import urllib.error
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest
from benchmarks.cluster import Cluster
from support.api import CLICK, EVENTS, close
from support.server import Server, wait_for

from bytelog import create_app
from bytelog.events import store
from bytelog.events.schemas import EventFields
from bytelog.queries.formats import LINES
from bytelog.queries.selection import Selection
from bytelog.storage.database import backend_of, db
from bytelog.storage.errors import UnusableDatabase
from bytelog.storage.keyset import Order
from bytelog.storage.postgresql_connection import CONNECT_SECONDS

WRITERS = 4
METRICS_KEY = "prometheus"
LAG = "bytelog_replica_lag_events"
GUIDE = (Path(__file__).parents[2] / "docs" / "postgresql.md").read_text()


class Pair:
    """A primary and its replica, which must confirm each commit."""

    def __init__(self, make_folder: Callable[[], Path]) -> None:
        self.primary = Cluster(make_folder(), synchronous_standby_names="second").create().start()
        self.replica = self.primary.copy(make_folder(), "second").start()

    def settings(self) -> dict[str, str]:
        ports = f"host=127.0.0.1:{self.primary.port}&host=127.0.0.1:{self.replica.port}"
        url = f"postgresql+psycopg://postgres@/postgres?{ports}&target_session_attrs=read-write"
        return {"BYTELOG_API_KEY": Server.key, "BYTELOG_DATABASE_URL": url}


@pytest.fixture
def pair(cluster_folder: Callable[[], Path]) -> Iterator[Pair]:
    pair = Pair(cluster_folder)
    yield pair
    for cluster in (pair.primary, pair.replica):
        if cluster.process.poll() is None:
            cluster.stop()


@pytest.fixture
def server(pair: Pair, serve: Callable[..., Server]) -> Server:
    read = {"BYTELOG_READ_DATABASE_URL": pair.replica.url()}
    return serve(**pair.settings(), **read, BYTELOG_METRICS_KEY=METRICS_KEY)


def post(server: Server, number: int, **headers: str) -> int:
    return server.request(EVENTS, json.dumps({**CLICK, "id": number}).encode(), **headers).status


def ids(server: Server, query: str = "") -> list[int]:
    return [value["id"] for value in json.loads(server.request(EVENTS + query).body)["events"]]


def lag(server: Server) -> float:
    assert LAG in GUIDE
    numbers = server.request("/metrics", Authorization=f"Bearer {METRICS_KEY}").body.decode()
    return float(numbers.split(f"\n{LAG} ")[1].split()[0])


def test_events_are_read_from_the_replica_and_its_lag_is_reported(
    pair: Pair, server: Server
) -> None:
    assert post(server, 1) == 201
    wait_for(lambda: ids(server) == [1])
    assert lag(server) == 0
    pair.replica.sql("SELECT pg_wal_replay_pause()")
    assert [post(server, number) for number in (2, 3)] == [201, 201]
    assert ids(server) == ids(server, "/trace/" + CLICK["trace_id"]) == [1]
    assert lag(server) == 2
    pair.replica.sql("SELECT pg_wal_replay_resume()")
    wait_for(lambda: ids(server) == [1, 2, 3])
    assert lag(server) == 0


def test_a_lagging_replica_never_sends_a_cursor_back(
    pair: Pair, serve: Callable[..., Server], server: Server
) -> None:
    direct = serve(**pair.settings())
    pair.replica.sql("SELECT pg_wal_replay_pause()")
    assert [post(direct, number) for number in (1, 2)] == [201, 201]
    response = direct.request(f"{EVENTS}?order=arrival")
    following = response.headers["Link"].partition(">")[0][1:]
    assert ids(server, following) == []
    assert ids(server, "?order=arrival&cursor=end&wait=0") == []
    assert post(direct, 3) == 201
    assert ids(server, following) == [3]
    pair.replica.sql("SELECT pg_wal_replay_resume()")


def test_a_listing_on_a_replica_has_what_was_decided_at_its_start(
    pair: Pair, tmp_path: Path
) -> None:
    settings = pair.settings() | {"BYTELOG_READ_DATABASE_URL": pair.replica.url()}
    app = create_app(settings, tmp_path)
    primary = f"host=127.0.0.1 port={pair.primary.port} user=postgres dbname=postgres"
    with app.app_context():
        fields = [(number, "n", "t", "2021-08-15T00:00:00.000Z", "{}") for number in range(600)]
        events = [EventFields(*each) for each in fields]
        store.record(1, events)
        with psycopg.connect(primary) as other:
            other.execute(
                "INSERT INTO event (project_id, id, name, trace_id, date, data) "
                "VALUES (1, 0, 'n', 't', '2021-08-15', '{}')"
            )
            store.record(1, events)
            wait_for(lambda: store.count_lag() == 0)
            early = store.select(Selection(1), LINES)
            arrivals = store.select(Selection(1, order=Order.ARRIVAL), LINES)
        store.record(1, events[:1])
        wait_for(lambda: store.select(Selection(1), LINES).count == 1202)
        for listing in (early, arrivals):
            lines = LINES.postprocess(b"".join(listing.pages)).splitlines()
            assert len(lines) == listing.count == 600
        following = Selection(1, order=Order.ARRIVAL, cursor=arrivals.next)
        assert store.select(following, LINES).count == 602
    close(app)


def test_reads_continue_without_the_primary(pair: Pair, server: Server) -> None:
    assert post(server, 1) == 201
    wait_for(lambda: ids(server) == [1])
    pair.primary.kill()
    time.sleep(1)  # until no key is cached any more
    assert ids(server) == [1]
    assert server.request("/healthz").status == 503
    assert post(server, 2) == 503


def write(
    server: Server, writer: int, acknowledged: list[int], refused: list[str], done: threading.Event
) -> None:
    number = writer
    while not done.is_set():
        number += WRITERS
        try:
            response = server.request(EVENTS, json.dumps({**CLICK, "id": number}).encode())
        except urllib.error.URLError as error:
            refused.append(str(error))
            continue
        if response.status == 201:
            acknowledged.append(number)
        else:
            refused.append(f"{response.status} {response.headers['Retry-After']}")


def test_no_acknowledged_event_is_lost_when_the_primary_dies_and_the_replica_takes_over(
    pair: Pair, serve: Callable[..., Server]
) -> None:
    server = serve(**pair.settings())
    acknowledged: list[int] = []
    refused: list[str] = []
    done = threading.Event()
    arguments = (acknowledged, refused, done)
    writers = [
        threading.Thread(target=write, args=(server, writer, *arguments))
        for writer in range(WRITERS)
    ]
    for thread in writers:
        thread.start()
    wait_for(lambda: len(acknowledged) > 200)
    pair.primary.kill()
    wait_for(lambda: len(refused) > WRITERS)
    before = len(acknowledged)
    pair.replica.sql("SELECT pg_promote()")
    wait_for(lambda: len(acknowledged) > before + 200)
    done.set()
    for thread in writers:
        thread.join()
    assert set(refused) == {"503 1"}
    stored = ids(server)
    assert set(acknowledged) <= set(stored)
    assert len(stored) == len(set(stored))
    # Each writer has at most one event that was stored without a response.
    assert len(stored) <= len(acknowledged) + WRITERS
    assert server.process.poll() is None


def test_a_commit_without_the_confirmation_of_the_replica_is_not_acknowledged(
    pair: Pair, serve: Callable[..., Server]
) -> None:
    server = serve(**pair.settings())
    assert post(server, 1) == 201
    pair.replica.stop()
    # The primary has the event and its key then, so the retry finds them and stores nothing.
    for headers in ({}, {"Idempotency_Key": "a"}, {"Idempotency_Key": "a"}):
        assert post_and_cancel(pair, server, headers) == 503
    pair.replica.start()
    assert post(server, 2, Idempotency_Key="a") == 201
    assert ids(server) == [1, 2, 2]


def post_and_cancel(pair: Pair, server: Server, headers: dict[str, str]) -> int:
    """Return the status of a request whose commit an administrator cancels."""
    with ThreadPoolExecutor(1) as pool:
        response = pool.submit(post, server, 2, **headers)
        cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        wait_for(lambda: response.done() or pair.primary.sql(cancel))
        return response.result()


def test_only_the_first_connection_waits_for_a_lost_server(
    own_database: str, shared_cluster: Cluster, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as lost:
        servers = [f"127.0.0.1:{port}" for port in (lost.getsockname()[1], shared_cluster.port)]
        hosts = "&".join(f"host={server}" for server in servers)
        url = f"postgresql+psycopg://postgres@/{own_database}?{hosts}&target_session_attrs=primary"
        with create_app({"BYTELOG_DATABASE_URL": url}, tmp_path).app_context():
            db.engine.dispose()
            start = time.monotonic()
            assert backend_of(db.engine).servers() == {servers[0]: False, servers[1]: True}
            assert time.monotonic() - start < CONNECT_SECONDS
            db.engine.dispose()


def test_a_replica_without_a_postgresql_primary_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(UnusableDatabase, match="for replicas of PostgreSQL only"):
        create_app({"BYTELOG_READ_DATABASE_URL": "postgresql+psycopg://h/d"}, tmp_path)
