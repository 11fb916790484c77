"""Whatever the process that works on series does, its series waits, or is held; none is lost."""

from __future__ import annotations

import json
import logging
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from deid_node.config.load import load_settings
from deid_node.errors import SpoolError, StageStuck, WeightsUnusable, WorkerNotStarted
from deid_node.headers.pseudonyms import InstanceKey, SeriesKey
from deid_node.node.ledger import Ledger
from deid_node.node.spool import Spool
from deid_node.node.spool_lock import WORK_LOCK, exclusive
from deid_node.node.states import Generation, State
from deid_node.node.status import LEDGER
from deid_node.node.work import apart
from deid_node.node.work.apart import WorkerApart
from deid_node.node.work.crashes import Crashes
from tests.fakes.node import eventually, settings_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

SERIES = Generation(series=SeriesKey("s1"), number=1)
OTHER = Generation(series=SeriesKey("s1"), number=2)


class Site:
    """A ledger with one series that is claimed, and a worker apart that misbehaves."""

    def __init__(self, folder: Path, how: str) -> None:
        self.folder = folder
        settings = load_settings(settings_file(folder, port=1), {})
        settings.spool.folder.mkdir()
        self.spool = settings.spool.folder
        self.ledger = Ledger(self.spool / LEDGER)
        kept = Spool(self.spool / "received", reserve_bytes=0).keep(
            SERIES.series, InstanceKey("i1"), [b"1"]
        )
        self.ledger.arrived(kept)
        self.ledger.received(SERIES.series)
        program = [sys.executable, "-m", "tests.fakes.stray_worker", how, str(folder)]
        self.lock = exclusive(self.spool, WORK_LOCK)
        self.worker = WorkerApart(settings, self.ledger, lock=self.lock, program=program)

    def claim(self) -> None:
        """Do what the process does first."""
        self.ledger.claim(SERIES)
        self.n_crashes_before = Crashes(self.ledger).begin(SERIES)

    @property
    def state(self) -> State:
        return self.ledger.states()[SERIES]

    def requests(self) -> list[dict[str, Any]]:
        path = self.folder / "requests"
        text = path.read_text() if path.exists() else ""
        return [json.loads(line) for line in text.splitlines()]

    def n_starts(self) -> int:
        return len((self.folder / "starts").read_text().splitlines())

    def n_crashes(self) -> int:
        rows = self.ledger.database.connection.execute("SELECT n_begun FROM crash")
        return sum(row[0] for row in rows)

    def close(self) -> None:
        self.worker.close()
        self.ledger.close()
        os.close(self.lock)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Callable[[str], Site]]:
    sites: list[Site] = []

    def make(how: str) -> Site:
        sites.append(Site(tmp_path, how))
        return sites[-1]

    yield make
    for each in sites:
        each.close()


def test_series_is_worked_through(site: Callable[[str], Site]) -> None:
    node = site("works")
    node.worker.wait()

    pauses = [node.worker.step(SERIES) for _ in range(2)]

    assert pauses == [2.5, 2.5]
    assert node.requests() == [{"do": "step", "series": "s1", "number": 1}] * 2
    assert (node.n_starts(), node.worker.is_ready) == (1, True)


@pytest.mark.parametrize(
    ("how", "kind", "message"),
    [
        ("is refused", WeightsUnusable, "the weights are damaged"),
        ("fails", WorkerNotStarted, "the process that works on series did not start: MemoryError"),
        (
            "ends at once",
            WorkerNotStarted,
            "the process that works on series did not start: exit code 3",
        ),
    ],
)
def test_what_it_met_at_its_start_is_told(
    site: Callable[[str], Site], how: str, kind: type[Exception], message: str
) -> None:
    node = site(how)

    with pytest.raises(kind) as caught:
        node.worker.wait()

    assert type(caught.value) is kind
    assert str(caught.value) == message
    assert not node.worker.is_ready


@pytest.mark.parametrize(
    ("how", "name"),
    [
        ("dies", "SIGABRT"),
        ("babbles", "SIGKILL"),
        ("says what is no answer", "SIGKILL"),
    ],
)
def test_series_over_which_it_died_waits_again_and_a_crash_is_counted(
    site: Callable[[str], Site], caplog: pytest.LogCaptureFixture, how: str, name: str
) -> None:
    node = site(how)
    node.worker.wait()
    node.claim()

    pause = node.worker.step(SERIES)

    assert pause == apart.AGAIN_SECONDS
    assert (node.state, node.n_crashes()) == (State.RECEIVED, 1)
    [died] = [each for each in caplog.records if each.getMessage() == "worker-died"]
    assert vars(died)["fields"] == {"series": "s1", "error": name}


def test_another_one_is_started_after_it_died(
    site: Callable[[str], Site], caplog: pytest.LogCaptureFixture
) -> None:
    node = site("says what is no answer")
    node.worker.wait()
    node.worker.step(SERIES)

    assert node.worker.step(SERIES) == 2.5
    assert node.n_starts() == 2
    assert caplog.messages == ["worker-died"]


def test_node_is_not_ready_while_none_starts(site: Callable[[str], Site]) -> None:
    node = site("cannot start again")
    node.worker.wait()
    node.worker.step(SERIES)
    before = node.worker.is_ready

    with pytest.raises(WorkerNotStarted, match="exit code 3"):
        node.worker.step(SERIES)

    assert (before, node.worker.is_ready) == (True, False)


def test_what_it_logs_is_logged(
    site: Callable[[str], Site], caplog: pytest.LogCaptureFixture
) -> None:
    node = site("logs")
    node.worker.wait()

    node.worker.step(SERIES)

    [record] = [each for each in caplog.records if each.getMessage() == "said"]
    assert (record.name, record.levelno) == ("deid_node.x", logging.WARNING)
    assert vars(record)["fields"] == {"port": 7}


def stepping(node: Site) -> Future[float | None]:
    """Let it work on the series in another thread, until it has been asked to."""
    pool = ThreadPoolExecutor()
    pause = pool.submit(node.worker.step, SERIES)
    pool.shutdown(wait=False)
    eventually(node.requests)
    return pause


def test_series_that_takes_too_long_is_held_by_another_one(site: Callable[[str], Site]) -> None:
    node = site("hangs")
    node.worker.wait()
    pause = stepping(node)
    node.claim()

    node.worker.give_up(OTHER, StageStuck(seconds=60))
    node.worker.give_up(SERIES, StageStuck(seconds=60))
    eventually(lambda: len(node.requests()) == 2)
    node.worker.give_up(SERIES, StageStuck(seconds=60))  # the staging says so until the run is over
    (node.folder / "go").touch()

    assert pause.result(60) is None
    assert node.requests()[1:] == [{"do": "hold", "series": "s1", "number": 1, "seconds": 60}]
    assert (node.state, node.n_starts()) == (State.RECEIVED, 2)


def test_series_is_given_back_when_the_node_stops_and_no_crash_is_counted(
    site: Callable[[str], Site], caplog: pytest.LogCaptureFixture
) -> None:
    node = site("hangs")
    node.worker.wait()
    pause = stepping(node)
    node.claim()

    node.worker.give_back()
    state = node.state

    assert pause.result(60) is None
    assert (state, node.n_crashes()) == (State.RECEIVED, 0)
    assert "worker-died" not in caplog.messages
    assert node.n_starts() == 1


def test_what_a_failed_step_left_is_given_back_once(site: Callable[[str], Site]) -> None:
    node = site("fails in the ledger")
    node.worker.wait()
    node.worker.step(SERIES)

    for _ in range(3):
        node.worker.give_back()

    assert [each["do"] for each in node.requests()] == ["step", "give_back"]


def test_what_a_failed_step_left_is_given_back_when_its_process_died_since(
    site: Callable[[str], Site],
) -> None:
    node = site("fails in the ledger")
    node.worker.wait()
    node.worker.step(SERIES)
    node.claim()
    node.worker._process.end()

    node.worker.give_back()

    assert (node.state, node.n_crashes()) == (State.RECEIVED, 0)


def test_one_that_died_while_nothing_was_asked_is_told_of_and_replaced(
    site: Callable[[str], Site], caplog: pytest.LogCaptureFixture
) -> None:
    node = site("works")
    node.worker.wait()
    node.worker._process.kill()
    eventually(lambda: not node.worker._process.is_alive)

    pause = node.worker.step(SERIES)

    assert (pause, node.n_starts()) == (2.5, 2)
    [died] = [each for each in caplog.records if each.getMessage() == "worker-died"]
    assert vars(died)["fields"] == {"error": "SIGKILL"}


def test_nothing_is_asked_of_one_that_has_nothing(site: Callable[[str], Site]) -> None:
    node = site("works")
    node.worker.wait()
    node.worker.step(SERIES)

    node.worker.give_back()
    node.worker.give_up(SERIES, StageStuck(seconds=1))

    assert [each["do"] for each in node.requests()] == ["step"]
    assert node.worker.step(SERIES) == 2.5
    assert node.n_starts() == 1


def test_claim_that_a_locked_ledger_kept_is_given_back_later(
    site: Callable[[str], Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    node = site("dies")
    node.worker.wait()
    node.claim()
    with monkeypatch.context() as patch:
        patch.setattr(node.ledger, "unclaim", fail)
        with pytest.raises(OSError, match="locked"):
            node.worker.step(SERIES)
    left = node.state

    node.worker.give_back()

    assert (left, node.state) == (State.CLAIMED, State.RECEIVED)
    assert node.n_crashes() == 1


def test_it_keeps_the_next_node_waiting_when_its_own_is_gone(site: Callable[[str], Site]) -> None:
    node = site("works")
    node.worker.wait()
    os.close(node.lock)

    with pytest.raises(SpoolError):
        exclusive(node.spool, WORK_LOCK)

    node.worker._process.end()
    node.lock = exclusive(node.spool, WORK_LOCK)


def fail(*_arguments: object) -> None:
    raise OSError("locked")
