"""The metrics of followers at `/metrics`, which are computed when Prometheus reads them."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, cast

from flask import Flask
from sqlalchemy import Row

from .. import timestamps
from ..api.metrics import Metrics
from ..storage.errors import StorageError
from ..storage.reader import ReadLimits
from . import registry

if TYPE_CHECKING:
    from prometheus_client import Metric
    from prometheus_client.registry import Collector

MAX_FOLLOWERS = 100
"""Followers with metrics of their own: each has three time series."""

COUNT_SECONDS = 1.0
"""Time for counting the events of all followers: Prometheus waits for ten seconds."""

METRICS = {
    "lag_events": "Events that a follower has still to deliver, counted up to 10000.",
    "delivery_age_seconds": "Time since a follower last delivered an event.",
    "set_aside_events": "Events that a follower set aside because the receiver refused them.",
}
"""The metrics of each follower, and their meanings."""


class FollowerCollector:
    """Reads the followers of an application's database for Prometheus."""

    def __init__(self, app: Flask) -> None:
        self._app = app

    def collect(self) -> Iterable[Metric]:
        """Return the metrics with a value for each follower."""
        from prometheus_client.metrics_core import GaugeMetricFamily

        lag, age, set_aside = families = [
            GaugeMetricFamily(f"bytelog_follower_{name}", text, labels=["project", "follower"])
            for name, text in METRICS.items()
        ]
        for follower, behind in self._read():
            labels = [follower.project, follower.name]
            if behind is not None:
                lag.add_metric(labels, behind)
            if follower.delivered:
                delivered = timestamps.now() - follower.delivered
                age.add_metric(labels, delivered.total_seconds())
            set_aside.add_metric(labels, follower.set_aside)
        return families

    def _read(self) -> list[tuple[Row[Any], int | None]]:
        deadline = time.monotonic() + COUNT_SECONDS
        try:
            with self._app.app_context():
                return [
                    (follower, _count_until(deadline, follower))
                    for follower in registry.list_all(MAX_FOLLOWERS)
                ]
        except StorageError:
            return []


def init_app(app: Flask) -> None:
    """Add the metrics of followers, if the application has metrics."""
    if metrics := app.extensions.get("bytelog.metrics"):
        cast("Metrics", metrics).registry.register(cast("Collector", FollowerCollector(app)))


def _count_until(deadline: float, follower: Row[Any]) -> int | None:
    seconds = deadline - time.monotonic()
    return registry.count_behind(follower, ReadLimits(seconds)) if seconds > 0 else None
