"""Have series worked on by a process of its own, beside the one that receives.

The interpreter runs one thread at a time: while it reads headers or draws a picture, nobody who
sends gets an answer. And a decoder that crashes, a library that hangs and a series that takes all
memory end that process only: the series waits for another try, and is held after some of them.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final

from deid_node import errors, log
from deid_node.errors import DeidNodeError, StageStuck, WorkerNotStarted
from deid_node.log import event
from deid_node.node.child_process import ended, started
from deid_node.node.spool_lock import WORK_LOCK, exclusive
from deid_node.node.work.crashes import Crashes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deid_node.config.schema import Settings
    from deid_node.node.ledger import Ledger
    from deid_node.node.states import Generation

logger = logging.getLogger(__name__)

PROGRAM: Final = (sys.executable, "-m", "deid_node.node.work.loop")
LAST_ONE_SECONDS: Final = 20.0
"""How long the process of a node that was killed may still be at work."""
AGAIN_SECONDS: Final = 1.0
LONGEST_LINE: Final = 1 << 16


class _Stop:
    """Why a process was ended: the node stops."""


class WorkerApart:
    """The worker of a node; `wait` before the first step.

    Parameters
    ----------
    settings, ledger
        Of the node.
    program
        What runs `loop`.

    Raises
    ------
    SpoolError
        If the process of an earlier node is still at work.
    """

    def __init__(
        self, settings: Settings, ledger: Ledger, program: Sequence[str] = PROGRAM
    ) -> None:
        self._settings = settings.model_dump_json().encode() + b"\n"
        self._program = program
        self._ledger = ledger
        self._crashes = Crashes(ledger)
        self._lock = exclusive(settings.spool.folder, WORK_LOCK, patience_seconds=LAST_ONE_SECONDS)
        self._one_at_a_time = threading.Lock()
        self._now = threading.Lock()
        """Guards the two below, which another thread than the asking one reads and sets."""
        self._busy: Generation | None = None
        self._why: _Stop | StageStuck | None = None
        self._has_claim = False
        self._left: tuple[Generation, bool] | None = None
        """What a process that ended had claimed, and whether that was no crash."""
        self.is_ready = False
        """Whether the process, or the last one, could work."""
        self._start()

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
        try:
            told = self._answer()
        except EOFError:
            raise WorkerNotStarted(how=self._end()) from None
        if "refused" in told:
            self._end()
            raise _error_of(told)
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
            with self._now:
                self._busy = generation
            try:
                if self._process.poll() is not None:
                    self._start_again()
                return self._ask("step", generation)
            except EOFError:
                return self._died(generation)
            finally:
                with self._now:
                    self._busy = self._why = None

    def give_back(self) -> None:
        """Let the series that is worked on, if any, be worked on later; no crash is counted."""
        with self._now:
            is_busy = self._busy is not None
            if is_busy:
                self._why = _Stop()
                self._process.kill()
        with self._one_at_a_time:
            self._settle()
            if self._has_claim and not is_busy:
                self._has_claim = False
                if self._process.poll() is None:
                    self._ask("give_back")

    def give_up(self, stuck: StageStuck) -> None:
        """Have the series that is worked on, if any, held; it takes too long."""
        with self._now:
            if self._busy is not None and self._why is None:
                self._why = stuck
                self._process.kill()

    def close(self) -> None:
        """End the process, and let another node have one."""
        self._end()
        os.close(self._lock)

    def _start(self) -> None:
        self._process = started(self._program, keep_open=[self._lock])
        self._finalizer = weakref.finalize(self, ended, self._process)
        try:
            self._write(self._settings)
        except EOFError:
            return  # `wait` finds out how it ended

    def _start_again(self) -> None:
        self._end()
        self._start()
        self.wait()

    def _end(self) -> str:
        how = self._finalizer()
        return str(how)

    def _died(self, generation: Generation) -> float | None:
        """Take note that the process ended, and see to its series."""
        how = self._end()
        with self._now:
            why = self._why
        self._left = generation, isinstance(why, _Stop)
        if why is None:
            event(
                logger,
                "worker-died",
                level=logging.ERROR,
                series=generation.series,
                error=how,
            )
        self._settle()
        if isinstance(why, StageStuck):
            self._start_again()
            self._ask("hold", generation, seconds=why.seconds)
        return AGAIN_SECONDS if why is None else None

    def _settle(self) -> None:
        """Give back what a process that ended had claimed."""
        if self._left is None:
            return
        generation, was_stopped = self._left
        self._ledger.unclaim(generation)
        if was_stopped:
            self._crashes.undo(generation)
        self._left = None
        self._has_claim = False

    def _ask(self, do: str, generation: Generation | None = None, **more: float) -> float | None:
        """Have something done, of one series as a rule; give what `step` does."""
        request: dict[str, object] = {"do": do, **more}
        if generation is not None:
            request |= {"series": generation.series, "number": generation.number}
        self._write(json.dumps(request).encode() + b"\n")
        told = self._answer()
        self._has_claim = told["has_claim"]
        pause: float | None = told["over"]
        return pause

    def _write(self, line: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except OSError:
            raise EOFError from None

    def _answer(self) -> dict[str, Any]:
        """Read until an answer comes; what is to be logged on the way is logged.

        Raises
        ------
        EOFError
            If none comes any more, or what comes is none.
        """
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        while True:
            line = self._process.stdout.readline(LONGEST_LINE)
            if not line.endswith(b"\n"):
                raise EOFError
            try:
                told: dict[str, Any] = json.loads(line)
            except ValueError:
                raise EOFError from None
            if "log" not in told:
                return told
            log.told_by_part(told["log"])


def _error_of(told: dict[str, Any]) -> DeidNodeError:
    """Make the error that the process met: its class, and its text."""
    if not told["refused"]:
        return WorkerNotStarted(how=told["why"])
    kind = getattr(errors, told["refused"])
    error: DeidNodeError = kind.__new__(kind, told["why"])
    return error
