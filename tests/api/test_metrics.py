from __future__ import annotations

import json
import re
from base64 import b64encode
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from prometheus_client.parser import text_string_to_metric_families
from support.api import CLICK, EVENTS, Person
from support.server import Server, connect, wait_for

from bytelog import create_app

KEY = "a key for Prometheus"
BODY = json.dumps(CLICK).encode()


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    return create_app({"BYTELOG_METRICS_KEY": KEY}, tmp_path)


@pytest.fixture
def server(serve: Callable[..., Server]) -> Server:
    return serve("--threads", "2", BYTELOG_METRICS_KEY=KEY, BYTELOG_API_KEY=Server.key)


def numbers(text: str) -> dict[str, float]:
    return {
        f"{sample.name}{sorted(sample.labels.values())}": sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def read_metrics(server: Server) -> dict[str, float]:
    response = server.request("/metrics", Authorization=f"Bearer {KEY}")
    assert response.status == 200
    return numbers(response.body.decode())


def test_metrics_are_disabled_without_a_metrics_key(tmp_path: Path) -> None:
    client = create_app(instance_path=tmp_path).test_client()
    assert client.get("/metrics").status_code == 404


def test_only_the_metrics_key_reads_the_metrics(app: Flask, alice: Person) -> None:
    assert alice.client.get("/metrics").status_code == 401
    assert alice.client.get("/metrics", headers=alice.headers).status_code == 401
    basic = {"Authorization": "Basic YTpi"}
    assert alice.client.get("/metrics", headers=basic).status_code == 401
    header = {"Authorization": f"Bearer {KEY}"}
    assert alice.client.get("/metrics", headers=header).status_code == 200
    assert alice.client.get(EVENTS, headers=header).status_code == 401


@pytest.mark.parametrize("header", ["bearer   {} ", "BEARER {}"])
@pytest.mark.parametrize("key", ["schlüssel ☃", "a=b c,d=e"])
def test_the_metrics_key_is_sent_like_an_api_key(tmp_path: Path, header: str, key: str) -> None:
    settings = {"BYTELOG_METRICS_KEY": key, "BYTELOG_API_KEY": key}
    client = create_app(settings, tmp_path).test_client()
    value = header.format(key).encode().decode("latin-1")
    basic = f"Basic {b64encode(f'prometheus:{key}'.encode()).decode()}"
    for path in ("/metrics", EVENTS):
        for text in (value, basic):
            response = client.get(path, environ_overrides={"HTTP_AUTHORIZATION": text})
            assert response.status_code == 200


def test_requests_are_counted_by_endpoint_method_and_status(server: Server) -> None:
    server.request(EVENTS, BODY)
    server.request(EVENTS, b"{}")
    server.request(f"{EVENTS}/trace/03775690")
    metrics = read_metrics(server)
    assert metrics["bytelog_requests_total['201', 'POST', 'register_events']"] == 1
    assert metrics["bytelog_requests_total['400', 'POST', 'register_events']"] == 1
    assert metrics["bytelog_requests_total['200', 'GET', 'follow_trace']"] == 1
    assert metrics["bytelog_request_seconds_count['POST', 'register_events']"] == 2
    assert 0 < metrics["bytelog_request_seconds_sum['POST', 'register_events']"] < 1


def test_unknown_paths_and_methods_add_no_time_series(server: Server) -> None:
    for number in range(20):
        server.raw(b"M%d /%d HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % (number, number))
        server.raw(
            b"M%d %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % (number, EVENTS.encode())
        )
    after = read_metrics(server)
    assert after["bytelog_requests_total['', '', '404']"] == 20
    assert after["bytelog_requests_total['', '', '405']"] == 20
    assert not [name for name in after if re.search("M[0-9]", name)]


def test_events_and_their_shared_commits_are_counted(server: Server) -> None:
    server.request(EVENTS, BODY)
    server.request(EVENTS, json.dumps([CLICK] * 30).encode())
    for _ in range(2):
        server.request(EVENTS, BODY, Idempotency_Key="a")
    server.request(EVENTS, b"{}")
    metrics = read_metrics(server)
    assert metrics["bytelog_events_total[]"] == 32
    assert metrics["bytelog_commit_events_bucket['1.0']"] == 3
    assert metrics["bytelog_commit_events_bucket['50.0']"] == 4
    assert metrics["bytelog_commit_events_sum[]"] == 32


def test_the_size_of_the_write_ahead_log_is_reported(server: Server) -> None:
    assert read_metrics(server)["bytelog_wal_bytes[]"] == 0
    server.request(EVENTS, BODY)
    log = server.folder / "data" / "bytelog.db-wal"
    assert read_metrics(server)["bytelog_wal_bytes[]"] == log.stat().st_size > 0


def test_a_database_in_memory_has_no_write_ahead_log(tmp_path: Path) -> None:
    settings = {"BYTELOG_METRICS_KEY": KEY, "BYTELOG_DATABASE_URL": "sqlite://"}
    client = create_app(settings, tmp_path).test_client()
    text = client.get("/metrics", headers={"Authorization": f"Bearer {KEY}"}).text
    assert numbers(text)["bytelog_wal_bytes[]"] == 0


def test_occupied_reader_slots_are_counted(server: Server) -> None:
    assert read_metrics(server)["bytelog_places_taken[]"] == 0
    request = f"GET {EVENTS}?wait=30 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {Server.key}\r\n"
    with connect(server) as peer:
        peer.sendall(f"{request}\r\n".encode())
        wait_for(lambda: read_metrics(server)["bytelog_places_taken[]"] == 1)
        server.request(EVENTS, BODY)
    wait_for(lambda: read_metrics(server)["bytelog_places_taken[]"] == 0)


def test_each_application_has_its_own_counters(alice: Person, tmp_path: Path) -> None:
    other = create_app({"BYTELOG_METRICS_KEY": KEY}, tmp_path / "other").test_client()
    assert alice.post(CLICK).status_code == 201
    header = {"Authorization": f"Bearer {KEY}"}
    assert numbers(other.get("/metrics", headers=header).text)["bytelog_events_total[]"] == 0
    text = alice.client.get("/metrics", headers=header).text
    assert numbers(text)["bytelog_events_total[]"] == 1


def test_a_request_that_waitress_rejects_is_counted(server: Server) -> None:
    server.raw(b"GET / HTTP/1.1\r\nTransfer-Encoding: strange\r\n\r\n")
    assert read_metrics(server)["bytelog_requests_total['', '', '400']"] == 1
