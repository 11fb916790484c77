"""The SQLite file of the ledger: one connection, one transaction at a time."""

from __future__ import annotations

import sqlite3
import threading
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Final

from deid_node.errors import SpoolBusy, SpoolError, SpoolFull, SpoolUnwritable
from deid_node.headers.pseudonyms import SeriesKey
from deid_node.node.durable import DiskFailuresNamed
from deid_node.node.states import TRANSITIONS, Generation, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from deid_node.node.states import Reason


_UNWRITABLE: Final = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN}

BUSY_SECONDS: Final = 5.0
"""How long another process is waited for; another thread of this one twice as long."""


class LedgerDatabase:
    """A database in WAL mode that several threads share.

    Parameters
    ----------
    path
        Database file; made, with mode 0600, where it is missing.
    now
        Clock, in seconds since the epoch.
    """

    def __init__(self, path: Path, *, now: Callable[[], float] = time.time) -> None:
        with DiskFailuresNamed(path.parent):
            path.touch(mode=0o600)
        self.now = now
        self.connection = sqlite3.connect(
            path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
        )
        self._lock = threading.RLock()
        self._alone = _Alone(self._lock)
        self._synchronous = ""
        with _FailuresNamed():
            self.connection.execute("PRAGMA journal_mode=WAL")
        self._synchronize("FULL")
        self.connection.execute("PRAGMA secure_delete=ON")

    def close(self) -> None:
        """Close the database."""
        with self._lock:
            self.connection.close()

    @contextmanager
    def transaction(self, *, survives_power_failure: bool = True) -> Iterator[sqlite3.Connection]:
        """Make everything inside durable together, or nothing of it.

        Parameters
        ----------
        survives_power_failure
            False spares the wait for the disk; what was written then survives the death of
            this process, and that of the machine once a later transaction waited.

        Raises
        ------
        SpoolBusy
            If another process keeps the database locked; nothing was done.
        SpoolFull
            If the disk is full; nothing was done.
        SpoolUnwritable
            If the disk is read-only, or fails; where it fails in the commit, that may have been
            done.
        """
        with self._alone, _FailuresNamed():
            try:
                self._synchronize("FULL" if survives_power_failure else "NORMAL")
                self.connection.execute("BEGIN IMMEDIATE")
                yield self.connection
                self.connection.execute("COMMIT")
            except BaseException:
                if self.connection.in_transaction:
                    self.connection.execute("ROLLBACK")
                raise

    def _synchronize(self, level: str) -> None:
        """Choose what the next commit waits for (sqlite.org/pragma.html#pragma_synchronous)."""
        if level != self._synchronous:
            self.connection.execute(f"PRAGMA synchronous={level}")
            self._synchronous = level


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Read a ledger, whether a node has it open or not; nothing in it is changed.

    Raises
    ------
    sqlite3.Error
        If it cannot be read, or somebody keeps it locked for too long.
    """
    with closing(_reader(path)) as database:
        yield database


def _reader(path: Path) -> sqlite3.Connection:
    place = f"{path.absolute().as_uri()}?mode=ro"
    database = sqlite3.connect(place, uri=True, timeout=BUSY_SECONDS)
    try:
        database.execute("PRAGMA schema_version").fetchone()
    except sqlite3.Error as error:
        database.close()
        is_open_elsewhere = path.with_name(f"{path.name}-wal").exists()
        if _primary_code(error) != sqlite3.SQLITE_CANTOPEN or is_open_elsewhere:
            raise
        # On a disk that is read-only, SQLite cannot make the files of WAL mode beside it.
        return sqlite3.connect(f"{place}&immutable=1", uri=True)
    return database


def _primary_code(error: sqlite3.Error) -> int:
    """Give the lowest byte of an extended code (sqlite.org/rescode.html)."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


class _Alone:
    """Keeps other threads out; a queue of them does not add up all that each must wait."""

    def __init__(self, lock: threading.RLock) -> None:
        self._lock = lock

    def __enter__(self) -> None:
        if not self._lock.acquire(timeout=2 * BUSY_SECONDS):
            raise SpoolBusy(seconds=2 * BUSY_SECONDS)

    def __exit__(self, *_: object) -> None:
        self._lock.release()


class _FailuresNamed:
    """Gives a lock, a full disk and one that cannot be written names; others stay as they are."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: object, _traceback: object) -> None:
        if not isinstance(error, sqlite3.Error):
            return
        code = _primary_code(error)
        if code == sqlite3.SQLITE_FULL:
            raise SpoolFull(free_bytes=0, reserve_bytes=0) from None
        if code == sqlite3.SQLITE_BUSY:
            raise SpoolBusy(seconds=BUSY_SECONDS) from None
        if code in _UNWRITABLE:
            raise SpoolUnwritable(code=error.sqlite_errorname) from None


def move(
    database: sqlite3.Connection, generation: Generation, before: State, after: State, *, at: float
) -> bool:
    """Make one step of the transition table; False if the series is not in `before`."""
    if after not in TRANSITIONS[before]:
        raise ValueError(f"no step leads from {before.value} to {after.value}")
    moved = database.execute(
        "UPDATE series SET state = ?, changed_at = ?"
        " WHERE series = ? AND generation = ? AND state = ?",
        (after.value, at, generation.series, generation.number, before.value),
    )
    if after in {State.RECEIVING, State.RECEIVED} and moved.rowcount == 1:
        give_reason(database, generation, None)
    return moved.rowcount == 1


def give_reason(
    database: sqlite3.Connection, generation: Generation, reason: Reason | None
) -> None:
    """Write down why a series stopped; None takes the reason back."""
    why = (reason.error, reason.message, reason.error_id) if reason else (None, None, None)
    database.execute(
        "UPDATE series SET error = ?, reason = ?, error_id = ? WHERE series = ? AND generation = ?",
        (*why, generation.series, generation.number),
    )


def bring_up(database: sqlite3.Connection, part: str, migrations: Sequence[Sequence[str]]) -> None:
    """Bring a part of the tables to the version of this release; inside a transaction.

    Parameters
    ----------
    database
        Of the ledger.
    part
        Name of the part: each has a version of its own.
    migrations
        Statements that lead from each version to the next.

    Raises
    ------
    SpoolError
        If a later release wrote them.
    """
    database.execute(
        "CREATE TABLE IF NOT EXISTS schema_version"
        " (part TEXT PRIMARY KEY, version INTEGER NOT NULL) STRICT"
    )
    row = database.execute("SELECT version FROM schema_version WHERE part = ?", (part,)).fetchone()
    version = row[0] if row else 0
    if version > len(migrations):
        raise SpoolError("the ledger was written by a later release of deid-node")
    if version == len(migrations):
        # A node starts on a full disk too, to deliver and to make room: nothing is written.
        return
    for statements in migrations[version:]:
        for statement in statements:
            database.execute(statement)
    database.execute("INSERT OR REPLACE INTO schema_version VALUES (?, ?)", (part, len(migrations)))


def generation_of(row: Sequence[object]) -> Generation:
    """Read series and number from the first two columns of a row."""
    return Generation(series=SeriesKey(str(row[0])), number=int(str(row[1])))


def key_of(generation: Generation) -> tuple[str, int]:
    """Give what ``series = ? AND generation = ?`` asks for."""
    return (generation.series, generation.number)


def latest(
    database: sqlite3.Connection, series: SeriesKey
) -> tuple[Generation, State, str | None] | None:
    """Find the last generation of a series, its state and the error that stopped it."""
    row = database.execute(
        "SELECT series, generation, state, error FROM series WHERE series = ?"
        " ORDER BY generation DESC LIMIT 1",
        (series,),
    ).fetchone()
    return None if row is None else (generation_of(row), State(row[2]), row[3])
