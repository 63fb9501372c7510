"""`/metrics`: what the service does, in numbers that Prometheus collects.

It is there when BYTELOG_METRICS_KEY is set, and opens to that key alone: the numbers are those of
all projects. `/openapi.json` leaves it out, because it is no part of the API.
"""

from __future__ import annotations

import hmac
import math
import time
from http import HTTPStatus
from typing import cast

from flask import Blueprint, Flask, current_app, g, request
from werkzeug.wrappers import Response

from ..auth import keys
from ..auth.bearer import Denied
from ..events import store
from ..storage.backend import Backend, StorageError
from ..storage.database import backend_of, db
from ..storage.writer import Writer
from .reader_slots import slots_of

blueprint = Blueprint("metrics", __name__)

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
EVENTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000)


class Metrics:
    """The numbers of one application."""

    def __init__(self, app: Flask) -> None:
        # Not at the top: only who asks for numbers waits for this.
        from prometheus_client import (
            CollectorRegistry,
            Counter,
            Gauge,
            Histogram,
            ProcessCollector,
        )

        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "bytelog_requests",
            "Requests that were answered; no endpoint for those that were refused before one.",
            ["endpoint", "method", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "bytelog_request_seconds",
            "Time from a request to the beginning of its answer.",
            ["endpoint", "method"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._events = Counter(
            "bytelog_events", "Events that were recorded.", registry=self.registry
        )
        self._groups = Histogram(
            "bytelog_commit_events",
            "Events that shared a commit.",
            buckets=EVENTS,
            registry=self.registry,
        )
        backend = _backend(app)
        if backend.log_bytes() is not None:
            Gauge(
                "bytelog_wal_bytes", "Size of SQLite's write-ahead log.", registry=self.registry
            ).set_function(lambda: backend.log_bytes() or 0)
        if app.config["BYTELOG_READ_DATABASE_URL"]:
            Gauge(
                "bytelog_replica_lag_events",
                "Events that were recorded and cannot be read yet.",
                registry=self.registry,
            ).set_function(lambda: _lag(app))
        Gauge(
            "bytelog_places_taken",
            "Long listings that are being read, and requests that wait for events.",
            registry=self.registry,
        ).set_function(lambda: slots_of(app).in_use)

    def count_events(self, number: int) -> None:
        """Count events that shared a commit."""
        self._events.inc(number)
        self._groups.observe(number)

    def begin(self) -> None:
        """Note when a request came."""
        g.bytelog_began = time.perf_counter()

    def end(self, response: Response) -> Response:
        """Count an answer."""
        # Without a route a method may be any word, and each would stay in memory.
        method = request.method if request.url_rule else ""
        endpoint = (request.endpoint or "").rpartition(".")[2]
        self._requests.labels(endpoint, method, response.status_code).inc()
        # What Waitress refuses never began here.
        if began := g.get("bytelog_began"):
            self._seconds.labels(endpoint, method).observe(time.perf_counter() - began)
        return response


def init_app(app: Flask) -> None:
    """Count what the application does, and add the endpoint, if there is a key for it."""
    if not app.config["BYTELOG_METRICS_KEY"]:
        return
    metrics = app.extensions["bytelog.metrics"] = Metrics(app)
    cast("Writer", app.extensions["bytelog.writer"]).on_commit = metrics.count_events
    app.before_request(metrics.begin)
    app.after_request(metrics.end)
    app.register_blueprint(blueprint)


@blueprint.get("/metrics")
def show_metrics() -> Response:
    """Send the numbers, in the form that Prometheus asks for."""
    from prometheus_client.exposition import choose_encoder

    given, wanted = request.authorization, current_app.config["BYTELOG_METRICS_KEY"]
    token = given and given.type == "bearer" and given.token
    if not hmac.compare_digest(keys.digest(token or ""), keys.digest(wanted)):
        raise Denied(HTTPStatus.UNAUTHORIZED, "Send BYTELOG_METRICS_KEY as bearer token.")
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    metrics = cast("Metrics", current_app.extensions["bytelog.metrics"])
    return Response(encode(metrics.registry), content_type=content_type)


def _lag(app: Flask) -> float:
    try:
        with app.app_context():
            return store.count_lag()
    except StorageError:
        return math.nan


def _backend(app: Flask) -> Backend:
    with app.app_context():
        return backend_of(db.engine)
