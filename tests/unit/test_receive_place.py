"""Where a slice lies is read on the way, if it is at hand, and never stands in the way."""

from __future__ import annotations

import io
import struct
from typing import TYPE_CHECKING

import numpy as np
import pytest
from pydicom import Dataset, dcmwrite, uid

from deid_node.node.assembly import Place
from deid_node.node.receive.identity import identify
from deid_node.node.receive.place import place_of
from tests.fakes.series import mr_series

if TYPE_CHECKING:
    from pydicom.uid import UID

SYNTAXES = [uid.ExplicitVRLittleEndian, uid.ImplicitVRLittleEndian, uid.ExplicitVRBigEndian]
CORONAL = [1, 0, 0, 0, 0, -1]


def encoded(each: Dataset, syntax: UID) -> bytes:
    buffer = io.BytesIO()
    each.file_meta.TransferSyntaxUID = syntax
    dcmwrite(buffer, each, enforce_file_format=True)
    part10 = buffer.getvalue()
    return part10[144 + struct.unpack_from("<I", part10, 140)[0] :]


def found(each: Dataset, syntax: UID = uid.ExplicitVRLittleEndian, n: int = -1) -> Place | None:
    opening = encoded(each, syntax)[: None if n < 0 else n]
    identity = identify(opening, syntax)
    assert identity is not None
    return place_of(opening, syntax, identity)


def instance() -> Dataset:
    [each] = mr_series(np.zeros((1, 8, 8), np.uint16), orientation=CORONAL, origin=(-7, 12.5, 30))
    each.ImagesInAcquisition = 176
    return each


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_place_is_read_in_every_encoding(syntax: UID) -> None:
    assert found(instance(), syntax) == Place(
        position_mm=12.5, orientation=tuple(map(float, CORONAL)), n_announced=176
    )


@pytest.mark.parametrize("syntax", SYNTAXES)
def test_study_is_read_with_the_series(syntax: UID) -> None:
    identity = identify(encoded(instance(), syntax), syntax)

    assert identity is not None
    assert identity.study_instance_uid == str(instance().StudyInstanceUID)


@pytest.mark.parametrize(
    ("number", "value"),
    [
        (0x32, b"1\\2 "),
        (0x32, b"1\\2\\x "),
        (0x32, b"1\\2\\nan "),
        (0x37, b""),
        (0x37, b"1" * 400),
    ],
)
def test_what_cannot_be_read_is_not_known(number: int, value: bytes) -> None:
    whole = encoded(instance(), uid.ExplicitVRLittleEndian)
    head = struct.pack("<HH2s", 0x20, number, b"DS")
    at = whole.index(head) + len(head)
    stop = at + 2 + struct.unpack_from("<H", whole, at)[0]
    opening = whole[:at] + struct.pack("<H", len(value)) + value + whole[stop:]
    identity = identify(opening, uid.ExplicitVRLittleEndian)

    assert identity is not None
    assert place_of(opening, uid.ExplicitVRLittleEndian, identity) is None


def test_what_is_not_there_is_not_known() -> None:
    each = instance()
    del each.ImagePositionPatient

    assert found(each) is None


def test_number_that_is_not_said_is_not_known() -> None:
    each = instance()
    del each.ImagesInAcquisition

    place = found(each)

    assert place is not None
    assert place.n_announced is None


def test_bytes_that_are_not_here_yet_are_not_waited_for() -> None:
    whole = encoded(instance(), uid.ExplicitVRLittleEndian)
    least = next(n for n in range(len(whole)) if identify(whole[:n], uid.ExplicitVRLittleEndian))

    places = [found(instance(), n=n) for n in range(least, len(whole))]

    assert places[0] is None
    assert places[-1] is not None


def test_value_that_is_too_long_is_left_out() -> None:
    each = instance()
    each.add_new(0x00200037, "LT", "1\\0\\0\\0\\0\\-1" + " " * 200 + "\0")

    assert found(each) is None
