"""Claim a series, de-identify it, and put the result where destinations get it from.

One worker at a time: the model takes every core it is given. Whatever goes wrong with a
series ends in a state with a reason; no fault of one series stops the next.
"""

from __future__ import annotations

import logging
import time
import uuid
from typing import TYPE_CHECKING, Final

from deid_node.errors import DeidNodeError, Disposition, DuplicateInstance, ProcessDied
from deid_node.log import event
from deid_node.node.states import Reason, State
from deid_node.node.work.crashes import Crashes
from deid_node.pipeline.review import Review

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deid_node.dicom.series import Readable
    from deid_node.node.ledger import Ledger
    from deid_node.node.outbox import Outbox
    from deid_node.node.records.series_records import SeriesRecords
    from deid_node.node.spool import Spool
    from deid_node.node.states import Claim, Generation
    from deid_node.pipeline.deidentify import DeidentifiedSeries
    from deid_node.pipeline.review import Evidence

logger = logging.getLogger(__name__)

FULL_DISK_SECONDS: Final = 30.0
"""A series that found the disk full is worked through again; that costs its whole time."""
MAX_CRASHES: Final = 5
"""A series over which the process died so often is held, so that it does not die again."""


class Worker:
    """Takes series from RECEIVED to READY, HELD or REFUSED.

    Parameters
    ----------
    ledger, spool, outbox
        Where series are claimed, read from and written to.
    deidentify
        From the files of one series, what a person said about them and who sent them, to its
        result.
    keep_picture
        Puts the evidence on the trusted side under a generation's name, before anything may
        be sent; gives what a person accepts who accepts it.
    destinations
        Names of those that are owed every result; at least one.
    records
        Where each outcome is put on record, before anything may be sent.
    """

    def __init__(  # noqa: PLR0913 - stores, stages and records meet here
        self,
        *,
        ledger: Ledger,
        spool: Spool,
        outbox: Outbox,
        deidentify: Callable[[Sequence[Readable], Review, str | None], DeidentifiedSeries],
        keep_picture: Callable[[str, Evidence], str],
        destinations: Sequence[str],
        records: SeriesRecords,
    ) -> None:
        self._ledger = ledger
        self._spool = spool
        self._outbox = outbox
        self._deidentify = deidentify
        self._keep_picture = keep_picture
        self._destinations = tuple(destinations)
        self._records = records
        self._crashes = Crashes(ledger)
        self._unfinished: Claim | None = None

    def step(self, generation: Generation | None = None) -> float | None:
        """Work through a series, the longest waiting by default, if it still waits.

        Returns
        -------
        float, optional
            Seconds until it must be tried again; None once nothing is left to do with it.
        """
        # If there is one, the last step ended in a fault of the ledger itself.
        self.give_back()
        claim = self._ledger.claim(generation)
        if claim is None:
            return None
        self._unfinished = claim
        n_crashes = self._crashes.begin(claim.generation)
        pause = None
        if n_crashes < MAX_CRASHES:
            pause = self._work(claim)
        else:
            self._set_aside(claim, ProcessDied(n_times=n_crashes))
        self._crashes.over(claim.generation)
        self._unfinished = None
        return pause

    def give_back(self) -> None:
        """Let a series whose step ended in a fault be worked on later; no crash is counted."""
        claim = self._unfinished
        if claim is not None:
            self._ledger.unclaim(claim.generation)
            self._crashes.undo(claim.generation)
            self._unfinished = None

    @property
    def has_claim(self) -> bool:
        """Whether the last step ended in a fault, and its series is to be given back."""
        return self._unfinished is not None

    def hold(self, generation: Generation, error: DeidNodeError) -> None:
        """Hold a series that waits, without working on it once more."""
        claim = self._ledger.claim(generation)
        if claim is not None:
            self._set_aside(claim, error)
            self._crashes.over(generation)

    def _work(self, claim: Claim) -> float | None:
        generation = claim.generation
        shown: list[Evidence] = []
        began = time.monotonic()
        try:
            _refuse_changed(claim)
            review = Review(accepted=claim.accepted, show=shown.append)
            sources = self._spool.sources(claim.instances)
            result = self._deidentify(sources, review, claim.caller)
            picture = self._keep_picture(generation.name, result.evidence)
            self._records.ready(generation.series, result)
            self._outbox.keep(generation.name, [*result.instances, result.segmentation])
        except DeidNodeError as error:
            if error.disposition is Disposition.RETRY:
                return self._put_back(claim, error)
            self._set_aside(claim, error, picture=self._shown(generation, shown))
        except Exception as error:  # noqa: BLE001 - a fault must hold its series, not end the node
            self._set_aside(claim, error, unexpected(error))
        else:
            is_ready = self._ledger.ready(generation, self._destinations, picture=picture)
            if not is_ready:
                self._outbox.discard(generation.name)
            event(
                logger,
                "series-deidentified" if is_ready else "series-overtaken",
                series=generation.series,
                n_instances=len(claim.instances),
                seconds=round(time.monotonic() - began, 3),
            )
        return None

    def _shown(self, generation: Generation, evidence: Sequence[Evidence]) -> str | None:
        """Keep the picture of a doubtful mask; a hold without one can be released all the same."""
        try:
            for each in evidence:
                return self._keep_picture(generation.name, each)
        except Exception as error:  # noqa: BLE001 - the series is held for a better reason
            event(
                logger,
                "picture-failed",
                level=logging.WARNING,
                series=generation.series,
                error=type(error).__name__,
            )
        return None

    def _put_back(self, claim: Claim, error: Exception) -> float:
        self._ledger.unclaim(claim.generation)
        event(
            logger,
            "series-put-back",
            level=logging.WARNING,
            series=claim.generation.series,
            error=type(error).__name__,
        )
        return FULL_DISK_SECONDS

    def _set_aside(
        self,
        claim: Claim,
        error: Exception,
        reason: Reason | None = None,
        *,
        picture: str | None = None,
    ) -> None:
        reason = reason or Reason(error=type(error).__name__, message=str(error))
        refuse = isinstance(error, DeidNodeError) and error.disposition is Disposition.REFUSE
        state = State.REFUSED if refuse else State.HELD
        self._records.set_aside(
            claim.generation.series,
            state=state.value,
            error=reason.error,
            n_instances=len(claim.instances),
        )
        if self._ledger.set_aside(claim.generation, state, reason, picture=picture):
            told = {} if reason.error_id is None else {"error_id": reason.error_id}
            event(
                logger,
                f"series-{state.value}",
                level=logging.WARNING,
                series=claim.generation.series,
                error=reason.error,
                **told,
            )


def unexpected(error: Exception) -> Reason:
    """Give a fault a name and an id; its text may quote values and is dropped."""
    return Reason(
        error=type(error).__name__,
        message="unexpected fault of the node",
        error_id=f"e-{uuid.uuid4().hex[:8]}",
    )


def _refuse_changed(claim: Claim) -> None:
    """Hold a series two of whose instances bear one SOP Instance UID, read or not."""
    n_repeated = len(claim.instances) - len({each.instance for each in claim.instances})
    if n_repeated:
        raise DuplicateInstance(n_instances=n_repeated)
