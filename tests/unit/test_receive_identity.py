"""Which instance is coming is read from its first bytes, however they are encoded."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import Dataset, dcmwrite, uid
from pydicom.sequence import Sequence

from deid_node.errors import UndecodableInstance
from deid_node.node.receive.identity import LONGEST_OPENING, Identity, identify
from tests.fakes.raw_peer import dataset
from tests.fakes.series import mr_series

if TYPE_CHECKING:
    from pydicom.uid import UID

SYNTAXES = [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian]


def instance() -> Dataset:
    """Give an instance whose UIDs come after sequences and private elements."""
    [each] = mr_series(np.zeros((1, 8, 8), np.uint16))
    deep = Dataset()
    deep.CodeValue = "x"
    inner = Dataset()
    inner.PurposeOfReferenceCodeSequence = Sequence([deep, deep])
    inner.ReferencedSOPInstanceUID = "1.2.3"
    for item in (deep, inner):
        item.is_undefined_length_sequence_item = True
    each.ReferencedImageSequence = Sequence([inner, Dataset(), inner])
    each["ReferencedImageSequence"].is_undefined_length = True
    each.add_new(0x00090010, "LO", "SOMEBODY")
    each.add_new(0x00091001, "UN", b"\0\xff" * 50)
    each.add_new(0x00091002, "OB", b"\1" * 301)
    return each


def encoded(each: Dataset, syntax: UID) -> bytes:
    """Encode with pydicom; leave out the file meta information."""
    buffer = io.BytesIO()
    each.file_meta.TransferSyntaxUID = syntax
    dcmwrite(buffer, each, enforce_file_format=True)
    part10 = buffer.getvalue()
    return part10[144 + struct.unpack_from("<I", part10, 140)[0] :]


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_uids_are_found_in_every_encoding(syntax: UID) -> None:
    each = instance()

    found = identify(encoded(each, syntax), syntax)

    assert found == Identity(
        sop_instance_uid=each.SOPInstanceUID, series_instance_uid=each.SeriesInstanceUID
    )


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_every_beginning_gives_the_answer_or_asks_for_more(syntax: UID) -> None:
    whole = encoded(instance(), syntax)
    answer = identify(whole, syntax)

    answers = [identify(bytearray(whole[:n]), syntax) for n in range(len(whole))]

    first = next(n for n, found in enumerate(answers) if found is not None)
    assert answers[:first] == [None] * first
    assert answers[first:] == [answer] * (len(whole) - first)
    assert answer is not None
    assert answer.series_instance_uid.encode() in whole[:first]


@pytest.mark.parametrize("syntax", SYNTAXES[:2])
def test_sender_that_encodes_otherwise_than_it_said_is_understood(syntax: UID) -> None:
    [other] = [each for each in SYNTAXES[:2] if each != syntax]

    assert identify(encoded(instance(), other), syntax) is not None


def test_un_of_undefined_length_holds_items_without_vrs() -> None:
    inner = struct.pack("<HHI", 0x0008, 0x0005, 2) + b"AA"
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + inner
    un = struct.pack("<HH2sHI", 0x0008, 0x0006, b"UN", 0, 0xFFFFFFFF) + item
    ends = struct.pack("<HHIHHI", 0xFFFE, 0xE00D, 0, 0xFFFE, 0xE0DD, 0)

    assert identify(un + ends + dataset("1.2.3"), uid.ExplicitVRLittleEndian) is not None


def element(tag: int, vr: bytes, value: bytes) -> bytes:
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr, len(value)) + value


SOP_INSTANCE = element(0x00080018, b"UI", b"1.2\0")
PIXELS = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, 10**6)
SEQUENCE = struct.pack("<HH2sHI", 0x0008, 0x1140, b"SQ", 0, 0xFFFFFFFF)
ITEM = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF)


@pytest.mark.parametrize(
    "opening",
    [
        SOP_INSTANCE + PIXELS,
        SOP_INSTANCE + element(0x0020000E, b"UI", b"../../x\0") + PIXELS,
        SOP_INSTANCE + element(0x0020000E, b"UI", b"1.2\\1.3\0") + PIXELS,
        SOP_INSTANCE + element(0x0020000E, b"UI", b"1." * 33) + PIXELS,
        SOP_INSTANCE + element(0x0020000E, b"UI", b"") + PIXELS,
        struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, LONGEST_OPENING),
        struct.pack("<HH2sHI", 0x0009, 0x1001, b"OB", 0, 0xFFFFFFFF) + bytes(8),
        SEQUENCE + struct.pack("<HHI", 0x0008, 0x0005, 0),
        (SEQUENCE + ITEM) * 40,
        b"\xff" * 64,
        ITEM + SOP_INSTANCE,
    ],
    ids=[
        "pixels before the series",
        "a path",
        "two values",
        "too long",
        "empty",
        "far too long an element",
        "OB without an end",
        "no item in a sequence",
        "too deep",
        "garbage",
        "begins with an item",
    ],
)
def test_what_leads_to_no_uid_is_refused(opening: bytes) -> None:
    with pytest.raises(UndecodableInstance):
        identify(opening, uid.ExplicitVRLittleEndian)


@given(st.binary(max_size=400), st.sampled_from(SYNTAXES))
def test_no_bytes_do_harm(opening: bytes, syntax: UID) -> None:
    try:
        found = identify(opening, syntax)
    except UndecodableInstance:
        return
    assert found is None or set(found.series_instance_uid) <= set("0123456789.")


@given(st.data(), st.sampled_from(SYNTAXES))
def test_no_damage_does_harm(data: st.DataObject, syntax: UID) -> None:
    whole = bytearray(encoded(instance(), syntax))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        identify(whole, syntax)
    except UndecodableInstance:
        return
