"""Ten minutes of a bad destination: it has everything in the end, and others never waited."""

from __future__ import annotations

import threading
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from deid_node.config.schema import FolderDestination
from deid_node.node.send.delivery import Delivery
from deid_node.node.send.destination import make_destination
from deid_node.node.states import State
from tests.fakes.clock import FakeClock
from tests.fakes.hostile import ABORT, HostilePeer, Wire
from tests.fakes.node import eventually, free_port
from tests.fakes.sender import Sender, archive_at, some_instances

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from deid_node.node.send.destination import Destination

TEN_MINUTES = 600.0
N_SERIES, N_INSTANCES = 3, 5
SMALLEST_BUFFER = 2304
"""Linux has none for received bytes that is smaller (socket(7))."""


class Site:
    """Results that are owed to an archive and to a folder, and a clock that is moved on."""

    def __init__(self, folder: Path, *, size: int = 32) -> None:
        self.folder = folder
        self.clock = FakeClock()
        self.sender = Sender(folder)
        self.instances = some_instances(N_SERIES * N_INSTANCES, size=size)
        for number in range(N_SERIES):
            first = number * N_INSTANCES
            result = self.instances[first : first + N_INSTANCES]
            self.sender.owe(f"series-{number}", result, ["archive", "copies"])

    def to(self, destination: Destination) -> Delivery:
        return Delivery(
            destination,
            ledger=self.sender.ledger,
            outbox=self.sender.outbox,
            now=self.clock,
            chance=lambda: 0.5,
        )

    def copies(self) -> Delivery:
        settings = FolderDestination(kind="folder", name="copies", folder=self.folder / "copies")
        return self.to(make_destination(settings))

    def owed_to(self, name: str) -> int:
        row = self.sender.ledger.database.connection.execute(
            "SELECT count(*) FROM delivery WHERE destination = ? AND state != 'delivered'", (name,)
        ).fetchone()
        return int(row[0])

    def close(self) -> None:
        self.sender.close()

    def datasets(self) -> list[bytes]:
        """Give what a destination must have in the end."""
        outgoing = [
            each
            for number in range(N_SERIES)
            for each in self.sender.outbox.instances(f"series-{number}")
        ]
        return sorted(each.part10()[each.dataset_at :] for each in outgoing)


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    with closing(Site(tmp_path)) as site:
        yield site


def full(wire: Wire, _number: int) -> None:
    wire.accept()
    wire.answer(wire.request(), 0xA700)


def aborting(wire: Wire, _number: int) -> None:
    """Take one instance, and break off in the middle of the next."""
    wire.accept()
    wire.answer(wire.request(), 0)
    wire.pdu()
    wire.send(ABORT)


def absent(_wire: Wire, _number: int) -> None:
    """Hang up at once."""


@pytest.mark.parametrize("script", [absent, full, aborting], ids=lambda script: script.__name__)
def test_destination_that_was_bad_for_ten_minutes_gets_everything_and_no_other_waits(
    site: Site, script: Callable[[Wire, int], None]
) -> None:
    good = threading.Event()

    def act(wire: Wire, number: int) -> None:
        if good.is_set():
            wire.accept()
            wire.serve()
        else:
            script(wire, number)

    with HostilePeer(act).running() as peer:
        archive = make_destination(archive_at(peer.port, answer_seconds=30))
        with closing(archive):
            to_archive, to_copies = site.to(archive), site.copies()
            until = site.clock() + TEN_MINUTES
            for _ in range(2 * N_SERIES):
                site.clock.advance(to_archive.step())
                to_copies.step()
            owed_to_others = site.owed_to("copies")
            while site.clock() < until:
                site.clock.advance(to_archive.step())
            owed_meanwhile = site.owed_to("archive")
            n_connections = len(peer.wires)
            good.set()
            until = site.clock() + TEN_MINUTES
            while site.owed_to("archive") and site.clock() < until:
                site.clock.advance(to_archive.step())

    assert owed_to_others == 0
    assert owed_meanwhile >= (script is not aborting)
    assert n_connections < 40
    assert site.owed_to("archive") == 0
    assert site.sender.states() == {State.DELIVERED}
    assert sorted(set(peer.datasets)) == site.datasets()
    if script is not full:
        assert len(peer.datasets) == len(site.instances)


def test_destination_that_is_down_gets_everything_once_it_is_back(site: Site) -> None:
    port = free_port()
    archive = make_destination(archive_at(port))
    with closing(archive):
        to_archive = site.to(archive)
        until = site.clock() + TEN_MINUTES
        n_attempts = 0
        while site.clock() < until:
            n_attempts += 1
            site.clock.advance(to_archive.step())
        owed_meanwhile = site.owed_to("archive")

        def obey(wire: Wire, _number: int) -> None:
            wire.accept()
            wire.serve()

        with HostilePeer(obey).running(port) as peer:
            until = site.clock() + TEN_MINUTES
            while site.owed_to("archive") and site.clock() < until:
                site.clock.advance(to_archive.step())

    assert owed_meanwhile == N_SERIES
    assert n_attempts > 1
    assert sorted(peer.datasets) == site.datasets()
    assert site.sender.states() == {State.READY}, "the folder has not been served yet"


@pytest.mark.parametrize(
    "receive_buffer",
    [SMALLEST_BUFFER, pytest.param(None, marks=pytest.mark.slow)],
    ids=["its line is slow", "its program is slow"],
)
def test_destination_that_takes_1_kb_a_second_gets_everything_and_keeps_nobody_waiting(
    tmp_path: Path, receive_buffer: int | None
) -> None:
    is_seen = threading.Event()

    def slow(wire: Wire, _number: int) -> None:
        if not is_seen.is_set():
            wire.bytes_at_once, wire.rest_seconds = 256, 0.25
        wire.accept()
        wire.serve()

    done = threading.Event()
    hostile = HostilePeer(slow, receive_buffer=receive_buffer)
    with closing(Site(tmp_path, size=64)) as site, hostile.running() as peer:
        # An instance takes 9 s: longer than it may stall, and than an answer may take.
        settings = [
            archive_at(peer.port, stall_seconds=7, answer_seconds=7),
            FolderDestination(kind="folder", name="copies", folder=site.folder / "copies"),
        ]
        sending = threading.Thread(
            target=site.sender.send, args=(settings,), kwargs={"until": done}
        )
        sending.start()
        try:
            eventually(lambda: site.owed_to("copies") == 0)
            taken_meanwhile = list(peer.datasets)
            eventually(lambda: peer.datasets)
            owed_meanwhile = site.owed_to("archive")
            is_seen.set()
            for wire in peer.wires:
                wire.bytes_at_once, wire.rest_seconds = 2**20, 0
            eventually(lambda: site.owed_to("archive") == 0)
        finally:
            done.set()
            sending.join(60)
        wanted = site.datasets()

    goes_on = receive_buffer is not None
    assert taken_meanwhile == []
    assert owed_meanwhile == N_SERIES
    assert (len(peer.wires) == 1) == goes_on
    assert sorted(set(peer.datasets)) == wanted
    assert (len(peer.datasets) == len(wanted)) == goes_on
