"""The errors of the database, whichever it is."""

from __future__ import annotations

from ..config import SetupError


class UnusableDatabase(SetupError):
    """The database cannot be opened; the message says why and what to do."""


class StorageError(Exception):
    """The database failed. Nothing of the request was stored."""


class StorageBusy(StorageError):
    """Another program has locked the database."""


class StorageFull(StorageError):
    """The disk is full."""


class ReadInterrupted(StorageError):
    """A statement was interrupted because it took too long, or its client has gone."""


class TextTooLong(StorageError):
    """The text of a page exceeds PAGE_BYTES; read fewer events at once."""
