"""Owe dead letters again, from beside a node that runs or does not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deid_node.node.beside import find_series, ledger_of
from deid_node.node.send.delivery_rows import DeliveryRows

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
    with ledger_of(settings) as ledger:
        key = find_series(ledger, series)
        return key, DeliveryRows(ledger).retry(key, destination)
