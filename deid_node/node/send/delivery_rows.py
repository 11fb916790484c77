"""What each destination is owed, has, and refused: the ledger's rows for delivery.

One row for each series and destination, and one for each instance that a destination has
answered for. An answer is written down before the next instance is sent, so a killed node
sends again only what was not acknowledged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deid_node.errors import DeliveryGivenUp
from deid_node.headers.pseudonyms import SeriesKey
from deid_node.node.ledger_database import give_reason, key_of, move
from deid_node.node.send.store_status import Verdict, verdict_on
from deid_node.node.states import DeliveryState, Generation, Reason, State

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Mapping

    from deid_node.node.ledger import Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """Where the delivery of a series stands as an attempt begins.

    Parameters
    ----------
    statuses
        Of the instances that were answered for, by number.
    is_repeat
        Whether an earlier attempt began: an instance that has no answer may be over there.
    """

    statuses: Mapping[int, int]
    is_repeat: bool


class DeliveryRows:
    """The rows of one ledger; each method is one transaction."""

    def __init__(self, ledger: Ledger) -> None:
        self._database = ledger.database

    def owed_to(
        self, destination: str, state: DeliveryState = DeliveryState.PENDING
    ) -> list[Generation]:
        """List the series of a destination that are in `state`, oldest first."""
        with self._database.transaction() as database:
            rows = database.execute(
                "SELECT series, generation FROM delivery JOIN series USING (series, generation)"
                " WHERE destination = ? AND delivery.state = ? AND series.state = ?"
                " ORDER BY changed_at, series",
                (destination, state.value, State.READY.value),
            )
            return [Generation(series=SeriesKey(row[0]), number=row[1]) for row in rows]

    def begin(self, generation: Generation, destination: str) -> Begun | None:
        """Note that an attempt begins, before anything is sent.

        None if it is not owed any more: it was held or superseded since it was chosen. The row
        changes with every attempt: while the ledger cannot be written, none begins.
        """
        this = _key(generation, destination)
        with self._database.transaction(survives_power_failure=False) as database:
            row = database.execute(
                "SELECT began FROM delivery JOIN series USING (series, generation)"
                " WHERE series = ? AND generation = ? AND destination = ?"
                " AND delivery.state = ? AND series.state = ?",
                (*this, DeliveryState.PENDING.value, State.READY.value),
            ).fetchone()
            if row is None:
                return None
            database.execute(
                "UPDATE delivery SET began = began + 1 WHERE series = ? AND generation = ? AND destination = ?",
                this,
            )
            statuses = database.execute(
                "SELECT number, status FROM delivery_instance"
                " WHERE series = ? AND generation = ? AND destination = ?",
                this,
            ).fetchall()
            return Begun(statuses=dict(statuses), is_repeat=bool(row[0]))

    def answered(self, generation: Generation, destination: str, number: int, status: int) -> bool:
        """Note the answer for one instance; False if nothing more of the series is to be sent.

        It survives a kill. A power failure may take it back, and then the instance is sent
        again with the same bytes; waiting for the disk each time would be slower than the peer.
        """
        with self._database.transaction(survives_power_failure=False) as database:
            database.execute(
                "INSERT OR REPLACE INTO delivery_instance VALUES (?, ?, ?, ?, ?)",
                (*_key(generation, destination), number, status),
            )
            return _state(database, generation) is State.READY

    def failed(
        self, generation: Generation, destination: str, error: Exception, *, had_success: bool
    ) -> int:
        """Count an attempt that may be repeated; return how many there were.

        Parameters
        ----------
        generation, destination
            What was tried.
        error
            What went wrong.
        had_success
            Whether it took some instances before; then it has not failed for long.
        """
        now = self._database.now()
        with self._database.transaction() as database:
            row = database.execute(
                "UPDATE delivery SET attempts = attempts + 1, error = ?, reason = ?,"
                " failing_since = CASE WHEN ? THEN ? ELSE coalesce(failing_since, ?) END"
                " WHERE series = ? AND generation = ? AND destination = ? RETURNING attempts",
                (
                    type(error).__name__,
                    str(error),
                    had_success,
                    now,
                    now,
                    *_key(generation, destination),
                ),
            ).fetchone()
            return int(row[0])

    def unreachable(self, destination: str, error: Exception) -> None:
        """Note for everything that a destination is owed that it cannot be delivered now."""
        with self._database.transaction() as database:
            database.execute(
                "UPDATE delivery SET error = ?, reason = ?, failing_since = ?"
                " WHERE destination = ? AND state IN ('pending', 'stored')"
                " AND failing_since IS NULL",
                (type(error).__name__, str(error), self._database.now(), destination),
            )

    def reached(self, destination: str) -> None:
        """Note that a destination takes something: its absence before that is over."""
        with self._database.transaction() as database:
            database.execute(
                "UPDATE delivery SET failing_since = NULL WHERE destination = ?"
                " AND state IN ('pending', 'stored')"
                " AND error IN ('PeerUnreachable', 'OutputUnwritable')",
                (destination,),
            )

    def overdue(self, destination: str, seconds: float) -> list[tuple[Generation, Reason]]:
        """List what has failed for so long, with the reason to give up."""
        now = self._database.now()
        with self._database.transaction() as database:
            rows = database.execute(
                "SELECT series, generation, failing_since, reason FROM delivery"
                " WHERE destination = ? AND state IN ('pending', 'stored')"
                " AND failing_since <= ? ORDER BY failing_since, series",
                (destination, now - seconds),
            ).fetchall()
        return [
            (Generation(series=SeriesKey(row[0]), number=row[1]), _given_up(now - row[2], row[3]))
            for row in rows
        ]

    def stored(self, generation: Generation, destination: str) -> None:
        """Note that a destination has all of a series, and is to commit to it."""
        with self._database.transaction() as database:
            _set(database, generation, destination, DeliveryState.STORED)

    def settled(
        self, generation: Generation, destination: str, refusal: Reason | None = None
    ) -> State:
        """Note that a destination has a series, or will not take it.

        Once every destination is settled, the series is DELIVERED, or HELD if one refused.

        Returns
        -------
        State
            Of the series, now.
        """
        outcome = DeliveryState.DELIVERED if refusal is None else DeliveryState.REFUSED
        with self._database.transaction() as database:
            _set(database, generation, destination, outcome, refusal)
            state = _state(database, generation)
            if state is not State.READY:
                return state
            if refusal is not None:
                give_reason(database, generation, refusal)
            return self._settle(database, generation)

    def retry(self, series: SeriesKey, destination: str | None = None) -> int:
        """Owe dead letters of a series again, as if nothing had been refused.

        Parameters
        ----------
        series
            Its key.
        destination
            The only one it is owed to again; all that refused it by default.

        Returns
        -------
        int
            How many destinations it is owed to again.
        """
        with self._database.transaction() as database:
            dead = database.execute(
                "SELECT series, generation, destination FROM delivery d"
                " JOIN series s USING (series, generation) WHERE series = ? AND d.state = ?"
                " AND destination = coalesce(?, destination) AND s.state IN (?, ?)",
                (
                    series,
                    DeliveryState.REFUSED.value,
                    destination,
                    State.HELD.value,
                    State.READY.value,
                ),
            ).fetchall()
            for this in dead:
                self._owe_again(database, this)
            _forget_reasons(database, series)
            return len(dead)

    def _owe_again(self, database: sqlite3.Connection, this: tuple[str, int, str]) -> None:
        answers = database.execute(
            "SELECT number, status FROM delivery_instance"
            " WHERE series = ? AND generation = ? AND destination = ?",
            this,
        ).fetchall()
        refused = [(*this, n) for n, status in answers if verdict_on(status) is Verdict.NEVER]
        database.executemany(
            "DELETE FROM delivery_instance"
            " WHERE series = ? AND generation = ? AND destination = ? AND number = ?",
            refused,
        )
        database.execute(
            "UPDATE delivery SET state = 'pending', began = 0, attempts = 0, failing_since = NULL"
            " WHERE series = ? AND generation = ? AND destination = ?",
            this,
        )
        generation = Generation(series=SeriesKey(this[0]), number=this[1])
        move(database, generation, State.HELD, State.READY, at=self._database.now())

    def _settle(self, database: sqlite3.Connection, generation: Generation) -> State:
        rows = database.execute(
            "SELECT DISTINCT state FROM delivery WHERE series = ? AND generation = ?",
            (generation.series, generation.number),
        )
        outcomes = {DeliveryState(row[0]) for row in rows}
        if outcomes & {DeliveryState.PENDING, DeliveryState.STORED}:
            return State.READY
        after = State.HELD if DeliveryState.REFUSED in outcomes else State.DELIVERED
        move(database, generation, State.READY, after, at=self._database.now())
        return after


def _forget_reasons(database: sqlite3.Connection, series: SeriesKey) -> None:
    """Take the reason of a series back once no destination refuses it any more."""
    database.execute(
        "UPDATE series SET error = NULL, reason = NULL, error_id = NULL"
        " WHERE series = ? AND state = ? AND NOT EXISTS (SELECT 1 FROM delivery"
        " WHERE delivery.series = series.series AND delivery.generation = series.generation"
        " AND delivery.state = ?)",
        (series, State.READY.value, DeliveryState.REFUSED.value),
    )


def _given_up(seconds: float, last: str) -> Reason:
    error = DeliveryGivenUp(hours=seconds / 3600, last=last)
    return Reason(error=type(error).__name__, message=str(error))


def _set(
    database: sqlite3.Connection,
    generation: Generation,
    destination: str,
    state: DeliveryState,
    refusal: Reason | None = None,
) -> None:
    error, message = (refusal.error, refusal.message) if refusal else (None, None)
    database.execute(
        "UPDATE delivery SET state = ?, attempts = attempts + 1, error = ?, reason = ?,"
        " failing_since = NULL WHERE series = ? AND generation = ? AND destination = ?"
        " AND state <> ?",
        (
            state.value,
            error,
            message,
            *_key(generation, destination),
            DeliveryState.REPLACED.value,
        ),
    )


def _state(database: sqlite3.Connection, generation: Generation) -> State:
    row = database.execute(
        "SELECT state FROM series WHERE series = ? AND generation = ?", key_of(generation)
    ).fetchone()
    return State(row[0])


def _key(generation: Generation, destination: str) -> tuple[str, int, str]:
    return (generation.series, generation.number, destination)
