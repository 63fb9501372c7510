from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from support.api import EVENTS
from support.commands import Bytelog
from support.effort import LONG
from support.history import NAMES, day
from support.load import TODAY, posting
from support.server import Server

pytestmark = pytest.mark.slow

DAYS, EVENTS_A_DAY = 10, 100_000 if LONG else 2000
END = day(DAYS)


def make_file(path: Path) -> None:
    with path.open("w") as file:
        for number in range(DAYS * EVENTS_A_DAY):
            second = number % EVENTS_A_DAY * 86_400 // EVENTS_A_DAY
            minute = f"{second // 3600:02}:{second // 60 % 60:02}"
            event = {
                "id": number,
                "name": NAMES[number % 4],
                "trace_id": f"{number * 2654435761 % 2**32:08x}",
                "date": f"{day(number // EVENTS_A_DAY)}T{minute}:00.000Z",
                "data": {"client_id": f"{number % 977}", "amount": number / 100},
            }
            file.write(json.dumps(event, separators=(",", ":")) + "\n")


@pytest.mark.long
def test_a_history_is_imported_exported_backed_up_and_pruned_while_a_client_posts(
    tmp_path: Path, serve: Callable[..., Server]
) -> None:
    bytelog = Bytelog(tmp_path / "data")
    history, exported, copy = tmp_path / "history", tmp_path / "exported", tmp_path / "copy.db"
    make_file(history)
    server = serve(BYTELOG_API_KEY=Server.key, BYTELOG_DATA=str(bytelog.folder))
    with posting(server) as acknowledged:
        bytelog.run("import", history)
        bytelog.run("export", "--end", END, exported)
        assert exported.read_bytes() == history.read_bytes()
        before_backup = len(acknowledged)
        bytelog.run("backup", copy)
        size = (bytelog.folder / "bytelog.db").stat().st_size
        bytelog.run("prune", "--before", day(DAYS // 2))
    kept = range(DAYS // 2 * EVENTS_A_DAY, DAYS * EVENTS_A_DAY)
    # The client has posted meanwhile, more on a slow machine.
    assert (bytelog.folder / "bytelog.db").stat().st_size < 0.8 * size
    assert sorted(number for number in bytelog.ids() if number < TODAY) == list(kept)
    assert [number for number in bytelog.ids() if number >= TODAY] == acknowledged
    assert b"No damage was found" in bytelog.run("check", copy)
    assert len(acknowledged) > before_backup > 0
    assert (
        json.loads(server.request(f"{EVENTS}?end={END}&limit=1").body)["events"][0]["id"] == kept[0]
    )
