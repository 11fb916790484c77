"""A destination that breaks off, lies, dawdles or floods costs an attempt, never an instance."""

from __future__ import annotations

import dataclasses
import resource
import socket
import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from deid_node.config.schema import DicomDestination
from deid_node.dicom.part10 import encode
from deid_node.errors import NoCommonSyntax, PeerBusy, PeerRefusedInstance, PeerUnreachable
from deid_node.node.outgoing import from_encoded, from_file
from deid_node.node.send.connection import Connection
from deid_node.node.send.storage_scu import StorageSCU
from tests.fakes.hostile import ABORT, RELEASE_RQ, HostilePeer, Wire, p_data, store_response
from tests.fakes.series import mr_series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from deid_node.node.outgoing import Outgoing

    Script = Callable[[Wire, int], object]


@pytest.fixture
def instances() -> list[Outgoing]:
    voxels = np.arange(4 * 64 * 64, dtype=np.uint16).reshape(4, 64, 64)
    return from_encoded([encode(each) for each in mr_series(voxels)])


def scu(port: int, **more: Any) -> StorageSCU:  # noqa: ANN401 - any setting
    quick = {"connect_seconds": 2, "answer_seconds": 0.5, "stall_seconds": 0.5}
    settings = {"name": "archive", "ae_title": "A", "host": "127.0.0.1", "port": port}
    return StorageSCU(DicomDestination.model_validate({"kind": "dicom"} | settings | quick | more))


def dataset_bytes(instance: Outgoing) -> bytes:
    return instance.part10()[instance.dataset_at :]


def obeying(*statuses: int, **acceptance: Any) -> Script:  # noqa: ANN401 - of `Wire.accept`
    """Do as the standard says, with these answers; the last again and again."""

    def script(wire: Wire, _number: int) -> None:
        wire.accept(**acceptance)
        wire.serve(*statuses)

    return script


@contextmanager
def against(script: Script, **settings: Any) -> Iterator[tuple[HostilePeer, StorageSCU]]:  # noqa: ANN401
    """Send to a peer that follows a script."""
    with HostilePeer(script).running() as peer, closing(scu(peer.port, **settings)) as archive:
        yield peer, archive


def test_answer_that_trickles_is_not_waited_for(instances: list[Outgoing]) -> None:
    def script(wire: Wire, _number: int) -> None:
        wire.accept()
        wire.request()
        for byte in store_response(1, 1, 0):
            wire.send(bytes([byte]))
            time.sleep(0.02)
        wire.serve()

    with (
        against(script, answer_seconds=0.5) as (_, archive),
        pytest.raises(PeerUnreachable, match="does not answer"),
    ):
        archive.deliver(instances[:1])


def before_association(wire: Wire, spoilt: bytes) -> None:
    wire.pdu()
    wire.send(spoilt)
    wire.pdu()


def answering(spoilt: bytes) -> Script:
    """Answer the second instance with these bytes."""

    def script(wire: Wire, _number: int) -> None:
        wire.accept()
        wire.answer(wire.request(), 0)
        wire.request()
        wire.send(spoilt)
        wire.pdu()

    return script


GARBAGE = bytes(range(256)) * 4
SECOND = (1, 2)
"""Context and Message ID of the second request."""


@pytest.mark.parametrize(
    ("spoilt", "why"),
    [
        (ABORT, "aborted"),
        (RELEASE_RQ, "released the association unasked"),
        (b"", "does not answer"),
        (store_response(*SECOND, 0)[:-1], "does not answer"),
        (b"\x04\0", "does not answer"),
        (b"\x04\0\x7f\xff\xff\xff", "too long"),
        (b"\x02\0\0\0\0\x02ab", "out of turn"),
        (b"\x63\0\0\0\0\x02ab", "out of turn"),
        (GARBAGE, "too long|out of turn"),
        (p_data(1, b"")[:6] + b"\0\0\0\x01\x01\x03", "no message"),
        (p_data(1, b"\x08\0\x05\0\x04\0\0\0abcd"), "no message"),
        (p_data(1, b"abcd", control=2), "no message"),
        (store_response(*SECOND, 0, field=0x8030), "fits no request"),
        (store_response(*SECOND, 0, field=0x0001), "fits no request"),
        (store_response(1, 77, 0), "fits no request"),
        (store_response(3, 2, 0), "fits no request"),
        (store_response(*SECOND, 0, element=0x110), "fits no request"),
    ],
    ids=lambda value: value[:12].hex() if isinstance(value, bytes) else "",
)
def test_answer_that_is_none_ends_the_attempt_after_what_was_acknowledged(
    instances: list[Outgoing], spoilt: bytes, why: str
) -> None:
    answers: list[tuple[int, int]] = []
    with against(answering(spoilt)) as (_, archive), pytest.raises(PeerUnreachable, match=why):
        archive.deliver(instances, answered=lambda *each: answers.append(each))

    assert answers == [(1, 0)]


@pytest.mark.parametrize(
    ("spoilt", "why"),
    [
        (ABORT, "aborted"),
        (b"", "does not answer"),
        (b"\x02\0\0\0", "does not answer"),
        (b"\x02\0\xff\xff\xff\xff", "too long"),
        (b"\x02\0\0\0\0\x04abcd", "malformed"),
        (b"\x03\0\0\0\0\x04\0\x01\x01\x07", "called AE title not recognized"),
        (b"\x03\0\0\0\0\x04\0\x02\x03\x01", "temporary congestion"),
        (b"\x03\0\0\0\0\x04\0\x09\x09\x09", "rejected the association"),
        (b"\x04\0\0\0\0\x04abcd", "out of turn"),
    ],
)
def test_association_that_does_not_come_about_is_named(
    instances: list[Outgoing], spoilt: bytes, why: str
) -> None:

    def script(wire: Wire, _number: int) -> None:
        before_association(wire, spoilt)

    with (
        against(script, connect_seconds=0.3) as (peer, archive),
        pytest.raises(PeerUnreachable, match=why),
    ):
        archive.deliver(instances)

    assert peer.datasets == []


def spoilt_acceptance(change: Callable[[bytes], bytes]) -> Script:
    return obeying(reply=change)


@pytest.mark.parametrize(
    "change",
    [
        lambda raw: raw.replace(b"\x21\0\0", b"\x22\0\0"),
        lambda raw: raw.replace(b"1.2.840.10008.1.2.1", b"1.2.840.10008.1.2.5"),
        lambda raw: raw.replace(b"\x51\0\0\x04\0\0\x40\0", b"\x51\0\0\x04\0\0\0\x08"),
        lambda raw: raw[:80] + b"\xff" + raw[81:],
    ],
    ids=["no contexts", "another syntax", "tiny PDU", "broken item"],
)
def test_acceptance_of_what_was_not_proposed_is_no_association(
    instances: list[Outgoing], change: Callable[[bytes], bytes]
) -> None:
    with (
        against(spoilt_acceptance(change)) as (peer, archive),
        pytest.raises((PeerUnreachable, NoCommonSyntax)),
    ):
        archive.deliver(instances)

    assert peer.datasets == []


def test_peer_that_takes_nothing_more_is_left() -> None:
    def script(wire: Wire, _number: int) -> None:
        wire.accept()
        time.sleep(5)

    big = from_encoded([encode(each) for each in mr_series(np.zeros((1, 2048, 2048), np.uint16))])
    with (
        against(script) as (_, archive),
        pytest.raises(PeerUnreachable, match="takes no more bytes"),
    ):
        archive.deliver(big * 8)


def test_slow_peer_is_waited_for_as_long_as_it_takes_bytes(instances: list[Outgoing]) -> None:
    def script(wire: Wire, _number: int) -> None:
        wire.accept()
        received = b""
        while len(received) < instances[0].dataset_length:
            received += wire.connection.recv(1024)
            time.sleep(0.05)
        while received.count(b"\x04\0\0\0") < 1 or not received.endswith(tail):
            received += wire.connection.recv(1024)
        wire.send(store_response(1, 1, 0))
        wire.serve()

    tail = dataset_bytes(instances[0])[-16:]
    with against(script, stall_seconds=0.4, answer_seconds=5) as (peer, archive):
        archive.deliver(instances[:1])

    assert len(peer.wires) == 1


def test_answer_of_a_slow_peer_is_not_due_before_it_has_the_instance() -> None:
    voxels = np.zeros((1, 1024, 1024), np.uint16)
    [large] = from_encoded([encode(each) for each in mr_series(voxels)])

    def script(wire: Wire, _number: int) -> None:
        wire.connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 32_768)
        wire.accept()
        wire.bytes_at_once, wire.rest_seconds = 16_384, 0.025
        wire.serve()

    # The kernel takes the instance at once; the peer, in three seconds and more.
    with against(script, stall_seconds=10, answer_seconds=1) as (peer, archive):
        archive.deliver([large])

    assert peer.datasets == [dataset_bytes(large)]
    assert len(peer.wires) == 1


@pytest.mark.parametrize("max_pdu", [0, 512, 4096, 4097, 16384, 2**31])
def test_no_pdu_is_longer_than_the_peer_takes(instances: list[Outgoing], max_pdu: int) -> None:
    script = obeying(max_pdu=max_pdu)
    with against(script) as (peer, archive):
        archive.deliver(instances)

    assert peer.datasets == [dataset_bytes(each) for each in instances]
    assert 0 < peer.wires[0].longest <= (max_pdu or 2**20)


def test_whole_instance_leaves_in_one_write(
    instances: list[Outgoing], monkeypatch: pytest.MonkeyPatch
) -> None:
    writes: list[int] = []
    send = Connection.send

    def counted(self: Connection, parts: list[bytes | memoryview]) -> None:
        writes.append(sum(map(len, parts)))
        send(self, parts)

    monkeypatch.setattr(Connection, "send", counted)
    script = obeying()
    with against(script) as (_, archive):
        archive.deliver(instances)

    association, *stores, release = writes
    assert len(stores) == len(instances)
    assert min(stores) > min(each.dataset_length for each in instances)
    assert association
    assert release == 10


def test_association_is_kept_between_series_and_released_when_it_was_idle(
    instances: list[Outgoing],
) -> None:
    script = obeying()
    with against(script, idle_seconds=0) as (peer, archive):
        archive.deliver(instances[:2])
        archive.deliver(instances[2:])
        kinds_before = list(peer.wires[0].kinds)
        archive.rest()
        archive.deliver(instances[:1])
        kinds_after = list(peer.wires[0].kinds)

    assert 5 not in kinds_before
    assert kinds_after[-1] == 5
    assert len(peer.wires) == 2


def test_association_that_is_used_is_not_taken_to_be_idle(instances: list[Outgoing]) -> None:
    script = obeying()
    with against(script, idle_seconds=60) as (peer, archive):
        archive.deliver(instances[:1])
        archive.rest()
        archive.deliver(instances[1:])

    assert len(peer.wires) == 1


def test_association_ends_at_its_limit_of_instances(instances: list[Outgoing]) -> None:
    script = obeying()
    with against(script, instances_per_association=3) as (peer, archive):
        archive.deliver(instances)
        archive.deliver(instances)

    assert [len(wire.datasets) for wire in peer.wires] == [3, 3, 2]
    assert [wire.kinds[-1] for wire in peer.wires] == [5, 5, 5]


@pytest.mark.parametrize("last_words", [b"", ABORT, RELEASE_RQ])
def test_association_that_the_peer_ended_meanwhile_is_replaced_without_a_failure(
    instances: list[Outgoing], last_words: bytes
) -> None:
    def script(wire: Wire, number: int) -> None:
        wire.accept()
        if number == 0:
            wire.answer(wire.request(), 0)
            wire.send(last_words)
        else:
            wire.serve()

    with against(script) as (peer, archive):
        archive.deliver(instances[:1])
        time.sleep(0.2)
        archive.deliver(instances[1:])

    assert peer.sop_instance_uids == [each.sop_instance_uid for each in instances]


@pytest.mark.parametrize("answer", [0x0000, 0x0111], ids=["new", "had it"])
def test_association_that_dies_of_idleness_as_it_is_used_is_replaced_once(
    instances: list[Outgoing], monkeypatch: pytest.MonkeyPatch, answer: int
) -> None:
    monkeypatch.setattr("deid_node.node.send.association_pool._FRESH_SECONDS", 0.0)

    def script(wire: Wire, number: int) -> None:
        wire.accept()
        wire.answer(wire.request(), answer if number else 0)
        wire.request()
        wire.send(ABORT)

    with against(script) as (peer, archive):
        archive.deliver(instances[:1])
        archive.deliver(instances[1:2])
        monkeypatch.setattr("deid_node.node.send.association_pool._FRESH_SECONDS", 60.0)
        with pytest.raises(PeerUnreachable, match="aborted"):
            archive.deliver(instances[2:3])

    assert len(peer.wires) == 2


def test_duplicate_is_good_news_only_of_the_instance_that_was_under_way_at_a_break(
    instances: list[Outgoing],
) -> None:
    first: list[tuple[int, int]] = []
    second: list[tuple[int, int]] = []
    with against(obeying(0x0111)) as (_, archive):
        with pytest.raises(PeerRefusedInstance, match="4 instances, status 0x0111"):
            archive.deliver(instances, answered=lambda *each: first.append(each))
        with pytest.raises(PeerRefusedInstance, match="3 instances, status 0x0111"):
            archive.deliver(instances, is_repeat=True, answered=lambda *each: second.append(each))

    assert first == [(n, 0x0111) for n in (1, 2, 3, 4)]
    assert second == [(1, 0), *((n, 0x0111) for n in (2, 3, 4))]


def test_one_refused_instance_keeps_no_other_back(instances: list[Outgoing]) -> None:
    answers: list[tuple[int, int]] = []
    script = obeying(0, 0xC123, 0xB007, 0)
    with (
        against(script) as (_, archive),
        pytest.raises(PeerRefusedInstance, match="refused 1 instances, status 0xC123"),
    ):
        archive.deliver(instances, answered=lambda *each: answers.append(each))

    assert answers == [(1, 0), (2, 0xC123), (3, 0), (4, 0)]


def test_instance_that_is_put_off_ends_the_attempt(instances: list[Outgoing]) -> None:
    answers: list[tuple[int, int]] = []
    script = obeying(0, 0xA700)
    with (
        against(script) as (peer, archive),
        pytest.raises(PeerBusy, match="out of resources, status 0xA700"),
    ):
        archive.deliver(instances, answered=lambda *each: answers.append(each))

    assert answers == [(1, 0)]
    assert len(peer.datasets) == 2


def test_class_that_a_peer_does_not_take_keeps_no_other_back(instances: list[Outgoing]) -> None:
    strange = dataclasses.replace(instances[1], sop_class_uid="1.2.840.10008.5.1.4.1.1.66.4")
    answers: list[tuple[int, int]] = []
    mr = "1.2.840.10008.5.1.4.1.1.4"
    script = obeying(result=lambda sop_class, _syntax: 0 if sop_class == mr else 3)
    with against(script) as (peer, archive), pytest.raises(NoCommonSyntax, match="1 instances"):
        archive.deliver(
            [instances[0], strange, *instances[2:]],
            answered=lambda *each: answers.append(each),
        )

    assert answers == [(1, 0), (2, 0x0122), (3, 0), (4, 0)]
    assert len(peer.wires) == 1


def test_file_that_shrinks_as_it_is_sent_is_not_sent(
    instances: list[Outgoing], tmp_path: Path
) -> None:
    path = tmp_path / "00001.dcm"
    path.write_bytes(instances[0].part10())
    described = from_file(path, number=1)
    path.write_bytes(instances[0].part10()[:-100])
    script = obeying()
    with (
        against(script) as (peer, archive),
        pytest.raises(PeerUnreachable, match="changed while it was sent"),
    ):
        archive.deliver([described])

    assert peer.datasets == []


def test_large_instance_passes_in_flat_memory(instances: list[Outgoing], tmp_path: Path) -> None:
    n_bytes = 256 * 2**20
    path = tmp_path / "large.dcm"
    path.write_bytes(instances[0].part10())
    with path.open("r+b") as file:
        file.truncate(n_bytes)
    large = dataclasses.replace(from_file(path, number=1), length=n_bytes)

    def script(wire: Wire, _number: int) -> None:
        wire.accept(max_pdu=0)
        got = 0
        while got < large.dataset_length:
            kind, body = wire.pdu()
            if kind != 4:
                return
            got += len(body) - 6 if not body[5] & 1 else 0
        wire.send(store_response(1, 1, 0))
        wire.serve()

    with against(script, answer_seconds=60, stall_seconds=60) as (_, archive):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        archive.deliver([large])
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before

    assert grown < 64 * 1024, "KiB"


def test_echo_over_a_wire_that_lies_is_no_answer() -> None:

    def script(wire: Wire, _number: int) -> None:
        wire.accept()
        wire.answer(wire.request(), 0x0110, field=0x8030)
        wire.pdu()

    with (
        against(script) as (_, archive),
        pytest.raises(PeerUnreachable, match="no answer to C-ECHO"),
    ):
        archive.echo()


def test_what_is_proposed_is_what_can_be_given(instances: list[Outgoing]) -> None:
    script = obeying()
    with against(script) as (peer, archive):
        archive.deliver(instances)

    mr = "1.2.840.10008.5.1.4.1.1.4"
    assert peer.wires[0].proposed == [
        (mr, "1.2.840.10008.1.2.1"),
        (mr, "1.2.840.10008.1.2"),
        (mr, "1.2.840.10008.1.2.1.99"),
    ]
