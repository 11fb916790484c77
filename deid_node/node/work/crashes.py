"""Which series the node died over: runs that began and never came to an orderly end.

A series that kills its process, by a fault of a library or by the memory it takes, would be
the first to be worked on after every restart, for ever.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from deid_node.node.ledger import Ledger
    from deid_node.node.states import Generation

SCHEMA: Final = """CREATE TABLE IF NOT EXISTS crash (
    series TEXT NOT NULL, generation INTEGER NOT NULL, n_begun INTEGER NOT NULL,
    PRIMARY KEY (series, generation)
) STRICT, WITHOUT ROWID"""


class Crashes:
    """A table of the ledger's database, which only the worker uses."""

    def __init__(self, ledger: Ledger) -> None:
        self._database = ledger.database
        with self._database.transaction() as database:
            database.execute(SCHEMA)

    def begin(self, generation: Generation) -> int:
        """Note that a run begins; return how many before it never ended."""
        with self._database.transaction(survives_power_failure=False) as database:
            row = database.execute(
                "INSERT INTO crash VALUES (?, ?, 1)"
                " ON CONFLICT DO UPDATE SET n_begun = n_begun + 1 RETURNING n_begun",
                (generation.series, generation.number),
            ).fetchone()
            return int(row[0]) - 1

    def undo(self, generation: Generation) -> None:
        """Take back that the last run began: it was broken off, but not by a crash."""
        with self._database.transaction(survives_power_failure=False) as database:
            database.execute(
                "UPDATE crash SET n_begun = n_begun - 1 WHERE series = ? AND generation = ?",
                (generation.series, generation.number),
            )

    def over(self, generation: Generation) -> None:
        """Note that a run came to an end, whatever that is."""
        with self._database.transaction(survives_power_failure=False) as database:
            database.execute(
                "DELETE FROM crash WHERE series = ? AND generation = ?",
                (generation.series, generation.number),
            )
