"""Which thread serves which request: POSTs share one thread, which batches them."""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import partial

from waitress.channel import HTTPChannel
from waitress.task import ThreadedTaskDispatcher

from ..storage.writer import BatchedRequest

BATCH_REQUESTS = 500
"""Requests that one thread runs together, so that their events share a commit."""


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
            while self.queue and len(unfinished) < BATCH_REQUESTS:
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
    """A thread for POSTs and a pool for everything else: a slow reader never delays a writer."""

    def __init__(self, threads: int, wake_loop: Callable[[], None]) -> None:
        super().__init__()
        self._write_dispatcher = WriteDispatcher(wake_loop)
        self.set_thread_count(threads)

    def add_task(self, task: HTTPChannel) -> None:
        """Queue a connection whose next request has been received."""
        request = task.requests[0]
        if not request.error and request.command == "POST":
            self._write_dispatcher.add_task(task)
        else:
            super().add_task(task)
