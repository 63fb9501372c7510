"""The settings that an operator may change, and the fixed limits."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from flask import Flask

SETTINGS: dict[str, str] = {
    "BYTELOG_API_KEY": "a key of the project `default` with both scopes, in any format",
    "BYTELOG_BATCH_BYTES": "maximum size of a batch in bytes, decompressed; 16777216 by default",
    "BYTELOG_BATCH_EVENTS": "maximum number of events in a batch; 10000 by default",
    "BYTELOG_CHECKPOINTS": "`off` if Litestream checkpoints SQLite's write-ahead log; by default"
    " bytelog does",
    "BYTELOG_CORS_ORIGINS": "origins whose pages may call the API, such as `https://shop.example`,"
    " separated by commas; `*` for all, none by default",
    "BYTELOG_DATA": "data folder; `instance/` in the current directory by default",
    "BYTELOG_DATABASE_URL": "SQLAlchemy URL of a SQLite or PostgreSQL database; `bytelog.db` in the"
    " data folder by default",
    "BYTELOG_EXPLORER": "`false` disables the explorer, the page at `/`",
    "BYTELOG_KEEP_DAYS": "days to keep events, by their date; forever by default",
    "BYTELOG_METRICS_KEY": "bearer token with which Prometheus reads `/metrics`; the endpoint is"
    " disabled by default",
    "BYTELOG_RATE_LIMIT": "maximum request rate of each key, such as `100 per minute`, or several"
    " rates, such as `100 per minute; 5 per second`; no limit by default",
    "BYTELOG_READ_DATABASE_URL": "URL of a PostgreSQL replica to read events from;"
    " `BYTELOG_DATABASE_URL` by default",
    "BYTELOG_READ_SECONDS": "seconds that a search for events may take before 503; 30 by default",
    "BYTELOG_URL": "URL of the service, such as `https://log.example/bytelog`, for the samples in"
    " `/docs`; that of the request by default",
}
"""The settings and their meanings. `config.py` in the data folder cannot set BYTELOG_DATA."""

NUMBERS: dict[str, int | None] = {
    "BYTELOG_BATCH_BYTES": 16 * 1024 * 1024,
    "BYTELOG_BATCH_EVENTS": 10_000,
    "BYTELOG_KEEP_DAYS": None,
    "BYTELOG_READ_SECONDS": 30,
}
"""The settings that are whole numbers, and their defaults."""

MAX_NUMBER = 2**31 - 1
"""The largest number of a setting: what counts bytes and events need not be larger."""

_SECRETS = ("BYTELOG_API_KEY", "BYTELOG_METRICS_KEY")

_WHITE_SPACE = " \t\r\n"

_NOT_IN_HEADERS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")  # RFC 9110 section 5.5

# Nothing that has a meaning in a shell or in a string of a program: samples contain the URL.
_URL = re.compile(r"https?://[A-Za-z0-9.:\[\]-]+(/[A-Za-z0-9._~-]+)*/?")

MAX_BODY_BYTES = 1024 * 1024
"""Maximum size of an event's request body: an event is a fact with its details, not a file."""

BUFFERED_BODY_BYTES = 256 * 1024 * 1024
"""Bytes of bodies that all connections together may have sent: in memory and in TMPDIR."""

MAX_DEPTH = 64
"""Levels of nesting in an event: Ruby's JSON parser stops at 100, and a response adds three."""

MAX_TEXT_LENGTH = 255
"""Characters of `name` and `trace_id`: they are indexed, and read by people."""

MIN_ID, MAX_ID = -(2**63), 2**63 - 1
"""Bounds of `id`: SQLite and PostgreSQL store signed 64-bit integers."""

BUSY_SECONDS = 2.0
"""How long a commit waits for another program that holds the database's write lock."""

RETRY_AFTER_SECONDS = 1
"""The value of `Retry-After` in a 503 response."""

PAGE_BYTES = 2 * MAX_BODY_BYTES
"""Maximum size of the text that the database builds at once for a reader: it bounds memory."""

MAX_LIMIT = 10_000
"""Maximum number of events in a page: beyond it, a listing without a limit is faster."""

MAX_MEMBERS = 10
"""Maximum number of members of `data` in a query: SQLite searches every event for each."""

MAX_MEMBER_DEPTH = 10
"""Maximum depth of a member of `data` in a query: each level costs as much as a member."""

MAX_FILTER_VALUES = 50
"""Maximum number of values of one filter: each is compared with every event."""

MAX_TRACES = 1000
"""Maximum number of traces in a page: each is described by several searches."""

MAX_NAMES_OF_TRACES = 10
"""Maximum number of names that traces must have, or must not have: each is a search."""

MAX_FUNNEL_STEPS = 10
"""Maximum number of steps of a funnel: each is a search for each trace."""

MAX_WITHIN_SECONDS = 10 * 366 * 24 * 60 * 60
"""Maximum time that traces may take: ten years."""

MAX_WAIT_SECONDS = 30
"""How long a listing may wait for an event: proxies give up after a minute."""

MAX_DIMENSIONS = 2
"""Maximum number of members by whose values a summary groups events: more fill no table."""

MAX_GROUPS = 50_000
"""Maximum number of counts in a summary: about three megabytes of JSON."""

MAX_GROUP_CHARACTERS = 4 * 1024 * 1024
"""Maximum length of the names of all counts together, 80 for each: it bounds memory."""

NAMES_SAMPLE = 10_000
"""Newest events whose members a list of names has: the shape of `data` changes over the years."""

READER_THREADS = 8
"""Maximum number of long listings sent at the same time; others get 503 with `Retry-After`."""

IDEMPOTENCY_HOURS = 24
"""How long an Idempotency-Key is stored: no client retries for longer than a day."""

CONNECTIONS = 2000
"""Maximum number of open connections; over the limit, the longest idle one is closed."""

KEEP_ALIVE_SECONDS = 120
"""How long a connection may be idle, and how long a request may take to arrive."""

MAX_HEADER_BYTES = 64 * 1024
"""Maximum size of a request's headers: an encoded trace id in a path takes at most 3,060 bytes."""

SEND_BUFFER_BYTES = 1024 * 1024
"""Bytes buffered for a slow reader before its listing pauses."""

STOP_SECONDS = 9
"""How long a stopping server continues requests in progress; Docker kills it after ten seconds."""

MAX_REPORTED_ERRORS = 100
"""Maximum number of bad fields in an error response: enough to fix a body."""


class SetupError(Exception):
    """bytelog cannot start with these settings; the message says why and what to do."""


def data_folder(config: Mapping[str, Any], instance_path: str | os.PathLike[str] | None) -> Path:
    """Return the real path of the data folder: the argument, the setting, or `./instance/`."""
    setting = config.get("BYTELOG_DATA") or os.environ.get("BYTELOG_DATA")
    folder = instance_path or _trim(setting)
    # Without links: one that later points elsewhere must not move half of what is in use.
    return Path(os.path.realpath(folder or "instance"))


def init_app(app: Flask, config: Mapping[str, Any]) -> None:
    """Load `config.py` in the data folder, then the environment, then `config`; later ones win.

    Raises SetupError for a value that cannot be meant.
    """
    app.config.from_mapping(dict.fromkeys(SETTINGS))
    _load_file(app, Path(app.instance_path) / "config.py")
    app.config.from_mapping({name: os.environ[name] for name in SETTINGS if os.environ.get(name)})
    app.config.from_mapping(config)
    for name in _SECRETS:
        _check_secret(name, app.config[name])
    for name in SETTINGS:
        app.config[name] = _trim(app.config[name])
    for name, default in NUMBERS.items():
        value = app.config[name]
        app.config[name] = default if value is None else _parse_positive(name, value)
    for name in SETTINGS.keys() - NUMBERS.keys():
        if not isinstance(app.config[name], str | os.PathLike | None):
            raise SetupError(f"{name} must be text; put it in quotes.")
    if app.config["BYTELOG_CHECKPOINTS"] not in (None, "off"):
        raise SetupError("BYTELOG_CHECKPOINTS must be `off` or unset.")
    if app.config["BYTELOG_EXPLORER"] not in (None, "false"):
        raise SetupError("BYTELOG_EXPLORER must be `false` or unset.")
    if not _URL.fullmatch(url := app.config["BYTELOG_URL"] or "http://x"):
        raise SetupError(f"BYTELOG_URL must be a URL like https://log.example, not {url!r}.")
    app.config["MAX_CONTENT_LENGTH"] = app.config["BYTELOG_BATCH_BYTES"]


def _trim(value: Any) -> Any:
    """Return a text without white space around it, as files with secrets have; None if empty."""
    return (value.strip(_WHITE_SPACE) or None) if isinstance(value, str) else value


def _check_secret(name: str, value: Any) -> None:
    # A key that no header can contain would make a server that rejects everybody.
    if not isinstance(value, str):
        return
    text = value.strip(_WHITE_SPACE)
    if value and not text:
        raise SetupError(f"{name} is only white space. Set a key, or unset {name}.")
    if _NOT_IN_HEADERS.search(text):
        raise SetupError(
            f"{name} contains a line end or another control character, which no HTTP header can "
            "contain. Use a key of one line."
        )


def _parse_positive(name: str, value: Any) -> int:
    text = str(value)
    is_short = text.isdecimal() and len(text) <= len(str(MAX_NUMBER))
    if not is_short or not 1 <= int(text) <= MAX_NUMBER:
        raise SetupError(
            f"{name} must be a whole number from 1 to {MAX_NUMBER}, not {text[:40]!r}."
        )
    return int(text)


def _check_owner(path: Path, status: os.stat_result) -> None:
    if status.st_uid not in (0, os.geteuid()):
        raise SetupError(
            f"{path} belongs to another user (uid {status.st_uid}), and bytelog does not run the "
            "code of others. Run bytelog as that user, or change the owner of the file."
        )
    if status.st_mode & stat.S_IWOTH:
        raise SetupError(
            f"every user may write {path}, and bytelog does not run the code of others. Change its "
            "permissions with chmod o-w."
        )


def _load_file(app: Flask, path: Path) -> None:
    """Run the file, unless another user could have written it: commands may start in any folder."""
    try:
        with path.open("rb") as file:
            _check_owner(path, os.fstat(file.fileno()))
            module = ModuleType("config")
            module.__file__ = str(path)
            exec(compile(file.read(), path, "exec"), module.__dict__)  # noqa: S102
        app.config.from_object(module)
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        return
    except SetupError:
        raise
    except Exception as error:
        raise SetupError(
            f"the settings in {path} cannot be read: {error}. Fix the file."
        ) from error
