"""The ledger's tables of what destinations are owed and have, and how old ones become new.

Part of the same database as the rest of the ledger, with a version of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from deid_node.errors import SpoolError
from deid_node.node.states import DeliveryState

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from deid_node.node.states import Generation

_FIRST: Final = (
    """CREATE TABLE IF NOT EXISTS delivery (
        series TEXT NOT NULL, generation INTEGER NOT NULL, destination TEXT NOT NULL,
        state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, reason TEXT,
        PRIMARY KEY (series, generation, destination)
    ) STRICT""",
    "CREATE INDEX IF NOT EXISTS delivery_by_destination ON delivery (destination, state)",
)
_BY_INSTANCE: Final = (
    "ALTER TABLE delivery ADD COLUMN began INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE delivery ADD COLUMN failing_since REAL",
    "ALTER TABLE delivery ADD COLUMN error TEXT",
    # An old node may have sent some of it before it was stopped.
    "UPDATE delivery SET began = 1",
    """CREATE TABLE delivery_instance (
        series TEXT NOT NULL, generation INTEGER NOT NULL, destination TEXT NOT NULL,
        number INTEGER NOT NULL, status INTEGER NOT NULL,
        PRIMARY KEY (series, generation, destination, number)
    ) STRICT, WITHOUT ROWID""",
    """CREATE TABLE commitment (
        transaction_uid TEXT PRIMARY KEY,
        series TEXT NOT NULL, generation INTEGER NOT NULL, destination TEXT NOT NULL,
        asked_at REAL NOT NULL
    ) STRICT, WITHOUT ROWID""",
    "CREATE INDEX commitment_by_delivery ON commitment (series, generation, destination)",
)
MIGRATIONS: Final = (_FIRST, _BY_INSTANCE)
"""Statements that lead from each version to the next; version 1 had no version written down."""


def migrate(database: sqlite3.Connection) -> None:
    """Bring the tables to the version of this release; inside a transaction.

    Raises
    ------
    SpoolError
        If a later release wrote them.
    """
    database.execute(
        "CREATE TABLE IF NOT EXISTS schema_version"
        " (part TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT"
    )
    row = database.execute("SELECT version FROM schema_version WHERE part = 'delivery'").fetchone()
    version = row[0] if row else 0
    if version > len(MIGRATIONS):
        raise SpoolError("the ledger was written by a later release of deid-node")
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            database.execute(statement)
    database.execute(
        "INSERT OR REPLACE INTO schema_version VALUES ('delivery', ?)", (len(MIGRATIONS),)
    )


def owe(database: sqlite3.Connection, generation: Generation, destinations: Sequence[str]) -> None:
    """Note that a result is owed to every one of `destinations`; inside a transaction."""
    database.executemany(
        "INSERT INTO delivery (series, generation, destination, state) VALUES (?, ?, ?, ?)",
        [
            (generation.series, generation.number, name, DeliveryState.PENDING.value)
            for name in destinations
        ],
    )
