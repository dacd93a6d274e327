# SPDX-License-Identifier: Apache-2.0
"""Metrics by name, on prometheus_client."""

from collections.abc import Mapping
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

_QUICK = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
SECONDS = (*_QUICK, 30, 60, 120, 300)
"""Buckets of durations: from a fold (0.1 ms) to an arrival that was five minutes late."""
_COMMON = {
    "taxi_fault": "Whether a condition lasts that keeps this process from its work (1) or not (0), by code."
}
BYTES = tuple(100 * 4**n for n in range(9))
"""Buckets of sizes, up to 6.5 MB."""


class PrometheusMetrics:
    """Creates each metric at its first use. Its name ends in the unit (`…_seconds`, `…_bytes`, `…_total`)."""

    def __init__(self, texts: Mapping[str, str], registry: CollectorRegistry | None = None) -> None:
        """`texts`: name → help text. A metric without one raises KeyError at its first use."""
        self._texts = {**_COMMON, **texts}
        self.registry = registry or CollectorRegistry()
        ProcessCollector(registry=self.registry)
        self._made: dict[str, Any] = {}

    def count(self, name: str, amount: float = 1, **labels: str) -> None:
        self._metric(Counter, name, labels).inc(amount)

    def gauge(self, name: str, value: float, **labels: str) -> None:
        self._metric(Gauge, name, labels).set(value)

    def observe(self, name: str, value: float, **labels: str) -> None:
        buckets = BYTES if name.endswith("_bytes") else SECONDS
        self._metric(Histogram, name, labels, buckets=buckets).observe(value)

    def text(self) -> bytes:
        """All metrics in Prometheus's text exposition format."""
        return generate_latest(self.registry)

    def _metric(self, kind: Any, name: str, labels: Mapping[str, str], **options: Any) -> Any:
        metric = self._made.get(name)
        if metric is None:
            metric = kind(name, self._texts[name], sorted(labels), registry=self.registry, **options)
            self._made[name] = metric
        return metric.labels(**labels) if labels else metric
