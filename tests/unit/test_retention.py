"""Originals and pictures go when their time is over; what was replaced goes with its successor."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

import pytest

from deid_node.headers.pseudonyms import InstanceKey, SeriesKey
from deid_node.node.evidence import Pictures
from deid_node.node.kept import Kept
from deid_node.node.ledger import Ledger
from deid_node.node.open_series import close, recover
from deid_node.node.outbox import Outbox
from deid_node.node.retention import Retention
from deid_node.node.send.delivery_rows import DeliveryRows
from deid_node.node.spool import Spool
from deid_node.node.states import Generation, State
from tests.fakes.assembly import by_silence
from tests.fakes.clock import FakeClock
from tests.fakes.sender import some_instances

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERIES = SeriesKey("k7q2m4x9tz3a")
FIRST, SECOND = (Generation(series=SERIES, number=n) for n in (1, 2))
HOUR = 3600.0


class Node:
    """The stores of a node, with a clock that is set by hand."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.ledger = Ledger(folder / "ledger.sqlite", replaces_late=True, now=self.clock)
        self.spool = Spool(folder / "received", reserve_bytes=0)
        self.outbox = Outbox(folder / "outbox")
        self.pictures = Pictures(folder)

    def deliver(self, name: str) -> None:
        """Receive one instance more and deliver what belongs to the series then."""
        self.ledger.arrived(self.spool.keep(SERIES, InstanceKey(name), [b"face"]))
        self.ledger.received(SERIES)
        claim = self.ledger.claim()
        assert claim is not None
        generation = claim.generation
        self.outbox.keep(generation.name, some_instances(1))
        place = self.pictures.place(generation.name)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(b"png")
        self.ledger.ready(generation, ["archive"], picture="digest")
        DeliveryRows(self.ledger).settled(generation, "archive")

    def retain(self, *, originals: float, pictures: float) -> Retention:
        return Retention(
            ledger=self.ledger,
            spool=self.spool,
            outbox=self.outbox,
            pictures=self.pictures,
            keep_seconds=originals * HOUR,
            keep_picture_seconds=pictures * HOUR,
            now=self.clock,
        )

    def kept(self) -> dict[str, list[str]]:
        """Name the folders that have a file, by kind."""
        return {
            kind: sorted(
                {path.parent.name for path in (self.folder / kind).rglob("*") if path.is_file()}
            )
            for kind in ("received", "outbox", "work")
        }


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path)
    yield node
    node.ledger.close()


@pytest.mark.parametrize(("originals", "pictures"), [(1, 3), (3, 1)])
def test_pictures_have_a_time_of_their_own(node: Node, originals: float, pictures: float) -> None:
    retention = node.retain(originals=originals, pictures=pictures)
    node.deliver("a")
    seen = []
    for _ in range(4):
        retention.step()
        kept = node.kept()
        seen.append((len(kept["received"]), len(kept["work"])))
        node.clock.advance(HOUR)

    hours = range(4)
    assert seen == [(int(hour < originals), int(hour < pictures)) for hour in hours]
    assert node.kept() == {"received": [], "outbox": [], "work": []}


def test_clock_that_steps_back_purges_nothing_early_and_everything_in_the_end(node: Node) -> None:
    retention = node.retain(originals=1, pictures=1)
    node.deliver("a")
    seen = []
    for hours in (-48, 24, 24, 1):
        node.clock.advance(hours * HOUR)
        retention.step()
        seen.append(len(node.kept()["received"]))

    assert seen == [1, 1, 1, 0]


def test_picture_of_what_was_delivered_long_ago_is_asked_for_once(node: Node) -> None:
    retention = node.retain(originals=0, pictures=0)
    node.deliver("a")
    retention.step()

    place = node.pictures.place(SERIES)
    place.parent.mkdir()
    place.write_bytes(b"another's")
    retention.step()

    assert place.exists()


def test_what_was_replaced_goes_and_its_instances_stay_with_the_successor(node: Node) -> None:
    retention = node.retain(originals=1, pictures=1)
    node.deliver("a")
    node.deliver("b")

    retention.step()

    assert node.ledger.states() == {FIRST: State.PURGED, SECOND: State.DELIVERED}
    assert node.kept() == {"received": [SERIES], "outbox": [SECOND.name], "work": [SECOND.name]}
    assert len(node.spool.recover()) == 2


def test_purge_of_a_series_leaves_what_a_later_generation_is_made_of(node: Node) -> None:
    retention = node.retain(originals=0, pictures=0)
    node.deliver("a")
    node.ledger.arrived(node.spool.keep(SERIES, InstanceKey("b"), [b"face"]))

    retention.step()

    assert node.ledger.states() == {FIRST: State.PURGED, SECOND: State.RECEIVING}
    assert len(node.spool.recover()) == 2


def test_what_came_again_and_brought_nothing_new_is_deleted(node: Node) -> None:
    node.deliver("a")
    node.retain(originals=0, pictures=0).step()
    assembly = by_silence(0, max_open_seconds=1)
    node.spool.keep(SERIES, InstanceKey("a"), [b"face"])
    assembly.arrived(SERIES)

    close(assembly, ledger=node.ledger, spool=node.spool)

    assert node.spool.recover() == []


def test_series_that_the_ledger_cannot_close_is_closed_later(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(_series: SeriesKey) -> bool:
        raise sqlite3.OperationalError("database is locked")

    assembly = by_silence(0, max_open_seconds=1)
    others = [SeriesKey("one"), SeriesKey("two")]
    for each in others:
        node.ledger.arrived(Kept(series=each, instance=InstanceKey("i"), digest="d"))
        assembly.arrived(each)
    with monkeypatch.context() as patch:
        patch.setattr(node.ledger, "received", locked)
        with pytest.raises(sqlite3.OperationalError):
            close(assembly, ledger=node.ledger, spool=node.spool)

    close(assembly, ledger=node.ledger, spool=node.spool)

    assert set(node.ledger.states().values()) == {State.RECEIVED}


def test_start_deletes_pictures_that_nobody_keeps(node: Node) -> None:
    node.deliver("a")
    for name in ("purged-by-an-older-release", SECOND.name):
        node.pictures.place(name).parent.mkdir()
        node.pictures.place(name).write_bytes(b"png")

    recover(
        ledger=node.ledger,
        spool=node.spool,
        outbox=node.outbox,
        pictures=node.pictures,
        assembly=by_silence(1, max_open_seconds=1),
    )

    assert node.kept()["work"] == [SERIES]
