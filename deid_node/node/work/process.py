"""One run of the process that works on series, as the node that started it sees it."""

from __future__ import annotations

import json
import sys
import weakref
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from deid_node import errors, log
from deid_node.errors import DeidNodeError, WorkerNotStarted
from deid_node.node.child_process import ended, started

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deid_node.node.states import Generation

PROGRAM: Final = (sys.executable, "-m", "deid_node.node.work.loop")
LONGEST_LINE: Final = 1 << 16


class Done(NamedTuple):
    """What became of a request: seconds until it must be repeated, if it must; what is left."""

    pause: float | None
    has_claim: bool


class WorkerProcess:
    """A process that was started; `wait` before anything is asked.

    Parameters
    ----------
    program
        What runs `loop`.
    settings
        Of the node, as JSON.
    lock
        A descriptor that it inherits.
    """

    def __init__(self, program: Sequence[str], settings: bytes, lock: int) -> None:
        self._process = started(program, keep_open=[lock])
        self._ended = weakref.finalize(self, ended, self._process)
        self._how = ""
        try:
            self._write(settings)
        except EOFError:
            return  # `wait` finds out how it ended

    @property
    def is_alive(self) -> bool:
        """Whether it runs."""
        return self._process.poll() is None

    @property
    def is_ended(self) -> bool:
        """Whether `end` was called."""
        return not self._ended.alive

    def wait(self) -> None:
        """Wait until it can work.

        Raises
        ------
        DeidNodeError
            What it met: a profile, key, weights or record that cannot be used.
        WorkerNotStarted
            If it ended.
        """
        try:
            told = self._answer()
        except EOFError:
            raise WorkerNotStarted(how=self.end()) from None
        if "refused" in told:
            self.end()
            raise _error_of(told)

    def ask(self, do: str, generation: Generation | None = None, **more: float) -> Done:
        """Have something done, of one series as a rule.

        Raises
        ------
        EOFError
            If no answer comes: it ended, or what it said is none.
        """
        request: dict[str, object] = {"do": do, **more}
        if generation is not None:
            request |= {"series": generation.series, "number": generation.number}
        self._write(json.dumps(request).encode())
        told = self._answer()
        return Done(told["over"], told["has_claim"])

    def kill(self) -> None:
        """Have whoever waits for its answer get none."""
        self._process.kill()

    def end(self) -> str:
        """Kill it, if it runs; tell how it ended."""
        self._how = self._ended() or self._how
        return self._how

    def _write(self, line: bytes) -> None:
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        try:
            self._process.stdin.write(line + b"\n")
            self._process.stdin.flush()
        except (OSError, ValueError):  # the latter where it was ended
            raise EOFError from None

    def _answer(self) -> dict[str, Any]:
        """Read until an answer comes; what is to be logged on the way is logged."""
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
