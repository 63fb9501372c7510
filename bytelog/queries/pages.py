"""The pages of a listing, which are read ahead of the client.

The database builds the text of a page outside Python's lock, so two threads read a long listing in
little more than half the time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from ..config import PAGE_BYTES
from ..storage.errors import StorageError, TextTooLong
from ..storage.reader import Reader
from .statements import ListingQueries, Part

PAGE_EVENTS = 2000
"""Events read in one transaction while a listing is sent: about two milliseconds of work."""

AHEAD_PAGES = 2
"""Pages of a listing that are read ahead, of at most PAGE_BYTES each."""

AHEAD_THREADS = 2
"""Threads that read ahead for all listings. A page that waits for them is read without them."""

Values = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Page:
    """A number of events, from a position in a part of a listing."""

    part: Part
    values: Values
    size: int


class Pages:
    """Reads the pages of a listing; raises StorageError if events are deleted meanwhile."""

    def __init__(self, reader: Reader, queries: ListingQueries) -> None:
        self._reader = reader
        self._first, self._final = queries.after_position[0], queries.after_position[-1]

    def read(self, page: Page) -> Iterator[bytes]:
        """Yield the text of a page of any size, in pieces."""
        if page.size > PAGE_EVENTS:
            yield from self._read_ahead(page)
            return
        for piece in self._cut(page, PAGE_EVENTS):
            yield from self._read(piece)

    def _read_ahead(self, page: Page) -> Iterator[bytes]:
        started = deque[tuple[Page, Future[bytes]]]()
        try:
            for piece in self._cut(page, PAGE_EVENTS):
                started.append((piece, _threads().submit(self._read_text, piece)))
                if len(started) > AHEAD_PAGES:
                    yield from self._finish(*started.popleft())
            while started:
                yield from self._finish(*started.popleft())
        finally:
            wait([future for _, future in started if not future.cancel()])

    def _finish(self, page: Page, future: Future[bytes]) -> Iterator[bytes]:
        if future.cancel():
            yield from self._read(page)
            return
        try:
            yield future.result()
        except TextTooLong:
            yield from self._read(page)

    def _read(self, page: Page) -> Iterator[bytes]:
        try:
            yield self._read_text(page)
        except TextTooLong:
            if page.size == 1:
                raise
            for half in self._cut(page, (page.size + 1) // 2):
                yield from self._read(half)

    def _read_text(self, page: Page) -> bytes:
        ((size, text),) = self._reader.fetch(page.part.page, {**page.values, "rows": page.size})
        if size < page.size:
            raise StorageError(f"{page.size - size} events were deleted while they were listed")
        if text is None:
            raise TextTooLong(f"{size} events have more than {PAGE_BYTES} bytes")
        return bytes(text)

    def _cut(self, page: Page, size: int) -> Iterator[Page]:
        """Cut a page into pages of at most `size` events."""
        while page.size > size or (page.size and self._is_rest_of_date(page.part)):
            piece = replace(page, size=min(size, page.size))
            edges = self._fetch_positions(piece, skipped=piece.size - 1, rows=2)
            if edges:
                page = self._continue(page, piece, edges)
            else:
                piece, page = self._cut_at_end_of_date(piece, page)
            if piece.size:
                yield piece
        if page.size:
            yield page

    def _continue(self, page: Page, piece: Page, edges: Sequence[Sequence[Any]]) -> Page:
        """Return what follows a piece, given the positions of its last event and the next one."""
        (date, key), *following = edges
        is_date_cut = any(next_date == date for next_date, _ in following)
        part = self._first if is_date_cut else self._final
        return Page(part, {**page.values, "date": date, "key": key}, page.size - piece.size)

    def _cut_at_end_of_date(self, piece: Page, page: Page) -> tuple[Page, Page]:
        """Return the events that are left of a date, fewer than a piece, and what follows them."""
        if not self._is_rest_of_date(page.part):
            raise StorageError("events were deleted while they were listed")
        size = len(self._fetch_positions(piece, skipped=0, rows=piece.size))
        return replace(piece, size=size), Page(self._final, page.values, page.size - size)

    def _is_rest_of_date(self, part: Part) -> bool:
        """Return whether a part has only events of the date of its position."""
        return part is self._first and part is not self._final

    def _fetch_positions(self, page: Page, skipped: int, rows: int) -> Sequence[Sequence[Any]]:
        values = {**page.values, "skipped": skipped, "rows": rows}
        return self._reader.fetch(page.part.positions, values)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AHEAD_THREADS, "read-ahead")
