"""The metric that says which database server accepts events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..storage.backend import Backend

if TYPE_CHECKING:
    from prometheus_client import Metric


class PrimaryCollector:
    """Looks for the primary whenever Prometheus reads the metrics."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def collect(self) -> list[Metric]:
        """Return the metric with a value for each server that the URL names."""
        from prometheus_client.metrics_core import GaugeMetricFamily

        text = "1 for the database server that accepts events, 0 for the others in the URL."
        family = GaugeMetricFamily("bytelog_primary", text, labels=["server"])
        for server, is_primary in self._backend.servers().items():
            family.add_metric([server], float(is_primary))
        return [family]
