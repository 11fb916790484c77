"""What peers say rightly is kept and answered; what cannot be kept is refused, and they go on."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from pydicom import dcmread

from tests.fakes.node import eventually
from tests.fakes.raw_peer import (
    RELEASE,
    RawPeer,
    associate_rq,
    command,
    command_pdu,
    data_pdu,
    dataset,
    echo,
    elements,
    pdu,
    pdv,
    store,
)
from tests.fakes.scp import listening, resident_mib

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.fakes.scp import Listening

UID = "1.2.826.0.1.3680043.8.498.1"


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Listening]:
    with listening(tmp_path) as node:
        yield node


@pytest.fixture
def caller(node: Listening) -> Iterator[RawPeer]:
    with RawPeer(node.port) as caller:
        yield caller


def test_answer_has_the_title_fields_of_the_request_and_a_bounded_length(caller: RawPeer) -> None:
    body = caller.associate()

    assert body[4:68] == associate_rq()[10:74]
    assert b"\x51\0\0\4" + struct.pack(">I", 131072) in body


def test_instance_is_kept_byte_for_byte(node: Listening, caller: RawPeer) -> None:
    encoded = dataset(UID, pixels=50_000)
    caller.associate()
    caller.say(command_pdu(store(UID)), data_pdu(encoded))

    response = caller.response()

    assert elements(response)[0x0900] == 0
    assert elements(response)[0x0120] == 7
    assert bytes(elements(response)[0x1000]).rstrip(b"\0") == UID.encode()
    [path] = node.files()
    assert path.read_bytes().endswith(encoded)
    assert dcmread(path).file_meta.MediaStorageSOPInstanceUID == UID


def test_long_instance_is_kept_byte_for_byte(node: Listening, caller: RawPeer) -> None:
    encoded = dataset(UID, pixels=2_000_000)
    caller.associate()
    *most, last = pieces(encoded, 100_000)
    caller.say(command_pdu(store(UID)), *[data_pdu(each, last=False) for each in most])
    caller.say(data_pdu(last))

    assert caller.status() == 0
    assert node.files()[0].read_bytes().endswith(encoded)


def pieces(encoded: bytes, size: int) -> list[bytes]:
    return [encoded[at : at + size] for at in range(0, len(encoded), size)]


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_command_and_dataset_may_come_in_any_pieces(
    node: Listening, caller: RawPeer, size: int
) -> None:
    encoded, request = dataset(UID, pixels=3000), store(UID)
    caller.associate()
    *most, last = pieces(request, size)
    caller.say(*[pdu(4, pdv(3, 1, each)) for each in most], pdu(4, pdv(3, 3, last)))
    *most, last = pieces(encoded, size)
    caller.say(*[data_pdu(each, last=False) for each in most], data_pdu(last))

    assert caller.status() == 0
    assert node.files()[0].read_bytes().endswith(encoded)


def test_empty_fragments_and_a_dataset_in_the_pdu_of_its_command_are_taken(
    node: Listening, caller: RawPeer
) -> None:
    encoded = dataset(UID)
    caller.associate()
    caller.say(
        pdu(
            4,
            pdv(3, 1, b"")
            + pdv(3, 3, store(UID))
            + pdv(3, 0, b"")
            + pdv(3, 0, encoded)
            + pdv(3, 0, b"")
            + pdv(3, 2, b""),
        )
    )

    assert caller.status() == 0
    assert node.files()[0].read_bytes().endswith(encoded)


def test_requests_that_do_not_wait_for_answers_are_all_answered(
    node: Listening, caller: RawPeer
) -> None:
    uids = [f"{UID}.{k}" for k in range(20)]
    caller.associate()
    caller.say(
        *[command_pdu(store(uid)) + data_pdu(dataset(uid, pixels=30_000)) for uid in uids],
        command_pdu(echo(), context=1),
        RELEASE,
    )

    assert [caller.status() for _ in range(21)] == [0] * 21
    assert caller.hear()[0] == 6
    assert len(node.files()) == 20


def test_released_peer_may_close_first(caller: RawPeer) -> None:
    caller.associate()
    caller.say(RELEASE)
    assert caller.hear()[0] == 6
    caller.socket.settimeout(0.3)

    with pytest.raises(TimeoutError):
        caller.socket.recv(1)


def test_place_of_a_released_association_is_free_before_the_peer_knows(tmp_path: Path) -> None:
    with listening(tmp_path, max_associations=1) as node:
        for _ in range(30):
            with RawPeer(node.port) as caller:
                caller.associate()
                caller.say(RELEASE)
                assert caller.hear()[0] == 6


def test_originator_of_a_move_changes_nothing(node: Listening, caller: RawPeer) -> None:
    caller.associate()
    request = store(UID, e1030=b"SOMEBODY", e1031=b"\1\0")
    caller.say(command_pdu(request), data_pdu(dataset(UID)))

    assert caller.status() == 0
    assert b"SOMEBODY" not in node.files()[0].read_bytes()


def test_cancel_is_passed_over(caller: RawPeer) -> None:
    cancel = command(0x0FFF, e0110=None, e0120=struct.pack("<H", 7), e0002=None)
    caller.associate()
    caller.say(command_pdu(cancel), command_pdu(echo(), context=1))

    assert caller.status() == 0


def test_large_instance_takes_no_memory(node: Listening, caller: RawPeer) -> None:
    megabytes = 64
    head = dataset(UID, pixels=0)[:-4] + struct.pack("<I", megabytes * 2**20)
    piece = data_pdu(bytes(2**17 - 6), last=False)
    caller.associate()
    caller.say(command_pdu(store(UID)), data_pdu(head, last=False), piece)
    eventually(node.files)
    before = resident_mib()
    for _ in range(megabytes * 8):
        caller.say(piece)
    caller.say(data_pdu(bytes(2)))

    assert caller.status() == 0
    assert resident_mib() - before < 16
    assert node.files()[0].stat().st_size > megabytes * 2**20


@pytest.mark.parametrize(
    ("request_", "data", "status"),
    [
        (store(UID), dataset("1.2.9"), 0xC000),
        (store(UID, e1000=b"../../x\0"), dataset(UID), 0xC000),
        (store(UID, e1000=None), dataset(UID), 0xC000),
        (store(UID), dataset(UID)[:40], 0xC000),
        (store(UID), b"", 0xC000),
        (store(UID), dataset(UID, series="1..2"), 0xC000),
        (store(UID, e0002=b"1.2.840.10008.5.1.4.1.1.2\0"), dataset(UID), 0x0122),
        (store(UID, e0100=b"\x20\0"), dataset(UID), 0x0211),
    ],
    ids=[
        "another instance",
        "a path",
        "no instance",
        "breaks off",
        "nothing",
        "series is none",
        "SOP Class of another context",
        "C-FIND",
    ],
)
def test_instance_that_cannot_be_kept_is_refused_and_the_next_is_kept(
    node: Listening, caller: RawPeer, request_: bytes, data: bytes, status: int
) -> None:
    caller.associate()
    caller.say(command_pdu(request_), data_pdu(data))
    caller.say(command_pdu(store(UID)), data_pdu(dataset(UID)))

    assert (caller.status(), caller.status()) == (status, 0)
    assert len(node.files()) == 1


def test_store_without_a_dataset_is_not_understood(node: Listening, caller: RawPeer) -> None:
    caller.associate()
    caller.say(command_pdu(store(UID, e0800=b"\1\1")))

    assert caller.status() == 0xC000
    assert node.files() == []


def test_echo_on_another_context_is_not_recognized(caller: RawPeer) -> None:
    caller.associate()
    caller.say(command_pdu(echo(), context=3), command_pdu(echo(), context=1))

    assert (caller.status(), caller.status()) == (0x0211, 0)
