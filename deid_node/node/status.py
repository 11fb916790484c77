"""Tell how many series are in which state, and what waits for a person."""

from __future__ import annotations

import sqlite3
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Final

from deid_node import errors
from deid_node.errors import SpoolError
from deid_node.node.ledger_database import reading

if TYPE_CHECKING:
    from deid_node.config.schema import Settings

LEDGER: Final = "ledger.sqlite"
"""Name of the ledger in the spool folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """A series that waits for a person.

    Parameters
    ----------
    series, generation
        Key of the series; generation 2 and later came after the first had left.
    state
        ``held`` or ``refused``.
    n_instances
        How many instances are kept.
    error, reason, error_id
        Class and message of the error, and its id in the log.
    next_step
        What a person can do.
    """

    series: str
    generation: int
    state: str
    n_instances: int
    error: str
    reason: str
    error_id: str | None
    next_step: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Owed:
    """A result that a destination has not taken yet, or not committed to.

    Parameters
    ----------
    series, destination
        Key of the series, and name of the destination.
    state
        ``pending``; ``stored`` if it is there, but the destination has not committed to it.
    attempts, reason
        How often it was tried, and what the last failure was.
    """

    series: str
    destination: str
    state: str
    attempts: int
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """The node at one moment.

    Parameters
    ----------
    series
        Number of series by name of state; states without any are left out.
    held
        Held and refused series, longest waiting first.
    owed
        What destinations have not taken, longest waiting first.
    """

    series: dict[str, int]
    held: tuple[Waiting, ...]
    owed: tuple[Owed, ...]

    def as_json(self) -> dict[str, object]:
        """Give the snapshot as JSON types."""
        return asdict(self)


def status(settings: Settings) -> Snapshot:
    """Read the ledger of a node, running or not.

    Raises
    ------
    SpoolError
        If there is a ledger and it cannot be read.
    """
    path = settings.spool.folder / LEDGER
    if not path.exists():
        return Snapshot(series={}, held=(), owed=())
    try:
        with reading(path) as database:
            return _snapshot(database)
    except sqlite3.Error:
        raise SpoolError(f"the ledger {path} cannot be read") from None


def _snapshot(database: sqlite3.Connection) -> Snapshot:
    counts = database.execute("SELECT state, count(*) FROM series GROUP BY state ORDER BY state")
    held = database.execute(
        "SELECT series, generation, state, n_instances, error, reason, error_id FROM series"
        " WHERE state IN ('held', 'refused') ORDER BY changed_at, series"
    )
    owed = database.execute(
        "SELECT d.series, d.destination, d.state, d.attempts, d.reason FROM delivery d"
        " JOIN series s USING (series, generation)"
        " WHERE d.state IN ('pending', 'stored') ORDER BY s.changed_at, d.series, d.destination"
    )
    return Snapshot(
        series=dict(counts.fetchall()),
        held=tuple(_waiting(row) for row in held),
        owed=tuple(
            Owed(series=row[0], destination=row[1], state=row[2], attempts=row[3], reason=row[4])
            for row in owed
        ),
    )


def _waiting(row: tuple[str, int, str, int, str, str, str | None]) -> Waiting:
    series, generation, state, n_instances, error, reason, error_id = row
    return Waiting(
        series=series,
        generation=generation,
        state=state,
        n_instances=n_instances,
        error=error,
        reason=reason,
        error_id=error_id,
        next_step=next_step_of(error),
    )


def next_step_of(error: str) -> str:
    """Tell what a person can do about an error of this name."""
    kind = getattr(errors, error, errors.DeidNodeError)
    return str(kind.next_step)
