"""Let a held series go on, or end it, on a person's word, which is put on record first.

No word of a person lets out what failed a check that only a machine can make: a release has
the series judged again, by every check. Only a doubt about the mask can be settled by a person
who saw the picture of it, and only for exactly that picture (docs/adr/0017).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deid_node import errors
from deid_node.errors import NotAcceptable, RefusedByPerson, Release, WrongState
from deid_node.node.arrivals import adopt_earlier
from deid_node.node.beside import audit_of, find_series, ledger_of
from deid_node.node.delivery_schema import has_left
from deid_node.node.evidence import NOTHING_REMOVED
from deid_node.node.ledger_database import give_reason, key_of, latest, move
from deid_node.node.records.audit_entry import Entry
from deid_node.node.states import Generation, Reason, State

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from deid_node.config.schema import Settings
    from deid_node.headers.pseudonyms import SeriesKey
    from deid_node.node.records.audit import AuditLog

RELEASED: Final = "released"
ACCEPTED: Final = "accepted"
REFUSED: Final = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """What a person says, and who it is.

    Parameters
    ----------
    who, why
        As the person gives them; they go into the ledger and the audit log as they are.
    """

    who: str
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _Held:
    generation: Generation
    state: State
    error: str | None
    picture: str | None


def release_of(error: str | None) -> Release:
    """Tell what a person's word can do for a series that an error of this name stopped."""
    kind = getattr(errors, error or "", None)
    is_ours = isinstance(kind, type) and issubclass(kind, errors.DeidNodeError)
    return kind.release if is_ours else Release.AGAIN  # type: ignore[union-attr]


def release(
    settings: Settings, series: str, word: Word, *, number: int | None = None, accept: bool = False
) -> Generation:
    """Have a held or refused series judged again.

    Parameters
    ----------
    settings
        Of the node.
    series
        Key of the series, or its beginning where no other begins so.
    word
        Who releases it, and why.
    number
        Which generation, where more than one is held.
    accept
        Let the one result go of which there is a picture, if it comes out the same again.

    Returns
    -------
    Generation
        What was released; a running node takes it up within a second.

    Raises
    ------
    NoSuchSeries
        If none, or more than one, has such a key.
    WrongState
        If it is not held, or destinations have some of it already.
    NotAcceptable
        If the reason is none that a person can settle.
    AuditUnusable, SpoolError
        If it cannot be put on record, or the ledger cannot be written.
    """
    verdict = ACCEPTED if accept else RELEASED
    with ledger_of(settings) as ledger, audit_of(settings) as audit:
        key = find_series(ledger, series)
        with ledger.database.transaction() as database:
            held = _find(database, key, number, {State.HELD, State.REFUSED}, to="be released")
            _refuse_dead_letter(database, held)
            if accept:
                _refuse_unacceptable(held)
            _record(database, audit, held, verdict, word, at=ledger.database.now())
            database.execute(
                "UPDATE series SET accepted = ? WHERE series = ? AND generation = ?",
                (held.picture if accept else None, *key_of(held.generation)),
            )
            if has_left(database, key):
                adopt_earlier(database, held.generation)
            move(database, held.generation, held.state, State.RECEIVED, at=ledger.database.now())
    return held.generation


def refuse(settings: Settings, series: str, word: Word, *, number: int | None = None) -> Generation:
    """End a held series: nothing more of it leaves, whatever comes of it later.

    Parameters
    ----------
    settings, series, word, number
        As for `release`.

    Returns
    -------
    Generation
        What was refused; its files stay until they are purged.

    Raises
    ------
    NoSuchSeries, WrongState, AuditUnusable, SpoolError
        As `release` does.
    """
    with ledger_of(settings) as ledger, audit_of(settings) as audit:
        key = find_series(ledger, series)
        with ledger.database.transaction() as database:
            held = _find(database, key, number, {State.HELD}, to="be refused")
            _record(database, audit, held, REFUSED, word, at=ledger.database.now())
            error = RefusedByPerson(error=held.error)
            move(database, held.generation, held.state, State.REFUSED, at=ledger.database.now())
            reason = Reason(error=type(error).__name__, message=str(error))
            give_reason(database, held.generation, reason)
    return held.generation


def _find(
    database: sqlite3.Connection,
    series: SeriesKey,
    number: int | None,
    states: set[State],
    *,
    to: str,
) -> _Held:
    """Find the one generation that is in one of `states`."""
    found = [each for each in _generations(database, series, number) if each.state in states]
    if not found:
        now = latest(database, series)
        state = now[1].value if now else "unknown"
        names = " or ".join(sorted(each.value for each in states))
        raise WrongState(state=state, why=f"only what is {names} can {to}")
    if len(found) > 1:
        numbers = ", ".join(str(each.generation.number) for each in found)
        raise WrongState(
            state=found[0].state.value, why=f"generations {numbers} are; add --generation"
        )
    return found[0]


def _generations(
    database: sqlite3.Connection, series: SeriesKey, number: int | None
) -> Iterator[_Held]:
    rows = database.execute(
        "SELECT generation, state, error, picture FROM series"
        " WHERE series = ? AND generation = coalesce(?, generation)",
        (series, number),
    ).fetchall()
    for row in rows:
        generation = Generation(series=series, number=row[0])
        yield _Held(generation=generation, state=State(row[1]), error=row[2], picture=row[3])


def _refuse_dead_letter(database: sqlite3.Connection, held: _Held) -> None:
    owed = database.execute(
        "SELECT 1 FROM delivery WHERE series = ? AND generation = ?", key_of(held.generation)
    )
    if owed.fetchone() is not None:
        why = "destinations may have some of it; `deid-node retry` sends the rest"
        raise WrongState(state=held.state.value, why=why)


def _refuse_unacceptable(held: _Held) -> None:
    error = held.error or "no error"
    if release_of(held.error) is not Release.ACCEPT:
        raise NotAcceptable(error=error, why="a picture does not show that it is well")
    if held.picture is None:
        raise NotAcceptable(error=error, why="there is no picture of the result")
    if held.picture == NOTHING_REMOVED:
        raise NotAcceptable(error=error, why="nothing would be removed")


def _record(
    database: sqlite3.Connection,
    audit: AuditLog | None,
    held: _Held,
    verdict: str,
    word: Word,
    *,
    at: float,
) -> None:
    """Put it on record; in the audit log even if the ledger then cannot be written."""
    if audit is not None:
        audit.append(
            [
                Entry(
                    disposition=verdict,
                    reason=held.error or "",
                    series=held.generation.series,
                    who=word.who,
                    why=word.why,
                )
            ]
        )
    database.execute(
        "INSERT INTO decision VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*key_of(held.generation), at, verdict, held.error, word.who, word.why),
    )
