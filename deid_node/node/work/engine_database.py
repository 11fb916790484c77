"""The SQLite file of the work engine, as DBOS gets it: ours alone, in WAL mode, synced."""

from __future__ import annotations

import logging
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Final

from sqlalchemy import create_engine
from sqlalchemy.event import listens_for

from deid_node.log import event

if TYPE_CHECKING:
    from pathlib import Path

    from sqlalchemy import Engine as Database

logger = logging.getLogger(__name__)

BUSY_SECONDS: Final = 24 * 3600.0
"""How long a locked database is waited for. SQLite looks ten times a second; DBOS would pause
for up to a minute and a half between attempts of its own.
"""


def prepare(path: Path) -> None:
    """Create the file where it is missing, and anew where it is damaged; set WAL mode.

    DBOS leaves the journal as it is, and would be four times slower; the mode stays with the
    file.
    """
    path.touch(mode=0o600)
    if not _is_sound(path):
        event(logger, "work-engine-made-anew", level=logging.WARNING)
        for each in path.parent.glob(f"{path.name}*"):
            each.unlink()
        path.touch(mode=0o600)
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA journal_mode=WAL")


def open_database(path: Path) -> Database:
    """Open the file so that what is committed survives a power failure."""
    engine = create_engine(f"sqlite:///{path}")

    @listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = "IMMEDIATE"  # this and the next two as DBOS has them
        connection.execute(f"PRAGMA busy_timeout={round(BUSY_SECONDS * 1000)}")
        connection.execute("PRAGMA foreign_keys=ON")
        connection.execute("PRAGMA synchronous=FULL")

    return engine


def _is_sound(path: Path) -> bool:
    try:
        with closing(sqlite3.connect(path)) as database:
            return bool(database.execute("PRAGMA quick_check(1)").fetchone() == ("ok",))
    except sqlite3.OperationalError:
        raise  # locked, or the disk fails
    except sqlite3.DatabaseError:
        return False
