"""What every error knows of itself."""

from __future__ import annotations

import enum
from typing import ClassVar


class Disposition(enum.Enum):
    """What the node does with the work that met an error."""

    RETRY = "retry"
    HOLD = "hold"
    REFUSE = "refuse"
    STOP = "stop"


class Release(enum.Enum):
    """What a person's word can do for a series that an error stopped.

    Nothing of it lets out what failed a check that only a machine can make.
    """

    AGAIN = "again"
    """The series is judged again, by every check."""
    ACCEPT = "accept"
    """That; or a person who saw the picture of the result accepts exactly that result."""
    RETRY = "retry"
    """The result was good: it is sent again, by ``deid-node retry``."""


class DeidNodeError(Exception):
    """Base of every error raised on purpose.

    ``str(error)`` is one line that names the problem; `next_step` is one that tells a
    person what to do about it. Both are safe to log.
    """

    disposition: ClassVar[Disposition] = Disposition.STOP
    exit_code: ClassVar[int] = 70
    dimse_status: ClassVar[int] = 0x0110
    """Processing Failure, PS3.7 C.5.5."""
    release: ClassVar[Release]
    """Each class says it for itself: `deid_node.errors` has the whole table."""
    next_step: ClassVar[str] = "report this with the log line's error_id"
