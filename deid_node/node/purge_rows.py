"""What may be deleted, and what was: the ledger's rows for retention and purge."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deid_node.node.arrivals import instances_of
from deid_node.node.delivery_schema import has_left
from deid_node.node.ledger_database import generation_of, key_of, move
from deid_node.node.states import TRANSITIONS, State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deid_node.node.kept import Kept
    from deid_node.node.ledger import Ledger
    from deid_node.node.states import Generation

PURGEABLE = frozenset(state for state in State if State.PURGED in TRANSITIONS[state])


class PurgeRows:
    """The rows of one ledger; each method is one transaction."""

    def __init__(self, ledger: Ledger) -> None:
        self._database = ledger.database

    def delivered_before(self, moment: float) -> list[Generation]:
        """List what has been with every destination since `moment` (seconds of the epoch)."""
        return self._listed(
            "SELECT series, generation FROM series WHERE state = ? AND changed_at <= ?",
            (State.DELIVERED.value, moment),
        )

    def replaced(self) -> list[Generation]:
        """List what no attempt at a delivery can be reading any more.

        A destination gets a later generation only after its attempt at an earlier one ended.
        """
        return self._listed(
            "SELECT series, generation FROM series AS earlier WHERE state = ? AND NOT EXISTS"
            " (SELECT 1 FROM series AS later WHERE later.series = earlier.series"
            " AND later.generation > earlier.generation AND later.state = ?)",
            (State.REPLACED.value, State.READY.value),
        )

    def refused(self) -> list[Generation]:
        """List what is refused."""
        return self._listed(
            "SELECT series, generation FROM series WHERE state = ?", (State.REFUSED.value,)
        )

    def purged(self, generation: Generation) -> tuple[Kept, ...] | None:
        """Note that the files of a series are to be deleted.

        What never left is forgotten: when it comes again, it comes for the first time.

        Returns
        -------
        tuple of Kept or None
            Whose files; None if the state of the series forbids it.
        """
        with self._database.transaction() as database:
            [state] = database.execute(
                "SELECT state FROM series WHERE series = ? AND generation = ?", key_of(generation)
            ).fetchone()
            if State(state) not in PURGEABLE:
                return None
            instances = instances_of(database, generation)
            move(database, generation, State(state), State.PURGED, at=self._database.now())
            if not has_left(database, generation.series):
                database.execute(
                    "DELETE FROM instance WHERE series = ? AND generation = ?", key_of(generation)
                )
            return instances

    def pictures_delivered_before(self, moment: float) -> list[Generation]:
        """List generations that have a picture and were delivered before `moment`."""
        with self._database.transaction() as database:
            rows = database.execute(
                "SELECT DISTINCT s.series, s.generation FROM series s"
                " JOIN history h USING (series, generation)"
                " WHERE s.picture IS NOT NULL AND h.state = ? AND h.at <= ?",
                (State.DELIVERED.value, moment),
            ).fetchall()
        return [generation_of(row) for row in rows]

    def with_picture(self) -> set[str]:
        """Name the folders of generations whose picture is kept."""
        with self._database.transaction() as database:
            rows = database.execute(
                "SELECT series, generation FROM series WHERE picture IS NOT NULL OR state <> ?",
                (State.PURGED.value,),
            ).fetchall()
        return {generation_of(row).name for row in rows}

    def picture_deleted(self, generation: Generation) -> None:
        """Note that a picture is to be deleted."""
        with self._database.transaction() as database:
            database.execute(
                "UPDATE series SET picture = NULL, accepted = NULL"
                " WHERE series = ? AND generation = ?",
                key_of(generation),
            )

    def _listed(self, query: str, values: Sequence[object]) -> list[Generation]:
        with self._database.transaction() as database:
            return [generation_of(row) for row in database.execute(query, values)]
