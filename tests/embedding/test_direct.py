from __future__ import annotations

import subprocess
import sys
import threading
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from marshmallow import ValidationError
from support.api import CLICK, Person

from bytelog import Bytelog, StorageError, create_app, init_app
from bytelog.auth import projects

pytestmark = pytest.mark.each_database

EVENT: dict[str, Any] = {"id": 1, "name": "click", "trace_id": "03775690"}


@pytest.fixture
def log(app: Flask) -> Bytelog:
    return Bytelog(app)


def test_recorded_events_are_read_over_http_and_the_reverse(log: Bytelog, alice: Person) -> None:
    log.record(**CLICK, project="shop")
    assert alice.events() == [CLICK]
    alice.post({**CLICK, "id": 2, "data": {"amount": 10**30, "é": [0.1, None]}})
    _, second = log.events(project="shop")
    assert second["data"] == {"amount": 10**30, "é": [0.1, None]}


def test_missing_fields_get_the_same_defaults_as_over_http(log: Bytelog) -> None:
    log.record(**EVENT)
    (event,) = log.events()
    assert event["data"] == {}
    moment = datetime.fromisoformat(event["date"])
    assert abs((datetime.now(UTC) - moment).total_seconds()) < 20


def test_a_datetime_is_accepted_as_date(log: Bytelog) -> None:
    moment = datetime(2021, 8, 15, 23, 41, 41, 507_000, UTC)
    log.record(**EVENT, date=moment, data={"paid": moment})
    (event,) = log.events(start=datetime(2021, 8, 15, 23, tzinfo=UTC), end="2021-08-16")
    assert event["date"] == "2021-08-15T23:41:41.507Z"
    assert event["data"] == {"paid": "2021-08-15T23:41:41.507000+00:00"}


@pytest.mark.before_database
@pytest.mark.parametrize(
    ("change", "member"),
    [
        ({"id": True}, "id"),
        ({"id": 2**63}, "id"),
        ({"name": ""}, "name"),
        ({"trace_id": None}, "trace_id"),
        ({"date": "yesterday"}, "date"),
        ({"data": [1]}, "data"),
        ({"colour": "red"}, "colour"),
        ({"name": "\ud800"}, "_schema"),
        ({"data": {"rate": float("nan")}}, "_schema"),
        ({"data": {"amount": Decimal(1)}}, "_schema"),
        ({"data": {1: "one", "1": "one"}}, "_schema"),
        ({"data": {"text": "x" * 2**20}}, "_schema"),
    ],
)
def test_an_event_that_the_api_rejects_is_rejected(
    log: Bytelog, app: Flask, change: dict[str, Any], member: str
) -> None:
    with pytest.raises(ValidationError) as refused:
        log.record(**{**EVENT, **change}, project="new")
    assert list(refused.value.normalized_messages()) == [member]  # type: ignore[no-untyped-call]
    with app.app_context(), pytest.raises(projects.UnknownProject):
        projects.find("new")


@pytest.mark.before_database
def test_endlessly_nested_data_is_rejected(log: Bytelog) -> None:
    data: dict[str, Any] = {}
    data["self"] = data
    with pytest.raises(ValidationError, match="Circular"):
        log.record(**EVENT, data=data)


def test_a_batch_is_stored_completely_or_not_at_all(log: Bytelog) -> None:
    log.record_many({**EVENT, "id": number} for number in range(1000))
    assert sum(1 for _ in log.events(trace_id="03775690")) == 1000
    with pytest.raises(ValidationError) as refused:
        log.record_many([EVENT, {**EVENT, "id": "two"}, {**EVENT, "data": {"nan": float("nan")}}])
    assert refused.value.messages == {
        1: {"id": ["Must be a 64-bit integer."]},
        2: {"_schema": ["Not I-JSON: NaN is not JSON."]},
    }
    with pytest.raises(ValidationError, match="may have at most 10000 events"):
        log.record_many([EVENT] * 10_001)
    assert sum(1 for _ in log.events()) == 1000


def test_events_are_selected_as_over_http(log: Bytelog) -> None:
    for number in range(3):
        log.record(**{**CLICK, "id": number, "data": {"client": number}})
    assert [event["id"] for event in log.events(order="newest", limit=2)] == [2, 1]
    by_member: dict[str, Any] = {"data.client": 1}
    assert [event["id"] for event in log.events(**by_member)] == [1]
    with pytest.raises(ValidationError, match="colour"):
        log.events(colour="red")


def test_threads_record_at_the_same_time(log: Bytelog) -> None:
    def record(first: int) -> None:
        for number in range(first, first + 50):
            log.record(**{**EVENT, "id": number})

    threads = [threading.Thread(target=record, args=(start_id * 50,)) for start_id in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(event["id"] for event in log.events()) == list(range(400))


def test_a_view_of_the_host_records_events(tmp_path: Path) -> None:
    host = Flask("host")
    init_app(host, instance_path=tmp_path)
    log = Bytelog(host)

    @host.get("/click")
    def click() -> str:
        log.record(**CLICK)
        return "recorded"

    assert host.test_client().get("/click").text == "recorded"
    assert list(log.events()) == [CLICK]


RECORDS_UNTIL_KILLED = """
import sys
from bytelog import Bytelog, create_app
log = Bytelog(create_app(instance_path=sys.argv[1]))
number = 0
while True:
    number += 1
    log.record(id=number, name="click", trace_id="t")
    print(number, flush=True)
"""


@pytest.mark.slow
def test_recorded_events_survive_a_kill(tmp_path: Path) -> None:
    command = [sys.executable, "-c", RECORDS_UNTIL_KILLED, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout
        first = [process.stdout.readline() for _ in range(100)]
        process.kill()
        rest = [line for line in process.stdout if line.endswith("\n")]
    recorded = int([*first, *rest][-1])
    kept = [event["id"] for event in Bytelog(create_app({}, tmp_path)).events(order="arrival")]
    assert kept[:recorded] == list(range(1, recorded + 1))


@pytest.mark.sqlite_file
def test_a_missing_database_is_a_storage_error(log: Bytelog, app: Flask) -> None:
    log.record(**EVENT)
    (Path(app.instance_path) / "bytelog.db").unlink()
    with pytest.raises(StorageError, match="removed or replaced"):
        log.record(**EVENT)


def test_a_closed_service_records_nothing(log: Bytelog) -> None:
    log.record(**EVENT)
    log.close()
    with pytest.raises(StorageError):
        log.record(**EVENT)


FORKS_AFTER_USE = """
import os, sys
from bytelog import Bytelog, StorageError, create_app
log = Bytelog(create_app(instance_path=sys.argv[1]))
uses = {"record": lambda: log.record(id=1, name="n", trace_id="t"), "read": log.events}
if sys.argv[2] in uses:
    uses[sys.argv[2]]()
for use in uses.values():
    if os.fork() == 0:
        try:
            use()
        except StorageError as error:
            os._exit(1 if "before the process forked" in str(error) else 2)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.wait()[1]), end="")
"""


@pytest.mark.slow
@pytest.mark.parametrize(("use", "output"), [("record", "11"), ("read", "11"), ("nothing", "00")])
def test_a_forked_child_of_a_process_that_used_the_database_gets_an_error(
    tmp_path: Path, use: str, output: str
) -> None:
    command = [sys.executable, "-c", FORKS_AFTER_USE, str(tmp_path), use]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    assert process.stdout == output
