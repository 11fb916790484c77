"""The other end of `inference`: a process that holds one imported model and answers through pipes.

It ends when nobody holds the pipe to it any more, also in the middle of a series.
"""

from __future__ import annotations

import os
import queue
import resource
import sys
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from deid_node.errors import DeidNodeError
from deid_node.face.nnunet.effort import effort_of
from deid_node.face.nnunet.imported import load_imported
from deid_node.node.child_process import own_pipes
from deid_node.node.models.frames import read_message, write_message
from deid_node.node.own_process import keep_memory_private, let_niceness_count

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deid_node.face.nnunet.imported import ImportedModel

KIB: Final = 1024
FOLDER, ACCURACY, DEVICE, FOLDS, THREADS, MEMORY = range(1, 7)


def main(arguments: list[str]) -> None:
    """Load the model, say so, and answer one request after another.

    Parameters
    ----------
    arguments
        Program, model folder, name of the effort, device, folds, threads, bytes of memory.
    """
    keep_memory_private()
    let_niceness_count()
    _bound_memory(int(arguments[MEMORY]))
    requests, answers = own_pipes()
    try:
        effort = effort_of(arguments[ACCURACY], int(arguments[FOLDS]), arguments[DEVICE])
        model = load_imported(Path(arguments[FOLDER]), effort, threads=int(arguments[THREADS]))
    except DeidNodeError as error:
        write_message(answers, {"unusable": str(error)})
        return
    except Exception as error:  # noqa: BLE001 - its text may name anything; the other end decides
        write_message(answers, {"failed": type(error).__name__})
        return
    write_message(answers, {"ready": True})
    waiting: queue.SimpleQueue[tuple[dict[str, Any], list[NDArray[Any]]]] = queue.SimpleQueue()
    threading.Thread(target=_receive, args=(requests, waiting), daemon=True).start()
    while True:
        _answer(model, *waiting.get(), answers)


def _answer(
    model: ImportedModel, words: dict[str, Any], arrays: list[NDArray[Any]], answers: IO[bytes]
) -> None:
    image, *near = arrays
    try:
        labels = model.segment(image, tuple(words["spacing_mm"]), near[0] if near else None)
    except Exception as error:  # noqa: BLE001 - as in `main`
        write_message(answers, {"failed": type(error).__name__})
        return
    used = resource.getrusage(resource.RUSAGE_SELF)
    told = {"cpu_seconds": used.ru_utime + used.ru_stime, "peak_bytes": used.ru_maxrss * KIB}
    write_message(answers, told, [labels])


def _receive(requests: IO[bytes], waiting: queue.SimpleQueue[Any]) -> None:
    """Pass requests on; end the process, whatever it is at, when nobody asks any more."""
    while True:
        try:
            waiting.put(read_message(requests))
        except (EOFError, ValueError, OSError):
            os._exit(0)


def _bound_memory(most_bytes: int) -> None:
    """Let allocations beyond the bound fail here, before the machine runs out of memory."""
    resource.setrlimit(resource.RLIMIT_DATA, (most_bytes, most_bytes))


if __name__ == "__main__":
    main(sys.argv)
