"""Bodies that are being received: in memory, then in files, and bounded for all connections."""

from __future__ import annotations

import errno
from contextlib import suppress
from io import BytesIO
from tempfile import TemporaryFile
from threading import Lock
from typing import IO, cast

from werkzeug.exceptions import HTTPException, ServiceUnavailable

from ..api.errors import InsufficientStorage
from ..config import BUFFERED_BODY_BYTES, RETRY_AFTER_SECONDS

UNKNOWN_BODY_BYTES = 32 * 1024 * 1024
"""Bytes for the bodies of all connections whose sender is not known before the body has arrived,
because the body has the key or is signed. So strangers never keep out a body with a valid key."""

SHARED_BODY_BYTES = BUFFERED_BODY_BYTES - UNKNOWN_BODY_BYTES - 96 * 1024 * 1024
"""Bytes for all other bodies together. The rest is for UNSHARED_BODY_BYTES, and a read of 8 KiB
that holds several requests, of each of at most 2,150 connections."""

UNSHARED_BODY_BYTES = 32 * 1024
"""Bytes of a body that do not count, so that large bodies never keep out a small one."""

SPOOL_BYTES = 512 * 1024
"""Size above which a body moves from memory to a file in TMPDIR."""


class Quota:
    """The bytes that the bodies of all connections may still use together."""

    def __init__(self, limit: int) -> None:
        self._free = limit
        # The loop takes, and the threads that have handled a request give back.
        self._lock = Lock()

    def take(self, size: int) -> None:
        """Take bytes; raises ServiceUnavailable if there are not so many left."""
        with self._lock:
            if size > self._free:
                detail = "The server is receiving too many large bodies; try again."
                raise ServiceUnavailable(detail, retry_after=RETRY_AFTER_SECONDS)
            self._free -= size

    def give_back(self, size: int) -> None:
        """Give bytes back."""
        with self._lock:
            self._free += size


class Body:
    """The body of a request; has the methods that Waitress calls on a buffer."""

    def __init__(self, quota: Quota) -> None:
        self._quota = quota
        self._file: IO[bytes] = BytesIO()
        self._size = 0
        self._taken = 0
        self._is_spooled = self._is_discarded = False

    def __len__(self) -> int:
        """Return the number of bytes received."""
        return self._size

    def append(self, data: bytes) -> None:
        """Add data; raises ServiceUnavailable over the quota, OSError if it cannot be stored."""
        if self._is_discarded:
            return
        excess = max(0, self._size + len(data) - UNSHARED_BODY_BYTES) - self._taken
        if excess > 0:
            self._quota.take(excess)
            self._taken += excess
        if not self._is_spooled and self._size + len(data) > SPOOL_BYTES:
            self._spool()
        self._file.write(data)
        if self._is_spooled:
            # A full disk must be noticed now, while the request can still be refused.
            self._file.flush()
        self._size += len(data)

    def use(self, quota: Quota) -> None:
        """Count against another quota; only before more than UNSHARED_BODY_BYTES have arrived."""
        self._quota = quota

    def getfile(self) -> IO[bytes]:
        """Return the complete body as a file, at its start."""
        self._file.seek(0)
        return self._file

    def discard(self) -> None:
        """Drop what has been received and everything that follows."""
        self.close()
        self._is_discarded = True
        self._file, self._size = BytesIO(), 0

    def close(self) -> None:
        """Delete the body and give its bytes back to the quota."""
        self._quota.give_back(self._taken)
        self._taken = 0
        with suppress(OSError):  # Python tries again to write what did not fit on the disk.
            self._file.close()

    def _spool(self) -> None:
        memory = cast("BytesIO", self._file)
        self._file = TemporaryFile()  # noqa: SIM115
        self._is_spooled = True
        self._file.write(memory.getbuffer())


def explain(error: OSError) -> HTTPException:
    """Return the response for a body that could not be stored."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return InsufficientStorage()
    detail = "The server cannot store the body of the request; try again."
    return ServiceUnavailable(detail, retry_after=RETRY_AFTER_SECONDS)
