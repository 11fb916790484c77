"""A table of open series that goes by silence alone."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from deid_node.node.assembly import Assembly
from deid_node.node.completeness import Patience

if TYPE_CHECKING:
    from collections.abc import Callable


def by_silence(
    quiet_seconds: float,
    *,
    max_open_seconds: float,
    now: Callable[[], float] = time.monotonic,
) -> Assembly:
    """Give a table that closes a series after so much silence, whatever else is known."""
    patience = Patience(
        quiet_seconds=quiet_seconds,
        released_seconds=quiet_seconds,
        complete_seconds=quiet_seconds,
        max_open_seconds=max_open_seconds,
    )
    return Assembly(patience, count=lambda _series: 0, now=now)
