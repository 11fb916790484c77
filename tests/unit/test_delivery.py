"""What cannot be delivered now is tried again later, and keeps nothing else waiting."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import numpy as np
import pytest

from deid_node.dicom.part10 import encode
from deid_node.errors import OutputUnwritable, PeerBusy, PeerRefusedInstance, PeerUnreachable
from deid_node.headers.pseudonyms import InstanceKey, SeriesKey
from deid_node.node.kept import Kept
from deid_node.node.ledger import Ledger
from deid_node.node.ledger_database import move
from deid_node.node.outbox import Outbox
from deid_node.node.send.delivery import (
    FIRST_PAUSE_SECONDS,
    IDLE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    Delivery,
)
from deid_node.node.send.delivery_rows import Begun, DeliveryRows
from deid_node.node.send.storage_scu import unobserved
from deid_node.node.states import Generation, Reason, State
from tests.fakes.clock import FakeClock
from tests.fakes.sender import some_instances
from tests.fakes.series import mr_series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from deid_node.node.outgoing import Outgoing

ONE, TWO = (Generation(series=SeriesKey(name), number=1) for name in ("one", "two"))
UNREACHABLE = PeerUnreachable(destination="archive", why="no association with it")
BUSY = PeerBusy(destination="archive", why="out of resources, status 0xA700")
GIVE_UP_SECONDS = 7200.0
REFUSED = PeerRefusedInstance(destination="archive", status=0xC000, n_instances=1)


class Scripted:
    """A destination that does what it is told, and remembers what it got."""

    def __init__(self, name: str = "archive") -> None:
        self.name = name
        self.error: Exception | None = None
        self.breaks_after = 0
        self.status = 0x0000
        self.got: list[int] = []
        self.repeats: list[bool] = []
        self.rests = 0

    def deliver(
        self,
        instances: Sequence[Outgoing],
        *,
        answered: Callable[[int, int], None] = unobserved,
        is_repeat: bool = False,
    ) -> None:
        self.repeats.append(is_repeat)
        for instance in instances[: None if self.error is None else self.breaks_after]:
            answered(instance.number, self.status)
        if self.error is not None:
            raise self.error
        self.got.append(len(instances))

    def echo(self) -> None:
        """Answer."""

    def rest(self) -> None:
        self.rests += 1

    def close(self) -> None:
        """Have nothing open."""


class Node:
    """Two series that are ready, and one destination."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.ledger = Ledger(folder / "ledger.sqlite", now=self.clock)
        self.outbox = Outbox(folder / "outbox")
        self.rows = DeliveryRows(self.ledger)
        self.archive = Scripted()
        self.delivery = self.to(self.archive)
        instances = [encode(each) for each in mr_series(np.zeros((3, 4, 4), np.uint16))]
        for count, generation in ((2, ONE), (3, TWO)):
            series = generation.series
            self.outbox.keep(series, instances[:count])
            self.ledger.arrived(Kept(series=series, instance=InstanceKey("i"), digest="d"))
            self.ledger.received(series)
            self.ledger.claim()
            self.ledger.ready(generation, ["archive", "copies"])
            self.clock.advance(1)

    def to(self, destination: Scripted) -> Delivery:
        return Delivery(
            destination,
            ledger=self.ledger,
            outbox=self.outbox,
            give_up_seconds=GIVE_UP_SECONDS,
            now=self.clock,
            chance=lambda: 0.5,
        )

    def attempts(self, generation: Generation) -> int:
        row = self.ledger.database.connection.execute(
            "SELECT attempts FROM delivery WHERE series = ? AND destination = 'archive'",
            (generation.series,),
        )
        return int(row.fetchone()[0])

    def reason(self, generation: Generation) -> tuple[str, str]:
        row = self.ledger.database.connection.execute(
            "SELECT error, reason FROM series WHERE series = ?", (generation.series,)
        ).fetchone()
        return str(row[0]), str(row[1])


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path)
    yield node
    node.ledger.close()


def test_series_that_was_held_since_it_was_chosen_is_not_sent(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    begin = DeliveryRows.begin

    def held_first(rows: DeliveryRows, generation: Generation, destination: str) -> Begun | None:
        with node.ledger.database.transaction() as database:
            move(database, generation, State.READY, State.HELD, at=0)
        return begin(rows, generation, destination)

    monkeypatch.setattr(DeliveryRows, "begin", held_first)

    pause = node.delivery.step()

    assert pause == 0
    assert node.archive.repeats == []
    assert node.attempts(ONE) == 0


def test_oldest_series_is_delivered_first_and_each_once(node: Node) -> None:
    pauses = [node.delivery.step() for _ in range(3)]

    assert node.archive.got == [2, 3]
    assert pauses == [0, 0, IDLE_SECONDS]
    assert node.ledger.states() == {ONE: State.READY, TWO: State.READY}


def test_series_that_is_put_off_waits_while_the_next_is_sent(node: Node) -> None:
    node.archive.error = BUSY
    pause = node.delivery.step()
    node.archive.error = None
    node.delivery.step()
    node.delivery.step()

    assert pause == FIRST_PAUSE_SECONDS
    assert node.archive.got == [3]
    assert node.rows.owed_to("archive") == [ONE]

    node.clock.advance(FIRST_PAUSE_SECONDS)
    node.delivery.step()
    assert node.archive.got == [3, 2]


@pytest.mark.parametrize("error", [UNREACHABLE, OutputUnwritable("destination archive: full")])
def test_one_attempt_at_an_absent_destination_stands_for_all_it_is_owed(
    node: Node, error: Exception
) -> None:
    node.archive.error = error
    pauses = [node.delivery.step() for _ in range(3)]

    assert pauses == [FIRST_PAUSE_SECONDS] * 3
    assert len(node.archive.repeats) == 1

    node.archive.error = None
    node.clock.advance(FIRST_PAUSE_SECONDS)
    node.delivery.step()
    node.delivery.step()
    assert node.archive.got == [2, 3]


@pytest.mark.parametrize("error", [UNREACHABLE, BUSY], ids=["absent", "busy"])
def test_pauses_double_up_to_the_longest(node: Node, error: Exception) -> None:
    node.rows.settled(TWO, "archive")
    node.archive.error = error
    waited = []
    for _ in range(12):
        before, attempts = node.clock(), node.attempts(ONE)
        while node.attempts(ONE) == attempts:
            node.delivery.step()
            node.clock.advance(1)
        waited.append(node.clock() - before)

    assert waited[1:5] == [5, 10, 20, 40]
    assert max(waited) == LONGEST_PAUSE_SECONDS == waited[-1]


def test_pauses_begin_anew_once_a_destination_took_something(node: Node) -> None:
    node.archive.error = UNREACHABLE
    for _ in range(6):
        node.delivery.step()
        node.clock.advance(LONGEST_PAUSE_SECONDS)
    node.archive.error = None
    node.delivery.step()
    node.archive.error = UNREACHABLE
    node.delivery.step()
    node.archive.error = None
    node.clock.advance(FIRST_PAUSE_SECONDS)
    node.delivery.step()

    assert node.archive.got == [2, 3]


def test_only_what_was_not_answered_for_goes_again(node: Node) -> None:
    node.archive.breaks_after, node.archive.error = 1, UNREACHABLE
    node.delivery.step()
    node.archive.error = None
    node.to(node.archive).step()

    assert node.archive.got == [1]
    assert node.archive.repeats == [False, True]


def test_instance_refused_before_a_break_is_not_forgotten(node: Node) -> None:
    node.archive.breaks_after, node.archive.error = 1, UNREACHABLE
    node.archive.status = 0xA900
    node.delivery.step()
    node.archive.error = None
    node.archive.status = 0x0000
    node.to(node.archive).step()
    node.to(Scripted("copies")).step()

    assert node.archive.got == [1]
    assert node.ledger.states()[ONE] is State.HELD
    assert node.reason(ONE)[0] == "PeerRefusedInstance"


@pytest.mark.parametrize("error", [UNREACHABLE, BUSY], ids=["absent", "busy"])
def test_series_that_failed_too_long_is_a_dead_letter_and_no_other_is(
    node: Node, error: Exception
) -> None:
    node.archive.error = error
    node.delivery.step()
    node.clock.advance(GIVE_UP_SECONDS - 1)
    node.delivery.step()
    before = node.rows.owed_to("archive")
    node.clock.advance(LONGEST_PAUSE_SECONDS)
    for _ in range(2):
        node.delivery.step()
        node.clock.advance(LONGEST_PAUSE_SECONDS)
    copies = node.to(Scripted("copies"))
    copies.step()

    assert before == [ONE, TWO]
    assert ONE not in node.rows.owed_to("archive")
    assert node.ledger.states()[ONE] is State.HELD
    error_name, reason = node.reason(ONE)
    assert error_name == "DeliveryGivenUp"
    assert reason.startswith("given up after 2.2 hours; destination archive:")


def test_time_before_a_success_does_not_count_towards_giving_up(node: Node) -> None:
    node.archive.error = UNREACHABLE
    node.delivery.step()
    node.clock.advance(GIVE_UP_SECONDS - 1)
    node.archive.error = None
    node.delivery.step()
    node.archive.error = UNREACHABLE
    node.delivery.step()
    node.clock.advance(LONGEST_PAUSE_SECONDS)
    node.delivery.step()

    assert node.rows.owed_to("archive") == [TWO]


def test_clock_that_steps_back_gives_nothing_up(node: Node) -> None:
    node.archive.error = BUSY
    node.delivery.step()
    node.clock.advance(-1000)
    node.to(node.archive).step()

    assert node.rows.owed_to("archive") == [ONE, TWO]


def test_dead_letters_that_are_asked_for_again_are_owed_again(node: Node) -> None:
    node.archive.status, node.archive.error, node.archive.breaks_after = 0xC000, REFUSED, 2
    node.delivery.step()
    node.to(Scripted("copies")).step()
    node.archive.status, node.archive.error = 0x0000, None

    n_destinations = node.rows.retry(ONE.series)
    state = node.ledger.states()[ONE]
    node.clock.advance(1000)
    for _ in range(2):
        node.delivery.step()

    assert n_destinations == 1
    assert state is State.READY
    assert sorted(node.archive.got) == [2, 3]
    assert node.ledger.states()[ONE] is State.DELIVERED
    assert node.rows.retry(ONE.series) == 0


def test_dead_letter_that_one_destination_still_refuses_keeps_its_reason(node: Node) -> None:
    node.rows.settled(ONE, "copies", Reason(error="NoCommonSyntax", message="none"))
    node.rows.settled(ONE, "archive", Reason(error="PeerRefusedInstance", message="refused"))
    node.rows.retry(ONE.series, "copies")
    while_sent = node.ledger.states()[ONE]
    node.rows.settled(ONE, "copies")

    assert while_sent is State.READY
    assert node.ledger.states()[ONE] is State.HELD
    assert node.reason(ONE)[0] == "PeerRefusedInstance"


def test_two_threads_take_two_series(node: Node) -> None:
    first = node.delivery._take_due()
    second = node.delivery._take_due()
    third = node.delivery._take_due()

    assert (first, second, third) == (ONE, TWO, None)


def test_idle_destination_is_left_to_rest(node: Node) -> None:
    for _ in range(3):
        node.delivery.step()

    assert node.archive.rests == 1


def test_fault_of_the_ledger_leaves_a_series_owed(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(*_arguments: object) -> None:
        raise sqlite3.OperationalError("database is locked")

    monkeypatch.setattr(DeliveryRows, "answered", locked)
    with pytest.raises(sqlite3.OperationalError):
        node.delivery.step()
    monkeypatch.undo()

    assert node.rows.owed_to("archive") == [ONE, TWO]
    node.delivery.step()
    assert node.archive.got == [2]


def test_dead_destination_keeps_nothing_from_another(node: Node) -> None:
    node.archive.error = UNREACHABLE
    copies = Scripted("copies")
    to_copies = node.to(copies)

    for _ in range(3):
        node.delivery.step()
        to_copies.step()

    assert copies.got == [2, 3]
    assert node.rows.owed_to("archive") == [ONE, TWO]


def test_refused_series_is_held_with_the_reason_once_all_are_settled(node: Node) -> None:
    node.archive.error = REFUSED
    node.delivery.step()
    to_copies = node.to(Scripted("copies"))
    to_copies.step()

    row = node.ledger.database.connection.execute(
        "SELECT error, reason FROM series WHERE series = 'one'"
    )
    assert node.ledger.states()[ONE] is State.HELD
    assert row.fetchone() == ("PeerRefusedInstance", str(REFUSED))


def test_unexpected_fault_is_held_without_its_text(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    node.archive.error = ValueError("Invalid value DOE^JANE")

    node.delivery.step()

    row = node.ledger.database.connection.execute("SELECT * FROM delivery, series").fetchall()
    assert "DOE" not in str(row)
    assert "DOE" not in caplog.text
    assert node.rows.owed_to("archive") == [TWO]


def test_new_run_tries_at_once(node: Node) -> None:
    node.archive.error = UNREACHABLE
    node.delivery.step()
    node.archive.error = None

    node.to(node.archive).step()

    assert node.archive.got == [2]


class Overtaken(Scripted):
    """A destination during whose first answer a later generation becomes ready."""

    def __init__(self, node: Node) -> None:
        super().__init__()
        self.node = node
        self.meanwhile: list[float] = []
        self.replaces: list[bool] = []

    def deliver(
        self,
        instances: Sequence[Outgoing],
        *,
        answered: Callable[[int, int], None] = unobserved,
        is_repeat: bool = False,
    ) -> None:
        self.replaces += [each.replaces for each in instances]
        for instance in instances:
            if not self.meanwhile:
                replace_series_one(self.node)
                # As another thread would, while this one is sending.
                self.meanwhile.append(self.node.delivery.step())
            answered(instance.number, self.status)
            self.got.append(instance.number)
        self.repeats.append(is_repeat)


def replace_series_one(node: Node) -> None:
    """Have a late instance give series one another generation."""
    node.ledger.replaces_late = True
    node.ledger.arrived(Kept(series=ONE.series, instance=InstanceKey("late"), digest="d"))
    node.ledger.received(ONE.series)
    claim = node.ledger.claim()
    assert claim is not None
    node.outbox.keep(claim.generation.name, some_instances(4))
    assert node.ledger.ready(claim.generation, ["archive", "copies"])


def test_later_generation_waits_for_the_attempt_at_an_earlier_one_which_ends_early(
    node: Node,
) -> None:
    node.rows.settled(TWO, "archive")
    archive = Overtaken(node)
    node.delivery = node.to(archive)

    node.delivery.step()
    earlier = list(archive.got)
    node.delivery.step()

    assert archive.meanwhile == [IDLE_SECONDS]
    assert earlier == []
    assert archive.got == [1, 2, 3, 4]
    assert archive.replaces == [False] * 2 + [True] * 4
    assert archive.repeats == [False]
    assert node.rows.owed_to("archive") == []
    assert node.ledger.states()[ONE] is State.REPLACED
