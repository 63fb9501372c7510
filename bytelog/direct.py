"""Events recorded and read from Python, in the same process, without HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import Any, cast

from flask import Flask
from marshmallow import ValidationError
from werkzeug.exceptions import RequestEntityTooLarge

from . import bodies, projects, store
from .db import close_readers
from .forms import LINES
from .i_json import decode_object
from .parameters import listing as listing_parameters
from .parameters import load_selection
from .schemas import EventFields
from .writer import current_writer


class Bytelog:
    """The events of an application that `create_app` made, or that `init_app` was given.

    Works in any thread, in and outside of requests; threads that record at once share a commit.
    """

    def __init__(self, app: Flask) -> None:
        self._service = cast("Flask", app.extensions["bytelog"])

    def record(self, *, project: str = "default", **event: Any) -> None:
        """Store an event, given by its members; returns when it is on the disk.

        Whatever JSON can say may be in `data`; a datetime becomes its ISO form. A project comes
        into being with its first event. Raises ValidationError naming each bad member, and
        StorageError if nothing was stored.
        """
        with self._service.app_context():
            loaded = [_loaded(event)]
            store.record(projects.opened(project), loaded)

    def record_many(self, events: Iterable[Mapping[str, Any]], project: str = "default") -> None:
        """Store events, all or none, 1 to BYTELOG_BATCH_EVENTS; otherwise as `record` does."""
        with self._service.app_context():
            try:
                loaded = bodies.load_batch(partial(_loaded, event) for event in events)
            except RequestEntityTooLarge as error:
                raise ValidationError(str(error.description)) from error
            store.record(projects.opened(project), loaded)

    def events(self, *, project: str = "default", **parameters: Any) -> Iterator[dict[str, Any]]:
        """Read events, selected by the parameters of `GET /api/v1/events`, one after the other.

        Raises ValidationError naming each bad parameter, and StorageError.
        """
        query = {name: [str(value)] for name, value in parameters.items()}
        with self._service.app_context():
            selection = load_selection(listing_parameters, query, projects.opened(project))
            listing = store.wait_for(selection, LINES, is_gone=bool)
        pages = LINES.text(listing.count, listing.pages)
        return (json.loads(line) for page in pages for line in page.splitlines())

    def close(self) -> None:
        """Close the database once the last commit is through; nothing works from then on."""
        with self._service.app_context():
            current_writer().stop()
            close_readers()
            current_writer().close()


def _loaded(event: Mapping[str, Any]) -> EventFields:
    try:
        text = json.dumps(dict(event), ensure_ascii=False, default=_plain)
        text.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValidationError(f"Not I-JSON: {error}.") from error
    return bodies.load_event(text, partial(decode_object, text))


def _plain(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} is not JSON")
