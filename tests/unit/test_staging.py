"""What the ledger says is due is in the engine, once, whatever was lost between them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from deid_node.config.faces import Face
from deid_node.errors import StageStuck
from deid_node.headers.pseudonyms import SeriesKey
from deid_node.node.states import Generation
from deid_node.node.work import engine as engine_module
from deid_node.node.work.engine import Job
from deid_node.node.work.staging import (
    AHEAD,
    LONGEST_SECONDS,
    TICK_SECONDS,
    TICKS_TO_FORGET,
    Staging,
    stage_seconds,
)

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deid_node.node.work.engine import Stage

DUE = [Generation(series=SeriesKey(f"s{n}"), number=n) for n in range(1, 20)]
JOBS = [Job("deidentify", each.series, each.number) for each in DUE]


class FakeEngine:
    """Has what it is given until a test takes it away."""

    made: ClassVar[list[FakeEngine]] = []
    starts_badly = False

    def __init__(self, path: Path, stages: Sequence[Stage]) -> None:
        self.path = path
        [self.stage] = stages
        self.live: list[Job] = []
        self.stuck_jobs: list[Job] = []
        self.n_forgets = 0
        self.stopped: list[float] = []
        FakeEngine.made.append(self)

    def start(self) -> None:
        if FakeEngine.starts_badly:
            raise OSError

    def enqueue(self, job: Job) -> None:
        self.live.append(job)

    def sweep(self) -> set[Job]:
        return set(self.live)

    def stuck(self) -> list[Job]:
        return self.stuck_jobs

    def forget(self) -> None:
        self.n_forgets += 1

    def stop(self, seconds: float) -> bool:
        self.stopped.append(seconds)
        return False


class FakeWorker:
    """Notes what it is told."""

    def __init__(self) -> None:
        self.steps: list[Generation] = []
        self.given_up: list[tuple[Generation, str]] = []
        self.n_given_back = 0

    def step(self, generation: Generation) -> float:
        self.steps.append(generation)
        return 30.0

    def give_up(self, generation: Generation, stuck: StageStuck) -> None:
        self.given_up.append((generation, str(stuck)))

    def give_back(self) -> None:
        self.n_given_back += 1


class Node:
    """A staging between fakes."""

    def __init__(self, folder: Path, **more: int) -> None:
        self.worker = FakeWorker()
        self.due = list(DUE)
        worker: Any = self.worker
        self.staging = Staging(
            folder / "engine.sqlite",
            worker,
            due=lambda n_series: self.due[:n_series],
            limit_seconds=10,
            **more,
        )

    @property
    def engine(self) -> FakeEngine:
        [engine] = FakeEngine.made
        return engine


@pytest.fixture
def node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setattr(engine_module, "Engine", FakeEngine)
    monkeypatch.setattr(FakeEngine, "made", [])
    return Node(tmp_path)


def test_longest_waiting_are_enqueued_once_and_a_few_at_a_time(node: Node) -> None:
    pauses = [node.staging.step() for _ in range(3)]

    assert pauses == [TICK_SECONDS] * 3
    assert node.engine.live == JOBS[:AHEAD]


def test_next_is_enqueued_when_one_is_over(node: Node) -> None:
    node.staging.step()
    del node.engine.live[0], node.due[0]

    node.staging.step()

    assert node.engine.live == JOBS[1 : AHEAD + 1]


@pytest.mark.usefixtures("node")
def test_several_slots_have_as_many_more_ready(tmp_path: Path) -> None:
    FakeEngine.made.clear()
    node = Node(tmp_path, slots=3)

    node.staging.step()

    assert node.engine.live == JOBS[: AHEAD + 2]
    assert node.engine.stage.slots == 3


def test_generations_of_one_series_are_worked_on_one_after_another(node: Node) -> None:
    """They have one result: the earlier one must not be written over the later one."""
    first, second = (Generation(series=SeriesKey("s"), number=n) for n in (1, 2))
    node.due = [first, second]
    node.staging.step()
    at_first = list(node.engine.live)
    node.due = [second]
    node.staging.step()
    while_it_runs = list(node.engine.live)
    node.engine.live.clear()

    node.staging.step()

    assert at_first == while_it_runs == [Job("deidentify", "s", 1)]
    assert node.engine.live == [Job("deidentify", "s", 2)]


def test_what_the_engine_lost_is_enqueued_again(node: Node) -> None:
    node.staging.step()
    lost = node.engine.live.pop(0)

    node.staging.step()

    assert lost in node.engine.live


def test_what_is_not_due_any_more_makes_no_room_for_others_yet(node: Node) -> None:
    node.staging.step()
    node.due = DUE[AHEAD:]

    node.staging.step()

    assert node.engine.live == JOBS[:AHEAD]


def test_run_is_a_step_of_the_worker(node: Node) -> None:
    node.staging.step()
    stage = node.engine.stage

    pause = stage.run("s1", 1)

    assert (pause, node.worker.steps) == (30.0, [DUE[0]])
    assert (stage.limit_seconds, stage.slots) == (10, 1)


def test_claim_that_a_failed_run_left_is_given_back_once_nothing_runs(node: Node) -> None:
    node.staging.step()
    before = node.worker.n_given_back
    node.staging.step()
    while_it_ran = node.worker.n_given_back
    node.due.clear()
    node.engine.live.clear()

    node.staging.step()

    assert while_it_ran == before
    assert node.worker.n_given_back == before + 1


def test_stuck_series_is_given_up(node: Node) -> None:
    node.staging.step()
    before = list(node.worker.given_up)
    node.engine.stuck_jobs = [JOBS[0], JOBS[2]]

    node.staging.step()

    assert before == []
    assert node.worker.given_up == [
        (each, str(StageStuck(seconds=10))) for each in (DUE[0], DUE[2])
    ]


def test_finished_rows_are_forgotten_now_and_then(node: Node) -> None:
    for _ in range(TICKS_TO_FORGET - 1):
        node.staging.step()
    before = node.engine.n_forgets
    node.staging.step()

    assert (before, node.engine.n_forgets) == (0, 1)


def test_engine_that_does_not_start_is_started_by_a_later_step(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(FakeEngine, "starts_badly", True)
        with pytest.raises(OSError):  # noqa: PT011 - raised by the fake, without a message
            node.staging.step()
    node.staging.step()

    assert [engine.live for engine in FakeEngine.made] == [[], JOBS[:AHEAD]]


def test_stop_gives_back_what_still_runs_and_nothing_begins_after_it(node: Node) -> None:
    node.staging.step()
    node.engine.live.clear()
    before = node.worker.n_given_back

    is_idle = node.staging.stop(3)
    node.staging.step()

    assert not is_idle
    assert node.engine.stopped == [3]
    assert node.worker.n_given_back == before + 1
    assert node.engine.live == []


def test_stop_before_the_first_step_starts_nothing(node: Node) -> None:
    is_idle = node.staging.stop(3)
    node.staging.step()

    assert is_idle
    assert FakeEngine.made == []


def test_imported_model_gets_the_time_of_its_own_limit_twice() -> None:
    assert stage_seconds([Face()]) == LONGEST_SECONDS
    assert stage_seconds([Face(), Face(model="other", seconds=100)]) == LONGEST_SECONDS + 200
