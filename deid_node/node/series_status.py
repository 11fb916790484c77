"""Tell everything that is known of one series; no word of it comes from a dataset."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from deid_node.node.beside import find_series, ledger_of
from deid_node.node.evidence import Pictures
from deid_node.node.holds import release_of
from deid_node.node.states import Generation, State
from deid_node.node.status import next_step_of

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from deid_node.config.schema import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A state, and since when (ISO 8601, UTC)."""

    state: str
    at: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What a destination has of a generation.

    Parameters
    ----------
    destination, state
        Name, and ``pending``, ``stored``, ``delivered``, ``refused`` or ``replaced``.
    attempts, n_answered
        How often it was tried, and how many instances it answered for.
    error, reason
        The last failure.
    """

    destination: str
    state: str
    attempts: int
    n_answered: int
    error: str | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What a person decided, and about which error."""

    at: str
    verdict: str
    error: str | None
    who: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationStatus:
    """One generation.

    Parameters
    ----------
    generation, state, n_instances
        Number from 1, where it is, how many instances belong to it.
    error, reason, error_id, next_step
        Why it stopped, and what a person can do; None where it did not.
    caller
        Calling AE title that sent the first instance of the series, if that is known.
    release
        ``again``, ``accept`` or ``retry``: what a person's word can do for it.
    picture
        Path of the before/after picture, if there is one. It shows the face.
    history, destinations, decisions
        In the order in which they came.
    """

    generation: int
    state: str
    n_instances: int
    caller: str | None
    error: str | None
    reason: str | None
    error_id: str | None
    next_step: str | None
    release: str | None
    picture: str | None
    history: tuple[Step, ...]
    destinations: tuple[Sent, ...]
    decisions: tuple[Decision, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesStatus:
    """A series: its key, and its generations from the first to the last."""

    series: str
    generations: tuple[GenerationStatus, ...]

    def as_json(self) -> dict[str, object]:
        """Give it as JSON types."""
        return asdict(self)


def series_status(settings: Settings, series: str) -> SeriesStatus:
    """Read everything the ledger has of a series.

    Parameters
    ----------
    settings
        Of the node, which runs or does not.
    series
        Key of the series, or its beginning where no other begins so.

    Raises
    ------
    NoSuchSeries
        If none, or more than one, has such a key.
    SpoolError
        If there is no ledger, or it cannot be read.
    """
    with ledger_of(settings) as ledger:
        key = find_series(ledger, series)
        with ledger.database.transaction() as database:
            rows = database.execute(
                "SELECT generation, state, n_instances, caller, error, reason, error_id FROM series"
                " WHERE series = ? ORDER BY generation",
                (key,),
            ).fetchall()
            return SeriesStatus(
                series=key,
                generations=tuple(
                    _generation(database, Generation(series=key, number=row[0]), row, settings)
                    for row in rows
                ),
            )


def _generation(
    database: sqlite3.Connection,
    generation: Generation,
    row: tuple[int, str, int, str | None, str | None, str | None, str | None],
    settings: Settings,
) -> GenerationStatus:
    _, state, n_instances, caller, error, reason, error_id = row
    waits = State(state) in {State.HELD, State.REFUSED}
    return GenerationStatus(
        generation=generation.number,
        state=state,
        n_instances=n_instances,
        caller=caller,
        error=error,
        reason=reason,
        error_id=error_id,
        next_step=next_step_of(error) if waits and error else None,
        release=release_of(error).value if waits else None,
        picture=_existing(Pictures(settings.spool.folder).place(generation.name)),
        history=tuple(
            Step(state=each[0], at=_time(each[1]))
            for each in _rows(database, generation, "state, at FROM history", "rowid")
        ),
        destinations=tuple(
            Sent(
                destination=each[0],
                state=each[1],
                attempts=each[2],
                n_answered=each[3],
                error=each[4],
                reason=each[5],
            )
            for each in _rows(
                database,
                generation,
                "destination, state, attempts, (SELECT count(*) FROM delivery_instance i"
                " WHERE i.series = d.series AND i.generation = d.generation"
                " AND i.destination = d.destination), error, reason FROM delivery d",
                "destination",
            )
        ),
        decisions=tuple(
            Decision(at=_time(each[0]), verdict=each[1], error=each[2], who=each[3], why=each[4])
            for each in _rows(
                database, generation, "at, verdict, error, who, why FROM decision", "rowid"
            )
        ),
    )


def _rows(
    database: sqlite3.Connection, generation: Generation, what: str, order: str
) -> list[tuple[Any, ...]]:
    return database.execute(
        f"SELECT {what} WHERE series = ? AND generation = ? ORDER BY {order}",
        (generation.series, generation.number),
    ).fetchall()


def _existing(path: Path) -> str | None:
    return str(path) if path.exists() else None


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")
