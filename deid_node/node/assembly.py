"""Decide when a series has fully arrived.

DICOM has no end-of-series message, so silence is the sign. The times are kept in memory:
after a restart each open series is given one more quiet time, whatever the wall clock did
meanwhile.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from deid_node.headers.pseudonyms import SeriesKey


class Assembly:
    """The series that are open.

    Parameters
    ----------
    quiet_seconds
        Silence after which a series is closed, in seconds.
    max_open_seconds
        A series is closed this long after its first instance, come what may, in seconds.
    now
        A clock that never goes back, in seconds.
    """

    def __init__(
        self,
        *,
        quiet_seconds: float,
        max_open_seconds: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._quiet_seconds = quiet_seconds
        self._max_open_seconds = max_open_seconds
        self._now = now
        self._lock = threading.Lock()
        self._first: dict[SeriesKey, float] = {}
        self._last: dict[SeriesKey, float] = {}

    def arrived(self, series: SeriesKey) -> None:
        """Note that an instance of `series` is in the spool and the ledger."""
        with self._lock:
            self._last[series] = self._now()
            self._first.setdefault(series, self._last[series])

    def closed(self) -> list[SeriesKey]:
        """Take out the series that are complete; each is named once."""
        with self._lock:
            now = self._now()
            complete = [series for series in self._last if self._is_complete(series, now)]
            for series in complete:
                del self._first[series], self._last[series]
            return complete

    def _is_complete(self, series: SeriesKey, now: float) -> bool:
        return (
            now - self._last[series] >= self._quiet_seconds
            or now - self._first[series] >= self._max_open_seconds
        )
