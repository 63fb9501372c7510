from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from support.api import CLICK, EVENTS
from support.commands import Bytelog
from support.server import Server

from bytelog.storage.reserve import RESERVE_BYTES

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("disk", ["64m"], indirect=True)]

BATCH = 1000


def batch(day: int) -> bytes:
    events = [
        {**CLICK, "id": number, "date": f"2021-08-{day:02}", "data": {"text": "x" * 1000}}
        for number in range(BATCH)
    ]
    return json.dumps(events).encode()


def fill(ballast: Path) -> None:
    with suppress(OSError), ballast.open("ab", 0) as file:
        while True:
            file.write(bytes(4096))


@pytest.fixture
def bytelog(disk: Path) -> Bytelog:
    return Bytelog(disk / "data")


@pytest.fixture
def reserve(bytelog: Bytelog) -> Path:
    return bytelog.folder / "bytelog.db-reserve"


@pytest.fixture
def full(bytelog: Bytelog, disk: Path, serve: Callable[..., Server]) -> Server:
    """Return a server whose disk other files and events have filled."""
    key = bytelog.run("keys", "create", "a", "--scope", "write", "--scope", "delete")
    server = serve(BYTELOG_DATA=str(bytelog.folder))
    server.key = key.decode().strip()
    assert [server.request(EVENTS, batch(1 + day)).status for day in range(12)] == [201] * 12
    fill(disk / "ballast")
    while server.request(EVENTS, batch(20)).status == 201:
        pass
    assert server.request("/healthz").status == 503
    return server


def test_old_events_are_pruned(full: Server, bytelog: Bytelog, reserve: Path) -> None:
    assert reserve.stat().st_size == RESERVE_BYTES
    output = bytelog.run("prune", "--before", "2021-08-05")
    assert output.startswith(f"Deleted {4 * BATCH} events".encode())
    assert full.request(EVENTS, batch(20)).status == 201
    assert full.request("/healthz").status == 200
    assert b"No damage was found" in bytelog.run("check")


def test_events_are_erased_by_the_command(full: Server, bytelog: Bytelog) -> None:
    output = bytelog.run("erase", "name=click", "end=2021-08-05", "--yes")
    assert output == f"Deleted {4 * BATCH} events.\n".encode()
    assert full.request(EVENTS, batch(20)).status == 201


def test_events_are_erased_by_a_request(full: Server) -> None:
    response = full.request(f"{EVENTS}?name=click&end=2021-08-05", method="DELETE")
    assert json.loads(response.body) == {"deleted": 4 * BATCH}
    assert full.request(EVENTS, batch(20)).status == 201
    assert "the reserve was released" in full.log.read_text()


def test_a_server_that_cannot_start_starts_after_a_prune(
    full: Server, bytelog: Bytelog, disk: Path, reserve: Path
) -> None:
    ballast = disk / "ballast"
    ballast.unlink()
    assert full.stop() == 0
    fill(ballast)
    with pytest.raises(AssertionError, match="bytelog prune"):
        full.start()
    bytelog.run("prune", "--before", "2021-08-05")
    full.start()
    assert full.request(EVENTS, batch(20)).status == 201
    assert not reserve.exists()
    ballast.unlink()
    bytelog.run("prune", "--before", "2021-08-06")
    assert reserve.stat().st_size == RESERVE_BYTES
