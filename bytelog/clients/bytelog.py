"""bytelog's client for Python 3.9 and newer: this file alone, nothing to install.

from bytelog import Client

client = Client("http://127.0.0.1:8000", "YOUR_API_KEY")
client.record(5, "paypal_payment", "03758690", {"client_id": "17039485"})
for event in client.trace("03758690"):
    print(event["date"], event["name"])
"""

from __future__ import annotations

import atexit
import datetime as dt
import http.client
import json
import logging
import operator
import os
import random
import re
import threading
import time
import traceback
import urllib.parse
import urllib.request
import uuid
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Callable, NamedTuple, TypedDict

__all__ = ["BytelogError", "BytelogHandler", "Client", "Event"]

BATCH_EVENTS = 1000
BATCH_BYTES = 1024 * 1024
PAGE_EVENTS = 1000
QUEUE_BYTES = 16 * 1024 * 1024  # what waits while the server is away
GATHER_SECONDS = 0.5  # how long events wait in the background for others
PAUSE_SECONDS = 10.0  # before the background tries again what failed
LONGEST_WAIT_SECONDS = 60.0  # who is told to wait longer is told so instead

_log = logging.getLogger("bytelog")


class Event(TypedDict):
    """An event as it comes back; `date` is like `2021-07-04T13:34:56.000Z`."""

    id: int
    name: str
    trace_id: str
    date: str
    data: dict[str, Any]


class BytelogError(Exception):
    """A request failed: `status` is the HTTP status, None if there was no answer."""

    def __init__(self, message: str, status: int | None = None, retry_after: float = 0) -> None:
        super().__init__(message)
        self.status = status
        self.retry_after = retry_after

    @property
    def is_temporary(self) -> bool:
        """Whether the same request may succeed in a while."""
        is_busy = self.status in (None, 409, 429, 502, 503, 504)
        return is_busy and self.retry_after <= LONGEST_WAIT_SECONDS


class Client:
    """Records events and reads them back; threads may share it.

    `url` and `key` are BYTELOG_URL and BYTELOG_API_KEY of the environment unless given. A server
    that is away, busy, or silent for `timeout` seconds is asked again, `retries` times; an event is
    stored once all the same. With `background`, recording only queues events: a thread sends them
    in batches, the last ones when the program ends; `dropped` counts those that were not stored.
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
        self._url = (url or os.environ["BYTELOG_URL"]).rstrip("/") + "/api/v1/events"
        self._headers = {
            "Authorization": f"Bearer {key or os.environ['BYTELOG_API_KEY']}",
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
        """Record an event; it is stored when this returns. Raises BytelogError.

        Without `date` it happens now; a `date` without a zone is UTC.
        """
        event = {"id": id, "name": name, "trace_id": trace_id, "data": data or {}}
        self.record_many([{**event, "date": date} if date else event])

    def record_many(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Record events, dictionaries as `Event` says; `date` and `data` may be absent.

        They go in batches of up to 1000, each of which is stored whole or not at all. Raises
        BytelogError.
        """
        if self._queue:
            for event in events:
                self._queue.put(_line({"date": dt.datetime.now(dt.timezone.utc), **event}))
        else:
            for batch in _batches(map(_line, events)):
                self._post(batch)

    def events(
        self,
        start: dt.date | str | None = None,
        end: dt.date | str | None = None,
        **filters: str | int,
    ) -> Iterator[Event]:
        """Yield the events from `start` on and before `end`, page by page; raises BytelogError.

        `filters` are the API's other parameters: `name="click"`, `order="newest"`,
        `**{"data.client_id": "17039485"}`.
        """
        given = {"limit": PAGE_EVENTS, "start": start, "end": end, **filters}
        query = urllib.parse.urlencode({name: it for name, it in given.items() if it is not None})
        address: str | None = f"{self._url}?{query}"
        while address:
            content, link = self._send(urllib.request.Request(address, headers=self._headers))
            page = json.loads(content)["events"]
            yield from page
            # In order of arrival there always is a next page, for those who wait for news.
            following = re.search('<([^>]*)>; rel="next"', link) if page else None
            address = following and urllib.parse.urljoin(address, following[1])

    def trace(self, trace_id: str) -> Iterator[Event]:
        """Yield the events of a trace; raises BytelogError."""
        return self.events(trace_id=trace_id)

    @property
    def dropped(self) -> int:
        """How many events the background could not get stored."""
        return self._queue.dropped if self._queue else 0

    def flush(self) -> None:
        """Return when the background has sent what is queued.

        Raises BytelogError if the server cannot take it now: then it stays in the queue.
        """
        if self._queue:
            self._queue.flush()

    def close(self) -> None:
        """Send what is queued, and drop what cannot be sent; the end of a program does it too."""
        if self._queue:
            self._queue.close()

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

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
            # With full jitter, so that many clients do not come back all at once.
            time.sleep(error.retry_after + random.uniform(0, min(0.5 * 2**attempt, 30)))
        return self._send(request, attempt + 1)

    def _try(self, request: urllib.request.Request) -> tuple[bytes, str]:
        try:
            with _opener.open(request, timeout=self._timeout) as answer:
                content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise BytelogError(f"{request.host} does not answer: {error}") from error
        if answer.status in (200, 201):
            return content, answer.headers.get("Link", "")
        wait = answer.headers.get("Retry-After", "")
        retry_after = float(wait) if wait.isdecimal() else 0
        raise BytelogError(_message(answer, content), answer.status, retry_after)


class BytelogHandler(logging.Handler):
    """Records what is logged; give it a client that works in the background.

    An event's name is the logger's, its id the level's number. `extra={"trace_id": …, "data": …}`
    gives it a trace id and more data; without one it belongs to the trace of this handler.
    """

    def __init__(
        self, client: Client, trace_id: str | None = None, level: int | str = logging.NOTSET
    ) -> None:
        super().__init__(level)
        self._client = client
        self._trace_id = trace_id or uuid.uuid4().hex

    def emit(self, record: logging.LogRecord) -> None:
        """Record a log record, unless it is the client's own."""
        if record.name == _log.name:
            return
        try:
            data = {"level": record.levelname, "message": record.getMessage()}
            if record.exc_info:
                data["exception"] = "".join(traceback.format_exception(*record.exc_info))
            trace_id = getattr(record, "trace_id", self._trace_id)
            date = dt.datetime.fromtimestamp(record.created, dt.timezone.utc)
            data.update(getattr(record, "data", {}))
            self._client.record(record.levelno, record.name, trace_id, data, date)
        except Exception:
            self.handleError(record)


class _Batch(NamedTuple):
    """Events as JSON, and what makes a repetition of them known to the server."""

    lines: list[bytes]
    key: str

    @property
    def body(self) -> bytes:
        return self.lines[0] if len(self.lines) == 1 else b"[" + b",".join(self.lines) + b"]"


class _Queue:
    """Events on their way in the background, bounded, and the thread that sends them."""

    def __init__(self, send: Callable[[_Batch], None]) -> None:
        self.dropped = 0
        self._send = send
        self._start_anew()
        atexit.register(self.close)
        if hasattr(os, "register_at_fork"):
            # The queued events are the parent's, which has the thread.
            os.register_at_fork(after_in_child=self._start_anew)

    def put(self, line: bytes) -> None:
        with self._changed:
            if self._size + len(line) > QUEUE_BYTES:
                self.dropped += 1
                return
            self._size += len(line)
            self._lines.append(line)
            if not self._thread.ident:
                self._thread.start()
            self._changed.notify()

    def flush(self) -> None:
        with self._sending:
            while self._batches or self._gather():
                self._deliver(self._batches[0])

    def close(self) -> None:
        try:
            self.flush()
        except BytelogError as error:
            with self._sending:
                self._gather()
                while self._batches:
                    self._drop(self._batches[0], error)

    def _start_anew(self) -> None:
        self._lines: list[bytes] = []
        self._batches: list[_Batch] = []
        self._size = 0
        self._changed = threading.Condition()
        self._sending = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="bytelog", daemon=True)

    def _run(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._size)
            time.sleep(GATHER_SECONDS)
            try:
                self.flush()
            except BytelogError as error:
                _log.warning("events wait to be sent: %s", error)
                time.sleep(PAUSE_SECONDS)

    def _gather(self) -> bool:
        with self._changed:
            lines, self._lines = self._lines, []
        self._batches += _batches(lines)
        return bool(lines)

    def _deliver(self, batch: _Batch) -> None:
        try:
            self._send(batch)
        except BytelogError as error:
            if error.status not in (400, 413):
                raise
            self._narrow_down(batch, error)
        else:
            self._forget(batch)

    def _narrow_down(self, batch: _Batch, error: BytelogError) -> None:
        # A batch is refused whole; its halves tell which event is bad, and the others get stored.
        if len(batch.lines) == 1:
            self._drop(batch, error)
            return
        middle = len(batch.lines) // 2
        halves = batch.lines[:middle], batch.lines[middle:]
        self._batches[:1] = [_Batch(lines, str(uuid.uuid4())) for lines in halves]

    def _drop(self, batch: _Batch, error: BytelogError) -> None:
        self.dropped += len(batch.lines)
        _log.warning("%s events dropped: %s", len(batch.lines), error)
        self._forget(batch)

    def _forget(self, batch: _Batch) -> None:
        self._batches.pop(0)
        with self._changed:
            self._size -= sum(map(len, batch.lines))


def _opener_without_redirects() -> urllib.request.OpenerDirector:
    # A redirected POST would arrive as a GET, and look as if its events were stored.
    opener = urllib.request.OpenerDirector()
    for handler in ("ProxyHandler", "UnknownHandler", "HTTPHandler", "HTTPSHandler"):
        opener.add_handler(getattr(urllib.request, handler)())
    return opener


_opener = _opener_without_redirects()


def _batches(lines: Iterable[bytes]) -> Iterator[_Batch]:
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


def _line(event: Mapping[str, Any]) -> bytes:
    dates = operator.methodcaller("isoformat")
    return json.dumps(event, ensure_ascii=False, allow_nan=False, default=dates).encode()


def _message(answer: http.client.HTTPResponse, content: bytes) -> str:
    if answer.headers.get_content_type() != "application/problem+json":
        return f"{answer.status} {answer.reason}"
    problem = json.loads(content)
    details = [" ".join(it.values()) for it in problem.get("errors", ())] or [problem["detail"]]
    return f"{answer.status} {problem['error']}: {'; '.join(details)}"
