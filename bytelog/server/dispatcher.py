"""Which thread serves which request.

Small POSTs share one thread, which batches them: their events share a commit. Large bodies, whose
decoding takes long, have threads of their own, and so have health checks. A pool serves the rest,
so a slow reader never delays a writer.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.task import ThreadedTaskDispatcher

from ..storage.writer import BatchedRequest

BATCH_REQUESTS = 500
"""Requests that one thread runs together, so that their events share a commit."""

SMALL_BODY_BYTES = 256 * 1024
"""Bytes of a body that is decoded between commits: about a tenth of a second."""

LARGE_BODY_THREADS = 1
"""Threads that decode large bodies: each may take 16 MiB of text and ten times as much memory."""

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


class RequestDispatcher(ThreadedTaskDispatcher):
    """Queues each request for the threads that serve its kind."""

    def __init__(self, threads: int, wake_loop: Callable[[], None], prefix: str) -> None:
        super().__init__()
        self._health_paths = {"/healthz", f"{prefix}/healthz"}
        self._write_dispatcher = WriteDispatcher(wake_loop)
        self._large_body_dispatcher = ThreadedTaskDispatcher()
        self._large_body_dispatcher.set_thread_count(LARGE_BODY_THREADS)
        self._health_dispatcher = ThreadedTaskDispatcher()
        self._health_dispatcher.set_thread_count(1)
        self.set_thread_count(threads)

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
        else:
            super().add_task(task)


def _is_large(request: HTTPRequestParser) -> bool:
    # A compressed body may be a thousand times as long as what was received.
    is_compressed = "CONTENT_ENCODING" in request.headers
    return is_compressed or len(request.body_rcv or b"") > SMALL_BODY_BYTES
