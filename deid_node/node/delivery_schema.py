"""The ledger's tables of what destinations are owed and have, and how old ones become new.

Part of the same database as the rest of the ledger, with a version of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from deid_node.node.ledger_database import bring_up, generation_of, key_of, move
from deid_node.node.states import TRANSITIONS, DeliveryState, State

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

    from deid_node.headers.pseudonyms import SeriesKey
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
    bring_up(database, "delivery", MIGRATIONS)


def owe(database: sqlite3.Connection, generation: Generation, destinations: Sequence[str]) -> None:
    """Note that a result is owed to every one of `destinations`; inside a transaction."""
    database.executemany(
        "INSERT INTO delivery (series, generation, destination, state) VALUES (?, ?, ?, ?)",
        [
            (generation.series, generation.number, name, DeliveryState.PENDING.value)
            for name in destinations
        ],
    )


def has_left(database: sqlite3.Connection, series: SeriesKey) -> bool:
    """Tell whether a destination may have anything of a series."""
    owed = database.execute("SELECT 1 FROM delivery WHERE series = ? LIMIT 1", (series,))
    return owed.fetchone() is not None


def take_place_of_earlier(
    database: sqlite3.Connection, generation: Generation, *, at: float
) -> None:
    """End what earlier generations of a series are still owed; inside a transaction."""
    rows = database.execute(
        "SELECT series, generation, state FROM series WHERE series = ? AND generation < ?",
        key_of(generation),
    ).fetchall()
    for row in rows:
        state = State(row[2])
        if State.REPLACED in TRANSITIONS[state]:
            move(database, generation_of(row), state, State.REPLACED, at=at)
    database.execute(
        "UPDATE delivery SET state = ? WHERE series = ? AND generation < ? AND state <> ?",
        (DeliveryState.REPLACED.value, *key_of(generation), DeliveryState.DELIVERED.value),
    )
    database.execute(
        "DELETE FROM commitment WHERE series = ? AND generation < ?", key_of(generation)
    )
