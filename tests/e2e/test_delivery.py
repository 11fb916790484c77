"""A destination gets every instance as it is, or the node knows why not."""

from __future__ import annotations

import io
import subprocess
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from drawn_head.head import small_head
from drawn_head.series import dicom_series
from pydicom import dcmread, dcmwrite, uid

from deid_node.config.schema import DicomDestination
from deid_node.dicom.part10 import EncodedInstance, encode
from deid_node.errors import NoCommonSyntax, PeerBusy, PeerRefusedInstance, PeerUnreachable
from deid_node.node.outgoing import from_encoded
from deid_node.node.send.destination import make_destination
from tests.fakes.node import eventually, free_port, is_open
from tests.fakes.peer import Receiver, receiving
from tests.fakes.series import mr_series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from deid_node.node.send.destination import Destination

    DestinationAt = Callable[..., Destination]


@pytest.fixture
def instances() -> list[EncodedInstance]:
    return [encode(each) for each in mr_series(np.arange(192, dtype=np.uint16).reshape(3, 8, 8))]


def compressed(instance: EncodedInstance) -> EncodedInstance:
    dataset = dcmread(io.BytesIO(instance.part10))
    dataset.compress(uid.RLELossless, generate_instance_uid=False)
    buffer = io.BytesIO()
    dcmwrite(buffer, dataset, enforce_file_format=True)
    return EncodedInstance(
        sop_class_uid=instance.sop_class_uid,
        sop_instance_uid=instance.sop_instance_uid,
        transfer_syntax_uid=str(uid.RLELossless),
        part10=buffer.getvalue(),
    )


@pytest.fixture
def destination_at() -> Iterator[DestinationAt]:
    """Make destinations on this machine that are closed with the test."""
    with ExitStack() as stack:

        def make(port: int, **more: Any) -> Destination:  # noqa: ANN401 - any setting
            settings = {"name": "archive", "ae_title": "ARCHIVE", "host": "127.0.0.1"} | more
            chosen = DicomDestination.model_validate({"kind": "dicom", "port": port} | settings)
            return stack.enter_context(closing(make_destination(chosen)))

        yield make


def dataset_bytes(part10: bytes) -> bytes:
    """Cut off the file meta information by an independent route."""
    meta = dcmread(io.BytesIO(part10)).file_meta
    return part10[132 + 12 + meta.FileMetaInformationGroupLength :]


def test_bytes_of_an_instance_go_over_the_wire_unchanged_on_one_association(
    instances: list[EncodedInstance], destination_at: DestinationAt
) -> None:
    answers: list[tuple[int, int]] = []
    with receiving(Receiver()) as archive:
        destination_at(archive.port).deliver(
            from_encoded(instances), answered=lambda *each: answers.append(each)
        )

    sent = [dataset_bytes(each.part10) for each in instances]
    assert [dataset_bytes(part10) for part10 in archive.encoded] == sent
    assert archive.associations == 1
    assert answers == [(1, 0), (2, 0), (3, 0)]


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "compressed"])
def test_peer_that_takes_only_implicit_vr_gets_the_same_values(
    instances: list[EncodedInstance],
    packed: bool,  # noqa: FBT001 - a parameter of the test
    destination_at: DestinationAt,
) -> None:
    offered = [compressed(each) for each in instances] if packed else instances
    with receiving(Receiver(transfer_syntaxes=[uid.ImplicitVRLittleEndian])) as archive:
        destination_at(archive.port).deliver(from_encoded(offered))

    assert set(archive.syntaxes) == {uid.ImplicitVRLittleEndian}
    for got, original in zip(archive.instances, instances, strict=True):
        wanted = dcmread(io.BytesIO(original.part10))
        assert got.SOPInstanceUID == wanted.SOPInstanceUID
        assert np.array_equal(got.pixel_array, wanted.pixel_array)


def test_compressed_instance_stays_so_for_a_peer_that_takes_it(
    instances: list[EncodedInstance], destination_at: DestinationAt
) -> None:
    offered = [compressed(each) for each in instances]
    syntaxes = [uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.RLELossless]
    with receiving(Receiver(transfer_syntaxes=syntaxes)) as archive:
        destination_at(archive.port).deliver(from_encoded(offered))

    assert set(archive.syntaxes) == {uid.RLELossless}


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007])
def test_warning_counts_as_stored(
    instances: list[EncodedInstance], status: int, destination_at: DestinationAt
) -> None:
    with receiving(Receiver(answer=lambda _n: status)) as archive:
        destination_at(archive.port).deliver(from_encoded(instances))


@pytest.mark.parametrize("status", [0xA700, 0xA702, 0x0110])
def test_peer_out_of_resources_is_tried_again(
    instances: list[EncodedInstance], status: int, destination_at: DestinationAt
) -> None:
    with (
        receiving(Receiver(answer=lambda _n: status)) as archive,
        pytest.raises(PeerBusy, match=f"0x{status:04X}"),
    ):
        destination_at(archive.port).deliver(from_encoded(instances))


@pytest.mark.parametrize("status", [0xA900, 0xC000, 0x0122, 0x0124])
def test_refusal_is_counted_and_final(
    instances: list[EncodedInstance], status: int, destination_at: DestinationAt
) -> None:
    with (
        receiving(Receiver(answer=lambda _n: status)) as archive,
        pytest.raises(PeerRefusedInstance, match=f"refused 3 instances, status 0x{status:04X}"),
    ):
        destination_at(archive.port).deliver(from_encoded(instances))


def test_peer_that_takes_no_syntax_of_the_class_refuses_it(
    instances: list[EncodedInstance], destination_at: DestinationAt
) -> None:
    with (
        receiving(Receiver(transfer_syntaxes=[uid.JPEG2000])) as archive,
        pytest.raises(NoCommonSyntax),
    ):
        destination_at(archive.port).deliver(from_encoded(instances))

    assert archive.encoded == []


def test_dead_host_is_unreachable(
    instances: list[EncodedInstance], destination_at: DestinationAt
) -> None:
    port = free_port()

    with pytest.raises(PeerUnreachable, match="destination archive: no association with it"):
        destination_at(port).deliver(from_encoded(instances))
    with pytest.raises(PeerUnreachable):
        destination_at(port).echo()


def test_peer_that_goes_away_in_the_middle_is_unreachable(
    instances: list[EncodedInstance], destination_at: DestinationAt
) -> None:
    archive = Receiver()

    def go(n: int) -> int:
        if n == 1:
            archive.abort()
        return 0x0000

    archive.answer = go
    with receiving(archive), pytest.raises(PeerUnreachable, match="aborted"):
        destination_at(archive.port).deliver(from_encoded(instances))


def test_peer_that_turns_this_node_away_is_unreachable(
    instances: list[EncodedInstance], destination_at: DestinationAt
) -> None:
    with (
        receiving(Receiver(callers=["SOMEBODY-ELSE"])) as archive,
        pytest.raises(PeerUnreachable, match="rejected the association"),
    ):
        destination_at(archive.port).deliver(from_encoded(instances))


def test_echo_is_answered(destination_at: DestinationAt) -> None:
    with receiving(Receiver()) as archive:
        destination_at(archive.port).echo()


@pytest.mark.peer
def test_dcmtk_receives_a_series(tmp_path: Path, destination_at: DestinationAt) -> None:
    series = [encode(each) for each in dicom_series(small_head())]
    port = free_port()
    process = subprocess.Popen(["storescp", "-od", str(tmp_path), str(port)])
    try:
        eventually(lambda: is_open(port))
        destination_at(port).deliver(from_encoded(series))
    finally:
        process.kill()
        process.wait()

    received = {str(dcmread(path).SOPInstanceUID) for path in tmp_path.iterdir()}
    assert received == {each.sop_instance_uid for each in series}
