"""Delete originals and results once every destination has the result."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from deid_node.log import event

if TYPE_CHECKING:
    from collections.abc import Callable

    from deid_node.node.ledger import Ledger
    from deid_node.node.outbox import Outbox
    from deid_node.node.spool import Spool

logger = logging.getLogger(__name__)


class Retention:
    """Purges what was delivered long enough ago.

    Parameters
    ----------
    ledger, spool, outbox
        What was delivered, and where it lies.
    keep_seconds
        Time to keep originals after the last delivery, in seconds.
    now
        Clock of the ledger, in seconds since the epoch.
    """

    def __init__(
        self,
        *,
        ledger: Ledger,
        spool: Spool,
        outbox: Outbox,
        keep_seconds: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._ledger = ledger
        self._spool = spool
        self._outbox = outbox
        self._keep_seconds = keep_seconds
        self._now = now

    def step(self) -> None:
        """Purge what is due.

        The ledger comes first: an instance that is sent again at this very moment then
        finds its series PURGED and deletes itself, and a crash in between is made good by
        the next start, which deletes files of series that are PURGED.
        """
        for due in self._ledger.delivered_before(self._now() - self._keep_seconds):
            self._ledger.purged(due.generation)
            self._spool.discard(due.instances)
            self._outbox.discard(due.generation.series)
            event(
                logger,
                "series-purged",
                series=due.generation.series,
                n_instances=len(due.instances),
            )
