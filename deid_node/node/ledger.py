"""The state of every series, in SQLite.

When a method returns, what it wrote survives a power failure (WAL, synchronous=FULL).
Rows hold keys, digests, counts, times and names of errors; never a value of a dataset.
Several threads share one ledger: each method is one transaction.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from deid_node.errors import KeyUnusable, LateInstances
from deid_node.headers.pseudonyms import InstanceKey, SeriesKey
from deid_node.node.delivery_schema import migrate, owe
from deid_node.node.ledger_database import LedgerDatabase, give_reason, move
from deid_node.node.spool import Kept
from deid_node.node.states import (
    OPEN_TO_ARRIVALS,
    Arrival,
    Claim,
    Generation,
    Reason,
    State,
)

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS node (key_fingerprint TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS series (
    series TEXT NOT NULL, generation INTEGER NOT NULL, state TEXT NOT NULL,
    n_instances INTEGER NOT NULL, error TEXT, reason TEXT, error_id TEXT,
    arrived_at REAL NOT NULL, changed_at REAL NOT NULL,
    PRIMARY KEY (series, generation)
) STRICT;
CREATE INDEX IF NOT EXISTS series_by_state ON series (state);
CREATE TABLE IF NOT EXISTS instance (
    series TEXT NOT NULL, generation INTEGER NOT NULL,
    instance TEXT NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (series, instance, digest)
) STRICT;
"""


class Ledger:
    """The tables of one node.

    Parameters
    ----------
    path
        Database file; made, with mode 0600, where it is missing.
    now
        Clock, in seconds since the epoch.
    """

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self.database = LedgerDatabase(path, now=now)
        self._transaction = self.database.transaction
        self.database.connection.executescript(SCHEMA)
        with self._transaction() as database:
            migrate(database)

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def belongs_to(self, key_fingerprint: str) -> None:
        """Bind the ledger to the pseudonym key that made its names.

        Raises
        ------
        KeyUnusable
            If another key made them: one series would go by two names.
        """
        with self._transaction() as database:
            row = database.execute("SELECT key_fingerprint FROM node").fetchone()
            if row is None:
                database.execute("INSERT INTO node VALUES (?)", (key_fingerprint,))
            elif row[0] != key_fingerprint:
                raise KeyUnusable("the spool was filled under another pseudonym key")

    def arrived(self, kept: Kept) -> Arrival:
        """Note one instance that the spool has, as `arrived_together` does."""
        return self.arrived_together([kept])[0]

    def arrived_together(self, instances: Sequence[Kept]) -> list[Arrival]:
        """Note instances that the spool has: all of them, or none.

        Before anything of its series can have left the node, an instance joins it and the
        series is open again. After that, an instance that is known changes nothing, and
        any other belongs to a later generation, which is held.
        """
        with self._transaction() as database:
            return [self._arrived(database, kept) for kept in instances]

    def received(self, series: SeriesKey) -> None:
        """Close a series: everything has arrived."""
        with self._transaction() as database:
            latest = self._latest(database, series)
            if latest is not None:
                move(database, latest[0], State.RECEIVING, State.RECEIVED, at=self._now())

    def due(self, n_series: int) -> list[Generation]:
        """List what waits for the worker, longest waiting first, `n_series` at the most."""
        with self._transaction() as database:
            return _due(database, n_series)

    def claim(self, generation: Generation | None = None) -> Claim | None:
        """Take a series that waits, the longest waiting by default; None if it does not wait."""
        with self._transaction() as database:
            chosen = next(iter(_due(database, 1)), None) if generation is None else generation
            if chosen is None or not move(
                database, chosen, State.RECEIVED, State.CLAIMED, at=self._now()
            ):
                return None
            return Claim(generation=chosen, instances=_instances(database, chosen))

    def unclaim(self, generation: Generation) -> None:
        """Give a claim back, to be taken again."""
        with self._transaction() as database:
            move(database, generation, State.CLAIMED, State.RECEIVED, at=self._now())

    def set_aside(self, generation: Generation, state: State, reason: Reason) -> bool:
        """Hold or refuse a claimed series.

        Returns
        -------
        bool
            False if an instance arrived meanwhile: the series will be judged again.
        """
        with self._transaction() as database:
            moved = move(database, generation, State.CLAIMED, state, at=self._now())
            if moved:
                give_reason(database, generation, reason)
            return moved

    def ready(self, generation: Generation, destinations: Sequence[str]) -> bool:
        """Note that the result is durable, and owed to every one of `destinations`.

        Returns
        -------
        bool
            False if an instance arrived meanwhile: the result must not be sent.
        """
        with self._transaction() as database:
            if not move(database, generation, State.CLAIMED, State.READY, at=self._now()):
                return False
            owe(database, generation, destinations)
            return True

    def delivered_before(self, moment: float) -> list[Claim]:
        """List what has been with every destination since `moment` (seconds of the epoch)."""
        with self._transaction() as database:
            rows = database.execute(
                "SELECT series, generation FROM series WHERE state = ? AND changed_at <= ?",
                (State.DELIVERED.value, moment),
            ).fetchall()
            return [
                Claim(generation=_generation(row), instances=_instances(database, _generation(row)))
                for row in rows
            ]

    def purged(self, generation: Generation) -> None:
        """Note that the files of a delivered series are to be deleted."""
        with self._transaction() as database:
            move(database, generation, State.DELIVERED, State.PURGED, at=self._now())

    def recover(self) -> list[SeriesKey]:
        """Give back what a crash left claimed; list the series that are still open.

        Only for the start of the node, before anything claims or arrives.
        """
        with self._transaction() as database:
            claimed = database.execute(
                "SELECT series, generation FROM series WHERE state = ?", (State.CLAIMED.value,)
            ).fetchall()
            for row in claimed:
                move(database, _generation(row), State.CLAIMED, State.RECEIVED, at=self._now())
            rows = database.execute(
                "SELECT series FROM series WHERE state = ?", (State.RECEIVING.value,)
            )
            return [SeriesKey(row[0]) for row in rows]

    def states(self) -> dict[Generation, State]:
        """Tell the state of every series."""
        with self._transaction() as database:
            rows = database.execute("SELECT series, generation, state FROM series")
            return {_generation(row): State(row[2]) for row in rows}

    def _arrived(self, database: sqlite3.Connection, kept: Kept) -> Arrival:
        known = database.execute(
            "SELECT generation, state FROM instance JOIN series USING (series, generation)"
            " WHERE series = ? AND instance = ? AND digest = ?",
            (kept.series, kept.instance, kept.digest),
        ).fetchone()
        if known is not None:
            generation = Generation(series=kept.series, number=known[0])
            return Arrival(generation=generation, state=State(known[1]), is_known=True)
        generation, state = self._generation_for(database, kept.series)
        database.execute(
            "INSERT INTO instance VALUES (?, ?, ?, ?)",
            (kept.series, generation.number, kept.instance, kept.digest),
        )
        database.execute(
            "UPDATE series SET n_instances = n_instances + 1 WHERE series = ? AND generation = ?",
            _key(generation),
        )
        return Arrival(generation=generation, state=state, is_known=False)

    def _generation_for(
        self, database: sqlite3.Connection, series: SeriesKey
    ) -> tuple[Generation, State]:
        """Find, reopen or begin the generation that a new instance belongs to."""
        latest = self._latest(database, series)
        if latest is None:
            first = Generation(series=series, number=1)
            self._begin(database, first, State.RECEIVING)
            return first, State.RECEIVING
        generation, state = latest
        if _may_have_left(database, generation, state):
            late = Generation(series=series, number=generation.number + 1)
            self._begin(database, late, State.HELD)
            error = LateInstances()
            give_reason(database, late, Reason(error=type(error).__name__, message=str(error)))
            return late, State.HELD
        if generation.number > 1:
            return generation, state
        if state is not State.RECEIVING:
            move(database, generation, state, State.RECEIVING, at=self._now())
        return generation, State.RECEIVING

    def _latest(
        self, database: sqlite3.Connection, series: SeriesKey
    ) -> tuple[Generation, State] | None:
        row = database.execute(
            "SELECT series, generation, state FROM series WHERE series = ?"
            " ORDER BY generation DESC LIMIT 1",
            (series,),
        ).fetchone()
        return None if row is None else (_generation(row), State(row[2]))

    def _begin(self, database: sqlite3.Connection, generation: Generation, state: State) -> None:
        now = self._now()
        database.execute(
            "INSERT INTO series (series, generation, state, n_instances, arrived_at, changed_at)"
            " VALUES (?, ?, ?, 0, ?, ?)",
            (*_key(generation), state.value, now, now),
        )


def _may_have_left(database: sqlite3.Connection, generation: Generation, state: State) -> bool:
    """Tell whether a destination may have any of it: then nothing can be added to it."""
    if state not in OPEN_TO_ARRIVALS:
        return True
    owed = database.execute(
        "SELECT 1 FROM delivery WHERE series = ? AND generation = ?", _key(generation)
    )
    return owed.fetchone() is not None


def _due(database: sqlite3.Connection, n_series: int) -> list[Generation]:
    rows = database.execute(
        "SELECT series, generation FROM series WHERE state = ? ORDER BY changed_at, series LIMIT ?",
        (State.RECEIVED.value, n_series),
    )
    return [_generation(row) for row in rows]


def _instances(database: sqlite3.Connection, generation: Generation) -> tuple[Kept, ...]:
    rows = database.execute(
        "SELECT instance, digest FROM instance WHERE series = ? AND generation = ?"
        " ORDER BY instance, digest",
        _key(generation),
    )
    return tuple(
        Kept(series=generation.series, instance=InstanceKey(row[0]), digest=row[1]) for row in rows
    )


def _generation(row: tuple[str, int]) -> Generation:
    return Generation(series=SeriesKey(row[0]), number=row[1])


def _key(generation: Generation) -> tuple[str, int]:
    return (generation.series, generation.number)
