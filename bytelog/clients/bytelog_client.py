"""bytelog's client for Python 3.9 and newer, in a single file without dependencies.

from bytelog_client import Client  # or, where bytelog is installed: from bytelog import Client

client = Client("http://127.0.0.1:8000", "YOUR_API_KEY")
client.record(5, "paypal_payment", "03758690", {"client_id": "17039485"})
for event in client.trace("03758690"):
    print(event["date"], event["name"])
"""

from __future__ import annotations

import atexit
import contextlib
import datetime as dt
import email.utils
import functools
import http.client
import json
import logging
import operator
import os
import random
import re
import sys
import threading
import time
import traceback
import urllib.parse
import urllib.request
import uuid
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Callable, NamedTuple, TypedDict, TypeVar

__all__ = ["AsyncClient", "BytelogError", "BytelogHandler", "Client", "Event"]

BATCH_EVENTS = 1000
BATCH_BYTES = 1024 * 1024
PAGE_EVENTS = 1000
MAX_QUEUE_BYTES = 16 * 1024 * 1024  # events beyond this are dropped
BATCH_DELAY_SECONDS = 0.5  # how long the background waits for more events of a batch
RETRY_SECONDS = 10.0  # how long the background waits after it failed to send
MAX_TEXT_CHARACTERS = 255  # of a name and a trace id
MAX_LOG_DEPTH = 32  # deeper values in the data of a log message become text
MAX_ASYNC_THREADS = 8  # of an AsyncClient; each sends one request at a time
MAX_RETRY_AFTER_SECONDS = 60.0  # for a longer Retry-After, raise the error instead of waiting

# Busy, or a proxy that cannot reach the server; 520 to 524 are Cloudflare's.
TEMPORARY_STATUSES = {409, 429, 502, 503, 504, 520, 521, 522, 523, 524}

_Result = TypeVar("_Result")

_log = logging.getLogger("bytelog")
_RECORD_ATTRIBUTES = {*vars(logging.makeLogRecord({})), "asctime", "message", "taskName"}
_FOREIGN = "is not a response of bytelog; check the URL, and proxies and login pages before it"


class Event(TypedDict):
    """An event as the server returns it; `date` looks like `2021-07-04T13:34:56.000Z`."""

    id: int
    name: str
    trace_id: str
    date: str
    data: dict[str, Any]


class BytelogError(Exception):
    """A request failed: `status` is the HTTP status, None if there was no response."""

    def __init__(self, message: str, status: int | None = None, retry_after: float = 0) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after

    @property
    def is_temporary(self) -> bool:
        """Whether the same request may succeed within a minute."""
        is_busy = self.status is None or self.status in TEMPORARY_STATUSES
        return is_busy and self.retry_after <= MAX_RETRY_AFTER_SECONDS


class Client:
    """Records events and reads them; safe to share between threads.

    `url` and `key` default to the environment variables BYTELOG_URL and BYTELOG_API_KEY. If the
    server is unavailable, busy, or silent for `timeout` seconds, a request is retried up to
    `retries` times; an event is stored only once. With `background`, recording only queues events:
    a thread sends them in batches, the last ones at program exit; `dropped` counts those that were
    not stored. A signal without a handler and `os._exit` are no exits; for SIGTERM, write
    `signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))`.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = 10,
        retries: int = 5,
        background: bool = False,
    ) -> None:
        self._url = (url or os.environ["BYTELOG_URL"]).strip().rstrip("/") + "/api/v1/events"
        self._headers = {
            "Authorization": _format_authorization(key or os.environ["BYTELOG_API_KEY"]),
            "Accept": "application/json, application/problem+json",
        }
        self._timeout = timeout
        self._retries = retries
        self._queue = _Queue(self._post) if background else None

    def record(
        self,
        id: int,
        name: str,
        trace_id: str,
        data: Mapping[str, Any] | None = None,
        date: dt.datetime | str | None = None,
    ) -> None:
        """Record an event; unless queued, it is stored when this returns. Raises BytelogError.

        `date` defaults to the current time; without a time zone it is UTC.
        """
        event = {"id": id, "name": name, "trace_id": trace_id, "data": data or {}}
        self.record_many([{**event, "date": date} if date else event])

    def record_many(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Record events: dictionaries like `Event`, in which `date` and `data` are optional.

        They are sent in batches of up to 1000; each batch is stored as a whole or not at all.
        Raises BytelogError.
        """
        if self._queue:
            for event in events:
                self._queue.put(_encode_event({"date": dt.datetime.now(dt.timezone.utc), **event}))
        else:
            for batch in _split_into_batches(map(_encode_event, events)):
                self._post(batch)

    def events(
        self,
        start: dt.date | str | None = None,
        end: dt.date | str | None = None,
        **filters: str | int | Sequence[str | int],
    ) -> Iterator[Event]:
        """Yield the events from `start` up to but not including `end`; raises BytelogError.

        `filters` are the other parameters of the API: `name="click"`, `order="newest"`,
        `**{"data.client_id": "17039485"}`. A list gives a parameter several times.
        """
        for page in self._pages(start, end, **filters):
            yield from page

    def trace(self, trace_id: str) -> Iterator[Event]:
        """Yield the events of a trace; raises BytelogError."""
        return self.events(trace_id=trace_id)

    def query(
        self, endpoint: str, /, **parameters: dt.date | str | float | Sequence[str | float] | None
    ) -> dict[str, Any]:
        """Return the answer of an endpoint; raises BytelogError.

        `endpoint` is `summary`, `names`, `paths`, `paths/diff`, `traces` or `funnel`. `parameters`
        are those of the API: `step=["visit", "order"]`, `**{"from": "order"}`.
        """
        answer, _ = self._read(f"{self._url}/{endpoint}{_format_query(parameters)}")
        if not answer:
            raise BytelogError(f"200 without an object {_FOREIGN}", 200)
        return answer

    @property
    def dropped(self) -> int:
        """The number of events that the background failed to store."""
        return self._queue.dropped if self._queue else 0

    def flush(self) -> None:
        """Send all queued events.

        Raises BytelogError if the server cannot accept them now; they remain queued.
        """
        if self._queue:
            self._queue.flush()

    def close(self) -> None:
        """Send all queued events and drop those that fail; also done at program exit."""
        if self._queue:
            self._queue.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _pages(
        self, start: dt.date | str | None, end: dt.date | str | None, **filters: Any
    ) -> Iterator[list[Event]]:
        parameters = {"limit": PAGE_EVENTS, "start": start, "end": end, **filters}
        address: str | None = self._url + _format_query(parameters)
        while address:
            answer, link = self._read(address)
            page = answer.get("events")
            if not isinstance(page, list):
                raise BytelogError(f"200 without events {_FOREIGN}", 200)
            yield page
            # In order of arrival every page has a next one; an empty page is the last.
            next_page = re.search('<([^>]*)>; rel="next"', link) if page else None
            address = next_page and urllib.parse.urljoin(address, next_page[1])

    def _read(self, address: str) -> tuple[dict[str, Any], str]:
        content, link = self._send(urllib.request.Request(address, headers=self._headers))
        return _parse_object(content), link

    def _post(self, batch: _Batch) -> None:
        headers = {"Content-Type": "application/json", "Idempotency-Key": batch.key}
        request = urllib.request.Request(self._url, batch.body, {**self._headers, **headers})
        self._send(request)

    def _send(self, request: urllib.request.Request, attempt: int = 0) -> tuple[bytes, str]:
        try:
            return self._try(request)
        except BytelogError as error:
            if attempt >= self._retries or not error.is_temporary:
                raise
            # Full jitter spreads the retries of many clients.
            time.sleep(error.retry_after + random.uniform(0, min(0.5 * 2**attempt, 30)))
        return self._send(request, attempt + 1)

    def _try(self, request: urllib.request.Request) -> tuple[bytes, str]:
        try:
            with _opener.open(request, timeout=self._timeout) as response:
                content = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise BytelogError(f"no response from {request.host}: {error}") from error
        media_type = response.headers.get_content_type()
        expected = (200, "application/json") if request.data is None else (201, media_type)
        if (response.status, media_type) == expected:
            return content, response.headers.get("Link", "")
        retry_after = _parse_retry_after(response.headers.get("Retry-After", ""))
        raise BytelogError(_format_error(response, content), response.status, retry_after)


class AsyncClient:
    """The client for asyncio: a `Client` whose methods are awaited.

    The arguments are those of `Client`. Requests are sent by threads of this client, so that a
    slow server delays no other task. A task that is canceled waits no longer, but what it records
    may still be stored. With `background`, the events of all tasks share batches.
    """

    def __init__(
        self,
        url: str | None = None,
        key: str | None = None,
        *,
        timeout: float = 10,
        retries: int = 5,
        background: bool = False,
    ) -> None:
        self._client = Client(url, key, timeout=timeout, retries=retries, background=background)
        self._background = background
        # Not asyncio's own threads: these sleep between retries, and others need those.
        self._threads = ThreadPoolExecutor(MAX_ASYNC_THREADS, "bytelog")

    async def record(
        self,
        id: int,
        name: str,
        trace_id: str,
        data: Mapping[str, Any] | None = None,
        date: dt.datetime | str | None = None,
    ) -> None:
        """Record an event, like `Client.record`."""
        if self._background:
            self._client.record(id, name, trace_id, data, date)
        else:
            await self._run(self._client.record, id, name, trace_id, data, date)

    async def record_many(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Record events, like `Client.record_many`."""
        await self._run(self._client.record_many, list(events))

    async def events(
        self,
        start: dt.date | str | None = None,
        end: dt.date | str | None = None,
        **filters: str | int | Sequence[str | int],
    ) -> AsyncIterator[Event]:
        """Yield events, like `Client.events`."""
        pages = self._client._pages(start, end, **filters)  # noqa: SLF001
        while page := await self._run(next, pages, None):
            for event in page:
                yield event

    def trace(self, trace_id: str) -> AsyncIterator[Event]:
        """Yield the events of a trace; raises BytelogError."""
        return self.events(trace_id=trace_id)

    async def query(
        self, endpoint: str, /, **parameters: dt.date | str | float | Sequence[str | float] | None
    ) -> dict[str, Any]:
        """Return the answer of an endpoint, like `Client.query`."""
        return await self._run(functools.partial(self._client.query, endpoint, **parameters))

    @property
    def dropped(self) -> int:
        """The number of events that the background failed to store."""
        return self._client.dropped

    async def flush(self) -> None:
        """Send all queued events, like `Client.flush`."""
        await self._run(self._client.flush)

    async def close(self) -> None:
        """Send all queued events and drop those that fail; also done at program exit."""
        await self._run(self._client.close)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def _run(self, function: Callable[..., _Result], *arguments: Any) -> _Result:
        import asyncio  # which programs without tasks need not load

        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._threads, function, *arguments)


class BytelogHandler(logging.Handler):
    """A logging handler that records log messages as events; use it with a background client.

    An event has the name of the logger, and the number of the level as its id. What
    `extra={"trace_id": …, "client_id": …}`, structlog or loguru add to the message becomes data;
    `trace_id` among it is the event's, by default that of this handler. Values that JSON cannot
    express become text.
    """

    def __init__(
        self, client: Client, trace_id: str | None = None, level: int | str = logging.NOTSET
    ) -> None:
        super().__init__(level)
        self._client = client
        self._trace_id = trace_id or uuid.uuid4().hex

    def emit(self, record: logging.LogRecord) -> None:
        """Record a log message, except those of this client."""
        if record.name == _log.name:
            return
        try:
            data = {"level": record.levelname, **_collect_message(record)}
            if record.exc_info:
                data["exception"] = "".join(traceback.format_exception(*record.exc_info))
            trace_id = data.pop("trace_id", None)
            trace_id = self._trace_id if trace_id in (None, "") else trace_id
            name, trace_id = _shorten(record.name), _shorten(trace_id)
            date = dt.datetime.fromtimestamp(record.created, dt.timezone.utc)
            self._client.record(record.levelno, name, trace_id, _make_storable(data), date)
        except Exception:
            self.handleError(record)


def _collect_message(record: logging.LogRecord) -> dict[str, Any]:
    """Return the message and all that was added to it."""
    added = {name: value for name, value in vars(record).items() if name not in _RECORD_ATTRIBUTES}
    if isinstance(record.msg, Mapping) and "event" in record.msg:
        # structlog's wrap_for_formatter passes everything in the message.
        content = {"message": record.msg["event"], **record.msg}
        del content["event"]
        for name in ("_logger", "_name"):
            added.pop(name, None)
    else:
        content = {"message": record.getMessage()}
    # loguru passes what was bound to its logger in `extra`.
    for name in ("extra", "data"):
        if isinstance(added.get(name), Mapping):
            added.update(added.pop(name))
    return {**content, **added}


def _make_storable(value: object, depth: int = 0) -> Any:
    """Return a value as I-JSON (RFC 7493); what I-JSON cannot express becomes text."""
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, (int, float)) and abs(value) <= sys.float_info.max:
        return value
    if depth < MAX_LOG_DEPTH:
        if isinstance(value, Mapping):
            return {_to_text(key): _make_storable(item, depth + 1) for key, item in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [_make_storable(item, depth + 1) for item in value]
    return _to_text(value)


def _to_text(value: object) -> str:
    try:
        text = value.isoformat() if isinstance(value, dt.date) else str(value)
    except Exception:
        text = f"<{type(value).__name__}>"
    return text.encode("utf-8", "backslashreplace").decode()


def _shorten(value: object) -> str:
    return _to_text(value).replace("\0", "\\0")[:MAX_TEXT_CHARACTERS]


class _Batch(NamedTuple):
    """Events as JSON, and the key by which the server recognizes a repeated request."""

    lines: list[bytes]
    key: str

    @property
    def body(self) -> bytes:
        return self.lines[0] if len(self.lines) == 1 else b"[" + b",".join(self.lines) + b"]"


class _Queue:
    """A bounded queue of events, and the thread that sends them."""

    def __init__(self, send: Callable[[_Batch], None]) -> None:
        self._send = send
        self._reset()
        atexit.register(self._end)
        if hasattr(os, "register_at_fork"):
            # The queued events stay with the parent process, which has the thread.
            os.register_at_fork(after_in_child=self._reset)

    def put(self, line: bytes) -> None:
        with self._changed:
            if self._size + len(line) > MAX_QUEUE_BYTES:
                self.dropped += 1
                return
            self._size += len(line)
            self._lines.append(line)
            if not self._thread.is_alive():
                self._start_thread()
            self._changed.notify()
        if self._has_ended:
            # An exit hook that runs after this queue's: nothing else would send the event.
            self.close()

    def flush(self) -> None:
        with self._sending:
            while self._batches or self._form_batches():
                self._deliver(self._batches[0])

    def close(self) -> None:
        try:
            self.flush()
        except BaseException as error:
            with self._sending:
                self._form_batches()
                while self._batches:
                    self._drop(self._batches[0], error)
            if not isinstance(error, Exception):
                raise

    def _end(self) -> None:
        self._has_ended = True
        self.close()

    def _start_thread(self) -> None:
        multiprocessing = sys.modules.get("multiprocessing")
        if multiprocessing and multiprocessing.parent_process():
            # A child of multiprocessing may end with os._exit, which skips atexit.
            multiprocessing.util.Finalize(None, self._end, exitpriority=0)
        self._thread = threading.Thread(target=self._run, name="bytelog", daemon=True)
        # At exit, Python 3.12 refuses new threads: then the exit hook sends the events.
        with contextlib.suppress(RuntimeError):
            self._thread.start()

    def _reset(self) -> None:
        self.dropped = 0
        self._has_ended = False
        self._lines: list[bytes] = []
        self._batches: list[_Batch] = []
        self._size = 0
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        self._thread = threading.Thread()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._size)
            time.sleep(BATCH_DELAY_SECONDS)
            try:
                self.flush()
            except Exception as error:
                # Whatever went wrong, without this thread nothing would be sent any more.
                with contextlib.suppress(Exception):
                    _log.warning("events remain queued: %s", error)
                time.sleep(RETRY_SECONDS)

    def _form_batches(self) -> bool:
        with self._changed:
            lines, self._lines = self._lines, []
        self._batches += _split_into_batches(lines)
        return bool(lines)

    def _deliver(self, batch: _Batch) -> None:
        try:
            self._send(batch)
        except BytelogError as error:
            if error.status not in (400, 413):
                raise
            self._split_or_drop(batch, error)
        else:
            self._remove(batch)

    def _split_or_drop(self, batch: _Batch, error: BytelogError) -> None:
        # One invalid event fails its whole batch: halve the batch until that event is alone.
        if len(batch.lines) == 1:
            self._drop(batch, error)
            return
        middle = len(batch.lines) // 2
        halves = batch.lines[:middle], batch.lines[middle:]
        self._batches[:1] = [_Batch(lines, str(uuid.uuid4())) for lines in halves]

    def _drop(self, batch: _Batch, error: BaseException) -> None:
        self.dropped += len(batch.lines)
        self._remove(batch)
        with contextlib.suppress(Exception):
            _log.warning("%s events dropped: %s", len(batch.lines), error or repr(error))

    def _remove(self, batch: _Batch) -> None:
        self._batches.pop(0)
        with self._changed:
            self._size -= sum(map(len, batch.lines))


def _build_opener() -> urllib.request.OpenerDirector:
    # Without redirects: a redirected POST becomes a GET, and its 200 would look like success.
    opener = urllib.request.OpenerDirector()
    for handler in ("ProxyHandler", "UnknownHandler", "HTTPHandler", "HTTPSHandler"):
        opener.add_handler(getattr(urllib.request, handler)())
    return opener


_opener = _build_opener()


def _split_into_batches(lines: Iterable[bytes]) -> Iterator[_Batch]:
    batch: list[bytes] = []
    size = 0
    for line in lines:
        if batch and (len(batch) == BATCH_EVENTS or size + len(line) > BATCH_BYTES):
            yield _Batch(batch, str(uuid.uuid4()))
            batch, size = [], 0
        batch.append(line)
        size += len(line)
    if batch:
        yield _Batch(batch, str(uuid.uuid4()))


def _encode_event(event: Mapping[str, Any]) -> bytes:
    format_date = operator.methodcaller("isoformat")
    return json.dumps(event, ensure_ascii=False, allow_nan=False, default=format_date).encode()


def _format_query(parameters: Mapping[str, Any]) -> str:
    given = {name: value for name, value in parameters.items() if value is not None}
    return f"?{urllib.parse.urlencode(given, doseq=True)}"


def _format_authorization(key: str) -> str:
    key = key.strip()
    if re.search(r"[\x00-\x1f\x7f]", key):
        raise ValueError("The API key contains a line end or another control character.")
    # http.client encodes headers in Latin-1, the server decodes keys from UTF-8.
    return "Bearer " + key.encode().decode("latin-1")


def _format_error(response: http.client.HTTPResponse, content: bytes) -> str:
    if response.status < 300:
        return f"{response.status} {response.headers.get_content_type()} {_FOREIGN}"
    # A gateway may have written it: every member is optional (RFC 9457 section 3.1).
    problem = _parse_object(content)
    title = problem.get("error") or problem.get("title") or response.reason
    errors = problem.get("errors")
    fields = errors if isinstance(errors, list) else []
    texts = [" ".join(map(str, field.values())) for field in fields if isinstance(field, dict)]
    details = "; ".join(texts) or problem.get("detail")
    return f"{response.status} {title}" + (f": {details}" if details else "")


def _parse_retry_after(value: str) -> float:
    """Return the seconds of a Retry-After, a number or a date (RFC 9110 section 10.2.3)."""
    if value.isdecimal():
        return float(value)
    try:
        return max(0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, IndexError, OverflowError):
        return 0


def _parse_object(content: bytes) -> dict[str, Any]:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
