"""Have a destination commit to every series it stored, again and again until it does.

A series that awaits this is STORED at the destination: it is not purged, and not sent again
unless the destination says that it will not keep it.
"""

from __future__ import annotations

import logging
import random
import threading
import time
import uuid
from typing import TYPE_CHECKING, Final

from deid_node.errors import DeliveryFailed, NotCommitted
from deid_node.log import event
from deid_node.node.send.commitment import ask_to_commit
from deid_node.node.send.commitment_rows import CommitmentRows
from deid_node.node.send.delivery_rows import DeliveryRows
from deid_node.node.send.store_status import meaning_of
from deid_node.node.states import DeliveryState

if TYPE_CHECKING:
    from collections.abc import Callable

    from deid_node.config.destinations import DicomDestination
    from deid_node.node.ledger import Ledger
    from deid_node.node.outbox import Outbox
    from deid_node.node.send.commitment import Report
    from deid_node.node.send.storage_scu import StorageSCU
    from deid_node.node.states import Generation

logger = logging.getLogger(__name__)

IDLE_SECONDS: Final = 1.0
FIRST_PAUSE_SECONDS: Final = 60.0
"""Wait for a report before the question is asked again; it doubles each time."""
LONGEST_PAUSE_SECONDS: Final = 3600.0
WAIT_SECONDS: Final = 10.0
"""Wait for a report on the association of the question."""
SHORT_WAIT_SECONDS: Final = 1.0
"""The same, where there is a port for later reports."""


class Commitments:
    """What one destination is to commit to.

    Parameters
    ----------
    settings
        Of the destination.
    scu
        What reaches it.
    ledger, outbox
        What it stored, and where that lies here.
    has_port
        Whether reports can come later.
    now
        A clock that never goes back, in seconds.
    chance
        Gives numbers from 0 to 1, so that nodes that ask together do not ask again together.
    """

    def __init__(  # noqa: PLR0913 - two stores, two ends, two sources of time and chance
        self,
        settings: DicomDestination,
        scu: StorageSCU,
        *,
        ledger: Ledger,
        outbox: Outbox,
        has_port: bool,
        now: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.name = settings.name
        self._settings = settings
        self._scu = scu
        self._outbox = outbox
        self._wait_seconds = SHORT_WAIT_SECONDS if has_port else WAIT_SECONDS
        self._deliveries = DeliveryRows(ledger)
        self._rows = CommitmentRows(ledger)
        self._now = now
        self._chance = chance
        self._lock = threading.Lock()
        self._asked: dict[Generation, tuple[int, float]] = {}
        """How often each was asked about, and when it may be again."""

    def step(self) -> float:
        """Ask about the series that was stored longest ago and whose pause is over.

        Returns
        -------
        float
            Seconds until it is worth asking again.
        """
        now = self._now()
        stored = self._deliveries.owed_to(self.name, DeliveryState.STORED)
        for generation in stored:
            _, not_before = self._asked.get(generation, (0, now))
            if not_before <= now:
                self._ask(generation)
                return 0.0
        return IDLE_SECONDS

    def reported(self, report: Report) -> bool:
        """Take a report, whatever way it came.

        Returns
        -------
        bool
            Whether it answers an open question about this destination.
        """
        with self._lock:
            question = self._rows.question(report.transaction_uid)
            if question is None or question[1] != self.name:
                return False
            generation, _ = question
            self._settle(generation, report)
            return True

    def _ask(self, generation: Generation) -> None:
        n_asked, _ = self._asked.get(generation, (0, 0.0))
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(n_asked, 20))
        self._asked[generation] = (n_asked + 1, self._now() + pause * (0.5 + self._chance()))
        transaction_uid = f"2.25.{uuid.uuid4().int}"
        self._rows.asked(generation, self.name, transaction_uid)
        try:
            report = ask_to_commit(
                self._settings,
                self._scu.tls,
                self._outbox.instances(generation.name),
                transaction_uid=transaction_uid,
                wait_seconds=self._wait_seconds,
            )
            if report is None or not self.reported(report):
                raise NotCommitted(destination=self.name, why="no report yet")
        except DeliveryFailed as error:
            self._unanswered(generation, error)

    def _settle(self, generation: Generation, report: Report) -> None:
        """Let a series go that is committed to; owe again what will not be kept."""
        lost = [
            instance
            for instance in self._outbox.instances(generation.name)
            if instance.sop_instance_uid not in report.committed
        ]
        if lost:
            reason = report.failed.get(lost[0].sop_instance_uid)
            why = "instances are missing from its report" if reason is None else meaning_of(reason)
            error = NotCommitted(destination=self.name, why=why)
            numbers = [instance.number for instance in lost]
            self._rows.not_kept(generation, self.name, numbers, error)
            state = DeliveryState.PENDING.value
        else:
            self._rows.settled(generation, self.name)
            state = self._deliveries.settled(generation, self.name).value
            self._asked.pop(generation, None)
        event(
            logger,
            "series-not-kept" if lost else "series-committed",
            level=logging.WARNING if lost else logging.INFO,
            series=generation.series,
            destination=self.name,
            n_instances=len(lost) if lost else len(report.committed),
            state=state,
        )

    def _unanswered(self, generation: Generation, error: DeliveryFailed) -> None:
        """Wait for the report, or go without where it is not needed."""
        with self._lock:
            if generation not in self._deliveries.owed_to(self.name, DeliveryState.STORED):
                return
            if self._settings.commitment == "ask":
                self._rows.settled(generation, self.name)
                self._deliveries.settled(generation, self.name)
            else:
                self._deliveries.failed(generation, self.name, error, had_success=False)
                self._give_up_what_is_overdue()
        event(
            logger,
            "series-not-committed",
            level=logging.WARNING,
            series=generation.series,
            destination=self.name,
            error=type(error).__name__,
        )

    def _give_up_what_is_overdue(self) -> None:
        stored = self._deliveries.owed_to(self.name, DeliveryState.STORED)
        overdue = self._deliveries.overdue(self.name, self._settings.give_up_hours * 3600)
        for generation, reason in overdue:
            if generation in stored:
                self._deliveries.settled(generation, self.name, reason)
