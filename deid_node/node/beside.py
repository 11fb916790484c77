"""Reach the ledger of a node from beside it, whether it runs or not."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from deid_node.config.load import read_key
from deid_node.config.profile_file import load_profile
from deid_node.errors import NoSuchSeries, SpoolError
from deid_node.headers.pseudonyms import Pseudonyms, SeriesKey
from deid_node.node.ledger import Ledger
from deid_node.node.records.series_records import Records
from deid_node.node.status import LEDGER

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deid_node.config.schema import Settings
    from deid_node.node.records.audit import AuditLog


@contextmanager
def ledger_of(settings: Settings) -> Iterator[Ledger]:
    """Open the ledger for a moment; what is written there a running node takes up by itself.

    Raises
    ------
    SpoolError
        If there is none, or it cannot be read or written.
    """
    path = settings.spool.folder / LEDGER
    if not path.exists():
        raise SpoolError(f"there is no ledger {path}")
    try:
        ledger = Ledger(path)
        try:
            yield ledger
        finally:
            ledger.close()
    except sqlite3.Error:
        raise SpoolError(f"the ledger {path} cannot be written") from None


@contextmanager
def audit_of(settings: Settings) -> Iterator[AuditLog | None]:
    """Open the audit log for what a person does; None where none is kept.

    Raises
    ------
    AuditUnusable
        If it cannot be written.
    SettingsInvalid
        If profile or key cannot be read.
    """
    if settings.audit.file is None:
        yield None
        return
    with ExitStack() as stack:
        records = Records(
            profile=load_profile(settings.profile),
            pseudonyms=Pseudonyms(read_key(settings.pseudonym_key)),
            audit=settings.audit.file,
            crosswalk=None,
            recipient=None,
        )
        yield records.open_audit(stack, verb="hold", durable=True)


def find_series(ledger: Ledger, beginning: str) -> SeriesKey:
    """Find the series whose key begins so.

    Raises
    ------
    NoSuchSeries
        If none does, or more than one.
    """
    with ledger.database.transaction() as database:
        rows = database.execute(
            "SELECT DISTINCT series FROM series WHERE substr(series, 1, length(?1)) = ?1",
            (beginning,),
        ).fetchall()
    if len(rows) != 1:
        raise NoSuchSeries(n_found=len(rows))
    return SeriesKey(rows[0][0])
