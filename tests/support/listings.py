"""Databases with many events, and clients that read them."""

from __future__ import annotations

import json
import socket
from pathlib import Path

from flask import Flask

from bytelog import create_app
from bytelog.storage.backend import Row
from bytelog.storage.writer import current_writer
from support.api import EVENTS, close
from support.originals import copy_filled_by
from support.server import Server

MANY = 100_000


def fill(app: Flask, number: int) -> None:
    """Record many events in the first project."""
    text = json.dumps({"text": "x" * 100})
    rows: list[Row] = [
        (1, i, "n", "t", f"2021-08-15T00:00:{i % 60:02}.000Z", text) for i in range(number)
    ]
    with app.app_context(), current_writer().transaction() as connection:
        current_writer().insert(connection, rows)
    with app.app_context():
        current_writer().close()


def copy_filled(folder: Path, number: int) -> None:
    """Create a data folder with many events, copied from one that is filled only once."""
    copy_filled_by(_create_filled, number, folder)


def _create_filled(folder: Path, number: int) -> None:
    app = create_app(instance_path=folder)
    fill(app, number)
    close(app)


def memory(server: Server) -> int:
    """Return the resident memory of a server, in KiB."""
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def start_listing(server: Server, form: str = "application/json") -> socket.socket:
    peer = socket.create_connection(("127.0.0.1", int(server.url.rpartition(":")[2])), 20)
    peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
    head = f"GET {EVENTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.key}\r\n"
    peer.sendall(f"{head}Accept: {form}\r\n\r\n".encode())
    assert peer.recv(1000).startswith(b"HTTP/1.1 200 OK")
    return peer


def read_to_the_end(peer: socket.socket) -> int:
    """Read to the end, and return the number of bytes."""
    return sum(map(len, iter(lambda: peer.recv(1_000_000), b"")))
