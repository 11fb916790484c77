"""The other end of `apart`: a process that works on one series after another, as it is asked.

It ends when nobody holds the pipe to it any more, also in the middle of a series. Requests and
answers are lines of JSON:

    the settings                                     {"ready": true}, or {"refused": CLASS, "why": TEXT}
    {"do": "step", "series": KEY, "number": N}       {"log": LINE} ... {"over": PAUSE, "has_claim": false}
    {"do": "hold", ..., "seconds": S}                as above: the series took longer than that
    {"do": "give_back"}                              as above
"""

from __future__ import annotations

import json
import logging
import os
import queue
import signal
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from deid_node import log
from deid_node.config.schema import Settings
from deid_node.errors import DeidNodeError, StageStuck
from deid_node.headers.pseudonyms import SeriesKey
from deid_node.log import event
from deid_node.node.child_process import own_pipes
from deid_node.node.ledger import Ledger
from deid_node.node.own_process import keep_memory_private, let_niceness_count
from deid_node.node.states import Generation
from deid_node.node.status import LEDGER
from deid_node.node.work.making import loaded_recipes, worker_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from deid_node.config.faces import Face
    from deid_node.node.work.worker import Worker
    from deid_node.pipeline.recipe import Recipe

logger = logging.getLogger(__name__)

NICENESS: Final = 10
"""Senders wait for an answer, and whoever waits for a mask does not."""
KILLED_FIRST: Final = 500
"""Of 1,000: where memory runs out, the node that receives is to stay."""
FAULT_PAUSE_SECONDS: Final = 10.0


def main(recipes_for: Callable[[Settings], Mapping[Face, Recipe]] = loaded_recipes) -> None:
    """Make the worker, say so, and do what is asked.

    Parameters
    ----------
    recipes_for
        Loads what de-identification needs.
    """
    requests, pipe = own_pipes()
    answers = _Answers(pipe)
    _stand_back()
    log.configure_as_part(lambda line: answers.say(log=line))
    settings = Settings.model_validate_json(requests.readline())
    with ExitStack() as stack:
        try:
            ledger = Ledger(settings.spool.folder / LEDGER)
            worker = worker_of(settings, recipes_for(settings), ledger, stack)
        except DeidNodeError as error:
            answers.say(refused=type(error).__name__, why=str(error))
            return
        except Exception as error:  # noqa: BLE001 - its text may name anything
            answers.say(refused="", why=type(error).__name__)
            return
        answers.say(ready=True)
        waiting: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        threading.Thread(target=_receive, args=(requests, waiting), daemon=True).start()
        while True:
            pause = _done(worker, json.loads(waiting.get()))
            answers.say(over=pause, has_claim=worker.has_claim)


class _Answers:
    """Says one thing at a time, whichever thread has something to say."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self._lock = threading.Lock()

    def say(self, **words: object) -> None:
        with self._lock:
            line = json.dumps(words, default=lambda each: type(each).__name__)
            self._pipe.write(line.encode() + b"\n")
            self._pipe.flush()


def _stand_back() -> None:
    """Leave processor, memory and stop signals to the process that receives."""
    keep_memory_private()
    for each in (signal.SIGTERM, signal.SIGINT):
        signal.signal(each, signal.SIG_IGN)
    with suppress(OSError):
        os.nice(NICENESS)
    let_niceness_count()
    with suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(str(KILLED_FIRST), encoding="ascii")


def _done(worker: Worker, request: dict[str, Any]) -> float | None:
    try:
        if request["do"] == "give_back":
            worker.give_back()
            return None
        generation = Generation(series=SeriesKey(request["series"]), number=request["number"])
        if request["do"] == "hold":
            worker.hold(generation, StageStuck(seconds=request["seconds"]))
            return None
        return worker.step(generation)
    except Exception as error:  # noqa: BLE001 - a locked ledger must not end the process
        event(logger, "step-failed", level=logging.ERROR, error=type(error).__name__)
        return FAULT_PAUSE_SECONDS


def _receive(requests: IO[bytes], waiting: queue.SimpleQueue[bytes]) -> None:
    """Pass requests on; end the process, whatever it is at, when nobody asks any more."""
    for line in requests:
        waiting.put(line)
    os._exit(0)


if __name__ == "__main__":
    main()
