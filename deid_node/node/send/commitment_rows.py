"""The ledger's rows of questions for storage commitment, and what their answers do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deid_node.headers.pseudonyms import SeriesKey
from deid_node.node.states import DeliveryState, Generation

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from deid_node.node.ledger import Ledger


class CommitmentRows:
    """The rows of one ledger; each method is one transaction."""

    def __init__(self, ledger: Ledger) -> None:
        self._database = ledger.database

    def asked(self, generation: Generation, destination: str, transaction_uid: str) -> None:
        """Note a question before it is asked: its answer may come after a restart."""
        with self._database.transaction() as database:
            database.execute(
                "INSERT INTO commitment VALUES (?, ?, ?, ?, ?)",
                (
                    transaction_uid,
                    generation.series,
                    generation.number,
                    destination,
                    self._database.now(),
                ),
            )

    def question(self, transaction_uid: str) -> tuple[Generation, str] | None:
        """Find the series and destination that a question was about, if it is still open."""
        with self._database.transaction() as database:
            row = database.execute(
                "SELECT c.series, c.generation, destination FROM commitment c"
                " JOIN delivery USING (series, generation, destination)"
                " WHERE transaction_uid = ? AND state = ?",
                (transaction_uid, DeliveryState.STORED.value),
            ).fetchone()
        if row is None:
            return None
        return Generation(series=SeriesKey(row[0]), number=row[1]), row[2]

    def not_kept(
        self, generation: Generation, destination: str, numbers: Sequence[int], error: Exception
    ) -> None:
        """Owe instances again that a destination will not keep."""
        this = (generation.series, generation.number, destination)
        with self._database.transaction() as database:
            database.executemany(
                "DELETE FROM delivery_instance"
                " WHERE series = ? AND generation = ? AND destination = ? AND number = ?",
                [(*this, number) for number in numbers],
            )
            database.execute(
                "UPDATE delivery SET state = 'pending', attempts = attempts + 1,"
                " error = ?, reason = ?, failing_since = coalesce(failing_since, ?)"
                " WHERE series = ? AND generation = ? AND destination = ?",
                (type(error).__name__, str(error), self._database.now(), *this),
            )
            _forget(database, this)

    def settled(self, generation: Generation, destination: str) -> None:
        """Forget the questions about what a destination is settled with."""
        with self._database.transaction() as database:
            _forget(database, (generation.series, generation.number, destination))


def _forget(database: sqlite3.Connection, this: tuple[str, int, str]) -> None:
    database.execute(
        "DELETE FROM commitment WHERE series = ? AND generation = ? AND destination = ?", this
    )
