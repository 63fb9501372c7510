"""Which thread serves which request: recording has a lane of its own."""

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
        log.exception("a connection failed")


class WriteDispatcher(ThreadedTaskDispatcher):
    """One thread that takes all waiting requests at once, so that their events share a commit."""

    def __init__(self, wake_loop: Callable[[], None]) -> None:
        super().__init__()
        self._wake_loop = wake_loop
        self.set_thread_count(1)

    def handler_thread(self, thread_no: int) -> None:
        """Serve requests until the lane is stopped."""
        while self._wait(thread_no):
            paused: list[BatchedRequest] = []
            while self.queue and len(paused) < BATCH_REQUESTS:
                request = BatchedRequest(partial(_serve, self.queue.popleft()))
                request.switch()
                if not request.dead:
                    paused.append(request)
            for request in paused:
                request.switch()
            self._wake_loop()

    def _wait(self, thread_no: int) -> bool:
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
    """Recording in one lane, everything else in threads: a slow reader never delays a writer."""

    def __init__(self, threads: int, wake_loop: Callable[[], None]) -> None:
        super().__init__()
        self._recording = WriteDispatcher(wake_loop)
        self.set_thread_count(threads)

    def add_task(self, task: HTTPChannel) -> None:
        """Queue a channel whose next request is complete."""
        request = task.requests[0]
        records = not request.error and request.command == "POST"
        if records:
            self._recording.add_task(task)
        else:
            super().add_task(task)
