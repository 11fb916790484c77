"""What cannot be delivered now is tried again later, and keeps nothing else waiting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from deid_node.dicom.part10 import EncodedInstance, encode
from deid_node.errors import OutputUnwritable, PeerRefusedInstance, PeerUnreachable
from deid_node.headers.pseudonyms import InstanceKey, SeriesKey
from deid_node.node.delivery import (
    FIRST_PAUSE_SECONDS,
    IDLE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    Delivery,
)
from deid_node.node.ledger import Ledger
from deid_node.node.outbox import Outbox
from deid_node.node.spool import Kept
from deid_node.node.states import Generation, State
from deid_node.node.storage_scu import unobserved
from tests.fakes.clock import FakeClock
from tests.fakes.series import mr_series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

ONE, TWO = (Generation(series=SeriesKey(name), number=1) for name in ("one", "two"))
UNREACHABLE = PeerUnreachable(destination="archive", why="no association with it")
REFUSED = PeerRefusedInstance(destination="archive", status=0xC000, n_instances=1)


class Scripted:
    """A destination that does what it is told, and remembers what it got."""

    def __init__(self, name: str = "archive") -> None:
        self.name = name
        self.error: Exception | None = None
        self.got: list[int] = []

    def deliver(
        self, instances: Sequence[EncodedInstance], *, progress: Callable[[int], None] = unobserved
    ) -> None:
        if self.error is not None:
            raise self.error
        progress(len(instances))
        self.got.append(len(instances))

    def echo(self) -> None:
        """Answer."""


class Node:
    """Two series that are ready, and one destination."""

    def __init__(self, folder: Path) -> None:
        self.clock = FakeClock()
        self.ledger = Ledger(folder / "ledger.sqlite", now=self.clock)
        self.outbox = Outbox(folder / "outbox")
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
            now=self.clock,
            chance=lambda: 0.5,
        )

    def attempts(self, generation: Generation) -> int:
        row = self.ledger._database.execute(
            "SELECT attempts FROM delivery WHERE series = ? AND destination = 'archive'",
            (generation.series,),
        )
        return int(row.fetchone()[0])


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path)
    yield node
    node.ledger.close()


def test_oldest_series_is_delivered_first_and_each_once(node: Node) -> None:
    pauses = [node.delivery.step() for _ in range(3)]

    assert node.archive.got == [2, 3]
    assert pauses == [0, 0, IDLE_SECONDS]
    assert node.ledger.states() == {ONE: State.READY, TWO: State.READY}


@pytest.mark.parametrize("error", [UNREACHABLE, OutputUnwritable("destination archive: full")])
def test_failed_series_stays_owed_and_the_next_is_tried_meanwhile(
    node: Node, error: Exception
) -> None:
    node.archive.error = error
    pause = node.delivery.step()
    node.archive.error = None
    node.delivery.step()
    node.delivery.step()

    assert pause == FIRST_PAUSE_SECONDS
    assert node.archive.got == [3]
    assert node.ledger.owed_to("archive") == [ONE]

    node.clock.advance(FIRST_PAUSE_SECONDS)
    node.delivery.step()
    assert node.archive.got == [3, 2]


def test_pauses_double_up_to_the_longest(node: Node) -> None:
    node.ledger.delivery_settled(TWO, "archive")
    node.archive.error = UNREACHABLE
    waited = []
    for _ in range(12):
        before, attempts = node.clock(), node.attempts(ONE)
        while node.attempts(ONE) == attempts:
            node.delivery.step()
            node.clock.advance(1)
        waited.append(node.clock() - before)

    assert waited[1:5] == [5, 10, 20, 40]
    assert max(waited) == LONGEST_PAUSE_SECONDS == waited[-1]


def test_dead_destination_keeps_nothing_from_another(node: Node) -> None:
    node.archive.error = UNREACHABLE
    copies = Scripted("copies")
    to_copies = node.to(copies)

    for _ in range(3):
        node.delivery.step()
        to_copies.step()

    assert copies.got == [2, 3]
    assert node.ledger.owed_to("archive") == [ONE, TWO]


def test_refused_series_is_held_with_the_reason_once_all_are_settled(node: Node) -> None:
    node.archive.error = REFUSED
    node.delivery.step()
    to_copies = node.to(Scripted("copies"))
    to_copies.step()

    row = node.ledger._database.execute("SELECT error, reason FROM series WHERE series = 'one'")
    assert node.ledger.states()[ONE] is State.HELD
    assert row.fetchone() == ("PeerRefusedInstance", str(REFUSED))


def test_unexpected_fault_is_held_without_its_text(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    node.archive.error = ValueError("Invalid value DOE^JANE")

    node.delivery.step()

    row = node.ledger._database.execute("SELECT * FROM delivery, series").fetchall()
    assert "DOE" not in str(row)
    assert "DOE" not in caplog.text
    assert node.ledger.owed_to("archive") == [TWO]


def test_new_run_tries_at_once(node: Node) -> None:
    node.archive.error = UNREACHABLE
    node.delivery.step()
    node.archive.error = None

    node.to(node.archive).step()

    assert node.archive.got == [2]
