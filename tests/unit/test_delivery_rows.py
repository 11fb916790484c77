"""What a destination has answered for survives a kill, and old ledgers become new ones."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deid_node.errors import PeerBusy, PeerUnreachable, SpoolError
from deid_node.headers.pseudonyms import InstanceKey, SeriesKey
from deid_node.node.kept import Kept
from deid_node.node.ledger import Ledger
from deid_node.node.send.delivery_rows import Begun, DeliveryRows
from deid_node.node.states import DeliveryState, Generation, State
from tests.fakes.clock import FakeClock

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).parents[2]
OLD = PROJECT / "tests" / "fakes" / "ledger_before_instances.sql"
"""Dumped from a ledger that the release before rows of instances had made."""
ONE = Generation(series=SeriesKey("one"), number=1)
BUSY = PeerBusy(destination="archive", why="out of resources, status 0xA700")
ABSENT = PeerUnreachable(destination="archive", why="no association with it")


def owing(path: Path, clock: FakeClock) -> Ledger:
    """Make a ledger with one series that two destinations are owed."""
    ledger = Ledger(path, now=clock)
    ledger.arrived(Kept(series=ONE.series, instance=InstanceKey("i"), digest="d"))
    ledger.received(ONE.series)
    ledger.claim()
    ledger.ready(ONE, ["archive", "copies"])
    return ledger


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def ledger(tmp_path: Path, clock: FakeClock) -> Iterator[Ledger]:
    ledger = owing(tmp_path / "ledger.sqlite", clock)
    yield ledger
    ledger.close()


@pytest.fixture
def rows(ledger: Ledger) -> DeliveryRows:
    return DeliveryRows(ledger)


def test_answers_are_kept_by_destination(rows: DeliveryRows) -> None:
    first = rows.begin(ONE, "archive")
    rows.answered(ONE, "archive", 2, 0x0000)
    rows.answered(ONE, "archive", 3, 0xA900)

    assert first == Begun(statuses={}, is_repeat=False)
    assert rows.begin(ONE, "archive") == Begun(statuses={2: 0, 3: 0xA900}, is_repeat=True)
    assert rows.begin(ONE, "copies") == Begun(statuses={}, is_repeat=False)


def test_answer_survives_a_kill_at_the_next_moment(tmp_path: Path) -> None:
    script = """
import os, signal, sys
from pathlib import Path
from deid_node.node.send.delivery_rows import DeliveryRows
from tests.fakes.clock import FakeClock
from tests.unit.test_delivery_rows import ONE, owing
rows = DeliveryRows(owing(Path(sys.argv[1]), FakeClock()))
rows.begin(ONE, "archive")
for number in range(1, 8):
    rows.answered(ONE, "archive", number, 0)
os.kill(os.getpid(), signal.SIGKILL)
"""
    path = tmp_path / "ledger.sqlite"
    env = {**os.environ, "PYTHONPATH": str(PROJECT)}
    subprocess.run([sys.executable, "-c", script, str(path)], check=False, env=env, cwd=PROJECT)

    again = Ledger(path)
    begun = DeliveryRows(again).begin(ONE, "archive")
    again.close()

    assert begun is not None
    assert set(begun.statuses) == set(range(1, 8))
    assert begun.is_repeat


def test_answers_wait_for_no_disk_but_what_settles_does(ledger: Ledger, rows: DeliveryRows) -> None:
    def synchronous() -> int:
        return int(ledger.database.connection.execute("PRAGMA synchronous").fetchone()[0])

    rows.answered(ONE, "archive", 1, 0)
    after_answer = synchronous()
    rows.settled(ONE, "archive")

    assert (after_answer, synchronous()) == (1, 2)


def test_stored_series_is_owed_no_more_but_not_settled(ledger: Ledger, rows: DeliveryRows) -> None:
    rows.stored(ONE, "archive")
    state = rows.settled(ONE, "copies")

    assert state is State.READY
    assert rows.owed_to("archive") == []
    assert rows.owed_to("archive", DeliveryState.STORED) == [ONE]
    assert rows.settled(ONE, "archive") is State.DELIVERED
    assert ledger.states() == {ONE: State.DELIVERED}


def test_failures_are_counted_from_the_first_in_a_row(rows: DeliveryRows, clock: FakeClock) -> None:
    counts = []
    for had_success in (False, False, True, False):
        counts.append(rows.failed(ONE, "archive", BUSY, had_success=had_success))
        clock.advance(10)

    assert counts == [1, 2, 3, 4]
    assert rows.overdue("archive", 21) == []
    [(generation, reason)] = rows.overdue("archive", 20)
    assert generation == ONE
    assert reason.error == "DeliveryGivenUp"
    assert rows.overdue("copies", 0) == []


def test_clock_that_steps_back_makes_patience_longer_and_never_shorter(
    rows: DeliveryRows, clock: FakeClock
) -> None:
    rows.failed(ONE, "archive", BUSY, had_success=False)
    clock.advance(-7 * 86400)
    rows.failed(ONE, "archive", BUSY, had_success=False)
    too_early = rows.overdue("archive", 60)
    clock.advance(7 * 86400 + 60)

    assert too_early == []
    assert [generation for generation, _ in rows.overdue("archive", 60)] == [ONE]


def test_absence_counts_for_what_was_not_tried_and_ends_with_a_success(
    rows: DeliveryRows, clock: FakeClock
) -> None:
    rows.unreachable("archive", ABSENT)
    clock.advance(10)
    rows.unreachable("archive", ABSENT)
    overdue = rows.overdue("archive", 10)
    rows.reached("archive")

    assert [generation for generation, _ in overdue] == [ONE]
    assert rows.overdue("archive", 0) == []


def test_success_elsewhere_does_not_excuse_a_series_that_is_put_off(
    rows: DeliveryRows, clock: FakeClock
) -> None:
    rows.failed(ONE, "archive", BUSY, had_success=False)
    clock.advance(10)
    rows.reached("archive")

    assert len(rows.overdue("archive", 10)) == 1


def old_ledger(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.executescript(OLD.read_text())
    database.close()


def test_old_ledger_is_taken_over_with_all_it_says(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    old_ledger(path)

    ledger = Ledger(path)
    rows = DeliveryRows(ledger)
    half, untouched = (
        Generation(series=SeriesKey(name), number=1) for name in ("half", "untouched")
    )
    owed = (rows.owed_to("archive"), rows.owed_to("copies"))
    begun = rows.begin(half, "archive")
    attempts = rows.failed(half, "archive", BUSY, had_success=False)
    n_again = rows.retry(SeriesKey("refused"))
    states = {each.series: state for each, state in ledger.states().items()}
    ledger.belongs_to("fingerprint")
    ledger.close()

    assert owed == ([half, untouched], [untouched])
    assert begun == Begun(statuses={}, is_repeat=True), "it may have sent some of it"
    assert attempts == 2
    assert n_again == 1
    assert states == {
        "half": State.READY,
        "untouched": State.READY,
        "delivered": State.DELIVERED,
        "refused": State.READY,
        "open": State.RECEIVING,
    }


def test_taking_over_happens_once(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    old_ledger(path)
    for _ in range(2):
        Ledger(path).close()
    fresh = tmp_path / "fresh.sqlite"
    Ledger(fresh).close()

    def tables(of: Path) -> list[tuple[str, str]]:
        database = sqlite3.connect(of)
        found = database.execute(
            "SELECT m.name, c.name FROM sqlite_master m, pragma_table_info(m.name) c ORDER BY 1, 2"
        ).fetchall()
        database.close()
        return found

    assert tables(path) == tables(fresh)


def test_takeover_that_breaks_off_leaves_the_old_ledger(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "ledger.sqlite"
    old_ledger(path)
    with monkeypatch.context() as patched:
        patched.setattr(
            "deid_node.node.delivery_schema.MIGRATIONS",
            ((), ("UPDATE delivery SET attempts = 77", "no statement")),
        )
        with pytest.raises(sqlite3.OperationalError):
            Ledger(path)

    ledger = Ledger(path)
    attempts = ledger.database.connection.execute("SELECT max(attempts) FROM delivery").fetchone()
    ledger.close()
    assert attempts == (1,)


def test_ledger_of_a_later_release_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    ledger = Ledger(path)
    with ledger.database.transaction() as database:
        database.execute("UPDATE schema_version SET version = 99")
    ledger.close()

    with pytest.raises(SpoolError, match="later release"):
        Ledger(path)
