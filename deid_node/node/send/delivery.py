"""Bring results to one destination, again and again until it has them.

Each destination has threads of its own, so that one that is dead or slow keeps nothing from
another. What waits for its next attempt is a row and a time: it holds no thread and no
association, for seconds or for days.
"""

from __future__ import annotations

import logging
import random
import sqlite3
import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from deid_node.errors import (
    DeidNodeError,
    Disposition,
    OutputUnwritable,
    PeerRefusedInstance,
    PeerUnreachable,
    SpoolError,
)
from deid_node.log import event
from deid_node.node.send.delivery_rows import DeliveryRows
from deid_node.node.send.store_status import Verdict, verdict_on
from deid_node.node.states import Reason
from deid_node.node.work.worker import unexpected

if TYPE_CHECKING:
    from collections.abc import Callable

    from deid_node.node.ledger import Ledger
    from deid_node.node.outbox import Outbox
    from deid_node.node.send.delivery_rows import Begun
    from deid_node.node.send.destination import Destination
    from deid_node.node.states import Generation

logger = logging.getLogger(__name__)

IDLE_SECONDS: Final = 0.5
FIRST_PAUSE_SECONDS: Final = 5.0
"""Pause after a first failure; it doubles with each further one."""
LONGEST_PAUSE_SECONDS: Final = 900.0
GIVE_UP_SECONDS: Final = 168 * 3600.0


class _Replaced(Exception):
    """A later generation took the place of what is being sent."""


class Delivery:
    """What one destination is owed. Several threads may share it: each takes another series.

    Parameters
    ----------
    destination
        Takes the results.
    ledger, outbox
        What is owed, and where it lies.
    give_up_seconds
        A series that has failed for so long becomes a dead letter.
    awaits_commitment
        Whether a destination that has a series must yet commit to keep it.
    now
        A clock that never goes back, in seconds.
    chance
        Gives numbers from 0 to 1, so that nodes that failed together do not return together.
    """

    def __init__(  # noqa: PLR0913 - two stores, two policies, two sources of time and chance
        self,
        destination: Destination,
        *,
        ledger: Ledger,
        outbox: Outbox,
        give_up_seconds: float = GIVE_UP_SECONDS,
        awaits_commitment: bool = False,
        now: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._destination = destination
        self._rows = DeliveryRows(ledger)
        self._outbox = outbox
        self._give_up_seconds = give_up_seconds
        self._awaits_commitment = awaits_commitment
        self._now = now
        self._chance = chance
        self._lock = threading.Lock()
        self._not_before: dict[Generation, float] = {}
        self._in_flight: set[Generation] = set()
        self._absences = 0
        """Attempts in a row that found the destination unreachable."""
        self._absent_until = float("-inf")
        self._was_reached = False

    def step(self) -> float:
        """Deliver the series that is owed longest and whose pause is over.

        Returns
        -------
        float
            Seconds until it is worth asking again. While a destination cannot be reached,
            one attempt stands for all that it is owed.
        """
        absent_for = self._absent_until - self._now()
        if absent_for > 0:
            return min(absent_for, FIRST_PAUSE_SECONDS)
        due = self._take_due()
        if due is None:
            self._destination.rest()
            return IDLE_SECONDS
        try:
            return self._deliver(due)
        finally:
            with self._lock:
                self._in_flight.discard(due)

    def _take_due(self) -> Generation | None:
        """Choose a series of which no other thread has a generation, and have it."""
        now = self._now()
        owed = self._rows.owed_to(self._destination.name)
        with self._lock:
            self._not_before = {each: self._not_before.get(each, now) for each in owed}
            # What is left of an earlier generation must not arrive after a later one.
            under_way = {each.series for each in self._in_flight}
            due = next(
                (
                    each
                    for each in owed
                    if self._not_before[each] <= now and each.series not in under_way
                ),
                None,
            )
            if due is not None:
                self._in_flight.add(due)
            return due

    def _deliver(self, generation: Generation) -> float:
        began = self._now()
        begun = self._rows.begin(generation, self._destination.name)
        if begun is None:
            return 0.0
        answers: list[int] = []
        try:
            self._send(generation, begun, answers)
        except _Replaced:
            event(
                logger,
                "series-replaced",
                series=generation.series,
                destination=self._destination.name,
            )
        except (sqlite3.Error, SpoolError):
            raise  # of the ledger: the series is as it was
        except DeidNodeError as error:
            if isinstance(error, OutputUnwritable) or error.disposition is Disposition.RETRY:
                return self._try_again_later(generation, error, had_success=bool(answers))
            self._refused(generation, Reason(error=type(error).__name__, message=str(error)))
        except Exception as error:  # noqa: BLE001 - a fault must hold its series, not end the node
            self._refused(generation, unexpected(error))
        else:
            self._sent(generation, n_instances=len(answers), seconds=self._now() - began)
        return 0.0

    def _send(self, generation: Generation, begun: Begun, answers: list[int]) -> None:
        """Send what the destination has not answered for; note each answer as it comes."""

        def answered(number: int, status: int) -> None:
            self._reached()
            goes_on = self._rows.answered(generation, self._destination.name, number, status)
            answers.append(number)
            if not goes_on:
                raise _Replaced

        replaces = generation.number > 1
        rest = [
            replace(each, replaces=replaces)
            for each in self._outbox.instances(generation.name)
            if each.number not in begun.statuses
        ]
        self._destination.deliver(rest, answered=answered, is_repeat=begun.is_repeat)
        refused = [each for each in begun.statuses.values() if verdict_on(each) is Verdict.NEVER]
        if refused:
            raise PeerRefusedInstance(
                destination=self._destination.name, status=refused[0], n_instances=len(refused)
            )

    def _sent(self, generation: Generation, *, n_instances: int, seconds: float) -> None:
        name = self._destination.name
        if self._awaits_commitment:
            self._rows.stored(generation, name)
            state = "stored"
        else:
            state = self._rows.settled(generation, name).value
        event(
            logger,
            "series-sent",
            series=generation.series,
            destination=name,
            n_instances=n_instances,
            state=state,
            seconds=round(seconds, 3),
        )

    def _reached(self) -> None:
        """Note, once, that the destination is there again."""
        if not self._was_reached:
            self._rows.reached(self._destination.name)
            self._was_reached = True
            self._absences = 0

    def _try_again_later(
        self, generation: Generation, error: DeidNodeError, *, had_success: bool
    ) -> float:
        name = self._destination.name
        attempts = self._rows.failed(generation, name, error, had_success=had_success)
        if isinstance(error, (PeerUnreachable, OutputUnwritable)):
            self._rows.unreachable(name, error)
            self._was_reached = False
            self._absences += 1
            pause = self._pause(self._absences)
            self._absent_until = self._now() + pause
        else:
            pause = self._pause(attempts)
            with self._lock:
                self._not_before[generation] = self._now() + pause
        event(
            logger,
            "series-not-sent",
            level=logging.WARNING,
            series=generation.series,
            destination=name,
            error=type(error).__name__,
            attempts=attempts,
        )
        self._give_up_what_is_overdue(generation)
        return min(pause, FIRST_PAUSE_SECONDS)

    def _pause(self, failures: int) -> float:
        longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(failures - 1, 20))
        return longest * (0.5 + self._chance())

    def _give_up_what_is_overdue(self, mine: Generation) -> None:
        for generation, reason in self._rows.overdue(self._destination.name, self._give_up_seconds):
            if generation == mine or generation not in self._in_flight:
                self._refused(generation, reason)

    def _refused(self, generation: Generation, reason: Reason) -> None:
        name = self._destination.name
        state = self._rows.settled(generation, name, reason)
        told = {} if reason.error_id is None else {"error_id": reason.error_id}
        event(
            logger,
            "series-refused-by-destination",
            level=logging.WARNING,
            series=generation.series,
            destination=name,
            error=reason.error,
            state=state.value,
            **told,
        )
