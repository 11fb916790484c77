"""What the port counts; an addition under a lock for each instance, and none for each PDU."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import Counter

if TYPE_CHECKING:
    from collections.abc import Iterator


class ReceiveCounts:
    """Counters of all associations since the start of the process."""

    def __init__(self) -> None:
        self._instances = Counter(
            "deid_node_instances",
            "Answers to C-STORE requests, by DIMSE status.",
            ["status"],
            registry=None,
        )
        self._bytes = Counter(
            "deid_node_received_bytes", "Bytes of datasets received by C-STORE.", registry=None
        )
        self._associations = Counter(
            "deid_node_associations",
            "Associations that were accepted, rejected or aborted by this node.",
            ["state"],
            registry=None,
        )
        for state in ("accepted", "rejected", "aborted"):
            self._associations.labels(state)
        self._by_status: dict[int, Counter] = {}

    def answered(self, status: int, *, n_bytes: int) -> None:
        """Count the answer to one C-STORE request, and the bytes of its dataset."""
        counter = self._by_status.get(status)
        if counter is None:
            counter = self._by_status[status] = self._instances.labels(f"0x{status:04X}")
        counter.inc()
        self._bytes.inc(n_bytes)

    def association(self, state: str) -> None:
        """Count an association that was ``accepted``, ``rejected`` or ``aborted``."""
        self._associations.labels(state).inc()

    def __iter__(self) -> Iterator[Counter]:
        """Give every counter, for a registry."""
        yield from (self._instances, self._bytes, self._associations)
