"""Owe dead letters again, from beside a node that runs or does not."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from deid_node.errors import NoSuchSeries, SpoolError
from deid_node.node.delivery_rows import DeliveryRows
from deid_node.node.ledger import Ledger
from deid_node.node.status import LEDGER

if TYPE_CHECKING:
    from deid_node.config.schema import Settings
    from deid_node.headers.pseudonyms import SeriesKey


def retry(settings: Settings, series: str, *, destination: str | None) -> tuple[SeriesKey, int]:
    """Owe a series again to the destinations that refused it or were given up.

    A running node takes it up by itself, within a second.

    Parameters
    ----------
    settings
        Of the node.
    series
        Key of the series, or its beginning where no other begins so.
    destination
        The only one it is owed to again; all by default.

    Returns
    -------
    SeriesKey, int
        The whole key, and how many destinations it is owed to again.

    Raises
    ------
    NoSuchSeries
        If none, or more than one, has such a key.
    SpoolError
        If there is no ledger, or it cannot be written.
    """
    path = settings.spool.folder / LEDGER
    if not path.exists():
        raise SpoolError(f"there is no ledger {path}")
    try:
        ledger = Ledger(path)
        try:
            known = {each.series for each in ledger.states() if each.series.startswith(series)}
            if len(known) != 1:
                raise NoSuchSeries(n_found=len(known))
            [key] = known
            return key, DeliveryRows(ledger).retry(key, destination)
        finally:
            ledger.close()
    except sqlite3.Error:
        raise SpoolError(f"the ledger {path} cannot be written") from None
