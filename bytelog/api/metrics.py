"""`/metrics`: the metrics of the service, for Prometheus.

The endpoint exists if BYTELOG_METRICS_KEY is set, and accepts that key alone: the metrics cover
all projects. `/openapi.json` leaves it out, because it is not part of the API.
"""

from __future__ import annotations

import hmac
import math
import time
from collections.abc import Callable
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

from flask import Blueprint, Flask, current_app, g, request
from werkzeug.wrappers import Response

from ..auth import keys, rate_limit
from ..auth.credentials import read_key
from ..auth.refusals import Denied
from ..events import store
from ..storage.backend import Backend
from ..storage.database import backend_of, db
from ..storage.errors import StorageError
from ..storage.writer import Writer
from .primary import PrimaryCollector
from .reader_slots import slots_of

if TYPE_CHECKING:
    from prometheus_client.registry import Collector

blueprint = Blueprint("metrics", __name__)

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
EVENTS = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 10_000)


class Metrics:
    """The metrics of one application."""

    def __init__(self, app: Flask) -> None:
        # Imported here: servers without metrics start faster.
        from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector

        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._requests = Counter(
            "bytelog_requests",
            "Requests that got a response; the endpoint is empty if none matched.",
            ["endpoint", "method", "status"],
            registry=self.registry,
        )
        self._seconds = Histogram(
            "bytelog_request_seconds",
            "Time from a request to the start of its response.",
            ["endpoint", "method"],
            buckets=SECONDS,
            registry=self.registry,
        )
        self._events = Counter("bytelog_events", "Events stored.", registry=self.registry)
        self._commit_events = Histogram(
            "bytelog_commit_events",
            "Events that shared a commit.",
            buckets=EVENTS,
            registry=self.registry,
        )
        self._add_gauges(app)

    def count_events(self, number: int) -> None:
        """Count the events of a commit."""
        self._events.inc(number)
        self._commit_events.observe(number)

    def begin(self) -> None:
        """Store the time at which a request started."""
        g.bytelog_start = time.perf_counter()

    def end(self, response: Response) -> Response:
        """Count a response and the time that it took."""
        # Without a route the method may be any word, and each would add a time series.
        method = request.method if request.url_rule else ""
        endpoint = (request.endpoint or "").rpartition(".")[2]
        self._requests.labels(endpoint, method, response.status_code).inc()
        # Requests that Waitress rejects do not reach `begin`.
        if start := g.get("bytelog_start"):
            self._seconds.labels(endpoint, method).observe(time.perf_counter() - start)
        return response

    def _add_gauges(self, app: Flask) -> None:
        from prometheus_client import Gauge

        backend = _backend(app)
        if backend.maintenance.log_bytes() is not None:
            Gauge(
                "bytelog_wal_bytes", "Size of SQLite's write-ahead log.", registry=self.registry
            ).set_function(lambda: backend.maintenance.log_bytes() or 0)
        if backend.is_server:
            self.registry.register(cast("Collector", PrimaryCollector(backend)))
        if app.config["BYTELOG_READ_DATABASE_URL"]:
            Gauge(
                "bytelog_replica_lag_events",
                "Events stored on the primary and not yet on the replica.",
                registry=self.registry,
            ).set_function(partial(_read, app, store.count_lag))
        if backend.commits_concurrently:
            Gauge(
                "bytelog_arrival_horizon_age_seconds",
                "Age of the oldest open transaction of the server: later arrivals wait for it.",
                registry=self.registry,
            ).set_function(partial(_read, app, store.read_horizon_age))
        Gauge(
            "bytelog_places_taken",
            "Reader slots taken by long listings and by requests that wait for events.",
            registry=self.registry,
        ).set_function(lambda: slots_of(app).in_use)
        Gauge(
            "bytelog_streams", "Event streams that are open.", registry=self.registry
        ).set_function(lambda: slots_of(app).streams)


def init_app(app: Flask) -> None:
    """Collect metrics and add the endpoint, if BYTELOG_METRICS_KEY is set."""
    if not app.config["BYTELOG_METRICS_KEY"]:
        return
    metrics = app.extensions["bytelog.metrics"] = Metrics(app)
    cast("Writer", app.extensions["bytelog.writer"]).on_commit = metrics.count_events
    app.before_request(metrics.begin)
    app.after_request(metrics.end)
    app.register_blueprint(blueprint)


@blueprint.get("/metrics")
def show_metrics() -> Response:
    """Send the metrics in the format that Prometheus requests."""
    from prometheus_client.exposition import choose_encoder

    key = current_app.config["BYTELOG_METRICS_KEY"]
    if not hmac.compare_digest(keys.digest(read_key() or ""), keys.digest(key)):
        rate_limit.count_wrong_key(request.remote_addr or "")
        raise Denied(HTTPStatus.UNAUTHORIZED, "Send BYTELOG_METRICS_KEY as the bearer token.")
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    metrics = cast("Metrics", current_app.extensions["bytelog.metrics"])
    return Response(encode(metrics.registry), content_type=content_type)


def _read(app: Flask, read: Callable[[], float]) -> float:
    try:
        with app.app_context():
            return read()
    except StorageError:
        return math.nan


def _backend(app: Flask) -> Backend:
    with app.app_context():
        return backend_of(db.engine)
