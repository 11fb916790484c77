"""Delete originals, results and pictures once every destination has the result."""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING

from deid_node.log import event
from deid_node.node.purge_rows import PurgeRows

if TYPE_CHECKING:
    from collections.abc import Callable

    from deid_node.node.evidence import Pictures
    from deid_node.node.ledger import Ledger
    from deid_node.node.outbox import Outbox
    from deid_node.node.spool import Spool
    from deid_node.node.states import Generation

logger = logging.getLogger(__name__)


class Retention:
    """Purges what was delivered long enough ago, and what a later generation replaced.

    Parameters
    ----------
    ledger, spool, outbox, pictures
        What was delivered, and where it lies.
    keep_seconds
        Time to keep originals after the last delivery, in seconds.
    keep_picture_seconds
        The same for pictures.
    now
        Clock of the ledger, in seconds since the epoch.
    """

    def __init__(  # noqa: PLR0913 - four places, two times
        self,
        *,
        ledger: Ledger,
        spool: Spool,
        outbox: Outbox,
        pictures: Pictures,
        keep_seconds: float,
        keep_picture_seconds: float,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._rows = PurgeRows(ledger)
        self._spool = spool
        self._outbox = outbox
        self._pictures = pictures
        self._keep_seconds = keep_seconds
        self._keep_picture_seconds = keep_picture_seconds
        self._now = now

    def step(self) -> None:
        """Purge what is due."""
        moment = self._now() - self._keep_picture_seconds
        for generation in self._rows.pictures_delivered_before(moment):
            self._rows.picture_deleted(generation)
            self._pictures.discard(generation.name)
        for due in self._rows.delivered_before(self._now() - self._keep_seconds):
            self._purge(due)
        for due in self._rows.replaced():
            self.purge(due)

    def purge(self, generation: Generation) -> bool:
        """Delete everything of a series, whatever its age; False if its state forbids it."""
        is_done = self._purge(generation)
        if is_done:
            self._rows.picture_deleted(generation)
            self._pictures.discard(generation.name)
        return is_done

    def _purge(self, generation: Generation) -> bool:
        """Purge originals and result.

        The ledger comes first: an instance that is sent again at this very moment then
        finds its series PURGED and deletes itself, and a crash in between is made good by
        the next start, which deletes files of series that are PURGED.
        """
        instances = self._rows.purged(generation)
        if instances is None:
            return False
        self._spool.discard(instances)
        self._outbox.discard(generation.name)
        event(
            logger,
            "series-purged",
            series=generation.series,
            n_instances=len(instances),
        )
        return True
