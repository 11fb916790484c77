"""The state of every series, in SQLite.

When a method returns, what it wrote survives a power failure (WAL, synchronous=FULL).
Rows hold keys, digests, counts, times and names of errors; never a value of a dataset.
Several threads share one ledger: each method is one transaction.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from deid_node.errors import KeyUnusable, SeriesIncomplete
from deid_node.node import delivery_schema, ledger_schema
from deid_node.node.arrivals import arrive, came_back, count_instances, instances_of
from deid_node.node.ledger_database import (
    LedgerDatabase,
    generation_of,
    give_reason,
    key_of,
    latest,
    move,
)
from deid_node.node.states import Arrival, Claim, Generation, Reason, State

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from deid_node.headers.pseudonyms import SeriesKey
    from deid_node.node.kept import Kept


class Ledger:
    """The tables of one node.

    Parameters
    ----------
    path
        Database file; made, with mode 0600, where it is missing.
    replaces_late
        Whether instances that come after their series may have left have the whole of it
        worked on anew and sent again under the same UIDs; they are held otherwise.
    now
        Clock, in seconds since the epoch.
    """

    def __init__(
        self, path: Path, *, replaces_late: bool = False, now: Callable[[], float] = time.time
    ) -> None:
        self._now = now
        self.replaces_late = replaces_late
        self.database = LedgerDatabase(path, now=now)
        self._transaction = self.database.transaction
        with self._transaction() as database:
            ledger_schema.migrate(database)
            delivery_schema.migrate(database)

    def close(self) -> None:
        """Close the database."""
        self.database.close()

    def answers(self) -> bool:
        """Tell whether the ledger can be written; a failure is the database's own."""
        with self._transaction(survives_power_failure=False) as database:
            # A transaction that changes nothing succeeds on a disk that is read-only.
            [version] = database.execute("PRAGMA user_version").fetchone()
            database.execute(f"PRAGMA user_version = {int(version == 0)}")
            return True

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

    def arrived(self, kept: Kept, caller: str | None = None) -> Arrival:
        """Note one instance that the spool has, as `arrived_together` does."""
        return self.arrived_together([(kept, caller)])[0]

    def arrived_together(self, instances: Sequence[tuple[Kept, str | None]]) -> list[Arrival]:
        """Note instances that the spool has, and who sent each: all of them, or none.

        An instance that is known changes nothing, but tells who sends a series of which nobody
        is known; of any other, `arrive` tells where it belongs.
        """
        with self._transaction() as database:
            return [
                arrive(database, kept, caller, replaces_late=self.replaces_late, at=self._now())
                for kept, caller in instances
            ]

    def came_back(self, generation: Generation) -> bool:
        """Open a series that was held because an instance was missing that is there again."""
        with self._transaction() as database:
            return came_back(database, generation, at=self._now()) is not None

    def received(self, series: SeriesKey) -> bool:
        """Close a series: everything has arrived; False if it was not open."""
        with self._transaction() as database:
            found = latest(database, series)
            return found is not None and move(
                database, found[0], State.RECEIVING, State.RECEIVED, at=self._now()
            )

    def incomplete(self, series: SeriesKey, *, n_expected: int) -> bool:
        """Hold an open series of which the source has more; False if it is not open."""
        with self._transaction() as database:
            found = latest(database, series)
            error = SeriesIncomplete(
                n_expected=n_expected, n_received=count_instances(database, series)
            )
            if found is None or not move(
                database, found[0], State.RECEIVING, State.HELD, at=self._now()
            ):
                return False
            reason = Reason(error=type(error).__name__, message=str(error))
            give_reason(database, found[0], reason)
            return True

    def n_instances(self, series: SeriesKey) -> int:
        """Count the SOP Instance UIDs of a series, of all its generations."""
        with self._transaction() as database:
            return count_instances(database, series)

    def while_purged(self, series: SeriesKey, discard: Callable[[Sequence[Kept]], None]) -> None:
        """Delete what came again of a series that is purged, while nothing can join it."""
        with self._transaction() as database:
            found = latest(database, series)
            if found is not None and found[1] is State.PURGED:
                discard(instances_of(database, found[0]))

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
            accepted, caller = database.execute(
                "SELECT accepted, caller FROM series WHERE series = ? AND generation = ?",
                key_of(chosen),
            ).fetchone()
            instances = instances_of(database, chosen)
            return Claim(generation=chosen, instances=instances, accepted=accepted, caller=caller)

    def unclaim(self, generation: Generation) -> None:
        """Give a claim back, to be taken again."""
        with self._transaction() as database:
            move(database, generation, State.CLAIMED, State.RECEIVED, at=self._now())

    def set_aside(
        self, generation: Generation, state: State, reason: Reason, *, picture: str | None = None
    ) -> bool:
        """Hold or refuse a claimed series.

        Parameters
        ----------
        generation, state, reason
            Which, what it becomes, and why.
        picture
            Digest of the evidence whose picture is kept, if there is one.

        Returns
        -------
        bool
            False if an instance arrived meanwhile: the series will be judged again.
        """
        with self._transaction() as database:
            moved = move(database, generation, State.CLAIMED, state, at=self._now())
            if moved:
                give_reason(database, generation, reason)
                _picture(database, generation, picture)
            return moved

    def ready(
        self, generation: Generation, destinations: Sequence[str], *, picture: str | None = None
    ) -> bool:
        """Note that the result is durable, and owed to every one of `destinations`.

        It takes the place of earlier generations: nothing more of them is sent.

        Parameters
        ----------
        generation, destinations
            Which, and to whom.
        picture
            Digest of the evidence whose picture is kept, if there is one.

        Returns
        -------
        bool
            False if an instance arrived meanwhile: the result must not be sent.
        """
        with self._transaction() as database:
            if not move(database, generation, State.CLAIMED, State.READY, at=self._now()):
                return False
            delivery_schema.take_place_of_earlier(database, generation, at=self._now())
            delivery_schema.owe(database, generation, destinations)
            _picture(database, generation, picture)
            return True

    def states(self) -> dict[Generation, State]:
        """Tell the state of every series."""
        with self._transaction() as database:
            rows = database.execute("SELECT series, generation, state FROM series")
            return {generation_of(row): State(row[2]) for row in rows}


def _due(database: sqlite3.Connection, n_series: int) -> list[Generation]:
    rows = database.execute(
        "SELECT series, generation FROM series WHERE state = ? ORDER BY changed_at, series LIMIT ?",
        (State.RECEIVED.value, n_series),
    )
    return [generation_of(row) for row in rows]


def _picture(database: sqlite3.Connection, generation: Generation, digest: str | None) -> None:
    database.execute(
        "UPDATE series SET picture = ? WHERE series = ? AND generation = ?",
        (digest, *key_of(generation)),
    )
