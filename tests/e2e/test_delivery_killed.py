"""A killed sender goes on where it was; a destination that is dead or slow is alone with that."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from deid_node.config.schema import FolderDestination
from deid_node.node.states import State
from tests.fakes.hostile import ABORT, RELEASE_RP, HostilePeer, Wire
from tests.fakes.sender import Sender, archive_at, some_instances

if TYPE_CHECKING:
    from collections.abc import Callable

    from deid_node.dicom.part10 import EncodedInstance

PROJECT = Path(__file__).parents[2]


def run(folder: Path, port: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.fakes.sender", str(folder), str(port)],
        cwd=PROJECT,
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
    )


def uids(instances: list[EncodedInstance]) -> list[str]:
    return [each.sop_instance_uid for each in instances]


def owing(folder: Path, n_instances: int) -> list[EncodedInstance]:
    instances = some_instances(n_instances)
    sender = Sender(folder)
    sender.owe("one", instances, ["archive"])
    sender.close()
    return instances


class Killing:
    """Obeys the standard, but kills the sender before it answers chosen requests."""

    def __init__(self, before: list[int]) -> None:
        self._before = before
        self.n_requests = 0
        self.sender: subprocess.Popen[bytes] | None = None

    def __call__(self, wire: Wire, _number: int) -> None:
        wire.accept()
        while (request := wire.request()) is not None:
            self.n_requests += 1
            if self.n_requests in self._before and self.sender is not None:
                self.sender.send_signal(signal.SIGKILL)
                self.sender.wait()
                return
            wire.answer(request, 0)
        wire.send(RELEASE_RP)


def test_only_what_was_not_acknowledged_goes_again_and_with_the_same_bytes(tmp_path: Path) -> None:
    instances = owing(tmp_path, 9)
    killing = Killing(before=[1, 5])
    with HostilePeer(killing).running() as peer:
        codes = []
        for _ in range(3):
            killing.sender = run(tmp_path, peer.port)
            codes.append(killing.sender.wait(60))

    one, *_ = all_uids = uids(instances)
    sequence = [one, *all_uids[:4], *all_uids[3:]]
    assert codes == [-signal.SIGKILL] * 2 + [0]
    assert peer.sop_instance_uids == sequence
    bytes_of: dict[str, set[bytes]] = {}
    for uid, dataset in zip(peer.sop_instance_uids, peer.datasets, strict=True):
        bytes_of.setdefault(uid, set()).add(dataset)
    assert [len(each) for each in bytes_of.values()] == [1] * 9


@pytest.mark.slow
def test_forty_kills_at_random_lose_nothing_and_repeat_one_instance_each_at_most(
    tmp_path: Path,
) -> None:
    instances = owing(tmp_path, 400)
    chance = random.Random(6)  # noqa: S311 - a test that can be repeated
    slow = threading.Event()

    def script(wire: Wire, _number: int) -> None:
        wire.accept()
        while (request := wire.request()) is not None:
            slow.wait(0.01)
            wire.answer(request, 0)

    n_kills = 0
    with HostilePeer(script).running() as peer:
        sender = run(tmp_path, peer.port)
        while n_kills < 40 and sender.poll() is None:
            try:
                sender.wait(chance.uniform(0.9, 1.6))
            except subprocess.TimeoutExpired:
                sender.kill()
                sender.wait()
                n_kills += 1
                sender = run(tmp_path, peer.port)
        assert sender.wait(120) == 0

    assert set(peer.sop_instance_uids) == set(uids(instances))
    assert len(peer.sop_instance_uids) - len(instances) <= n_kills
    assert n_kills > 3


def settled(sender: Sender, destination: str) -> bool:
    row = sender.ledger.database.connection.execute(
        "SELECT count(*) FROM delivery WHERE destination = ? AND state != 'delivered'",
        (destination,),
    ).fetchone()
    return bool(row[0] == 0)


def silent(wire: Wire, _number: int) -> None:
    wire.accept()
    wire.request()
    threading.Event().wait(60)


def aborting(wire: Wire, _number: int) -> None:
    wire.accept()
    wire.request()
    wire.send(ABORT)


def full(wire: Wire, _number: int) -> None:
    wire.accept()
    wire.serve(0xA700)


@pytest.mark.parametrize(
    "script", [silent, aborting, full, None], ids=lambda s: getattr(s, "__name__", "absent")
)
def test_bad_destination_keeps_nothing_from_a_good_one(
    tmp_path: Path, script: Callable[[Wire, int], None] | None
) -> None:
    sender = Sender(tmp_path)
    for number in range(3):
        sender.owe(f"series-{number}", some_instances(5), ["archive", "copies"])
    done = threading.Event()
    bad = HostilePeer(script or silent)
    with bad.running():
        port = bad.port if script else 1
        destinations = [
            archive_at(port, answer_seconds=2),
            FolderDestination(kind="folder", name="copies", folder=tmp_path / "copies"),
        ]
        sending = threading.Thread(target=sender.send, args=(destinations,), kwargs={"until": done})
        sending.start()
        for _ in range(1200):
            if settled(sender, "copies") or not sending.is_alive():
                break
            done.wait(0.05)
        is_good_done, is_bad_done = settled(sender, "copies"), settled(sender, "archive")
        done.set()
        sending.join(30)
    states = sender.states()
    sender.close()

    assert (is_good_done, is_bad_done) == (True, False)
    assert states == {State.READY}
    assert len(list((tmp_path / "copies").rglob("*.dcm"))) == 5


def test_parallel_associations_take_a_series_each(tmp_path: Path) -> None:
    sender = Sender(tmp_path)
    for number in range(3):
        sender.owe(f"series-{number}", some_instances(4), ["archive"])
    together = threading.Barrier(3)

    def script(wire: Wire, _number: int) -> None:
        wire.accept()
        request = wire.request()
        together.wait(30)
        wire.answer(request, 0)
        wire.serve()

    done = threading.Event()
    with HostilePeer(script).running() as peer:
        sending = threading.Thread(
            target=sender.send,
            args=([archive_at(peer.port, associations=3)],),
            kwargs={"until": done},
        )
        sending.start()
        for _ in range(1200):
            if sender.states() == {State.DELIVERED}:
                break
            done.wait(0.05)
        done.set()
        sending.join(30)
    states = sender.states()
    sender.close()

    assert states == {State.DELIVERED}
    assert len(peer.wires) == 3
    assert [len(wire.datasets) for wire in peer.wires] == [4, 4, 4]
