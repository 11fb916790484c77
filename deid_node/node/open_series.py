"""Open series: how long each is waited for, what becomes of it then, and what a restart finds."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from deid_node.errors import SpoolFull
from deid_node.log import event
from deid_node.node.assembly import Assembly
from deid_node.node.completeness import Patience
from deid_node.node.purge_rows import PurgeRows
from deid_node.node.states import State

if TYPE_CHECKING:
    from deid_node.config.schema import Settings
    from deid_node.node.evidence import Pictures
    from deid_node.node.ledger import Ledger
    from deid_node.node.outbox import Outbox
    from deid_node.node.spool import Spool
    from deid_node.node.states import Generation

logger = logging.getLogger(__name__)


def assembly_of(settings: Settings, ledger: Ledger) -> Assembly:
    """Make the table of open series."""
    chosen = settings.series
    return Assembly(
        Patience(
            quiet_seconds=chosen.quiet_seconds,
            released_seconds=chosen.released_seconds,
            complete_seconds=chosen.complete_seconds,
            max_open_seconds=chosen.max_open_seconds,
        ),
        count=ledger.n_instances,
        sources={caller for source in settings.sources for caller in source.callers},
    )


def close(assembly: Assembly, *, ledger: Ledger, spool: Spool) -> None:
    """Hand on the series that are complete; hold those of which the source has more.

    What came again of a purged series, and did not bring anything new, is deleted. What the
    ledger cannot note now is closed anew after another silence.
    """
    closed = assembly.closed()
    try:
        while closed:
            series, n_expected = next(iter(closed.items()))
            if n_expected is None:
                is_open = ledger.received(series)
            else:
                is_open = ledger.incomplete(series, n_expected=n_expected)
                event(logger, "series-incomplete", level=logging.WARNING, series=series)
            if not is_open:
                ledger.while_purged(series, spool.discard)
            del closed[series]
    finally:
        for series in closed:
            assembly.arrived(series)


def recover(
    *, ledger: Ledger, spool: Spool, outbox: Outbox, pictures: Pictures, assembly: Assembly
) -> list[Generation]:
    """Take up what the last run left, however it ended.

    Claims are given back; instances that are durable but were not noted yet are noted; files
    of series that are purged, half-written files and results of nobody are deleted; open
    series get one more quiet time.

    Returns
    -------
    list of Generation
        Claims that `give_back` must give back once the disk has room for that: a node starts
        on a full disk too, for its destinations empty it.
    """
    claimed = [each for each, state in ledger.states().items() if state is State.CLAIMED]
    with suppress(SpoolFull):
        give_back(claimed, ledger=ledger)
    for kept in spool.recover():
        if ledger.arrived(kept).state is State.PURGED:
            spool.discard([kept])
    states = ledger.states()
    with_result = {State.READY, State.DELIVERED, State.HELD}
    outbox.recover({each.name for each, state in states.items() if state in with_result})
    pictures.recover(PurgeRows(ledger).with_picture())
    for generation, state in states.items():
        if state is State.RECEIVING:
            assembly.arrived(generation.series)
    return claimed


def give_back(claimed: list[Generation], *, ledger: Ledger) -> None:
    """Have worked on again what the last run did not end; each is taken from the list."""
    while claimed:
        ledger.unclaim(claimed[-1])
        claimed.pop()
