"""The work engine loses nothing, repeats nothing in vain, and keeps no trap of DBOS."""

from __future__ import annotations

import json
import logging
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from dbos import DBOS, DBOSClient

from deid_node.node.work import engine as engine_module
from deid_node.node.work.engine import VERSION, Engine, Job, Stage, _Json
from deid_node.node.work.engine_database import open_database
from tests.fakes.clock import FakeClock
from tests.fakes.node import eventually

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROJECT = Path(__file__).parents[2]
ONE = Job("deidentify", "k7q2m4x9tz3a", 1)
TWO = Job("deidentify", "other", 2)
CANARY = "ZEBRAFISH^QUENTIN"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine_module, "POLL_SECONDS", 0.05)


class Runs:
    """A stage that notes its calls, and waits where it is told to."""

    def __init__(self) -> None:
        self.of: list[tuple[str, int]] = []
        self.goes_on = threading.Event()
        self.goes_on.set()
        self.answers: list[float | Exception | None] = []

    def __call__(self, series: str, generation: int) -> float | None:
        self.of.append((series, generation))
        self.goes_on.wait(60)
        answer = self.answers.pop(0) if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.fixture
def runs() -> Runs:
    return Runs()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@contextmanager
def started(
    path: Path, run: Callable[[str, int], float | None], clock: FakeClock, *, slots: int = 1
) -> Iterator[Engine]:
    stage = Stage(name="deidentify", run=run, limit_seconds=100, slots=slots)
    engine = Engine(path, [stage], now=clock)
    engine.start()
    try:
        yield engine
    finally:
        engine.stop(0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "engine.sqlite"


@pytest.fixture
def engine(path: Path, runs: Runs, clock: FakeClock) -> Iterator[Engine]:
    with started(path, runs, clock) as engine:
        yield engine


def rows(path: Path) -> dict[str, str]:
    with closing(sqlite3.connect(path, timeout=60)) as database:
        return dict(database.execute("SELECT workflow_uuid, status FROM workflow_status"))


def is_idle(engine: Engine) -> bool:
    return engine.sweep() == set()


def put(path: Path, job: Job, *, version: str = VERSION, stage: str | None = None) -> None:
    """Enqueue from beside the engine, as another release of it would have."""
    client = DBOSClient(system_database_url=f"sqlite:///{path}", serializer=_Json())
    client.enqueue(
        {
            "workflow_name": stage or job.stage,
            "queue_name": stage or job.stage,
            "workflow_id": job.attempt(1),
            "app_version": version,
        },
        job.series,
        job.generation,
    )
    client.destroy()


def test_job_runs_once_and_is_over(engine: Engine, runs: Runs, path: Path) -> None:
    engine.enqueue(ONE)
    eventually(lambda: is_idle(engine))

    assert runs.of == [ONE[1:]]
    assert rows(path) == {"deidentify:k7q2m4x9tz3a:1:1": "SUCCESS"}


def test_each_time_it_is_enqueued_is_an_attempt_of_its_own(engine: Engine, path: Path) -> None:
    for _ in range(2):
        engine.enqueue(ONE)
        eventually(lambda: is_idle(engine))

    assert set(rows(path)) == {ONE.attempt(1), ONE.attempt(2)}


def test_no_more_run_than_there_are_slots_and_a_slot_does_not_wait(
    engine: Engine, runs: Runs
) -> None:
    runs.goes_on.clear()
    for job in (ONE, TWO):
        engine.enqueue(job)
    eventually(lambda: len(engine._runs) == 2 and runs.of)
    while_first_runs = list(runs.of)
    runs.goes_on.set()
    eventually(lambda: is_idle(engine))

    assert len(while_first_runs) == 1
    assert sorted(runs.of) == sorted([ONE[1:], TWO[1:]])


def test_what_waits_and_what_runs_is_told(engine: Engine, runs: Runs) -> None:
    runs.goes_on.clear()
    third = Job("deidentify", "third", 1)
    for job in (ONE, TWO, third):
        engine.enqueue(job)
    eventually(lambda: runs.of)

    assert engine.sweep() == {ONE, TWO, third}
    runs.goes_on.set()


def test_pause_that_a_run_asks_for_holds_no_slot(engine: Engine, runs: Runs, path: Path) -> None:
    runs.answers = [7 * 24 * 3600.0]
    engine.enqueue(ONE)
    eventually(lambda: is_idle(engine))
    engine.enqueue(ONE)
    engine.enqueue(TWO)
    eventually(lambda: TWO[1:] in runs.of)

    assert engine.sweep() >= {ONE}
    assert runs.of == [ONE[1:], TWO[1:]]
    assert rows(path)[ONE.attempt(2)] == "DELAYED"


def test_delay_ends_by_a_clock_that_is_never_set_back(
    engine: Engine, runs: Runs, clock: FakeClock, path: Path
) -> None:
    runs.answers = [3600.0]
    engine.enqueue(ONE)
    eventually(lambda: is_idle(engine))
    engine.enqueue(ONE)
    clock.advance(3600.0)
    while_delayed = engine.sweep()
    clock.advance(engine_module.STRAND_SECONDS + 1)

    assert while_delayed == {ONE}
    assert engine.sweep() == set()
    assert rows(path)[ONE.attempt(2)] == "CANCELLED"


def test_fault_of_a_run_is_a_pause_and_its_text_is_nowhere(
    engine: Engine, runs: Runs, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    runs.answers = [ValueError(f"Invalid value {CANARY}")]
    engine.enqueue(ONE)
    eventually(lambda: is_idle(engine))
    engine.enqueue(ONE)

    assert rows(path) == {ONE.attempt(1): "SUCCESS", ONE.attempt(2): "DELAYED"}
    assert CANARY not in caplog.text
    kept = b"".join(each.read_bytes() for each in path.parent.iterdir())
    assert CANARY.encode() not in kept


def test_work_of_a_killed_process_is_done_by_the_next(
    path: Path, runs: Runs, clock: FakeClock
) -> None:
    script = """
import os, signal, sys, threading
from pathlib import Path
from deid_node.node.work.engine import Engine, Job, Stage

def run(series, generation):
    os.kill(os.getpid(), signal.SIGKILL)

engine = Engine(Path(sys.argv[1]), [Stage(name="deidentify", run=run, limit_seconds=9)])
engine.start()
engine.enqueue(Job("deidentify", "k7q2m4x9tz3a", 1))
threading.Event().wait(60)
"""
    env = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run([sys.executable, "-c", script, str(path)], check=False, env=env)
    left = rows(path)

    with started(path, runs, clock) as engine:
        live = engine.sweep()
        if ONE not in live:
            engine.enqueue(ONE)
        eventually(lambda: is_idle(engine))

    assert done.returncode == -signal.SIGKILL
    assert left == {ONE.attempt(1): "PENDING"}
    assert live == set()
    assert rows(path) == {ONE.attempt(1): "CANCELLED", ONE.attempt(2): "SUCCESS"}
    assert runs.of == [ONE[1:]]


def test_row_that_is_pending_here_but_does_not_run_is_ended_in_time(
    engine: Engine, clock: FakeClock, path: Path
) -> None:
    engine.enqueue(ONE)
    eventually(lambda: is_idle(engine))
    with closing(sqlite3.connect(path, timeout=60)) as database, database:
        database.execute("UPDATE workflow_status SET status = 'PENDING'")
    at_once = engine.sweep()
    clock.advance(engine_module.STRAND_SECONDS + 1)

    assert at_once == {ONE}
    assert engine.sweep() == set()


@pytest.mark.parametrize(
    ("version", "stage"), [("deid-0", None), (VERSION, "headers")], ids=["version", "stage"]
)
def test_row_of_another_release_is_replaced(
    engine: Engine, runs: Runs, path: Path, version: str, stage: str | None
) -> None:
    put(path, ONE, version=version, stage=stage)
    live = engine.sweep()
    engine.enqueue(ONE)
    eventually(lambda: is_idle(engine))

    assert live == set()
    assert runs.of == [ONE[1:]]
    assert rows(path) == {ONE.attempt(1): "CANCELLED", ONE.attempt(2): "SUCCESS"}


@pytest.mark.usefixtures("engine")
def test_row_of_this_version_runs_whatever_release_wrote_it(runs: Runs, path: Path) -> None:
    put(path, ONE)
    eventually(lambda: runs.of == [ONE[1:]])

    assert VERSION == "deid-1"


def test_every_start_has_a_name_of_its_own(path: Path, runs: Runs) -> None:
    first, second = (
        Engine(path, [Stage(name="deidentify", run=runs, limit_seconds=1)]) for _ in range(2)
    )

    assert first.executor != second.executor
    assert "local" not in {first.executor, second.executor}


def test_database_is_private_synced_and_in_wal_mode(engine: Engine, path: Path) -> None:
    engine.enqueue(ONE)
    eventually(lambda: is_idle(engine))

    with open_database(path).connect() as connection:
        pragmas = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "busy_timeout")
        ]
    assert pragmas == ["wal", 2, 24 * 3600 * 1000]
    assert {stat.S_IMODE(each.stat().st_mode) for each in path.parent.iterdir()} == {0o600}


def test_wal_mode_is_set_before_dbos_opens_the_database(
    path: Path, runs: Runs, clock: FakeClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []

    def launch() -> None:
        with closing(sqlite3.connect(path)) as database:
            seen.append(database.execute("PRAGMA journal_mode").fetchone()[0])
        raise KeyboardInterrupt

    monkeypatch.setattr(DBOS, "launch", launch)
    with pytest.raises(KeyboardInterrupt), started(path, runs, clock):
        pass

    assert seen == ["wal"]


@pytest.mark.parametrize("step", ["launch", "register_queue"])
def test_engine_that_could_not_start_can_be_started_later(
    path: Path, runs: Runs, clock: FakeClock, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def fail(*_arguments: object, **_options: object) -> None:
        raise OSError("broken")

    with monkeypatch.context() as patch:
        patch.setattr(DBOS, step, fail)
        with pytest.raises(OSError, match="broken"), started(path, runs, clock):
            pass
    with started(path, runs, clock) as engine:
        engine.enqueue(ONE)
        eventually(lambda: is_idle(engine))

    assert runs.of == [ONE[1:]]


def test_rows_are_plain_json_of_keys_and_numbers(engine: Engine, path: Path) -> None:
    engine.enqueue(ONE)
    eventually(lambda: is_idle(engine))

    with closing(sqlite3.connect(path)) as database:
        formats = database.execute("SELECT DISTINCT serialization FROM workflow_status").fetchall()
        [inputs] = database.execute("SELECT inputs FROM workflow_input").fetchall()
    assert formats == [("json",)]
    assert json.loads(inputs[0])["args"] == [ONE.series, ONE.generation]


def test_error_that_dbos_keeps_is_a_class_name() -> None:
    assert json.loads(_Json().serialize(ValueError(CANARY))) == "ValueError"


def test_locked_database_is_waited_for(engine: Engine, runs: Runs, path: Path) -> None:
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        enqueueing = threading.Thread(target=engine.enqueue, args=(ONE,))
        enqueueing.start()
        enqueueing.join(1)
        waited = enqueueing.is_alive()
        other.execute("COMMIT")
    enqueueing.join(60)
    eventually(lambda: is_idle(engine))

    assert waited
    assert runs.of == [ONE[1:]]


def garbage(path: Path) -> None:
    path.write_bytes(b"no database at all" * 1000)


def lost_page(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        [page] = database.execute(
            "SELECT rootpage FROM sqlite_master WHERE name = 'workflow_status'"
        ).fetchone()
        [size] = database.execute("PRAGMA page_size").fetchone()
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(bytes(size))


@pytest.mark.parametrize("damage", [garbage, lost_page])
def test_damaged_database_is_made_anew(
    path: Path, runs: Runs, clock: FakeClock, damage: Callable[[Path], None]
) -> None:
    with started(path, runs, clock):
        pass
    damage(path)

    with started(path, runs, clock) as engine:
        engine.enqueue(ONE)
        eventually(lambda: is_idle(engine))

    assert runs.of == [ONE[1:]]


def test_run_that_takes_too_long_is_stuck(engine: Engine, runs: Runs, clock: FakeClock) -> None:
    runs.goes_on.clear()
    for job in (ONE, TWO):
        engine.enqueue(job)
    eventually(lambda: len(engine._runs) == 2 and runs.of)
    clock.advance(100)
    in_time = engine.stuck()
    clock.advance(1)

    assert in_time == []
    assert [job[1:] for job in engine.stuck()] == runs.of
    runs.goes_on.set()


def test_stop_waits_for_what_is_short_and_leaves_the_rest(
    path: Path, runs: Runs, clock: FakeClock
) -> None:
    runs.goes_on.clear()
    with started(path, runs, clock) as engine:
        for job in (ONE, TWO):
            engine.enqueue(job)
        eventually(lambda: len(engine._runs) == 2 and runs.of)
        was_idle = engine.stop(0)
        runs.goes_on.set()
        for thread in threading.enumerate():
            if thread.name == ONE.stage:
                thread.join(60)

    assert not was_idle
    assert len(runs.of) == 1


def test_rows_of_what_is_over_are_forgotten_and_no_others(
    engine: Engine, runs: Runs, path: Path
) -> None:
    engine.enqueue(ONE)
    eventually(lambda: is_idle(engine))
    runs.goes_on.clear()
    engine.enqueue(TWO)
    eventually(lambda: TWO[1:] in runs.of)
    by_default = engine.forget()
    forgotten = engine.forget(before=4e9)

    assert (by_default, forgotten) == (0, 1)
    assert list(rows(path)) == [TWO.attempt(1)]
    runs.goes_on.set()


def test_dbos_speaks_through_our_log_only(engine: Engine) -> None:
    library = logging.getLogger("dbos")

    assert library.propagate
    assert [type(each) for each in library.handlers] == [logging.NullHandler]
    assert library.level == logging.WARNING
    assert engine.stuck() == []


def test_nothing_goes_to_a_network(tmp_path: Path, peer: Callable[[str], str]) -> None:
    script = """
import sys, time
from pathlib import Path
from deid_node.node.work.engine import Engine, Job, Stage

engine = Engine(Path(sys.argv[1]), [Stage(name="a", run=lambda *_: None, limit_seconds=9)])
engine.start()
engine.enqueue(Job("a", "b", 1))
while engine.sweep():
    time.sleep(0.05)
engine.stop(1)
"""
    record = tmp_path / "record"
    command = [peer("strace"), "-f", "-o", str(record), "-e", "trace=socket,connect,sendto"]
    env = {**os.environ, "PYTHONPATH": str(PROJECT)}
    done = subprocess.run(
        [*command, sys.executable, "-c", script, str(tmp_path / "engine.sqlite")],
        env=env,
        check=False,
        capture_output=True,
        text=True,
    )
    if not record.exists() or "ptrace" in done.stderr:
        pytest.skip("strace may not trace here")

    assert done.returncode == 0, done.stderr
    assert [line for line in record.read_text().splitlines() if "AF_INET" in line] == []
