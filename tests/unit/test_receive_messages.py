"""Commands, answers and PDUs are what pynetdicom and pydicom take them for."""

from __future__ import annotations

import io
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage
from pynetdicom.dimse_messages import C_ECHO_RQ, C_STORE_RQ
from pynetdicom.dimse_primitives import C_ECHO, C_STORE
from pynetdicom.dsutils import decode
from pynetdicom.pdu import A_ABORT_RQ, A_ASSOCIATE_RJ, A_RELEASE_RP, P_DATA_TF

from deid_node.dicom.uids import IMPLEMENTATION_CLASS_UID
from deid_node.node.receive.command import LONGEST_COMMAND, read_command, write_response
from deid_node.node.receive.instance import file_meta
from deid_node.node.receive.negotiation import Context
from deid_node.node.receive.pdu import RELEASE_RESPONSE, Violation, abort, command_pdus, reject
from tests.fakes.raw_peer import command, dataset, echo, elements, store


def encoded_by_pynetdicom(message: C_STORE_RQ | C_ECHO_RQ, primitive: C_STORE | C_ECHO) -> bytes:
    message.primitive_to_message(primitive)
    [part] = list(message.encode_msg(1, 100_000))[:1]
    return bytes(part.presentation_data_value_list[0][1][1:])


def c_store() -> C_STORE:
    request = C_STORE()
    request.MessageID = 4711
    request.AffectedSOPClassUID = MRImageStorage
    request.AffectedSOPInstanceUID = UID("1.2.345")
    request.Priority = 2
    request.MoveOriginatorApplicationEntityTitle = "MOVER"
    request.MoveOriginatorMessageID = 3
    request.DataSet = io.BytesIO(b"\0\0")
    return request


def test_store_request_of_pynetdicom_is_read() -> None:
    read = read_command(encoded_by_pynetdicom(C_STORE_RQ(), c_store()))

    assert (read.field, read.message_id, read.has_dataset) == (0x0001, 4711, True)
    assert (read.sop_class_uid, read.sop_instance_uid) == (MRImageStorage, "1.2.345")


def test_echo_request_of_pynetdicom_is_read() -> None:
    request = C_ECHO()
    request.MessageID = 9
    request.AffectedSOPClassUID = UID("1.2.840.10008.1.1")

    read = read_command(encoded_by_pynetdicom(C_ECHO_RQ(), request))

    assert (read.field, read.message_id, read.has_dataset) == (0x0030, 9, False)
    assert read.sop_class_uid == "1.2.840.10008.1.1"


def test_response_is_read_by_pynetdicom() -> None:
    request = read_command(encoded_by_pynetdicom(C_STORE_RQ(), c_store()))

    response = decode(io.BytesIO(write_response(request, 0xA700)), True, True)  # noqa: FBT003 - implicit, little endian

    assert response.CommandGroupLength == len(write_response(request, 0xA700)) - 12
    assert response.CommandField == 0x8001
    assert response.MessageIDBeingRespondedTo == 4711
    assert response.Status == 0xA700
    assert response.AffectedSOPClassUID == MRImageStorage
    assert response.AffectedSOPInstanceUID == "1.2.345"
    assert response.CommandDataSetType == 0x0101


def test_uid_that_is_none_is_not_sent_back() -> None:
    request = read_command(store("1.2.3", e1000=b"../../etc/passwd"))

    assert 0x1000 not in elements(write_response(request, 0xC000))


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        b"\0" * 11,
        store("1.2.3")[:-1],
        store("1.2.3") + b"\0",
        store("1.2.3", e0000=struct.pack("<I", 1)),
        store("1.2.3", e0000=b"\1\0"),
        store("1.2.3", e0100=None),
        store("1.2.3", e0110=None),
        store("1.2.3", e0110=b"\1\0\0\0"),
        store("1.2.3", e0800=None),
        echo()[:12] + echo()[40:] + echo()[12:40],
        store("1.2.3")[:12] + b"\x08" + store("1.2.3")[13:],
    ],
    ids=[
        "empty",
        "shorter than an element",
        "cut off",
        "something behind",
        "wrong group length",
        "short group length",
        "no field",
        "no message ID",
        "message ID of four bytes",
        "no dataset type",
        "out of order",
        "of another group",
    ],
)
def test_command_that_is_not_exactly_one_is_a_violation(encoded: bytes) -> None:
    with pytest.raises(Violation):
        read_command(encoded)


@given(st.binary(max_size=200))
def test_no_bytes_do_harm(encoded: bytes) -> None:
    with pytest.raises(Violation):
        read_command(encoded)


@given(st.data())
def test_no_damage_does_harm(data: st.DataObject) -> None:
    encoded = bytearray(store("1.2.3"))
    encoded[data.draw(st.integers(0, len(encoded) - 1))] = data.draw(st.integers(0, 255))
    try:
        request = read_command(bytes(encoded))
    except Violation:
        return
    assert len(write_response(request, 0)) < LONGEST_COMMAND


@pytest.mark.parametrize("reason", [None, 1, 2, 6])
def test_abort_is_read_by_pynetdicom(reason: int | None) -> None:
    read = A_ABORT_RQ()
    read.decode(abort(reason))

    assert (read.source, read.reason_diagnostic) == (0 if reason is None else 2, reason or 0)


def test_rejection_and_release_are_read_by_pynetdicom() -> None:
    rejection, release = A_ASSOCIATE_RJ(), A_RELEASE_RP()
    rejection.decode(reject(2, 3, 2))
    release.decode(RELEASE_RESPONSE)

    assert (rejection.result, rejection.source, rejection.reason_diagnostic) == (2, 3, 2)
    assert release.encode() == RELEASE_RESPONSE


@pytest.mark.parametrize("longest", [0, 16384, 64, 7, 1])
def test_command_fits_the_pdus_that_the_peer_takes(longest: int) -> None:
    response = write_response(read_command(store("1.2.3")), 0)
    pdus = command_pdus(3, response, longest)

    joined, at = b"", 0
    while at < len(pdus):
        stop = at + 6 + struct.unpack_from(">I", pdus, at + 2)[0]
        assert stop - at - 6 <= max(longest, 7) or not longest
        read = P_DATA_TF()
        read.decode(pdus[at:stop])
        [part] = read.presentation_data_value_items
        assert part.presentation_context_id == 3
        assert part.presentation_data_value[0] == (3 if stop == len(pdus) else 1)
        joined += part.presentation_data_value[1:]
        at = stop

    assert joined == response


def test_file_meta_is_read_by_pydicom() -> None:
    context = Context(sop_class_uid=MRImageStorage, transfer_syntax_uid=ExplicitVRLittleEndian)

    read = dcmread(io.BytesIO(file_meta(context, "1.2.345") + dataset("1.2.345")))

    meta = read.file_meta
    before = meta.FileMetaInformationGroupLength
    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) == (
        MRImageStorage,
        "1.2.345",
    )
    assert meta.TransferSyntaxUID == ExplicitVRLittleEndian
    assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert before == len(file_meta(context, "1.2.345")) - 144
    assert read.SeriesInstanceUID == "1.2.4"


def test_c_cancel_needs_no_message_id() -> None:
    cancel = command(0x0FFF, e0110=None, e0120=struct.pack("<H", 7), e0002=None)

    assert read_command(cancel).field == 0x0FFF
