"""A disk that is full, has no names left or is read-only: nothing is lost, nothing half stays."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydicom import dcmread

from tests.fakes.faults import disk, remounted
from tests.fakes.raw_peer import RawPeer, associate_rq, command_pdu, data_pdu, dataset, store
from tests.fakes.scp import listening

if TYPE_CHECKING:
    from pathlib import Path

UID = "1.2.826.0.1.3680043.8.498.1"
OUT_OF_RESOURCES = 0xA700
PIXELS = 140_000


def send(peer: RawPeer, uids: list[str], *, pixels: int = PIXELS) -> list[int]:
    """Send instances one after the other; give the statuses."""
    statuses = []
    for uid in uids:
        encoded = dataset(uid, pixels=pixels)
        pieces = [encoded[at : at + 50_000] for at in range(0, len(encoded), 50_000)]
        peer.say(command_pdu(store(uid)))
        for piece in pieces:
            peer.say(data_pdu(piece, last=piece is pieces[-1]))
        statuses.append(peer.status())
    return statuses


def rejection(port: int) -> tuple[int, ...] | None:
    """Ask for an association; give result, source and reason, or None if it is accepted."""
    with RawPeer(port) as peer:
        peer.say(associate_rq())
        kind, body = peer.hear()
        return tuple(body[1:]) if kind == 3 else None


@pytest.mark.parametrize(
    ("options", "pixels", "n"),
    [("size=16m", PIXELS, 150), ("size=16m,nr_inodes=60", 1000, 80)],
    ids=["no space", "no names"],
)
def test_full_disk_answers_out_of_resources_keeps_what_it_took_and_goes_on_when_there_is_room(
    tmp_path: Path, options: str, pixels: int, n: int
) -> None:
    uids = [f"{UID}.{k}" for k in range(n)]
    with disk(tmp_path / "disk", options) as folder:
        with listening(folder) as node, RawPeer(node.port) as peer:
            peer.associate()
            statuses = send(peer, uids, pixels=pixels)
            taken = [uid for uid, status in zip(uids, statuses, strict=True) if status == 0]
            assert set(statuses) == {0, OUT_OF_RESOURCES}
            assert sorted(dcmread(path).SOPInstanceUID for path in node.files()) == sorted(taken)
            assert {len(dcmread(path).PixelData) for path in node.files()} == {pixels}

        with listening(folder) as node, RawPeer(node.port) as peer:
            assert len(node.files()) == len(taken)
            # The last file took the last name: then nobody is let in until there is room.
            for path in node.files()[:20]:
                path.unlink()
            peer.associate()

            assert send(peer, [f"{UID}.99.{k}" for k in range(10)], pixels=pixels) == [0] * 10


def test_association_is_rejected_for_a_while_below_the_reserve(tmp_path: Path) -> None:
    with (
        disk(tmp_path / "disk", "size=16m") as folder,
        listening(folder, reserve_bytes=4 * 2**20) as node,
    ):
        with RawPeer(node.port) as peer:
            peer.associate()
            statuses = send(peer, [f"{UID}.{k}" for k in range(110)])
        below = rejection(node.port)
        for path in node.files()[:20]:
            path.unlink()

        assert set(statuses) == {0, OUT_OF_RESOURCES}
        assert len(node.files()) == statuses.count(0) - 20
        assert below == (2, 3, 2)
        assert rejection(node.port) is None


def test_read_only_disk_lets_nobody_in_and_goes_on_when_it_can_be_written(tmp_path: Path) -> None:
    received = tmp_path / "received"
    with (
        disk(received, "size=16m"),
        listening(tmp_path) as node,
        RawPeer(node.port) as peer,
    ):
        peer.associate()
        assert send(peer, [f"{UID}.1"]) == [0]
        remounted(received, "ro")
        assert send(peer, [f"{UID}.2"]) == [OUT_OF_RESOURCES]
        refused = rejection(node.port)
        remounted(received, "rw")

        assert refused == (2, 3, 2)
        assert rejection(node.port) is None
        assert send(peer, [f"{UID}.2"]) == [0]
        assert len(node.files()) == 2
