"""Metrics of the disk that holds the spool."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prometheus_client.metrics_core import Metric


class DiskMetrics(Collector):
    """Looks at the disk when it is asked; a disk that does not answer has no metrics.

    Parameters
    ----------
    folder
        Of the spool.
    reserve_bytes
        Space that is kept free.
    """

    def __init__(self, folder: Path, *, reserve_bytes: int) -> None:
        self._folder = folder
        self._reserve_bytes = reserve_bytes

    def collect(self) -> Iterator[Metric]:
        """Give free bytes, reserve and free names."""
        yield GaugeMetricFamily(
            "deid_node_spool_reserve_bytes",
            "Space that is kept free; below it nothing is accepted.",
            value=self._reserve_bytes,
        )
        try:
            disk = os.statvfs(self._folder)
        except OSError:
            return
        yield GaugeMetricFamily(
            "deid_node_spool_free_bytes",
            "Space that the node may still use on the disk of the spool.",
            value=disk.f_bavail * disk.f_frsize,
        )
        yield GaugeMetricFamily(
            "deid_node_spool_free_inodes",
            "Files that the node may still make on the disk of the spool.",
            value=disk.f_favail,
        )
