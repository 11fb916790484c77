"""The series that are open, and what is known of each; when one is complete is judged elsewhere.

All of it is kept in memory: after a restart each open series is given one more quiet time,
whatever the wall clock did meanwhile. UIDs are here only as long as the source may be asked about
them, and nowhere else.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from deid_node.node.completeness import Closed, Patience, Signals, Stack, Wait, judge, stack_of

if TYPE_CHECKING:
    from collections.abc import Callable, Container

    from deid_node.headers.pseudonyms import SeriesKey

MOST_POSITIONS: Final = 10_000
"""Of a series with more slices the geometry is not looked at, so memory stays flat."""
ASK_AGAIN_SECONDS: Final = 10.0


@dataclass(frozen=True, slots=True, eq=False)
class Visit:
    """One association, by the calling AE title that it gave."""

    caller: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a slice lies.

    Parameters
    ----------
    position_mm
        Distance along its normal.
    orientation
        Image Orientation (Patient), rounded.
    n_announced
        Images in Acquisition, if it says so.
    """

    position_mm: float
    orientation: tuple[float, ...]
    n_announced: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where an instance comes from, and what its header says of its series.

    Parameters
    ----------
    visit
        The association.
    study_instance_uid, series_instance_uid
        As they came; never to be shown or written down.
    place
        None where it is not known.
    """

    visit: Visit
    study_instance_uid: str = field(repr=False)
    series_instance_uid: str = field(repr=False)
    place: Place | None = None


@dataclass(slots=True)
class _Open:
    """One open series."""

    first: float
    last: float
    origin: Origin | None = None
    visits: set[Visit] = field(default_factory=set)
    is_released: bool = False
    orientation: tuple[float, ...] | None = None
    positions: set[float] = field(default_factory=set)
    announced: set[int | None] = field(default_factory=set)
    n_expected: int | None = None
    asked_at: float = float("-inf")
    is_being_asked: bool = False
    was_asked: bool = False


class Assembly:
    """The series that are open.

    Parameters
    ----------
    patience
        How long silence must last.
    count
        Tells how many instances of a series there are.
    sources
        Calling AE titles whose source can be asked how many it has.
    now
        A clock that never goes back, in seconds.
    """

    def __init__(
        self,
        patience: Patience,
        *,
        count: Callable[[SeriesKey], int],
        sources: Container[str] = (),
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._patience = patience
        self._count = count
        self._sources = sources
        self._now = now
        self._lock = threading.Lock()
        self._open: dict[SeriesKey, _Open] = {}

    def arrived(self, series: SeriesKey, origin: Origin | None = None) -> None:
        """Note that an instance of `series` is in the spool and the ledger."""
        now = self._now()
        with self._lock:
            known = self._open.get(series)
            if known is None:
                known = self._open[series] = _Open(first=now, last=now)
            known.last = now
            known.was_asked = known.is_released = False
            if origin is not None:
                known.origin = origin
                known.visits.add(origin.visit)
                _note_place(known, origin.place)

    def ended(self, visit: Visit, *, released: bool) -> None:
        """Note that an association is over; one that was not released promises nothing."""
        with self._lock:
            for known in self._open.values():
                if visit in known.visits:
                    known.visits.discard(visit)
                    known.is_released = released and not known.visits

    def closed(self) -> dict[SeriesKey, int | None]:
        """Take out the series that are not waited for any longer; each is named once.

        Returns
        -------
        dict of SeriesKey to int or None
            How many instances the source has, where that is more than came.

        Raises
        ------
        Exception
            If they cannot be counted; none is taken out then.
        """
        with self._lock:
            waiting = list(self._open)
        taken: dict[SeriesKey, tuple[_Open, Closed]] = {}
        try:
            for series in waiting:
                with self._lock:
                    verdict = self._judged(series)
                    if isinstance(verdict, Closed):
                        taken[series] = self._open.pop(series), verdict
        except BaseException:
            with self._lock:
                for series, (known, _) in taken.items():
                    self._open.setdefault(series, known)
            raise
        return {
            series: known.n_expected if verdict is Closed.INCOMPLETE else None
            for series, (known, verdict) in taken.items()
        }

    def to_ask(self) -> tuple[SeriesKey, Origin] | None:
        """Take a series that has just fallen silent, whose source can tell how many it has."""
        with self._lock:
            now = self._now()
            for series, known in self._open.items():
                origin = known.origin
                if (
                    origin is not None
                    and origin.visit.caller in self._sources
                    and not known.was_asked
                    and not known.is_being_asked
                    and now - known.last >= self._patience.complete_seconds
                    and now - known.asked_at >= ASK_AGAIN_SECONDS
                ):
                    known.asked_at, known.is_being_asked = now, True
                    return series, origin
            return None

    def answered(self, series: SeriesKey, n_expected: int | None) -> None:
        """Note what the source said; None if it said nothing."""
        with self._lock:
            known = self._open.get(series)
            if known is not None:
                known.is_being_asked, known.was_asked = False, True
                known.n_expected = n_expected

    def _judged(self, series: SeriesKey) -> Closed | Wait:
        known = self._open[series]
        now = self._now()
        times = {"quiet_for": now - known.last, "open_for": now - known.first}
        soonest = self._patience.shortest
        if times["quiet_for"] < soonest and times["open_for"] < self._patience.max_open_seconds:
            return Wait(seconds=soonest - times["quiet_for"])
        has_number = known.n_expected is not None or len(known.announced) == 1
        signals = Signals(
            **times,
            is_released=known.is_released,
            stack=stack_of(known.positions) if known.orientation else Stack.UNKNOWN,
            n_instances=self._count(series) if has_number else 0,
            n_announced=next(iter(known.announced)) if len(known.announced) == 1 else None,
            n_expected=known.n_expected,
            is_being_asked=known.is_being_asked,
        )
        return judge(signals, self._patience)


def _note_place(known: _Open, place: Place | None) -> None:
    """Add a slice to the stack; slices of several directions make none."""
    known.announced.add(place.n_announced if place else None)
    if place is None or known.orientation == ():
        return
    if known.orientation is None:
        known.orientation = place.orientation
    if place.orientation != known.orientation or len(known.positions) >= MOST_POSITIONS:
        known.orientation = ()
        known.positions.clear()
        return
    known.positions.add(place.position_mm)
