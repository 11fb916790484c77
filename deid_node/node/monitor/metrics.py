"""Every metric of the node, as Prometheus reads it.

Counters come from the port and from the events that are logged anyway; what lies in the
ledger or on the disk is looked up when somebody asks.
"""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from deid_node import __version__
from deid_node.node.monitor.disk_metrics import DiskMetrics
from deid_node.node.monitor.ledger_metrics import LedgerMetrics
from deid_node.node.receive.counts import ReceiveCounts
from deid_node.node.status import LEDGER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from prometheus_client.metrics_core import Metric

SECONDS_BUCKETS: Final = (0.5, 1, 2.5, 5, 10, 20, 30, 60, 120, 300, 900, 3600)

STAGES: Final[Mapping[str, str]] = {"series-deidentified": "deidentify", "series-sent": "send"}
"""Events that end a stage; their field `seconds` is how long it took."""

FAILED_DELIVERIES: Final = ("series-not-sent", "series-refused-by-destination")
FAILED_STEP: Final = "step-failed"
MODEL_ENDED: Final = "model-process-ended"
WORKER_DIED: Final = "worker-died"


class Metrics:
    """The metrics of one node.

    Parameters
    ----------
    spool
        Folder of the spool, with the ledger in it.
    reserve_bytes
        Space that is kept free there.
    ready
        Tells of each part of the node whether it is ready.
    n_associations
        Tells how many are open.
    """

    def __init__(
        self,
        spool: Path,
        *,
        reserve_bytes: int,
        ready: Callable[[], Mapping[str, bool]],
        n_associations: Callable[[], int],
    ) -> None:
        self._registry = registry = CollectorRegistry(auto_describe=False)
        self.counts = ReceiveCounts()
        for counter in self.counts:
            registry.register(counter)
        self._stage = Histogram(
            "deid_node_stage_seconds",
            "Time that one series took in a stage.",
            ["stage"],
            buckets=SECONDS_BUCKETS,
            registry=registry,
        )
        for stage in STAGES.values():
            self._stage.labels(stage)
        self._deliveries = Counter(
            "deid_node_delivery_failures",
            "Attempts to deliver a series that failed, by destination and class of the error.",
            ["destination", "error"],
            registry=registry,
        )
        self._steps = Counter(
            "deid_node_step_failures",
            "Faults that made a thread of the node pause, by class of the error.",
            ["error"],
            registry=registry,
        )
        self._models = Counter(
            "deid_node_model_restarts",
            "Times that the process of an imported model ended without an answer.",
            registry=registry,
        )
        self._workers = Counter(
            "deid_node_worker_restarts",
            "Times that the process that works on series died.",
            registry=registry,
        )
        Info("deid_node_build", "What runs.", registry=registry).info(
            {"version": __version__, "python": platform.python_version()}
        )
        registry.register(LedgerMetrics(spool / LEDGER))
        registry.register(DiskMetrics(spool, reserve_bytes=reserve_bytes))
        ProcessCollector(registry=registry)
        Gauge(
            "deid_node_associations_open", "Associations that are open.", registry=registry
        ).set_function(n_associations)
        registry.register(_Ready(ready))

    def told(self, name: str, fields: Mapping[str, object]) -> None:
        """Count one event of the log."""
        error, seconds = str(fields.get("error", "")), fields.get("seconds")
        if name in STAGES and isinstance(seconds, (int, float)):
            self._stage.labels(STAGES[name]).observe(seconds)
        elif name in FAILED_DELIVERIES:
            self._deliveries.labels(str(fields.get("destination", "")), error).inc()
        elif name == FAILED_STEP:
            self._steps.labels(error).inc()
        elif name == MODEL_ENDED:
            self._models.inc()
        elif name == WORKER_DIED:
            self._workers.inc()

    def exposition(self) -> bytes:
        """Write all metrics in the text format of Prometheus."""
        return bytes(generate_latest(self._registry))


class _Ready(Collector):
    """Asks all parts once each time."""

    def __init__(self, ready: Callable[[], Mapping[str, bool]]) -> None:
        self._ready = ready

    def collect(self) -> Iterator[Metric]:
        parts = GaugeMetricFamily(
            "deid_node_ready", "Whether a part of the node is ready.", labels=("part",)
        )
        for part, is_ready in self._ready().items():
            parts.add_metric((part,), float(is_ready))
        yield parts
