"""Where an instance belongs that has just come: the ledger's rows of arrivals.

Before anything of its series can have left the node, an instance joins it and the series is
open again. After that it begins a later generation. What a person refused stays refused,
whatever comes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deid_node.errors import DuplicateInstance, LateInstances, OriginalsMissing, RefusedByPerson
from deid_node.headers.pseudonyms import InstanceKey
from deid_node.node.delivery_schema import has_left
from deid_node.node.kept import Kept
from deid_node.node.ledger_database import generation_of, give_reason, key_of, latest, move
from deid_node.node.states import OPEN_TO_ARRIVALS, Arrival, Generation, Reason, State

if TYPE_CHECKING:
    import sqlite3

    from deid_node.errors import DeidNodeError
    from deid_node.headers.pseudonyms import SeriesKey

Found = tuple[Generation, State]


def arrive(
    database: sqlite3.Connection,
    kept: Kept,
    caller: str | None = None,
    *,
    replaces_late: bool,
    at: float,
) -> Arrival:
    """Note one instance; inside a transaction.

    Parameters
    ----------
    database
        Of the ledger.
    kept
        What the spool has.
    caller
        Calling AE title that sent it, where that is known. The first of a series stays.
    replaces_late
        Whether a late instance has the whole series worked on anew; it is held otherwise.
    at
        Now, in seconds since the epoch.
    """
    known = database.execute(
        "SELECT series, generation, state FROM instance JOIN series USING (series, generation)"
        " WHERE series = ? AND instance = ? AND digest = ?",
        (kept.series, kept.instance, kept.digest),
    ).fetchone()
    if known is not None:
        generation = generation_of(known)
        _note_caller(database, generation, caller)
        return Arrival(generation=generation, state=State(known[2]), is_known=True)
    generation, state = _found_for(database, kept, replaces_late=replaces_late, at=at)
    database.execute(
        "INSERT INTO instance VALUES (?, ?, ?, ?)",
        (kept.series, generation.number, kept.instance, kept.digest),
    )
    database.execute(
        "UPDATE series SET n_instances = n_instances + 1, caller = coalesce(caller, ?)"
        " WHERE series = ? AND generation = ?",
        (caller, *key_of(generation)),
    )
    return Arrival(generation=generation, state=state, is_known=False)


def came_back(database: sqlite3.Connection, generation: Generation, *, at: float) -> State | None:
    """Open a series that was held for want of this instance, which is there again.

    Returns
    -------
    State or None
        RECEIVING if so.
    """
    row = database.execute(
        "SELECT error FROM series WHERE series = ? AND generation = ?", key_of(generation)
    ).fetchone()
    if row is None or row[0] != OriginalsMissing.__name__:
        return None
    moved = move(database, generation, State.HELD, State.RECEIVING, at=at)
    return State.RECEIVING if moved else None


def adopt_earlier(database: sqlite3.Connection, generation: Generation) -> None:
    """Make the instances of all earlier generations part of this one; inside a transaction."""
    database.execute(
        "UPDATE instance SET generation = :number WHERE series = :series AND generation < :number",
        {"series": generation.series, "number": generation.number},
    )
    database.execute(
        "UPDATE series SET n_instances = (SELECT count(*) FROM instance"
        " WHERE series = :series AND generation = :number)"
        " WHERE series = :series AND generation = :number",
        {"series": generation.series, "number": generation.number},
    )


def instances_of(database: sqlite3.Connection, generation: Generation) -> tuple[Kept, ...]:
    """List what belongs to a generation."""
    rows = database.execute(
        "SELECT instance, digest FROM instance WHERE series = ? AND generation = ?"
        " ORDER BY instance, digest",
        key_of(generation),
    )
    return tuple(
        Kept(series=generation.series, instance=InstanceKey(row[0]), digest=row[1]) for row in rows
    )


def count_instances(database: sqlite3.Connection, series: SeriesKey) -> int:
    """Count the SOP Instance UIDs of a series, of all its generations."""
    row = database.execute(
        "SELECT count(DISTINCT instance) FROM instance WHERE series = ?", (series,)
    ).fetchone()
    return int(row[0])


def _found_for(
    database: sqlite3.Connection, kept: Kept, *, replaces_late: bool, at: float
) -> Found:
    """Find, reopen or begin the generation that a new instance belongs to."""
    found = latest(database, kept.series)
    if found is None:
        first = Generation(series=kept.series, number=1)
        return _begin(database, first, State.RECEIVING, at=at)
    generation, state, error = found
    after = Generation(series=kept.series, number=generation.number + 1)
    if error == RefusedByPerson.__name__:
        return _refused(database, after, found=(generation, state), at=at)
    is_late = has_left(database, kept.series)
    if state is State.PURGED and not is_late:
        return _begin(database, after, State.RECEIVING, at=at)
    if state not in OPEN_TO_ARRIVALS or (is_late and _is_owed(database, generation)):
        return _late(database, kept, after, replaces_late=replaces_late, at=at)
    return _joined(
        database, (generation, state), is_late=is_late, replaces_late=replaces_late, at=at
    )


def _refused(database: sqlite3.Connection, after: Generation, *, found: Found, at: float) -> Found:
    """Leave to the person who refused a series what comes of it."""
    if found[1] is not State.PURGED:
        return found
    return _begin(database, after, State.REFUSED, at=at, because=RefusedByPerson(error=None))


def _joined(
    database: sqlite3.Connection, found: Found, *, is_late: bool, replaces_late: bool, at: float
) -> Found:
    """Open a generation of which nothing has left; one that is held for being late stays so."""
    generation, state = found
    if state is State.HELD and is_late and not replaces_late:
        return found
    if state is not State.RECEIVING:
        move(database, generation, state, State.RECEIVING, at=at)
    if is_late:
        adopt_earlier(database, generation)
    return generation, State.RECEIVING


def _late(
    database: sqlite3.Connection,
    kept: Kept,
    generation: Generation,
    *,
    replaces_late: bool,
    at: float,
) -> Found:
    """Begin the generation of an instance that came after its series may have left."""
    other = database.execute(
        "SELECT 1 FROM instance WHERE series = ? AND instance = ?", (kept.series, kept.instance)
    )
    if other.fetchone() is not None:
        because: DeidNodeError = DuplicateInstance(n_instances=1)
    elif replaces_late:
        found = _begin(database, generation, State.RECEIVING, at=at)
        adopt_earlier(database, generation)
        return found
    else:
        because = LateInstances()
    return _begin(database, generation, State.HELD, at=at, because=because)


def _note_caller(database: sqlite3.Connection, generation: Generation, caller: str | None) -> None:
    """Write down who sends a series that was found in the spool after a crash."""
    if caller is not None:
        database.execute(
            "UPDATE series SET caller = ? WHERE series = ? AND generation = ? AND caller IS NULL",
            (caller, *key_of(generation)),
        )


def _begin(
    database: sqlite3.Connection,
    generation: Generation,
    state: State,
    *,
    at: float,
    because: DeidNodeError | None = None,
) -> Found:
    database.execute(
        "INSERT INTO series"
        " (series, generation, state, n_instances, arrived_at, changed_at, caller)"
        " VALUES (:series, :number, :state, 0, :at, :at,"
        " (SELECT caller FROM series WHERE series = :series AND generation = :number - 1))",
        {"series": generation.series, "number": generation.number, "state": state.value, "at": at},
    )
    if because is not None:
        reason = Reason(error=type(because).__name__, message=str(because))
        give_reason(database, generation, reason)
    return generation, state


def _is_owed(database: sqlite3.Connection, generation: Generation) -> bool:
    """Tell whether a destination may have any of it: then nothing can be added to it."""
    owed = database.execute(
        "SELECT 1 FROM delivery WHERE series = ? AND generation = ?", key_of(generation)
    )
    return owed.fetchone() is not None
