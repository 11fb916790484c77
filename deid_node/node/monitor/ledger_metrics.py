"""Metrics that lie in the ledger: read when somebody asks, by a connection that only reads."""

from __future__ import annotations

import sqlite3
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple

from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from deid_node.node.ledger_database import reading
from deid_node.node.monitor.asking import Question
from deid_node.node.states import State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from prometheus_client.metrics_core import Metric

WAITING: Final = tuple(
    state.value for state in State if state not in {State.DELIVERED, State.PURGED}
)
"""States in which a series waits for the node or for a person."""

_COUNTS: Final = "SELECT state, count(*) FROM series GROUP BY state"
_OLDEST: Final = "SELECT min(changed_at) FROM series WHERE state = ?"
_HELD: Final = (
    "SELECT coalesce(error, ''), count(*) FROM series WHERE state IN ('held', 'refused')"
    " GROUP BY error"
)
_DELIVERIES: Final = "SELECT destination, state, count(*) FROM delivery GROUP BY destination, state"
_OWED: Final = (
    "SELECT d.destination, min(s.changed_at) FROM delivery d JOIN series s USING (series, generation)"
    " WHERE d.state IN ('pending', 'stored') GROUP BY d.destination"
)


class _Figures(NamedTuple):
    """What the ledger said."""

    counts: dict[str, int]
    oldest: list[tuple[str, float | None]]
    held: list[tuple[str, int]]
    deliveries: list[tuple[str, str, int]]
    owed: dict[str, float]


class LedgerMetrics(Collector):
    """Reads the ledger of a node; while it does not answer, tells what it said last.

    Parameters
    ----------
    path
        Of the ledger.
    now
        Clock of the ledger, in seconds since the epoch.
    """

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        self._path = path
        self._now = now
        self._question = Question(self._read)
        self._last: _Figures | None = None

    def collect(self) -> Iterator[Metric]:
        """Give series by state, their age, what is held, and what is owed."""
        with suppress(sqlite3.Error, TimeoutError):
            self._last = self._question.answer()
        if self._last is None:
            return
        counts, oldest, held, deliveries, owed = self._last
        yield _gauge(
            "deid_node_series",
            "Series by state.",
            ("state",),
            [((state.value,), counts.get(state.value, 0)) for state in State],
        )
        yield _gauge(
            "deid_node_series_oldest_seconds",
            "Time since the series that has waited longest came into its state; 0 if none waits.",
            ("state",),
            [((state,), self._age(since)) for state, since in oldest],
        )
        yield _gauge(
            "deid_node_series_held",
            "Held and refused series by class of the error.",
            ("error",),
            [((error,), n) for error, n in held],
        )
        yield _gauge(
            "deid_node_deliveries",
            "Series by destination and state of their delivery.",
            ("destination", "state"),
            [((name, state), n) for name, state, n in deliveries],
        )
        yield _gauge(
            "deid_node_delivery_oldest_seconds",
            "Time that the longest-owed series has waited for a destination; 0 if none is owed.",
            ("destination",),
            [((name,), self._age(owed.get(name))) for name in {each[0] for each in deliveries}],
        )

    def _read(self) -> _Figures:
        with reading(self._path) as database:
            return _Figures(
                counts=dict(database.execute(_COUNTS).fetchall()),
                oldest=[(s, database.execute(_OLDEST, (s,)).fetchone()[0]) for s in WAITING],
                held=database.execute(_HELD).fetchall(),
                deliveries=database.execute(_DELIVERIES).fetchall(),
                owed=dict(database.execute(_OWED).fetchall()),
            )

    def _age(self, since: float | None) -> float:
        return 0.0 if since is None else max(self._now() - since, 0.0)


def _gauge(
    name: str,
    told: str,
    labels: Sequence[str],
    samples: Sequence[tuple[tuple[str, ...], float]],
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, told, labels=labels)
    for values, value in samples:
        family.add_metric(values, value)
    return family
