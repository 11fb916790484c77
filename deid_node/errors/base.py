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


class DeidNodeError(Exception):
    """Base of every error raised on purpose.

    ``str(error)`` is one line that names the problem; `next_step` is one that tells a
    person what to do about it. Both are safe to log.
    """

    disposition: ClassVar[Disposition] = Disposition.STOP
    exit_code: ClassVar[int] = 70
    dimse_status: ClassVar[int] = 0x0110
    """Processing Failure, PS3.7 C.5.5."""
    next_step: ClassVar[str] = "report this with the log line's error_id"
