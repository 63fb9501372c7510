from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

from support.api import EVENTS
from support.commands import Bytelog
from support.server import Server, wait_for

from bytelog.maintenance import demo

END = datetime(2026, 3, 4, 12, tzinfo=UTC)


def test_the_demo_fills_an_empty_database_and_prints_the_next_steps(tmp_path: Path) -> None:
    bytelog = Bytelog(tmp_path / "data")
    output = bytelog.run("demo").decode()
    assert "bytelog serve" in output
    (key,) = re.findall(r"byl_\w+", output)
    server = Server(tmp_path)
    try:
        response = server.request(f"{EVENTS}?limit=10000", Authorization=f"Bearer {key}")
        assert f"Recorded {json.loads(response.body)['count']} events" in output
        assert server.request(EVENTS, b"{}", Authorization=f"Bearer {key}").status == 403
    finally:
        server.stop()


def test_the_demo_leaves_a_database_with_events_unchanged(tmp_path: Path) -> None:
    bytelog = Bytelog(tmp_path)
    bytelog.run("demo")
    ids = bytelog.ids()
    assert "the database has events" in bytelog.refuse("demo")
    assert bytelog.ids() == ids


def test_a_running_server_shows_the_demo_at_once(server: Server) -> None:
    bytelog = Bytelog(server.folder / "data")
    bytelog.run("demo")
    wait_for(lambda: json.loads(server.request(f"{EVENTS}?limit=5").body)["count"] == 5)


def test_the_demo_generates_the_same_events_each_time(tmp_path: Path) -> None:
    assert demo.generate_events(END) == demo.generate_events(END)
    assert demo.generate_events(END, seed=1) != demo.generate_events(END, seed=2)


def test_the_events_of_the_demo_are_recent_and_plausible() -> None:
    day = demo.generate_events(END)
    assert 3000 < len(day) < 10_000
    dates = [datetime.fromisoformat(event.date) for event in day]
    assert dates == sorted(dates)
    assert END - timedelta(days=1) <= dates[0] < dates[-1] < END
    names = Counter(event.name for event in day)
    assert names["visit"] > names["add_to_cart"] > names["paypal_payment"] > names["payment_failed"]
    traces = defaultdict(list)
    for event, date in zip(day, dates, strict=True):
        traces[event.trace_id].append(date)
    gaps = [b - a for steps in traces.values() for a, b in pairwise(steps)]
    assert max(gaps) > timedelta(hours=1)
