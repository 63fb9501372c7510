from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from support.api import EVENTS
from support.node_packages import install_packages
from support.server import Server, wait_for

pytestmark = pytest.mark.slow

FORMATS = Path(__file__).parents[1] / "support" / "formats"

# A process of its own: seqlog changes the logging of the whole process.
SEQLOG = """
import logging, sys, seqlog
url, key, use_clef = sys.argv[1:]
handler = seqlog.log_to_seq(
    url, key, logging.INFO, override_root_logger=True, use_clef=use_clef == "yes"
)
logging.info("Order {OrderId} paid", OrderId=7, RequestId="r-1")
logging.getLogger("shop").warning("plain %s", 5)
try:
    1 / 0
except ZeroDivisionError:
    logging.exception("failed {Step}", Step="pay")
handler.log_queue.join()
handler.flush()
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("seq"), BYTELOG_API_KEY=Server.key) as server:
        server.keep_port()
        yield server


def events_after(server: Server, cursor: str) -> list[dict[str, Any]]:
    response = server.request(f"{EVENTS}?order=arrival&cursor={cursor}")
    return list(json.loads(response.body)["events"])


def read_cursor(server: Server) -> str:
    """Return the position after the last event."""
    link = server.request(f"{EVENTS}?order=arrival&cursor=end&limit=1").headers["Link"]
    return str(link.partition("cursor=")[2].partition(">")[0].partition("&")[0])


@pytest.mark.parametrize("use_clef", ["yes", "no"])
def test_seqlog_sends_events_in_both_forms(server: Server, use_clef: str) -> None:
    cursor = read_cursor(server)
    command = [sys.executable, "-c", SEQLOG, server.url, server.key, use_clef]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    paid, plain, failed = events_after(server, cursor)
    assert (paid["name"], paid["trace_id"]) == ("Order {OrderId} paid", "r-1")
    assert (plain["name"], failed["name"]) == ("plain 5", "failed {Step}")
    properties = paid["data"] if use_clef == "yes" else paid["data"]["Properties"]
    assert (properties["OrderId"], properties["LoggerName"]) == (7, "root")
    exception = failed["data"]["@x" if use_clef == "yes" else "Exception"]
    assert "ZeroDivisionError" in exception


def test_loggers_for_node_send_events_and_send_them_again(server: Server, tmp_path: Path) -> None:
    (tmp_path / "node_modules").symlink_to(install_packages(FORMATS) / "node_modules")
    program = shutil.copy(FORMATS / "seq.mjs", tmp_path)
    cursor = read_cursor(server)
    command = ["node", "--no-warnings", program, server.url, server.key]
    # The first request gets 503, because another program has the database's lock.
    with closing(sqlite3.connect(server.folder / "data" / "bytelog.db")) as other:
        other.execute("BEGIN IMMEDIATE")
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        wait_for(lambda: "StorageBusy" in server.log.read_text())
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
    pino, winston, older = events_after(server, cursor)
    assert {event["name"] for event in (pino, winston, older)} == {"Order {OrderId} paid"}
    assert (pino["trace_id"], winston["trace_id"]) == ("t-pino", "r-winston")
    numbers = [event["data"]["Properties"]["OrderId"] for event in (pino, winston, older)]
    assert numbers == [7, 8, 9]
