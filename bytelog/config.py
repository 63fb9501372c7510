"""The settings that an operator may change, and the fixed limits."""

from __future__ import annotations

SETTINGS: dict[str, str] = {
    "BYTELOG_API_KEY": "a key of the project `default` that may read and write, in any format",
    "BYTELOG_BATCH_BYTES": "maximum size of a batch in bytes, decompressed; 16777216 by default",
    "BYTELOG_BATCH_EVENTS": "maximum number of events in a batch; 10000 by default",
    "BYTELOG_CHECKPOINTS": "`off` if Litestream checkpoints SQLite's write-ahead log; `on` by"
    " default, and bytelog does",
    "BYTELOG_CORS_ORIGINS": "origins whose pages may call the API, such as `https://shop.example`,"
    " separated by commas; `*` for all, none by default",
    "BYTELOG_DATA": "data folder; `instance/` in the current directory by default",
    "BYTELOG_DATABASE_URL": "SQLAlchemy URL of a SQLite or PostgreSQL database; `bytelog.db` in the"
    " data folder by default",
    "BYTELOG_DEDUPE_DAYS": "days for which an event that arrives again is acknowledged and not"
    " stored again, whatever its `data`; off by default",
    "BYTELOG_EXPLORER": "`false` disables the explorer, the page at `/`; `true` by default",
    "BYTELOG_HOOKS": "webhooks that are accepted at `/hooks/NAME`, by name: a mapping in"
    " `config.py`, or a JSON object; none by default",
    "BYTELOG_HOST": "address on which `bytelog serve` listens; 127.0.0.1 by default",
    "BYTELOG_INTAKE": "formats of other systems that are accepted, such as `segment, hooks`, or"
    " `off`; all by default in `bytelog serve`, none in other servers",
    "BYTELOG_KEEP": "rules for how long to keep events, by their date, such as"
    " `365d, shop=90d, shop/click=7d` for all events, a project, and a name in a project; forever"
    " by default",
    "BYTELOG_KEEP_DAYS": "days to keep all events; the same as a rule for all in `BYTELOG_KEEP`",
    "BYTELOG_METRICS_KEY": "bearer token with which Prometheus reads `/metrics`; the endpoint is"
    " disabled by default",
    "BYTELOG_PORT": "port on which `bytelog serve` listens, 0 for any free port; 8000 by default",
    "BYTELOG_PROXY_NETWORKS": "networks of the sign-on proxy, such as `127.0.0.1/32`, separated by"
    " commas; required with `BYTELOG_PROXY_USER`",
    "BYTELOG_PROXY_PROJECT": "header in which the sign-on proxy names the project of the user;"
    " `default` is the project of all by default",
    "BYTELOG_PROXY_USER": "header in which a sign-on proxy names the user, such as `Remote-User`,"
    " who may then read without a key; none by default",
    "BYTELOG_RATE_LIMIT": "maximum request rate of each key, such as `100 per minute`, or several"
    " rates, such as `100 per minute; 5 per second`; no limit by default",
    "BYTELOG_READ_DATABASE_URL": "URL of a PostgreSQL replica to read events from;"
    " `BYTELOG_DATABASE_URL` by default",
    "BYTELOG_READ_SECONDS": "seconds that a search for events may take before 503; 30 by default",
    "BYTELOG_SEAL_KEY_FILE": "file outside the data folder with the private key of `bytelog seal`",
    "BYTELOG_THREADS": "maximum number of long listings that `bytelog serve` sends at the same"
    " time; 8 by default",
    "BYTELOG_URL": "URL of the service, such as `https://log.example/bytelog`, for the samples in"
    " `/docs`; that of the request by default",
    "BYTELOG_WEBHOOK_SECRET": "secret with which `bytelog follow --post` signs, `whsec_` and 24 to"
    " 64 bytes in base64",
}
"""The settings and their meanings. `config.py` in the data folder cannot set BYTELOG_DATA."""

SECRETS = (
    "BYTELOG_API_KEY",
    "BYTELOG_DATABASE_URL",
    "BYTELOG_HOOKS",
    "BYTELOG_METRICS_KEY",
    "BYTELOG_READ_DATABASE_URL",
    "BYTELOG_WEBHOOK_SECRET",
)
"""The settings that contain keys or passwords. NAME_FILE names a file with the value of each."""

CLIENT_VARIABLES = ("BYTELOG_RETRIES", "BYTELOG_TIMEOUT")
"""Environment variables of the clients that are no settings of the service."""

READER_THREADS = 8
"""Maximum number of long listings sent at the same time; others get 503 with `Retry-After`."""

NUMBERS: dict[str, int | None] = {
    "BYTELOG_BATCH_BYTES": 16 * 1024 * 1024,
    "BYTELOG_BATCH_EVENTS": 10_000,
    "BYTELOG_DEDUPE_DAYS": None,
    "BYTELOG_KEEP_DAYS": None,
    "BYTELOG_PORT": 8000,
    "BYTELOG_READ_SECONDS": 30,
    "BYTELOG_THREADS": READER_THREADS,
}
"""The settings that are whole numbers, and their defaults."""

MAX_NUMBER = 2**31 - 1
"""The largest number of a setting: what counts bytes and events need not be larger."""

RANGES = {"BYTELOG_PORT": (0, 65535), "BYTELOG_THREADS": (1, 1000)}
"""The range of each number that is not from 1 to MAX_NUMBER."""

SWITCHES = {"BYTELOG_CHECKPOINTS": True, "BYTELOG_EXPLORER": True}
"""The settings that are true or false, and their defaults."""

DEFAULTS = {**NUMBERS, **SWITCHES, "BYTELOG_HOST": "127.0.0.1"}
"""The defaults of all settings that have one."""

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

ERASED_EVENTS = 5000
"""Maximum number of events that one request deletes: it takes a few seconds."""

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

EVENT_STREAM = "text/event-stream"
"""The media type of a stream of events (HTML, section 9.2 Server-sent events)."""

STREAMS = 32
"""Maximum number of event streams of a project in `bytelog serve`: each has a thread."""

HEARTBEAT_SECONDS = 15
"""How often an event stream sends something: proxies close connections that are silent for a
minute."""

STREAM_PAUSE_MILLISECONDS = 100
"""How long an event stream collects commits: it must not read for each one of a busy server."""

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
