"""Have series worked on, one after another, by a process beside the one that receives.

The interpreter runs one thread at a time: while it reads headers or draws a picture, nobody who
sends gets an answer. And a decoder that crashes, a library that hangs and a series that takes all
memory end that process only: the series waits for another try, and is held after some of them.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING, Final

from deid_node.errors import StageStuck
from deid_node.log import event
from deid_node.node.work.crashes import Crashes
from deid_node.node.work.process import PROGRAM, WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deid_node.config.schema import Settings
    from deid_node.node.ledger import Ledger
    from deid_node.node.states import Generation

logger = logging.getLogger(__name__)

AGAIN_SECONDS: Final = 1.0


class _Stop:
    """Why a process was ended: the node stops."""


class WorkerApart:
    """One of the `workers.Workers` of a node; `wait` before the first step.

    Parameters
    ----------
    settings
        By which the process works.
    ledger
        Of the node.
    lock
        A descriptor that the process inherits: whoever holds it has not ended.
    program
        What runs `loop`.
    """

    def __init__(
        self, settings: Settings, ledger: Ledger, *, lock: int, program: Sequence[str] = PROGRAM
    ) -> None:
        self._settings = settings.model_dump_json().encode()
        self._program = program
        self._ledger = ledger
        self._crashes = Crashes(ledger)
        self._lock = lock
        self._one_at_a_time = threading.Lock()
        self._guard = threading.Lock()
        """Of what comes next, which other threads than the asking one read and set."""
        self._busy: Generation | None = None
        self._why: _Stop | StageStuck | None = None
        self._unfinished: Generation | None = None
        """What a step that met a fault has claimed."""
        self._left: tuple[Generation, bool] | None = None
        """What a process that ended may have claimed, and whether that was no crash."""
        self.is_ready = False
        """Whether the process, or the last one, could work."""
        self._process = self._started()

    def wait(self) -> None:
        """Wait until the process can work.

        Raises
        ------
        DeidNodeError
            What it met: a profile, key, weights or record that cannot be used.
        WorkerNotStarted
            If it ended.
        """
        self.is_ready = False
        self._process.wait()
        self.is_ready = True

    def step(self, generation: Generation) -> float | None:
        """Have one series worked through, if it waits.

        Returns
        -------
        float, optional
            Seconds until it must be tried again; None once nothing is left to do with it.
        """
        with self._one_at_a_time:
            self._settle()
            with self._guard:
                self._busy = generation
            try:
                if not self._process.is_alive:
                    self._replace()
                done = self._process.ask("step", generation)
            except EOFError:
                return self._died(generation)
            else:
                self._unfinished = generation if done.has_claim else None
                return done.pause
            finally:
                with self._guard:
                    self._busy = self._why = None

    def give_back(self) -> None:
        """Let the series that is worked on, if any, be worked on later; no crash is counted."""
        with self._guard:
            if self._busy is not None:
                self._why = _Stop()
                self._process.kill()
        with self._one_at_a_time:
            if self._unfinished is not None:
                try:
                    self._process.ask("give_back")
                except EOFError:
                    self._left = self._unfinished, True
                self._unfinished = None
            self._settle()

    def give_up(self, generation: Generation, stuck: StageStuck) -> None:
        """Have a series held, if it is the one that is worked on; it takes too long."""
        with self._guard:
            if self._busy == generation and self._why is None:
                self._why = stuck
                self._process.kill()

    def close(self) -> None:
        """End the process."""
        self._process.end()

    def _started(self) -> WorkerProcess:
        return WorkerProcess(self._program, self._settings, self._lock)

    def _replace(self) -> None:
        """Start another one in the place of one that is no more."""
        if not self._process.is_ended:  # it died while nothing was asked of it
            self._tell_of_death()
        self._process = self._started()
        self.wait()

    def _died(self, generation: Generation) -> float | None:
        """Take note that the process ended, and see to its series."""
        self._process.end()
        with self._guard:
            why = self._why
        if why is None:
            self._tell_of_death(series=generation.series)
        self._left = generation, isinstance(why, _Stop)
        self._settle()
        if isinstance(why, StageStuck):
            self._replace()
            self._process.ask("hold", generation, seconds=why.seconds)
        return AGAIN_SECONDS if why is None else None

    def _tell_of_death(self, **series: str) -> None:
        how = self._process.end()
        event(logger, "worker-died", level=logging.ERROR, error=how, **series)

    def _settle(self) -> None:
        """Give back what a process that ended had claimed."""
        if self._left is None:
            return
        generation, was_no_crash = self._left
        self._ledger.unclaim(generation)
        if was_no_crash:
            self._crashes.undo(generation)
        self._left = self._unfinished = None
