"""Delete the files of series on a person's word, from beside a node that runs or does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deid_node.errors import WrongState
from deid_node.node.at_rest.opening import open_sealing
from deid_node.node.beside import audit_of, find_series, ledger_of
from deid_node.node.evidence import Pictures
from deid_node.node.outbox import Outbox
from deid_node.node.purge_rows import PURGEABLE, PurgeRows
from deid_node.node.records.audit_entry import Entry
from deid_node.node.retention import Retention
from deid_node.node.spool import Spool

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deid_node.config.schema import Settings
    from deid_node.node.ledger import Ledger
    from deid_node.node.states import Generation


def of_series(settings: Settings, series: str) -> list[Generation]:
    """List the generations of a series that can be purged.

    Raises
    ------
    NoSuchSeries
        If none, or more than one, has such a key.
    WrongState
        If there is none: what is not with every destination yet, and committed to where that
        is asked for, is needed, and what is held waits for a person.
    SpoolError
        If the ledger cannot be read.
    """
    with ledger_of(settings) as ledger:
        key = find_series(ledger, series)
        states = {each: s for each, s in sorted(ledger.states().items()) if each.series == key}
        found = [each for each, state in states.items() if state in PURGEABLE]
        if not found:
            names = ", ".join(sorted(state.value for state in PURGEABLE))
            last = states[max(states)]
            raise WrongState(state=last.value, why=f"only what is {names} can be purged")
        return found


def delivered_before(settings: Settings, moment: float) -> list[Generation]:
    """List what has been with every destination since `moment` (seconds of the epoch).

    Raises
    ------
    SpoolError
        If the ledger cannot be read.
    """
    with ledger_of(settings) as ledger:
        return PurgeRows(ledger).delivered_before(moment)


def refused(settings: Settings) -> list[Generation]:
    """List what is refused.

    Raises
    ------
    SpoolError
        If the ledger cannot be read.
    """
    with ledger_of(settings) as ledger:
        return PurgeRows(ledger).refused()


def purge(settings: Settings, generations: Sequence[Generation]) -> list[Generation]:
    """Delete originals, results and pictures; keys and digests stay.

    Returns
    -------
    list of Generation
        Those that were; one that has moved on meanwhile is left alone.

    Raises
    ------
    AuditUnusable, SpoolError
        If it cannot be put on record, or the ledger cannot be written.
    KeyUnusable, SpoolKeyUnusable
        If the spool is encrypted, and its key cannot be used.
    """
    with ledger_of(settings) as ledger, audit_of(settings) as audit:
        retention = _retention(settings, ledger)
        purged = []
        for each in generations:
            if audit is not None:
                audit.append([Entry(disposition="purged", series=each.series)])
            if retention.purge(each):
                purged.append(each)
        return purged


def _retention(settings: Settings, ledger: Ledger) -> Retention:
    folder = settings.spool.folder
    sealing = open_sealing(folder, settings.spool.encrypt_key)
    return Retention(
        ledger=ledger,
        spool=Spool(folder / "received", reserve_bytes=0, sealing=sealing),
        outbox=Outbox(folder / "outbox"),
        pictures=Pictures(folder, sealing),
        keep_seconds=0,
        keep_picture_seconds=0,
    )
