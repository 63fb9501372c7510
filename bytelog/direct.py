"""bytelog inside another program: the API within a Flask application, and events without HTTP."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from flask import Flask
from marshmallow import ValidationError

from .api.parameters import listing as listing_parameters
from .api.parameters import load_paths, load_selection
from .auth import projects
from .auth.keys import Grant, grant_all
from .cli.keys import keys_group
from .events import store
from .events.batches import TooManyEvents, load_batch, load_event
from .events.keep_rules import OldestDates, find_oldest
from .events.schemas import EventFields
from .queries.formats import LINES
from .queries.paths import Paths
from .storage.database import close_readers
from .storage.reader import NO_LIMITS
from .storage.writer import current_writer

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

API = "/api/v1/events"


def init_app(app: Flask, service: Flask) -> None:
    """Mount bytelog's application in a host, with its command `keys` unless the host has one."""
    app.extensions["bytelog"] = service
    app.wsgi_app = Embedded(app.wsgi_app, service)  # type: ignore[method-assign]
    if keys_group.name not in app.cli.commands:
        app.cli.add_command(keys_group)


class Embedded:
    """WSGI middleware that passes requests to the API to bytelog, and all others to the host.

    bytelog remains a separate application, so that the host's routes, error pages, request hooks
    and database do not affect it.
    """

    def __init__(self, host: WSGIApplication, service: Flask) -> None:
        self._host = host
        self._service = service

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Handle one request."""
        is_api = f"{environ.get('PATH_INFO', '')}/".startswith(f"{API}/")
        return (self._service if is_api else self._host)(environ, start_response)


class Bytelog:
    """The events of an application that `create_app` created or `init_app` extended.

    Usable from any thread, inside and outside requests. Threads that record at the same time share
    a commit.
    """

    def __init__(self, app: Flask) -> None:
        self._service = cast("Flask", app.extensions["bytelog"])

    def record(self, *, project: str = "default", **event: Any) -> None:
        """Store an event, passed as its members; returns when it is on the disk.

        `data` may hold any JSON value; a datetime is stored in ISO format. The project is created
        with its first event. Raises ValidationError, which names each invalid member, and
        StorageError if nothing was stored.
        """
        with self._service.app_context():
            fields = [_load(event, find_oldest(project))]
            store.record(projects.get_or_create(project), fields)

    def record_many(self, events: Iterable[Mapping[str, Any]], project: str = "default") -> None:
        """Store 1 to BYTELOG_BATCH_EVENTS events, all or none; otherwise like `record`."""
        with self._service.app_context():
            limit, oldest = self._service.config["BYTELOG_BATCH_EVENTS"], find_oldest(project)
            try:
                batch = load_batch((partial(_load, event, oldest) for event in events), limit)
            except TooManyEvents as error:
                raise ValidationError(str(error)) from error
            store.record(projects.get_or_create(project), batch)

    def events(self, *, project: str = "default", **parameters: Any) -> Iterator[dict[str, Any]]:
        """Return an iterator over the events that the parameters of `GET /api/v1/events` select.

        A list or tuple gives a parameter several times.
        Raises ValidationError, which names each invalid parameter, and StorageError.
        """
        query = _build_query(parameters)
        with self._service.app_context():
            selection = load_selection(listing_parameters, query, _grant(project))
            listing = store.wait_for(selection, LINES, NO_LIMITS)
        pages = LINES.write(listing.count, listing.pages)
        return (json.loads(line) for page in pages for line in page.splitlines())

    def paths(self, *, project: str = "default", **parameters: Any) -> Paths:
        """Return what `GET /api/v1/events/paths` answers for its parameters.

        Raises ValidationError, which names each invalid parameter, StorageError and TooManyGroups.
        """
        with self._service.app_context():
            selection, scope = load_paths(_build_query(parameters), _grant(project))
            return store.count_paths(selection, scope, NO_LIMITS)

    def close(self) -> None:
        """Close the database after the last commit has finished; nothing works after that."""
        with self._service.app_context():
            current_writer().commits.stop_waiting()
            close_readers()
            current_writer().close()


def _load(event: Mapping[str, Any], oldest: OldestDates | None) -> EventFields:
    try:
        text = json.dumps(dict(event), ensure_ascii=False, default=_encode_value).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise ValidationError(f"Not I-JSON: {error}.") from error
    return load_event(text, oldest)


def _grant(project: str) -> Grant:
    return grant_all(projects.get_or_create(project))


def _build_query(parameters: Mapping[str, Any]) -> dict[str, list[str]]:
    return {
        name: [str(item) for item in (value if isinstance(value, list | tuple) else [value])]
        for name, value in parameters.items()
    }


def _encode_value(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"{value!r} is not JSON")
