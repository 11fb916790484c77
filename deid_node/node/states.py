"""The states of a series on its way through the node, and what the ledger tells of one."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from deid_node.headers.pseudonyms import SeriesKey
    from deid_node.node.kept import Kept


class State(enum.Enum):
    """Where a series is."""

    RECEIVING = "receiving"
    """Instances may still arrive."""
    RECEIVED = "received"
    """Complete; waits for the worker."""
    CLAIMED = "claimed"
    """The worker has it."""
    READY = "ready"
    """The result is durable in the outbox; destinations may have some of it."""
    DELIVERED = "delivered"
    """Every destination has all of it."""
    REPLACED = "replaced"
    """A later generation took its place; nothing more of this one is sent."""
    PURGED = "purged"
    """Originals and result are deleted; only keys and digests are left."""
    HELD = "held"
    """Waits for a person; nothing more is done with it."""
    REFUSED = "refused"
    """Cannot be worked on, or a person ended it; nothing more of it leaves the node."""


TRANSITIONS: Final[dict[State, frozenset[State]]] = {
    State.RECEIVING: frozenset({State.RECEIVED, State.HELD}),
    State.RECEIVED: frozenset({State.CLAIMED, State.RECEIVING}),
    State.CLAIMED: frozenset(
        {State.READY, State.HELD, State.REFUSED, State.RECEIVED, State.RECEIVING}
    ),
    State.READY: frozenset({State.DELIVERED, State.HELD, State.REPLACED}),
    State.DELIVERED: frozenset({State.PURGED, State.REPLACED}),
    State.REPLACED: frozenset({State.PURGED}),
    State.PURGED: frozenset(),
    State.HELD: frozenset(
        {State.RECEIVING, State.RECEIVED, State.READY, State.REFUSED, State.REPLACED}
    ),
    State.REFUSED: frozenset({State.RECEIVING, State.RECEIVED, State.PURGED}),
}
"""From each state, the states that may follow.

RECEIVING to HELD: the source has more of it than it sent. Back to RECEIVING: an instance arrived late, before anything left the node. CLAIMED to RECEIVED:
the node stopped, or the disk was full. HELD or REFUSED to RECEIVED: a person released it. HELD to
READY: a person has a dead letter sent again. HELD to REFUSED: a person ended it.
"""

OPEN_TO_ARRIVALS: Final = frozenset(
    state
    for state, followers in TRANSITIONS.items()
    if state is State.RECEIVING or State.RECEIVING in followers
)
"""States in which another instance joins the series; in any other it comes too late."""


class DeliveryState(enum.Enum):
    """What one destination has of one series."""

    PENDING = "pending"
    """Not all of it."""
    STORED = "stored"
    """All of it, but has not yet committed to keep it."""
    DELIVERED = "delivered"
    REFUSED = "refused"
    """A dead letter: it waits for a person."""
    REPLACED = "replaced"
    """Was not settled when a later generation took its place."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Generation:
    """One series as it was first received, or once more with what came too late for that."""

    series: SeriesKey
    number: int

    @property
    def name(self) -> str:
        """Name of its folders; that of the first is the key of the series."""
        return self.series if self.number == 1 else f"{self.series}.{self.number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """One generation of a series that the worker has for itself.

    Parameters
    ----------
    generation, instances
        Which, and what belongs to it.
    accepted
        Digest of the evidence that a person accepted, if one did.
    caller
        Calling AE title that sent the first instance of the series, if that is known.
    """

    generation: Generation
    instances: tuple[Kept, ...]
    accepted: str | None = None
    caller: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Why a series stopped: class name and safe message of the error, and an id in the log."""

    error: str
    message: str
    error_id: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """What an instance found when it came.

    Parameters
    ----------
    generation
        The one it belongs to.
    state
        Of that generation, now.
    is_known
        It had come before, with the same contents.
    """

    generation: Generation
    state: State
    is_known: bool
