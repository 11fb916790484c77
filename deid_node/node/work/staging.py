"""The stage of de-identification: what is due in the ledger goes through the work engine.

Level-triggered: what a crash or a fault lost between ledger and engine is still due, has
nothing live in the engine, and is enqueued once more.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Final, Protocol

from deid_node.config.face_models import DEFAULT_MODEL
from deid_node.errors import StageStuck
from deid_node.headers.pseudonyms import SeriesKey
from deid_node.node.states import Generation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from deid_node.config.faces import Face
    from deid_node.node.work.engine import Engine

STAGE: Final = "deidentify"
TICK_SECONDS: Final = 0.5
AHEAD: Final = 4
"""Jobs that the engine has at one time, and as many more as run beside the first; the rest waits
in the ledger, where it costs nothing."""
TICKS_TO_FORGET: Final = 120
LONGEST_SECONDS: Final = 3600.0
"""What the default model and everything around it take for any series, many times over."""


class Works(Protocol):
    """What works on series; `workers.Workers` tells of each method."""

    @property
    def is_ready(self) -> bool:
        """Whether it can work."""
        ...

    def wait(self) -> None:
        """Wait until it can."""

    def step(self, generation: Generation) -> float | None:
        """Work through one series."""

    def give_back(self) -> None:
        """Let what is worked on be worked on later."""

    def give_up(self, generation: Generation, stuck: StageStuck) -> None:
        """Hold a series that is worked on."""

    def close(self) -> None:
        """End."""


class Staging:
    """Keeps the engine supplied with series, and watches how long each takes.

    Parameters
    ----------
    path
        Database file of the engine.
    worker
        Works on the series.
    due
        Lists so many generations that wait for the worker, longest waiting first.
    limit_seconds
        A series that takes longer is held.
    slots
        How many series are worked on at a time.
    """

    def __init__(
        self,
        path: Path,
        worker: Works,
        *,
        due: Callable[[int], list[Generation]],
        limit_seconds: float,
        slots: int = 1,
    ) -> None:
        self._path = path
        self._worker = worker
        self._due = due
        self._limit_seconds = limit_seconds
        self._slots = slots
        self._n_ahead = slots - 1 + AHEAD
        self._engine: Engine | None = None
        self._engine_lock = threading.Lock()
        self._is_stopped = False
        self._ticks = 0

    def step(self) -> float:
        """Enqueue what is due, and see to the engine's rows.

        The first step starts the engine: nobody who sends to the node has to wait for that.

        Returns
        -------
        float
            Seconds until it is worth asking again.
        """
        # Loading the engine takes half a second, and other verbs do not need it.
        from deid_node.node.work.engine import Job  # noqa: PLC0415 - see above

        engine = self._started()
        if engine is None:
            return TICK_SECONDS
        for each in engine.stuck():
            stuck = StageStuck(seconds=self._limit_seconds)
            self._worker.give_up(_generation(each.series, each.generation), stuck)
        due = self._due(self._n_ahead)
        live = engine.sweep()
        if not live:
            # Nothing runs, so what is claimed is what a run left to which the ledger was closed.
            self._worker.give_back()
        taken = {job.series for job in live}
        for generation in due:
            # Generations of one series have one result; whoever came second must write it.
            if generation.series not in taken and len(taken) < self._n_ahead:
                engine.enqueue(Job(STAGE, generation.series, generation.number))
                taken.add(generation.series)
        self._ticks += 1
        if self._ticks % TICKS_TO_FORGET == 0:
            engine.forget()
        return TICK_SECONDS

    def stop(self, seconds: float) -> bool:
        """Begin nothing more; what takes longer than `seconds` is left to be done again.

        Returns
        -------
        bool
            Whether nothing runs any more.
        """
        with self._engine_lock:
            self._is_stopped = True
            is_idle = self._engine is None or self._engine.stop(seconds)
        self._worker.give_back()
        return is_idle

    def _started(self) -> Engine | None:
        from deid_node.node.work.engine import Engine, Stage  # noqa: PLC0415 - as above

        with self._engine_lock:
            if self._engine is None and not self._is_stopped:
                stage = Stage(
                    name=STAGE,
                    run=self._run,
                    limit_seconds=self._limit_seconds,
                    slots=self._slots,
                )
                engine = Engine(self._path, [stage])
                engine.start()
                self._engine = engine
            return None if self._is_stopped else self._engine

    def _run(self, series: str, number: int) -> float | None:
        return self._worker.step(_generation(series, number))


def _generation(series: str, number: int) -> Generation:
    return Generation(series=SeriesKey(series), number=number)


def stage_seconds(faces: Iterable[Face]) -> float:
    """Tell how long a series may take: an imported model has a limit of its own, twice."""
    return LONGEST_SECONDS + max(2 * f.seconds if f.model != DEFAULT_MODEL else 0 for f in faces)
