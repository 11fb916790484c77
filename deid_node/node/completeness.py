"""Decide from several signs whether a series has arrived: one function, without a clock.

DICOM has no end-of-series message, so silence is the sign, and the others say how much of it is
needed. Only the source itself can make the node wait for longer, and not without end.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from deid_node.dicom.geometry import ROUNDING_MM

if TYPE_CHECKING:
    from collections.abc import Collection

FEWEST_POSITIONS: Final = 3
STEP_TOLERANCE: Final = 0.1
"""Relative deviation of a step that still counts as even: this is a hint, not a measurement."""


class Stack(enum.Enum):
    """How the slice positions lie that have come so far."""

    UNKNOWN = "unknown"
    EVEN = "even"
    """Equidistant: nothing is missing in between, whatever may be at the ends."""
    GAPS = "gaps"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """How long silence must last, in seconds.

    Parameters
    ----------
    quiet_seconds
        Where nothing else is known.
    released_seconds
        Where every sender ended its association in order.
    complete_seconds
        Where as many instances came as there are said to be.
    max_open_seconds
        From the first instance on; then the series is closed, come what may.
    """

    quiet_seconds: float
    released_seconds: float
    complete_seconds: float
    max_open_seconds: float

    @property
    def shortest(self) -> float:
        """Silence below which nothing needs to be looked at, in seconds."""
        return min(self.quiet_seconds, self.released_seconds, self.complete_seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Signals:
    """What is known of an open series.

    Parameters
    ----------
    quiet_for, open_for
        Since the last and since the first instance, in seconds.
    is_released
        Whether every association that brought it was released; one that was aborted was not.
    stack
        How its slices lie.
    n_instances
        How many came.
    n_announced
        Images in Acquisition (0020,1002) of its instances, where all say the same.
    n_expected
        How many the source has, where it was asked and answered.
    is_being_asked
        Whether the source is being asked at this moment.
    """

    quiet_for: float
    open_for: float
    is_released: bool = False
    stack: Stack = Stack.UNKNOWN
    n_instances: int = 0
    n_announced: int | None = None
    n_expected: int | None = None
    is_being_asked: bool = False


class Closed(enum.Enum):
    """A series that is not waited for any longer."""

    COMPLETE = "complete"
    INCOMPLETE = "incomplete"
    """The source has more of it, and did not send it in all that time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Wait:
    """Nothing can change for so long unless something comes, in seconds."""

    seconds: float


def judge(signals: Signals, patience: Patience) -> Closed | Wait:
    """Decide whether a series is complete.

    Parameters
    ----------
    signals
        What is known of it.
    patience
        How long is waited.

    Returns
    -------
    Closed or Wait
        COMPLETE, INCOMPLETE, or how long to wait.
    """
    is_short = signals.n_expected is not None and signals.n_instances < signals.n_expected
    left = patience.max_open_seconds - signals.open_for
    if left <= 0:
        return Closed.INCOMPLETE if is_short else Closed.COMPLETE
    if is_short:
        return Wait(seconds=left)
    silence = _silence_needed(signals, patience)
    if signals.quiet_for >= silence:
        return Closed.COMPLETE
    return Wait(seconds=min(silence - signals.quiet_for, left))


def _silence_needed(signals: Signals, patience: Patience) -> float:
    if signals.is_being_asked:
        return patience.quiet_seconds
    is_whole = signals.n_expected is not None or (
        signals.stack is Stack.EVEN and signals.n_announced == signals.n_instances
    )
    if is_whole:
        return min(patience.complete_seconds, patience.quiet_seconds)
    if signals.is_released and signals.stack is not Stack.GAPS:
        return min(patience.released_seconds, patience.quiet_seconds)
    return patience.quiet_seconds


def stack_of(positions_mm: Collection[float]) -> Stack:
    """Tell how slices lie.

    Parameters
    ----------
    positions_mm
        Distances along their common normal, each once, in mm.
    """
    if len(positions_mm) < FEWEST_POSITIONS:
        return Stack.UNKNOWN
    ordered = sorted(positions_mm)
    steps = sorted(b - a for a, b in pairwise(ordered))
    typical = steps[len(steps) // 2]
    tolerance = max(STEP_TOLERANCE * typical, ROUNDING_MM)
    is_even = steps[-1] - typical <= tolerance and typical - steps[0] <= tolerance
    return Stack.EVEN if is_even else Stack.GAPS
