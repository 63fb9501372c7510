"""Which thread serves which request.

Small POSTs share one thread, which batches them: their events share a commit. Large bodies, whose
decoding takes long, have threads of their own, and so have health checks. Of the threads that read
events, one at a time serves short requests. A pool serves the rest, so a slow reader never delays a
writer.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from functools import partial
from itertools import count
from threading import Condition, Lock, get_ident

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.task import ThreadedTaskDispatcher

from ..config import EVENT_STREAM
from ..storage.batched_requests import BatchedRequest

BATCH_REQUESTS = 500
"""Requests that one thread runs together, so that their events share a commit."""

SMALL_BODY_BYTES = 256 * 1024
"""Bytes of a body that is decoded between commits: about ten milliseconds."""

OTHER_THREADS = 2
"""Threads for pages, metrics and errors."""

LARGE_BODY_THREADS = 1
"""Threads that decode large bodies: each may take 16 MiB of text and ten times as much memory."""

WAKE_REQUESTS = 10
"""Short requests after which their responses are sent, even if more requests are queued."""

BUSY_SECONDS = 0.02
"""How long a request may take in the thread that serves short ones."""

log = logging.getLogger("bytelog")


def _serve(channel: HTTPChannel) -> None:
    try:
        channel.service()
    except Exception:
        log.exception("unexpected error in a connection")


class WriteDispatcher(ThreadedTaskDispatcher):
    """One thread that serves all queued requests together, so that their events share a commit."""

    def __init__(self, wake_loop: Callable[[], None]) -> None:
        super().__init__()
        self._wake_loop = wake_loop
        self.set_thread_count(1)

    def handler_thread(self, thread_no: int) -> None:
        """Serve requests until the dispatcher stops this thread."""
        while self._wait_for_request(thread_no):
            # A request that records yields when its events are queued. When the first of them is
            # resumed, it commits the events of all.
            unfinished: list[BatchedRequest] = []
            # Only the requests that are queued now: a flood of requests that are refused, and so
            # never yield, must not put off the commit.
            for _ in range(min(len(self.queue), BATCH_REQUESTS)):
                request = BatchedRequest(partial(_serve, self.queue.popleft()))
                request.switch()
                if not request.dead:
                    unfinished.append(request)
            for request in unfinished:
                request.switch()
            self._wake_loop()

    def _wait_for_request(self, thread_no: int) -> bool:
        with self.lock:
            self.active_count -= 1
            self.queue_cv.wait_for(lambda: self.queue or self.stop_count)
            self.active_count += 1
            if not self.stop_count:
                return True
            self.active_count -= 1
            self.stop_count -= 1
            self.threads.discard(thread_no)
            self.thread_exit_cv.notify()
            return False


class ReadDispatcher(ThreadedTaskDispatcher):
    """Threads of which few, the leaders, serve all short requests.

    Threads that took turns would spend more time on handing over Python's global lock than on the
    requests. A leader that starts something long lets another thread lead, and so does one that
    turns out to be busy.
    """

    def __init__(self, threads: int, leaders: int, wake_loop: Callable[[], None]) -> None:
        super().__init__()
        self._limit = leaders
        self._wake_loop = wake_loop
        self._leaders: dict[int, float] = {}  # The monotonic time when each began its request.
        # The thread that was idle last leads next: few threads keep memory of their requests.
        self._idle: list[Condition] = []
        self.set_thread_count(threads)

    def add_task(self, task: HTTPChannel) -> None:
        """Queue a request, and wake a thread if it may lead."""
        with self.lock:
            self.queue.append(task)
            self._wake_follower()

    def handler_thread(self, thread_no: int) -> None:
        """Lead whenever that is possible."""
        while True:
            self._wait_to_lead()
            for number in count(1):
                request = self._take_request()
                if not request:
                    break
                _serve(request)
                if number % WAKE_REQUESTS == 0:
                    self._wake_loop()
            self._wake_loop()

    def is_leading(self) -> bool:
        """Return whether the current thread leads."""
        return get_ident() in self._leaders

    def leave(self) -> None:
        """Let another thread lead instead of the current one."""
        with self.lock:
            is_leader = self._leaders.pop(get_ident(), None)
            self._wake_follower()
        if is_leader:
            self._wake_loop()

    def relieve(self) -> bool:
        """Let others lead instead of busy leaders; return whether requests are queued."""
        with self.lock:
            if self.queue:
                since = time.monotonic() - BUSY_SECONDS
                for thread in [thread for thread, start in self._leaders.items() if start < since]:
                    del self._leaders[thread]
                self._wake_follower()
            return bool(self.queue)

    def _wait_to_lead(self) -> None:
        with self.lock:
            while not self._can_lead():
                self._idle.append(Condition(self.lock))
                self._idle[-1].wait()
            self._leaders[get_ident()] = time.monotonic()

    def _can_lead(self) -> bool:
        return bool(self.queue) and len(self._leaders) < self._limit

    def _wake_follower(self) -> None:
        if self._idle and self._can_lead():
            self._idle.pop().notify()

    def _take_request(self) -> HTTPChannel | None:
        with self.lock:
            if not self.is_leading():
                return None
            if not self.queue:
                del self._leaders[get_ident()]
                return None
            self._leaders[get_ident()] = time.monotonic()
            return self.queue.popleft()


class StreamDispatcher(ThreadedTaskDispatcher):
    """A thread for each event stream; they start with the streams, because most servers have none.

    A stream lasts as long as its client stays, so the threads of other requests cannot serve it.
    """

    def __init__(self, most: int) -> None:
        super().__init__()
        self._most = most
        self._start_lock = Lock()

    def add_task(self, task: HTTPChannel) -> None:
        """Queue a request, and start a thread for it if none is idle."""
        task.send_at_once()
        with self._start_lock:
            super().add_task(task)
            with self.lock:
                threads = len(self.threads)
                has_idle = threads - self.active_count >= len(self.queue)
            if not has_idle and threads < self._most:
                self.set_thread_count(threads + 1)


class RequestDispatcher(ThreadedTaskDispatcher):
    """Queues each request for the threads that serve its kind."""

    def __init__(
        self,
        readers: ThreadedTaskDispatcher,
        streams: ThreadedTaskDispatcher,
        wake_loop: Callable[[], None],
        prefix: str,
    ) -> None:
        super().__init__()
        self._health_paths = {"/healthz", f"{prefix}/healthz"}
        self._api_path = f"{prefix}/api/"
        self._readers, self._streams = readers, streams
        self._write_dispatcher = WriteDispatcher(wake_loop)
        self._large_body_dispatcher = ThreadedTaskDispatcher()
        self._large_body_dispatcher.set_thread_count(LARGE_BODY_THREADS)
        self._health_dispatcher = ThreadedTaskDispatcher()
        self._health_dispatcher.set_thread_count(1)
        self.set_thread_count(OTHER_THREADS)

    def add_task(self, task: HTTPChannel) -> None:
        """Queue a connection whose next request has been received."""
        request = task.requests[0]
        if request.error:
            super().add_task(task)
        elif request.command == "POST" and _is_large(request):
            self._large_body_dispatcher.add_task(task)
        elif request.command == "POST":
            self._write_dispatcher.add_task(task)
        elif request.path in self._health_paths:
            self._health_dispatcher.add_task(task)
        elif request.path.startswith(self._api_path):
            is_stream = EVENT_STREAM in request.headers.get("ACCEPT", "")
            (self._streams if is_stream else self._readers).add_task(task)
        else:
            super().add_task(task)


def _is_large(request: HTTPRequestParser) -> bool:
    # A compressed body may be a thousand times as long as what was received.
    is_compressed = "CONTENT_ENCODING" in request.headers
    return is_compressed or len(request.body_rcv or b"") > SMALL_BODY_BYTES
