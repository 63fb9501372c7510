"""Settings and limits: what an operator may choose, and what bytelog holds everybody to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from flask import Flask

SETTINGS: dict[str, str] = {
    "BYTELOG_API_KEY": "a key of the project `default` with both scopes, whatever it looks like",
    "BYTELOG_BATCH_BYTES": "bytes of a batch, unpacked; 16777216 unless set",
    "BYTELOG_BATCH_EVENTS": "events of a batch; 10000 unless set",
    "BYTELOG_CHECKPOINTS": "`off` when Litestream empties SQLite's write-ahead log; bytelog does it"
    " unless set",
    "BYTELOG_CORS_ORIGINS": "origins whose pages may call the API, such as `https://shop.example`,"
    " separated by commas; `*` for all, none unless set",
    "BYTELOG_DATA": "the data folder; `instance/` in the current directory unless set",
    "BYTELOG_DATABASE_URL": "a URL for SQLAlchemy, of SQLite or PostgreSQL; `bytelog.db` there"
    " unless set",
    "BYTELOG_EXPLORER": "`false` leaves out the explorer, the page at `/`",
    "BYTELOG_KEEP_DAYS": "days that events are kept, by their date; for ever unless set",
    "BYTELOG_METRICS_KEY": "what Prometheus sends as bearer token to read `/metrics`; without it"
    " there is none",
    "BYTELOG_RATE_LIMIT": "how often a key may ask, such as `100 per minute`; no limit unless set",
    "BYTELOG_READ_DATABASE_URL": "where events are read, a replica of a PostgreSQL database;"
    " where they are written unless set",
}
"""Every setting and what it means; `config.py`, in the data folder, cannot name that folder."""

NUMBERS: dict[str, int | None] = {
    "BYTELOG_BATCH_BYTES": 16 * 1024 * 1024,
    "BYTELOG_BATCH_EVENTS": 10_000,
    "BYTELOG_KEEP_DAYS": None,
}
"""The settings that are whole numbers, and what they are unless set."""

MAX_BODY_BYTES = 1024 * 1024
"""Bytes of a request body: an event is a fact with its details, not a file."""

UPLOAD_BYTES = 4 * MAX_BODY_BYTES
"""Bytes beyond the largest batch that `bytelog serve` reads before it hangs up: a client that is
still sending when the connection breaks does not hear why."""

MAX_DEPTH = 64
"""Levels of nesting in a body: Ruby's JSON reader stops at 100, and an answer adds three."""

MAX_TEXT_LENGTH = 255
"""Characters of `name` and `trace_id`: they are indexed, and read by people."""

MIN_ID, MAX_ID = -(2**63), 2**63 - 1
"""Bounds of `id`: SQLite and PostgreSQL keep signed 64 bit integers."""

WAL_LIMIT_BYTES = 16 * 1024 * 1024
"""Bytes that the write-ahead log is cut back to once it has been emptied into the database."""

BUSY_SECONDS = 2.0
"""How long a commit waits for another program that holds the database's write lock."""

CONNECT_SECONDS = 2
"""How long connecting to PostgreSQL may take; libpq takes no less."""

SERVER_SILENCE_SECONDS = 10
"""How long PostgreSQL's machine may say nothing at all before a connection counts as broken."""

COPY_EVENTS = 50
"""Events from which on COPY stores them sooner in PostgreSQL than INSERT does."""

PARTITION_EVENTS = 1000
"""Events from which on `bytelog migrate` gives a day of the past a partition of its own."""

MIGRATE_EVENTS = 5000
"""Events that `bytelog migrate` copies in one transaction, or compares at once."""

PARTITION_DAYS = 7
"""Days ahead for which PostgreSQL has partitions: time to mend what keeps them from coming."""

PARTITION_INTERVAL_SECONDS = 3600
"""How often a writer looks whether the partitions of the days ahead are there."""

PARTITION_LOCK_SECONDS = 0.05
"""How long making or dropping a partition waits for readers: others wait behind it."""

PARTITION_RETRY_SECONDS = 60
"""How soon it looks again when somebody reads for long, such as pg_dump, for which they wait."""

LOCK_POLL_SECONDS = 0.001
"""How long a commit sleeps before it looks again whether another bytelog has finished its own."""

RETRY_AFTER_SECONDS = 1
"""What a client is told to wait after 503."""

GROUP_EVENTS = 500
"""Events that share one commit at most: SQLite takes 32,766 variables, an event needs six."""

IMPORT_EVENTS = 1000
"""Events that an import stores at once, in some twenty milliseconds; reading them takes longer, and
meanwhile others write."""

IMPORT_BYTES = MAX_BODY_BYTES
"""Bytes of lines after which an import stores what it has read."""

IMPORT_CACHE_BYTES = 64 * 1024 * 1024
"""Bytes of the database that an import keeps in memory: its rows belong all over the indexes."""

MAX_LINE_BYTES = 2 * MAX_BODY_BYTES
"""Bytes of a line that is imported: CSV doubles the quotes of an event."""

PRUNE_EVENTS = 25
"""Events that are deleted between two looks at the clock."""

PRUNE_SECONDS = 0.003
"""How long deleting keeps others from writing, before it commits."""

PRUNE_PAUSE_FACTOR = 4
"""How many times as long as it has worked deleting rests, so that others come to write."""

PRUNE_INTERVAL_SECONDS = 600
"""How often a server deletes what BYTELOG_KEEP_DAYS does not keep: little at a time."""

COPY_PAGES = 256
"""Pages of the database that a backup copies at once: a mebibyte."""

COPY_PAUSE_FACTOR = 1
"""How many times as long as a step took a backup rests, so that others get to the disk."""

CHECKPOINT_TRIES = 20
"""How often emptying the log is tried when readers are in its way, which are gone in no time."""

NICENESS = 10
"""How much less of the processor a command gets that only reads than the server beside it."""

STATS_DAYS = 30
"""Days with events that are shown one by one; those before them are summed."""

STATS_NAMES = 20
"""Names of events that are shown one by one, the most frequent; the others are summed."""

PAGE_EVENTS = 2000
"""Events read in one transaction while a listing is sent: some two milliseconds' work."""

PAGE_BYTES = 2 * MAX_BODY_BYTES
"""Bytes of text that SQLite may build at once for a reader, so that memory stays flat."""

MAX_LIMIT = 10_000
"""Events of one page: more come faster in one listing without a limit."""

MAX_MEMBERS = 10
"""Members of `data` that one question compares: each costs SQLite a search of each event."""

MAX_MEMBER_DEPTH = 10
"""How deep in `data` a member may lie that a question compares: each level costs as much."""

MAX_WAIT_SECONDS = 30
"""How long a listing may wait for an event: proxies give up after a minute."""

MAX_GROUPS = 50_000
"""Counts that one summary tells: some three megabytes of JSON."""

POLL_SECONDS = 0.5
"""How often one that waits looks for events that another process has stored."""

KEY_CACHE_SECONDS = 0.5
"""How long a key is trusted without asking the database: revoking takes effect within a second."""

KEY_CACHE_ENTRIES = 1000
"""Keys that are remembered; past this the memory starts anew."""

READER_THREADS = 8
"""Long listings that are read out at the same time; one more is told to come back."""

IDEMPOTENCY_HOURS = 24
"""How long a repeated Idempotency-Key is known: no client retries for longer than a day."""

CONNECTIONS = 2000
"""Connections that are open at once; for one more, the one that has waited longest is closed."""

ACCEPTS_PER_LOOP = 50
"""Connections that are accepted before those that are open get their turn again."""

RESERVED_FILE_DESCRIPTORS = 300
"""Files beside those of CONNECTIONS: the database's, and those of who is coming or going."""

KEEP_ALIVE_SECONDS = 120
"""How long a connection stays open without a request, and how long a request may take to come."""

MAX_CHUNK_LINE_BYTES = 1024
"""Bytes of the line that tells a chunk's size, and of a trailer: neither says anything here."""

MAX_HEADER_BYTES = 64 * 1024
"""Bytes of a request's headers: a trace id in a path takes 3,060 at most when it is encoded."""

PREFLIGHT_SECONDS = 600
"""How long a browser remembers that a page may call the API; Chromium forgets after 7,200."""

SEND_BUFFER_BYTES = 1024 * 1024
"""Bytes that wait for a slow reader before its listing pauses."""

STOP_SECONDS = 9
"""How long a stopping server works on the requests that it had taken; Docker kills after ten."""

SAME_SIGNAL_SECONDS = 0.5
"""How long a second signal to stop counts as the first: nobody presses Ctrl-C twice as fast."""

MAX_REPORTED_ERRORS = 100
"""Bad fields that one answer names: enough to mend a body, and no more than it can be worth."""

SHORT_REQUEST_THREADS = 2
"""Threads beside those of long listings, so that a short question is always answered."""

STALLED_SECONDS = 60
"""How long a reader may take nothing of an answer before it is let go."""


class SetupError(Exception):
    """bytelog cannot start as it is set up; the message says why and what to do."""


def data_folder(config: Mapping[str, Any], instance_path: str | os.PathLike[str] | None) -> Path:
    """Return the absolute data folder: the argument, the setting, or `instance/` right here."""
    chosen = instance_path or config.get("BYTELOG_DATA") or os.environ.get("BYTELOG_DATA")
    return Path(chosen or "instance").absolute()


def init_app(app: Flask, config: Mapping[str, Any]) -> None:
    """Load the settings: the environment, then `config.py` in the data folder, then `config`."""
    app.config.from_mapping(dict.fromkeys(SETTINGS))
    app.config.from_mapping({name: os.environ[name] for name in SETTINGS if os.environ.get(name)})
    _load_file(app, Path(app.instance_path) / "config.py")
    app.config.from_mapping(config)
    for name, default in NUMBERS.items():
        value = app.config[name] or default
        app.config[name] = value and _positive(name, value)
    for name in SETTINGS.keys() - NUMBERS.keys():
        if not isinstance(app.config[name], str | os.PathLike | None):
            raise SetupError(f"{name} must be text: put it in quotes.")
    if app.config["BYTELOG_CHECKPOINTS"] not in (None, "off"):
        raise SetupError("BYTELOG_CHECKPOINTS must be `off`, or not be set.")
    if app.config["BYTELOG_EXPLORER"] not in (None, "false"):
        raise SetupError("BYTELOG_EXPLORER must be `false`, or not be set.")
    app.config["MAX_CONTENT_LENGTH"] = app.config["BYTELOG_BATCH_BYTES"]


def _positive(name: str, value: Any) -> int:
    text = str(value)
    if not text.isdecimal() or int(text) < 1:
        raise SetupError(f"{name} must be a whole number from 1 on, not {text!r}.")
    return int(text)


def _load_file(app: Flask, path: Path) -> None:
    try:
        app.config.from_pyfile(path, silent=True)
    except Exception as error:
        raise SetupError(
            f"the settings in {path} cannot be read: {error}. Mend the file."
        ) from error
