"""Requests that share a thread: each switches to the next one while it waits to commit.

If every request had its own thread, and the threads slept until another thread has committed,
sharing a commit would be slow in Python: waking a thread costs more than the insert. So one thread
may run several requests: each runs in a `BatchedRequest` greenlet, and `yield_to_batch`, between
queueing and locking, switches to the next request. When all have yielded, the first that resumes
commits for all of them. Outside a `BatchedRequest`, `yield_to_batch` does nothing, and threads wait
for the lock.
"""

from __future__ import annotations

from typing import cast

from greenlet import getcurrent, greenlet


class BatchedRequest(greenlet):
    """A request that shares its thread with other requests, which run while it waits to commit."""


def yield_to_batch() -> None:
    """Let the other requests of this thread run first, if they are batched."""
    current = getcurrent()
    if isinstance(current, BatchedRequest):
        cast("greenlet", current.parent).switch()
