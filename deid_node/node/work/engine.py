"""The work engine: runs the node's stages as short workflows of DBOS, on SQLite.

The only file that knows DBOS. Its rows are a schedule, not the truth: they hold keys and
numbers, never a value of a dataset, and whoever uses the engine enqueues again what the
ledger says is due and nothing here is live for. So the database file may be deleted while
the node is stopped, and is made anew where it is damaged.

DBOS by itself takes up only rows of its own executor and version, and leaves all others for
ever; `sweep` ends those. The lock on the spool folder is the lease of the one executor: it is
taken before the engine starts and ends with its process, however that ends, without a clock.
A pending row of any other executor is therefore a dead one's.
"""

from __future__ import annotations

import json
import logging
import os
import threading
import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dbos import DBOS, EnqueueOptions, Serializer

from deid_node.log import event
from deid_node.node.work.engine_database import open_database, prepare

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from dbos import WorkflowStatus

logger = logging.getLogger(__name__)

VERSION: Final = "deid-1"
"""Of the rows, not of a release: a new one would have every waiting row swept away."""
POLL_SECONDS: Final = 0.5
STRAND_SECONDS: Final = 30.0
"""A row that is pending here for so long, and is not run, was left behind."""
FAULT_PAUSE_SECONDS: Final = 10.0
KEPT_SECONDS: Final = 24 * 3600.0
FORGOTTEN_AT_ONCE: Final = 500
LIVE: Final = ["ENQUEUED", "PENDING", "DELAYED"]
OVER: Final = ["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"]


class Job(NamedTuple):
    """One stage of one generation of a series."""

    stage: str
    series: str
    generation: int

    def attempt(self, number: int) -> str:
        """Name one attempt; the same attempt has the same name, and is made once."""
        return f"{self.stage}:{self.series}:{self.generation}:{number}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What the engine runs.

    Parameters
    ----------
    name
        Of the stage, its workflow and its queue.
    run
        Gets the series' key and the number of its generation; gives the seconds after which
        it must be tried again, or None once it is over. It is run again after a crash.
    limit_seconds
        A run that takes longer is stuck.
    slots
        How many run at one time.
    """

    name: str
    run: Callable[[str, int], float | None]
    limit_seconds: float
    slots: int = 1


@dataclass(slots=True)
class _Run:
    job: Job
    since: float | None = None
    """When it got its slot."""
    over: threading.Event = field(default_factory=threading.Event)


class Engine:
    """Runs stages; there is one in a process.

    Parameters
    ----------
    path
        Database file; made, with mode 0600, where it is missing.
    stages
        What it can run.
    now
        A clock that never goes back, in seconds.
    """

    def __init__(
        self, path: Path, stages: Sequence[Stage], *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._path = path
        self._stages = {stage.name: stage for stage in stages}
        self._now = now
        self.executor = f"{os.getpid()}-{uuid.uuid4().hex}"
        """Never used twice: DBOS takes the second start of a name for the end of the first."""
        self._lock = threading.Lock()
        self._slots = {stage.name: threading.Semaphore(stage.slots) for stage in stages}
        self._runs: dict[str, _Run] = {}
        self._pauses: dict[Job, float] = {}
        self._not_later: dict[str, float] = {}
        """When a row that is delayed, or pending without a run, has been left behind."""
        self._is_stopping = False

    def start(self) -> None:
        """Begin to run; only under the lock of the folder."""
        _let_it_speak_through_our_log(logging.getLogger("dbos"))
        prepare(self._path)
        DBOS(
            config={
                "name": "deid-node",
                "system_database_url": f"sqlite:///{self._path}",
                "system_database_engine": open_database(self._path),
                "application_version": VERSION,
                "executor_id": self.executor,
                "serializer": _Json(),
                "log_level": "WARNING",
                "notification_listener_polling_interval_sec": POLL_SECONDS,
                "enable_otlp": False,
            }
        )
        try:
            self._launch()
        except BaseException:
            DBOS.destroy(destroy_registry=True)
            raise

    def stop(self, seconds: float) -> bool:
        """Begin nothing more, and end.

        Returns
        -------
        bool
            False if a run needs longer than `seconds`: it is left to end with the process.
        """
        self._is_stopping = True
        end = self._now() + seconds
        with self._lock:
            runs = list(self._runs.values())
        is_idle = all(
            run.over.wait(max(0.0, end - self._now())) for run in runs if run.since is not None
        )
        for run in runs:
            run.over.set()
        DBOS.destroy(destroy_registry=True)
        return is_idle

    def enqueue(self, job: Job) -> None:
        """Have a job run once more, after the pause that its last run asked for."""
        known = DBOS.list_workflows(
            workflow_id_prefix=job.attempt(0)[:-1], load_input=False, load_output=False
        )
        last = max((int(row.workflow_id.rpartition(":")[2]) for row in known), default=0)
        options: EnqueueOptions = {
            "workflow_name": job.stage,
            "queue_name": job.stage,
            "workflow_id": job.attempt(last + 1),
            "app_version": VERSION,
        }
        with self._lock:
            pause = self._pauses.pop(job, 0.0)
        if pause:
            options["delay_seconds"] = pause
            self._not_later[options["workflow_id"]] = self._now() + pause + STRAND_SECONDS
        DBOS.enqueue_workflow_with_options(options, job.series, job.generation)

    def sweep(self) -> set[Job]:
        """End what nobody will run; list every job that waits or runs.

        What is ended is still due, so it is enqueued again, as its next attempt.
        """
        rows = DBOS.list_workflows(status=LIVE, load_input=False, load_output=False)
        dead = {row.workflow_id for row in rows if self._is_dead(row)}
        waiting = {row.workflow_id for row in rows} - dead
        self._not_later = {each: at for each, at in self._not_later.items() if each in waiting}
        if dead:
            DBOS.cancel_workflows(list(dead))
            event(logger, "dead-work-ended", level=logging.WARNING, n_jobs=len(dead))
        return {_job(each) for each in waiting}

    def stuck(self) -> list[Job]:
        """List what runs for longer than its stage may."""
        now = self._now()
        with self._lock:
            return [
                run.job
                for run in self._runs.values()
                if run.since is not None
                and now - run.since > self._stages[run.job.stage].limit_seconds
            ]

    def forget(self, *, before: float | None = None) -> int:
        """Delete rows of what was over before a moment (seconds of the epoch): a day ago."""
        moment = time.time() - KEPT_SECONDS if before is None else before
        rows = DBOS.list_workflows(
            status=OVER,
            completed_before=datetime.fromtimestamp(moment, UTC).isoformat(),
            limit=FORGOTTEN_AT_ONCE,
            load_input=False,
            load_output=False,
        )
        if rows:
            DBOS.delete_workflows([row.workflow_id for row in rows])
        return len(rows)

    def _launch(self) -> None:
        for stage in self._stages.values():
            DBOS.workflow(name=stage.name)(self._workflow(stage))
        DBOS.listen_queues(list(self._stages))
        DBOS.launch()
        for stage in self._stages.values():
            # One more than runs stands ready, so that a slot never waits for the next poll.
            DBOS.register_queue(
                stage.name, worker_concurrency=stage.slots + 1, polling_interval_sec=POLL_SECONDS
            )

    def _is_dead(self, row: WorkflowStatus) -> bool:
        if row.app_version != VERSION or row.name not in self._stages:
            return True  # DBOS would leave it alone for ever
        name = row.workflow_id
        if row.status == "ENQUEUED" or name in self._runs:
            self._not_later.pop(name, None)
            return False
        if row.status == "PENDING" and row.executor_id == self.executor:
            # It stands between its row and its thread, or was left behind there.
            self._not_later.setdefault(name, self._now() + STRAND_SECONDS)
        # DBOS measures a delay by the clock on the wall, which may be set back; and a delay
        # of a run before this one is not worth keeping.
        return self._now() > self._not_later.get(name, float("-inf"))

    def _workflow(self, stage: Stage) -> Callable[[str, int], None]:
        def workflow(series: str, generation: int) -> None:
            run, name = _Run(Job(stage.name, series, generation)), str(DBOS.workflow_id)
            with self._lock:
                self._runs[name] = run
            # A thread of DBOS would keep the process from ending until the series is done.
            threading.Thread(
                target=self._run, args=(stage, run), name=stage.name, daemon=True
            ).start()
            run.over.wait()
            with self._lock:
                del self._runs[name]

        return workflow

    def _run(self, stage: Stage, run: _Run) -> None:
        pause: float | None = FAULT_PAUSE_SECONDS
        with self._slots[stage.name]:
            run.since = self._now()
            try:
                pause = None if self._is_stopping else stage.run(run.job.series, run.job.generation)
            except Exception as error:  # noqa: BLE001 - DBOS would write its text down, with values
                event(logger, "step-failed", level=logging.ERROR, error=type(error).__name__)
        if pause is not None:
            with self._lock:
                self._pauses[run.job] = pause
        run.over.set()


class _Json(Serializer):
    """Plain JSON. DBOS's own choice is pickle, by which whoever writes rows runs code here."""

    def name(self) -> str:
        return "json"

    def serialize(self, data: Any) -> str:  # noqa: ANN401 - as DBOS declares it
        return json.dumps(data, default=lambda each: type(each).__name__)

    def deserialize(self, serialized_data: str) -> Any:  # noqa: ANN401 - as DBOS declares it
        return json.loads(serialized_data)


def _job(workflow_id: str) -> Job:
    stage, series, generation, _ = workflow_id.split(":")
    return Job(stage, series, int(generation))


def _let_it_speak_through_our_log(library: logging.Logger) -> None:
    """Keep DBOS from adding a handler of its own, which would print whole messages."""
    if not library.handlers:
        library.addHandler(logging.NullHandler())
    library.propagate = True
