from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from support.api import EVENTS
from support.client_programs import FOLDER, NODE, RUBY, end, run
from support.docs_page import plain
from support.faulty_proxy import proxy
from support.history import make_history
from support.server import Server, wait_for

from bytelog import BytelogError, BytelogHandler, Client
from bytelog.clients import bytelog_client
from bytelog.clients.downloads import FILES, MEDIA_TYPES

pytestmark = pytest.mark.slow

PYTHON_SIGTERM = "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))"
NODE_SIGTERM = 'process.once("SIGTERM", () => client.flush().finally(() => process.exit(143)));'


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with Client(server.url, server.key, retries=0, background=True) as client:
        yield client


def events(server: Server) -> list[dict[str, Any]]:
    return list(json.loads(server.request(EVENTS).body)["events"])


def test_python_sends_queued_events_in_order(server: Server, client: Client) -> None:
    for number in range(2500):
        client.record(number, "click", "1")
    client.flush()
    assert [event["id"] for event in events(server)] == list(range(2500))
    assert client.dropped == 0


def test_python_drops_only_the_invalid_event(server: Server, client: Client) -> None:
    client.record_many(
        {"id": number, "name": "x" * (number != 3), "trace_id": "1"} for number in range(9)
    )
    client.flush()
    assert sorted(event["id"] for event in events(server)) == [0, 1, 2, 4, 5, 6, 7, 8]
    assert client.dropped == 1


def test_python_keeps_queued_events_while_the_server_is_down(
    server: Server, client: Client
) -> None:
    server.keep_port()
    server.stop()
    client.record(1, "click", "1")
    with pytest.raises(BytelogError) as raised:
        client.flush()
    assert raised.value.status is None
    server.start()
    client.record(2, "click", "1")
    client.flush()
    assert [event["id"] for event in events(server)] == [1, 2]
    assert client.dropped == 0


def test_the_queue_of_python_is_bounded_and_dropped_events_are_counted() -> None:
    with Client("http://127.0.0.1:9", "key", retries=0, background=True) as client:
        for number in range(20):
            client.record(number, "click", "1", {"text": "x" * 2**20})
        assert client.dropped == 5
    assert client.dropped == 20


def test_a_gateway_error_does_not_end_the_python_thread(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bytelog_client, "RETRY_SECONDS", 0.1)
    broken = {"status": 403, "Content-Type": "application/problem+json", "body": "{"}
    portal = {"status": 200, "Content-Type": "text/html", "body": "<h1>Sign in</h1>"}
    with proxy(server, [broken, portal]) as faulty_server:
        client = Client(faulty_server.url, server.key, background=True)
        client.record(1, "click", "1")
        wait_for(lambda: events(server))
    assert client.dropped == 0


def test_python_counts_every_event_that_it_fails_to_send() -> None:
    client = Client("http://[", "key", background=True)
    client.record(1, "click", "1")
    client.close()
    assert client.dropped == 1


def test_python_sends_the_last_events_when_a_program_ends_or_forks(server: Server) -> None:
    script = """
import os
from bytelog_client import Client

client = Client(background=True)
client.record(1, "click", "1")
if os.fork():
    os.wait()
else:
    client.record(2, "click", "1")
"""
    run(server, [sys.executable, "-c"], script)
    assert sorted(event["id"] for event in events(server)) == [1, 2]


def test_python_sends_the_events_of_multiprocessing_children(server: Server) -> None:
    script = """
import multiprocessing
from bytelog_client import Client

client = Client(background=True)
client.record(0, "click", "1")
fork = multiprocessing.get_context("fork")
children = [fork.Process(target=client.record, args=(id, "click", "1")) for id in (1, 2, 3)]
for child in children:
    child.start()
for child in children:
    child.join()
"""
    run(server, [sys.executable, "-c"], script)
    assert sorted(event["id"] for event in events(server)) == [0, 1, 2, 3]


def test_python_sends_events_recorded_by_exit_hooks(server: Server) -> None:
    script = """
import atexit
from bytelog_client import Client

atexit.register(lambda: client.record(2, "click", "1"))
client = Client(background=True)
atexit.register(client.record, 1, "click", "1")
"""
    run(server, [sys.executable, "-c"], script)
    assert [event["id"] for event in events(server)] == [1, 2]


def test_python_sends_queued_events_at_sigterm_with_the_documented_line(server: Server) -> None:
    script = f"""
import os, signal, sys
from bytelog_client import Client

{PYTHON_SIGTERM}
client = Client(background=True)
client.record(1, "click", "1")
os.kill(os.getpid(), signal.SIGTERM)
"""
    assert end(server, [sys.executable, "-c"], script).returncode == 143
    assert [event["id"] for event in events(server)] == [1]


def test_python_records_log_messages_as_events(server: Server, client: Client) -> None:
    logger = logging.getLogger("shop.checkout")
    handler = BytelogHandler(client, level=logging.WARNING)
    logger.addHandler(handler)
    try:
        logger.info("too low")
        logger.warning("%s paid", "Bob", extra={"trace_id": "03758690", "data": {"euros": 5}})
        try:
            raise ValueError("no card")
        except ValueError:
            logger.exception("failed")
    finally:
        logger.removeHandler(handler)
    client.flush()
    paid, failed = events(server)
    data = {"level": "WARNING", "message": "Bob paid", "euros": 5}
    assert (paid["id"], paid["name"], paid["trace_id"]) == (30, "shop.checkout", "03758690")
    assert paid["data"] == data
    assert "ValueError: no card" in failed["data"]["exception"]


class Unprintable:
    def __str__(self) -> str:
        raise ValueError


def test_python_keeps_all_attributes_of_a_log_message(server: Server, client: Client) -> None:
    handler = BytelogHandler(client)
    bound = {"trace_id": UUID(int=1), "client_id": 5}
    record = {"name": "shop", "levelno": 30, "levelname": "WARNING", "msg": "paid"}
    attributes: list[dict[str, object]] = [{"trace_id": "1", "client_id": 5}]
    attributes += [{"extra": bound}, {"data": bound}, {"msg": {"event": "paid", **bound}}]
    for added in attributes:
        handler.handle(logging.makeLogRecord(record | added))
    client.flush()
    stored = events(server)
    assert {event["trace_id"] for event in stored} == {"1", str(UUID(int=1))}
    for event in stored:
        assert event["data"] == {"level": "WARNING", "message": "paid", "client_id": 5}


def test_python_keeps_log_messages_with_values_that_json_cannot_express(
    server: Server, client: Client
) -> None:
    loop: list[object] = []
    loop.append(loop)
    values = {
        "\ud800": ["\udfff", {Decimal("1.10")}, (UUID(int=0),)],
        "numbers": [float("nan"), float("-inf"), 2**1024, 2**64, 0.5],
        "date": date(2021, 8, 15),
        "loop": loop,
        "unprintable": Unprintable(),
        "keys": {None: 1, ("a",): 2},
    }
    record = {"name": "\0" * 300, "msg": "paid %s", "args": ("\ud800",), "trace_id": "\ud800" * 99}
    handler = BytelogHandler(client)
    handler.handle(logging.makeLogRecord({**record, "levelno": 30, "values": values}))
    client.flush()
    (event,) = events(server)
    data = event["data"]["values"]
    assert event["data"]["message"] == "paid \\ud800"
    assert data["\\ud800"] == ["\\udfff", ["1.10"], [str(UUID(int=0))]]
    assert data["numbers"] == ["nan", "-inf", str(2**1024), 2**64, 0.5]
    assert (data["date"], data["unprintable"]) == ("2021-08-15", "<Unprintable>")
    assert data["keys"] == {"None": 1, "('a',)": 2}


def test_javascript_sends_the_last_events_when_node_ends(server: Server) -> None:
    script = """
import { Client } from "./bytelog.mjs";

const client = new Client({ background: true });
for (let id = 0; id < 2500; id++) await client.record({ id, name: "click", trace_id: "1" });
"""
    run(server, NODE, script)
    assert [event["id"] for event in events(server)] == list(range(2500))


def test_javascript_drops_only_the_invalid_event(server: Server) -> None:
    script = """
import { Client } from "./bytelog.mjs";

const client = new Client({ background: true });
for (let id = 0; id < 9; id++) client.record({ id, name: id === 3 ? "" : "x", trace_id: "1" });
await client.flush();
console.log(client.dropped);
"""
    assert run(server, NODE, script) == "1\n"
    assert sorted(event["id"] for event in events(server)) == [0, 1, 2, 4, 5, 6, 7, 8]


@pytest.mark.parametrize("ending", ["throw new Error('oops')", "process.exit(1)"])
def test_javascript_reports_lost_events_when_node_ends_at_once(server: Server, ending: str) -> None:
    script = f"""
import {{ Client }} from "./bytelog.mjs";

process.once("exit", () => client.record({{ id: 1, name: "click", trace_id: "1" }}));
const client = new Client({{ background: true }});
process.once("exit", () => client.record({{ id: 2, name: "click", trace_id: "1" }}));
process.once("exit", () => console.log(client.dropped));
client.record({{ id: 3, name: "click", trace_id: "1" }});
{ending};
"""
    done = end(server, NODE, script)
    assert (done.returncode, done.stdout) == (1, "3\n")
    assert "2 events dropped: the process ended" in done.stderr


def test_javascript_sends_queued_events_at_sigterm_with_the_documented_line(
    server: Server,
) -> None:
    script = f"""
import {{ Client }} from "./bytelog.mjs";

const client = new Client({{ background: true }});
{NODE_SIGTERM}
client.record({{ id: 1, name: "click", trace_id: "1" }});
process.kill(process.pid, "SIGTERM");
"""
    assert end(server, NODE, script).returncode == 143
    assert [event["id"] for event in events(server)] == [1]


def test_the_lines_for_sigterm_are_documented(app: Flask) -> None:
    page = plain(app.test_client().get("/docs").text)
    assert PYTHON_SIGTERM in page
    assert NODE_SIGTERM in page


def test_javascript_counts_an_event_that_is_not_json(server: Server) -> None:
    script = """
import { Client } from "./bytelog.mjs";

const client = new Client({ background: true });
client.record({ id: 1n, name: "click", trace_id: "1" });
console.log(client.dropped);
"""
    assert run(server, NODE, script) == "1\n"


def test_javascript_keeps_a_bounded_queue_while_the_server_is_down(
    server: Server,
) -> None:
    script = """
import { Client } from "./bytelog.mjs";

const client = new Client({ url: "http://127.0.0.1:9", retries: 0, background: true });
const data = { text: "x".repeat(2 ** 20) };
for (let id = 0; id < 20; id++) client.record({ id, name: "click", trace_id: "1", data });
const error = await client.flush().catch((error) => error);
console.log(error.name, error.status, client.dropped);
"""
    output = run(server, NODE, script)
    assert output == "BytelogError undefined 5\n"


def test_javascript_drops_what_cannot_be_sent_when_it_is_closed(server: Server) -> None:
    script = """
import { Client } from "./bytelog.mjs";

const client = new Client({ url: "http://127.0.0.1:9", retries: 0, background: true });
for (let id = 0; id < 3; id++) client.record({ id, name: "click", trace_id: "1" });
await client.close();
console.log(client.dropped);
"""
    assert run(server, NODE, script) == "3\n"


def test_ruby_sends_the_last_events_when_a_program_ends_or_forks(server: Server) -> None:
    script = """
at_exit { $client.record(id: 2, name: "click", trace_id: "1") }
$client = Bytelog::Client.new(background: true)
$client.record_many((0...1500).map { |id| { "id" => id, name: "click", trace_id: "many" } })
$client.record(id: 1, name: "click", trace_id: "1")
Process.wait(fork { $client.record(id: 0, name: "click", trace_id: "1") })
exit!(1) unless $client.dropped.zero?
"""
    run(server, RUBY, script)
    ids: dict[str, list[int]] = {"1": [], "many": []}
    for event in events(server):
        ids[event["trace_id"]].append(event["id"])
    assert ids["many"] == list(range(1500))
    # The child runs the exit hook, too.
    assert sorted(ids["1"]) == [0, 1, 2, 2]


def test_ruby_sends_queued_events_at_sigterm(server: Server) -> None:
    script = """
client = Bytelog::Client.new(background: true)
client.record(id: 1, name: "click", trace_id: "1")
Process.kill(:TERM, Process.pid)
sleep
"""
    assert end(server, RUBY, script).returncode == -signal.SIGTERM
    assert [event["id"] for event in events(server)] == [1]


def test_ruby_sends_in_the_background_while_the_program_runs(server: Server) -> None:
    script = """
client = Bytelog::Client.new(background: true)
client.record(id: 1, name: "click", trace_id: "1")
sleep 0.01 until client.trace("1").any?
$stdout.write client.trace("1").count
$stdout.flush
exit!(true)
"""
    assert run(server, RUBY, script) == "1"


def test_ruby_drops_only_the_invalid_event(server: Server) -> None:
    script = """
client = Bytelog::Client.new(background: true)
9.times { |id| client.record(id:, name: id == 3 ? "" : "x", trace_id: "1") }
client.flush
puts client.dropped
"""
    assert run(server, RUBY, script) == "1\n"
    assert sorted(event["id"] for event in events(server)) == [0, 1, 2, 4, 5, 6, 7, 8]


def test_ruby_keeps_a_bounded_queue_until_it_is_closed(server: Server) -> None:
    script = """
client = Bytelog::Client.new(url: "http://127.0.0.1:9", retries: 0, background: true)
20.times { |id| client.record(id:, name: "click", trace_id: "1", data: { text: "x" * 2**20 }) }
begin
  client.flush
rescue Bytelog::Error => error
  puts [error.status.inspect, client.dropped].join(" ")
end
client.close
puts client.dropped
"""
    assert run(server, RUBY, script) == "nil 5\n20\n"


@pytest.fixture
def long_history(server: Server) -> Server:
    make_history(server.folder / "data", days=50)
    return server


def test_a_long_listing_is_not_kept_in_memory(long_history: Server) -> None:
    tracemalloc.start()
    count = sum(1 for _ in Client(long_history.url, long_history.key).events())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 50_000
    assert peak < 8 * 2**20
    script = """
import { Client } from "./bytelog.mjs";

let count = 0;
for await (const event of new Client().events()) count++;
console.log(count);
"""
    node = ["node", "--max-old-space-size=12", "--input-type=module", "-e"]
    assert run(long_history, node, script) == "50000\n"


@pytest.mark.parametrize(("name", "media_type"), MEDIA_TYPES.items())
def test_a_client_is_downloaded_without_a_key_and_only_when_it_has_changed(
    app: Flask, name: str, media_type: str
) -> None:
    browser = app.test_client()
    response = browser.get(f"/clients/{name}")
    assert response.data == (FOLDER / FILES.get(name, name)).read_bytes()
    assert response.mimetype == media_type
    again = browser.get(f"/clients/{name}", headers={"If-None-Match": response.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")


def test_no_other_file_can_be_downloaded(app: Flask) -> None:
    for name in ("__init__.py", "..%2Fconfig.py", "bytelog.php"):
        assert app.test_client().get(f"/clients/{name}").status_code == 404


def test_the_downloaded_client_and_the_installed_package_can_both_be_imported(
    app: Flask, tmp_path: Path
) -> None:
    client = app.test_client().get("/clients/bytelog_client.py")
    (tmp_path / "bytelog_client.py").write_bytes(client.data)
    (tmp_path / "program.py").write_text("""
import sys
from bytelog import create_app
assert "bytelog.clients.bytelog_client" not in sys.modules
import bytelog, bytelog_client
for name in bytelog_client.__all__:
    assert getattr(bytelog, name).__name__ == getattr(bytelog_client, name).__name__
assert not hasattr(bytelog, "Clients")
""")
    subprocess.run([sys.executable, "program.py"], cwd=tmp_path, check=True)
