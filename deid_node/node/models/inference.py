"""Run an imported model in a process of its own, which outlives a series but not the node.

A network that crashes, hangs or eats memory takes down its own process only: the series is
tried once more after a crash, and held after a second one or when its time is over.
"""

from __future__ import annotations

import logging
import sys
import threading
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from deid_node.errors import ModelStopped, WeightsUnusable
from deid_node.log import event
from deid_node.node.child_process import ended, started
from deid_node.node.models.frames import read_message, write_message

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from deid_node.config.faces import Face

logger = logging.getLogger(__name__)

GIB: Final = 2**30
TRIES: Final = 2
LOADING_SECONDS: Final = 600.0
PROGRAM: Final = (sys.executable, "-m", "deid_node.node.models.inference_loop")

_Message = tuple[dict[str, Any], "list[NDArray[Any]]"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelRun:
    """How an imported model is run.

    Parameters
    ----------
    accuracy
        Name of its effort.
    folds
        How many it asks; 0 asks all.
    device
        ``cpu``, or a GPU: ``cuda`` or ``cuda:N``.
    threads
        CPU threads; 0 leaves the choice to the engine.
    """

    accuracy: str
    folds: int = 0
    device: str = "cpu"
    threads: int = 0


class InferenceProcess:
    """A `Segmenter` in a process of its own.

    Parameters
    ----------
    folder
        Of the imported model.
    how
        How it is run.
    seconds
        Time for one series.
    memory_bytes
        Bound of the memory that the process may allocate.

    Raises
    ------
    WeightsUnusable
        If the model cannot be loaded.
    """

    def __init__(
        self,
        folder: Path,
        how: ModelRun,
        *,
        seconds: float,
        memory_bytes: int,
    ) -> None:
        self._name = folder.name
        self._seconds = seconds
        self._threads = how.threads
        self._not_loaded = f"model {self._name} cannot be loaded in {memory_bytes / GIB:g} GiB"
        numbers = (how.folds, how.threads, memory_bytes)
        self._arguments = [str(folder), how.accuracy, how.device, *map(str, numbers)]
        self.used: dict[str, float] = {}
        """CPU-seconds of the process so far and its peak memory in bytes, after an answer."""
        self._start()

    def segment(
        self,
        image: NDArray[np.float32],
        spacing_mm: tuple[float, ...],
        near: NDArray[np.bool_] | None,
    ) -> NDArray[np.uint8]:
        """Label an image (z, y, x).

        Raises
        ------
        ModelStopped
            If it takes too long, or ends twice without an answer.
        """
        arrays = [image] if near is None else [image, near]
        why = ""
        for _ in range(TRIES):
            if self._process.poll() is not None:
                self._start()
            words, answer = self._ask({"spacing_mm": list(spacing_mm)}, arrays, self._seconds)
            if answer:
                self.used = words
                labels: NDArray[np.uint8] = answer[0]
                return labels
            self.close()
            if "late" in words:
                raise ModelStopped(model=self._name, why=f"it took more than {self._seconds:g} s")
            why = words.get("failed", "no word")
            event(logger, "model-process-ended", level=logging.WARNING, error=why)
        raise ModelStopped(model=self._name, why=f"its process ended twice, with {why}")

    def close(self) -> None:
        """End the process; the next image starts another one."""
        self._finalizer()

    def _start(self) -> None:
        environment = {"OMP_NUM_THREADS": str(self._threads)} if self._threads else {}
        self._process = started([*PROGRAM, *self._arguments], environment=environment)
        self._finalizer = weakref.finalize(self, ended, self._process)
        words, _ = self._ask(None, (), LOADING_SECONDS)
        if "ready" not in words:
            self.close()
            raise WeightsUnusable(words.get("unusable", self._not_loaded))

    def _ask(
        self, words: dict[str, Any] | None, arrays: Sequence[NDArray[Any]], seconds: float
    ) -> _Message:
        """Send a request, if there is one, and wait; a process that is late is killed."""
        process = self._process
        assert process.stdin is not None  # noqa: S101 - both are pipes
        assert process.stdout is not None  # noqa: S101 - as above
        late = threading.Event()

        def end() -> None:
            late.set()
            process.kill()

        timer = threading.Timer(seconds, end)
        timer.start()
        try:
            if words is not None:
                write_message(process.stdin, words, arrays)
            return read_message(process.stdout)
        except (OSError, EOFError, ValueError):
            return ({"late": True} if late.is_set() else {}), []
        finally:
            timer.cancel()


def inference_apart(folder: Path, face: Face) -> InferenceProcess:
    """Run an imported model apart from this process, as the settings say."""
    how = ModelRun(
        accuracy=face.accuracy, folds=face.folds, device=face.device[0], threads=face.threads
    )
    return InferenceProcess(
        folder, how, seconds=face.seconds, memory_bytes=round(face.memory_gib * GIB)
    )
