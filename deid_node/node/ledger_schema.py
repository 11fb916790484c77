"""The ledger's tables of series and instances, and how old ones become new.

What state a series was in, and when, is written by triggers: no way to change a state
leaves it out.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from deid_node.node.ledger_database import bring_up

if TYPE_CHECKING:
    import sqlite3

_FIRST: Final = (
    "CREATE TABLE IF NOT EXISTS node (key_fingerprint TEXT NOT NULL)",
    """CREATE TABLE IF NOT EXISTS series (
        series TEXT NOT NULL, generation INTEGER NOT NULL, state TEXT NOT NULL,
        n_instances INTEGER NOT NULL, error TEXT, reason TEXT, error_id TEXT,
        arrived_at REAL NOT NULL, changed_at REAL NOT NULL,
        PRIMARY KEY (series, generation)
    ) STRICT""",
    "CREATE INDEX IF NOT EXISTS series_by_state ON series (state)",
    """CREATE TABLE IF NOT EXISTS instance (
        series TEXT NOT NULL, generation INTEGER NOT NULL,
        instance TEXT NOT NULL, digest TEXT NOT NULL,
        PRIMARY KEY (series, instance, digest)
    ) STRICT""",
)
_DECIDED: Final = (
    # Digest of the evidence whose picture is kept, and of the one that a person accepted.
    "ALTER TABLE series ADD COLUMN picture TEXT",
    "ALTER TABLE series ADD COLUMN accepted TEXT",
    "CREATE INDEX series_with_picture ON series (series, generation) WHERE picture IS NOT NULL",
    """CREATE TABLE history (
        series TEXT NOT NULL, generation INTEGER NOT NULL, state TEXT NOT NULL, at REAL NOT NULL
    ) STRICT""",
    "CREATE INDEX history_by_series ON history (series, generation)",
    "INSERT INTO history SELECT series, generation, state, changed_at FROM series",
    """CREATE TRIGGER series_begins AFTER INSERT ON series BEGIN
        INSERT INTO history VALUES (new.series, new.generation, new.state, new.changed_at);
    END""",
    """CREATE TRIGGER series_moves AFTER UPDATE OF state ON series BEGIN
        INSERT INTO history VALUES (new.series, new.generation, new.state, new.changed_at);
    END""",
    """CREATE TABLE decision (
        series TEXT NOT NULL, generation INTEGER NOT NULL, at REAL NOT NULL,
        verdict TEXT NOT NULL, error TEXT, who TEXT NOT NULL, why TEXT NOT NULL
    ) STRICT""",
    "CREATE INDEX decision_by_series ON decision (series, generation)",
)
_CALLED: Final = ("ALTER TABLE series ADD COLUMN caller TEXT",)
"""Calling AE title that sent the first instance of a series; what is older has none."""
MIGRATIONS: Final = (_FIRST, _DECIDED, _CALLED)
"""Statements that lead from each version to the next; version 1 had no version written down."""


def migrate(database: sqlite3.Connection) -> None:
    """Bring the tables to the version of this release; inside a transaction.

    Raises
    ------
    SpoolError
        If a later release wrote them.
    """
    bring_up(database, "series", MIGRATIONS)
