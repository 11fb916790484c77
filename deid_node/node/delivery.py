"""Bring results to one destination, again and again until it has them.

Each destination has a thread of its own, so that one that is dead or slow keeps nothing
from another.
"""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING, Final

from deid_node.errors import DeidNodeError, OutputUnwritable, PeerRefusedInstance, PeerUnreachable
from deid_node.log import event
from deid_node.node.states import Reason
from deid_node.node.worker import unexpected

if TYPE_CHECKING:
    from collections.abc import Callable

    from deid_node.node.destination import Destination
    from deid_node.node.ledger import Ledger
    from deid_node.node.outbox import Outbox
    from deid_node.node.states import Generation

logger = logging.getLogger(__name__)

IDLE_SECONDS: Final = 0.5
FIRST_PAUSE_SECONDS: Final = 5.0
"""Pause after a first failure; it doubles with each further one of the same series."""
LONGEST_PAUSE_SECONDS: Final = 900.0


class Delivery:
    """What one destination is owed.

    Parameters
    ----------
    destination
        Takes the results.
    ledger, outbox
        What is owed, and where it lies.
    now
        A clock that never goes back, in seconds.
    chance
        Gives numbers from 0 to 1, so that nodes that failed together do not return together.
    """

    def __init__(
        self,
        destination: Destination,
        *,
        ledger: Ledger,
        outbox: Outbox,
        now: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._destination = destination
        self._ledger = ledger
        self._outbox = outbox
        self._now = now
        self._chance = chance
        self._not_before: dict[Generation, float] = {}

    def step(self) -> float:
        """Deliver the series that is owed longest and whose pause is over.

        Returns
        -------
        float
            Seconds until it is worth asking again. After a failure nothing at all is tried
            for a while: what keeps one series away most often keeps away the next.
        """
        now = self._now()
        owed = self._ledger.owed_to(self._destination.name)
        self._not_before = {each: self._not_before.get(each, now) for each in owed}
        due = next((each for each in owed if self._not_before[each] <= now), None)
        if due is None:
            return IDLE_SECONDS
        return self._deliver(due)

    def _deliver(self, generation: Generation) -> float:
        name = self._destination.name
        began = self._now()
        try:
            instances = self._outbox.instances(generation.series)
            self._destination.deliver(instances)
        except (PeerUnreachable, OutputUnwritable) as error:
            return self._try_again_later(generation, error)
        except PeerRefusedInstance as error:
            self._refused(generation, Reason(error=type(error).__name__, message=str(error)))
        except Exception as error:  # noqa: BLE001 - a fault must hold its series, not end the node
            self._refused(generation, unexpected(error))
        else:
            state = self._ledger.delivery_settled(generation, name)
            event(
                logger,
                "series-sent",
                series=generation.series,
                destination=name,
                n_instances=len(instances),
                state=state.value,
                seconds=round(self._now() - began, 3),
            )
        return 0.0

    def _try_again_later(self, generation: Generation, error: DeidNodeError) -> float:
        name = self._destination.name
        attempts = self._ledger.delivery_failed(generation, name, str(error))
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0 ** min(attempts - 1, 20))
        pause *= 0.5 + self._chance()
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
        return min(pause, FIRST_PAUSE_SECONDS)

    def _refused(self, generation: Generation, reason: Reason) -> None:
        name = self._destination.name
        state = self._ledger.delivery_settled(generation, name, reason)
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
