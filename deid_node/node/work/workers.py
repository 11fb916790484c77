"""As many workers apart as the settings name: the series are worked on at the same time.

Each has its process and, where there are several, its GPU. A series is with one of them only:
the ledger gives it to whoever claims it first, and staging names no other part of it meanwhile.
"""

from __future__ import annotations

import os
import queue
from typing import TYPE_CHECKING, Final

from deid_node.node.spool_lock import WORK_LOCK, exclusive
from deid_node.node.work.apart import WorkerApart
from deid_node.node.work.process import PROGRAM
from deid_node.node.work.shares import n_processes, share_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deid_node.config.schema import Settings
    from deid_node.errors import StageStuck
    from deid_node.node.ledger import Ledger
    from deid_node.node.states import Generation

LAST_ONE_SECONDS: Final = 20.0
"""How long the processes of a node that was killed may still be at work."""


class Workers:
    """The workers of a node; `wait` before the first step.

    Parameters
    ----------
    settings, ledger
        Of the node.
    program
        What runs `loop`.

    Raises
    ------
    SpoolError
        If a process of an earlier node is still at work.
    """

    def __init__(
        self, settings: Settings, ledger: Ledger, program: Sequence[str] = PROGRAM
    ) -> None:
        self._lock = exclusive(settings.spool.folder, WORK_LOCK, patience_seconds=LAST_ONE_SECONDS)
        n_cores = len(os.sched_getaffinity(0))
        self._all = [
            WorkerApart(
                share_of(settings, number, n_cores=n_cores),
                ledger,
                lock=self._lock,
                program=program,
            )
            for number in range(n_processes(settings))
        ]
        self._idle: queue.SimpleQueue[WorkerApart] = queue.SimpleQueue()
        for each in self._all:
            self._idle.put(each)

    @property
    def is_ready(self) -> bool:
        """Whether all of them can work."""
        return all(each.is_ready for each in self._all)

    def wait(self) -> None:
        """Wait until all of them can work; `WorkerApart.wait` says what may be raised."""
        for each in self._all:
            each.wait()

    def step(self, generation: Generation) -> float | None:
        """Have one that is idle work through a series; wait for it where none is."""
        worker = self._idle.get()
        try:
            return worker.step(generation)
        finally:
            self._idle.put(worker)

    def give_back(self) -> None:
        """Let every series that is worked on be worked on later; no crash is counted."""
        for each in self._all:
            each.give_back()

    def give_up(self, generation: Generation, stuck: StageStuck) -> None:
        """Have a series held, if it is worked on; it takes too long."""
        for each in self._all:
            each.give_up(generation, stuck)

    def close(self) -> None:
        """End every process, and let another node have some."""
        for each in self._all:
            each.close()
        os.close(self._lock)
