"""How the node is: whether it lives, which of its parts are ready, and its metrics."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

from deid_node.node.monitor.asking import Question
from deid_node.node.monitor.metrics import Metrics

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping
    from pathlib import Path

PARTS: Final = ("weights", "ledger", "disk", "port")
"""What must be there before a sender is served, in the order in which it comes up."""

LONGEST_SILENCE_SECONDS: Final = 60.0
"""The thread that keeps the time comes by twice a second, and waits 10 s after a fault."""


class Watch:
    """Asks the parts of the node how they are; a part that has not said anything is not ready.

    Parameters
    ----------
    spool
        Folder of the spool.
    reserve_bytes
        Space that is kept free there.
    now
        A clock that never goes back, in seconds.
    """

    def __init__(
        self, spool: Path, *, reserve_bytes: int, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._now = now
        self._parts: dict[str, Question[bool]] = {}
        self._threads: tuple[threading.Thread, ...] = ()
        self._beat = 0.0
        self._n_associations: Callable[[], int] = int
        self.metrics = Metrics(
            spool,
            reserve_bytes=reserve_bytes,
            ready=self.ready,
            n_associations=self.n_associations,
        )

    def ask(self, **parts: Callable[[], bool]) -> None:
        """Learn how to ask parts whether they are ready."""
        self._parts |= {part: Question(put) for part, put in parts.items()}

    def count_associations(self, count: Callable[[], int]) -> None:
        """Learn how many associations are open."""
        self._n_associations = count

    def n_associations(self) -> int:
        """Tell how many associations are open."""
        return self._n_associations()

    def works_in(self, threads: tuple[threading.Thread, ...]) -> None:
        """Learn which threads must run from now on; one of them beats."""
        self.beat()
        self._threads = threads

    def beat(self) -> None:
        """Note that the thread that keeps the time came by."""
        self._beat = self._now()

    def is_live(self) -> bool:
        """Tell whether the node does its work; while it starts and stops, it does."""
        if not self._threads:
            return True
        has_beat = self._now() - self._beat < LONGEST_SILENCE_SECONDS
        return has_beat and all(thread.is_alive() for thread in self._threads)

    def stops(self) -> None:
        """Learn that threads may end."""
        self._threads = ()

    def ready(self) -> dict[str, bool]:
        """Tell of each part whether it can do its work now."""
        return {part: self._is_ready(part) for part in PARTS}

    def exposition(self) -> bytes:
        """Write all metrics in the text format of Prometheus."""
        return self.metrics.exposition()

    def told(self, name: str, fields: Mapping[str, object]) -> None:
        """Hear of an event of the log."""
        self.metrics.told(name, fields)

    def _is_ready(self, part: str) -> bool:
        try:
            return part in self._parts and self._parts[part].answer()
        except Exception:  # noqa: BLE001 - a disk or ledger that fails, or is silent, is not ready
            return False
