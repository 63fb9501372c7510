from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
from support.api import EVENTS
from support.faulty_proxy import proxy
from support.server import Server, wait_for

from bytelog import AsyncClient, BytelogError

pytestmark = pytest.mark.slow


def stored_ids(server: Server) -> list[int]:
    return sorted(event["id"] for event in json.loads(server.request(EVENTS).body)["events"])


def test_an_async_client_records_and_reads_like_the_other(server: Server) -> None:
    async def use_client() -> None:
        async with AsyncClient(server.url, server.key) as client:
            await client.record(0, "click", "1", {"plan": "pro"})
            await client.record_many(
                {"id": number, "name": "click", "trace_id": "2"} for number in range(1, 1500)
            )
            assert [event["data"] async for event in client.trace("1")] == [{"plan": "pro"}]
            ids = [event["id"] async for event in client.events(order="arrival")]
            assert ids == list(range(1500))
            assert (await client.query("summary"))["count"] == 1500
            with pytest.raises(BytelogError, match="#/name"):
                await client.record(1, "", "1")

    asyncio.run(use_client())


def test_many_tasks_share_batches_in_the_background(server: Server) -> None:
    async def use_client(url: str) -> None:
        async with AsyncClient(url, server.key, background=True) as client:
            await asyncio.gather(*(client.record(number, "click", "1") for number in range(500)))
            assert client.dropped == 0

    with proxy(server, []) as counting_server:
        asyncio.run(use_client(counting_server.url))
    assert stored_ids(server) == list(range(500))
    assert len(counting_server.requests) <= 2


def test_a_silent_server_delays_no_other_task_and_a_task_can_be_canceled(server: Server) -> None:
    async def use_client(url: str) -> None:
        client = AsyncClient(url, server.key, timeout=2, retries=1)
        recording = asyncio.create_task(client.record(1, "click", "1"))
        reading = asyncio.create_task(client.query("summary"))
        await asyncio.sleep(0.1)
        for task in (recording, reading):
            task.cancel()
        results = await asyncio.gather(recording, reading, return_exceptions=True)
        assert [type(result) for result in results] == [asyncio.CancelledError] * 2
        await client.record(2, "click", "1")

    with proxy(server, [{"status": "silent"}, {"status": "silent"}]) as silent_server:
        asyncio.run(use_client(silent_server.url))
        # The thread of the canceled task sends its event once more.
        wait_for(lambda: stored_ids(server) == [1, 2])


def test_an_async_client_waits_for_a_server_that_is_busy(server: Server) -> None:
    async def use_client(url: str) -> None:
        client = AsyncClient(url, server.key)
        await asyncio.gather(*(client.record(number, "click", "1") for number in range(20)))

    failures: list[dict[str, Any]] = [
        {"status": 503, "Retry-After": "1"},
        {"status": "lost"},
        {"status": "cut"},
    ]
    with proxy(server, failures) as faulty_server:
        asyncio.run(use_client(faulty_server.url))
    assert stored_ids(server) == list(range(20))
