"""A reader that remembers the last file gives what one that remembers nothing gives."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deid_node.dicom.wire import Items, Level, Unsuited, read_part10
from deid_node.dicom.wire_reader import Part10Reader
from tests.datasets import Plain, encoded, instances, part10

IMPLICIT = b"1.2.840.10008.1.2\0"


def plain(number: int) -> Plain:
    return {
        0x00080018: ("UI", f"1.2.3.{number}".encode() + b"\0" * (len(str(number)) % 2)),
        0x00080033: ("TM", f"1011{number % 60:02}.5".encode() + b" " * 2),
        0x00200013: ("IS", str(number).encode() + b" " * (len(str(number)) % 2)),
        0x00281050: ("DS", b"1.5 " * (number % 3)),
        0x00082112: ("SQ", [{0x00081155: ("UI", b"1.2\0")}] * (number % 4)),
    }


def assert_the_same(reader: Part10Reader, file: bytes) -> None:
    try:
        expected = read_part10(file)
    except Unsuited:
        with pytest.raises(Unsuited):
            reader.read(file)
        return
    found = reader.read(file)
    assert found == expected
    assert list(found.dataset.spans) == list(expected.dataset.spans)


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("delimited", [False, True])
def test_a_series_is_read_as_its_files_are(*, implicit: bool, delimited: bool) -> None:
    reader = Part10Reader()
    files = [part10(plain(number), implicit=implicit, delimited=delimited) for number in range(20)]
    for file in [*files, *files[::-1]]:
        assert_the_same(reader, file)
    assert reader._steps


@given(st.lists(instances(), max_size=4))
def test_any_files_in_any_order_are_read_as_they_are(files: list[bytes]) -> None:
    reader = Part10Reader()
    like = [part10(plain(number)) for number in range(3)]
    for file in [*like, *files, like[0], *files]:
        assert_the_same(reader, file)


def test_a_file_that_breaks_off_anywhere_is_read_as_it_would_be_alone() -> None:
    reader = Part10Reader()
    for number in range(3):
        reader.read(part10(plain(number)))
    file = part10(plain(3))
    for length in range(132, len(file), 3):
        assert_the_same(reader, file[:length])
        reader.read(part10(plain(4)))


def test_a_file_with_a_tail_is_not_taken_for_the_last() -> None:
    reader = Part10Reader()
    for number in range(3):
        reader.read(part10(plain(number)))

    assert_the_same(
        reader,
        part10(plain(3)) + encoded({0xFFFCFFFC: ("OB", b"QZ")}, implicit=False, delimited=False),
    )
    assert_the_same(reader, part10(plain(3)) + b"QZ")


def test_an_element_of_another_vr_is_not_taken_for_the_last() -> None:
    reader = Part10Reader()
    for number in range(3):
        reader.read(part10(plain(number)))

    other = plain(3) | {0x00200013: ("UT", b"3 ")}

    assert_the_same(reader, part10(other))


def test_another_element_is_not_taken_for_the_one_that_differs() -> None:
    reader = Part10Reader()
    for number in range(3):
        reader.read(part10(plain(number)))

    file = part10(plain(3))
    other = file.replace(b"\x20\0\x13\0IS", b"\x20\0\x14\0IS")
    assert other != file
    assert_the_same(reader, other)


def test_the_same_bytes_in_another_transfer_syntax_are_not_taken_for_the_last() -> None:
    reader = Part10Reader()
    for number in range(3):
        reader.read(part10(plain(number)))
    file = part10(plain(3)).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.10008.1.2.2\0", 1)

    with pytest.raises(Unsuited):
        reader.read(file)


@pytest.mark.parametrize(
    "why",
    ["no prefix", "out of order", "twice", "unknown VR", "explicit in implicit", "no syntax"],
)
def test_what_is_not_plain_is_unsuited(why: str) -> None:
    file = part10({})
    start = 132 + 12 + struct.unpack_from("<I", file, 140)[0]
    one = encoded({0x00080050: ("SH", b"A ")}, implicit=False, delimited=False)
    two = encoded({0x00080060: ("CS", b"MR")}, implicit=False, delimited=False)
    broken = {
        "no prefix": file.replace(b"DICM", b"DICN"),
        "out of order": file[:start] + two + one,
        "twice": file[:start] + one + one,
        "unknown VR": file[:start] + one.replace(b"SH", b"QZ"),
        "explicit in implicit": file.replace(b"1.2.840.10008.1.2.1\0", IMPLICIT + b"\0\0", 1),
        "no syntax": file[:start].replace(b"\2\0\x10\0UI", b"\2\0\x11\0UI") + one,
    }[why]

    with pytest.raises(Unsuited):
        read_part10(broken)


def test_a_level_tells_elements_as_they_are() -> None:
    item: Plain = {0x00081155: ("UI", b"1.2\0")}
    level = read_part10(part10({0x00082112: ("SQ", [item]), 0x00082111: ("ST", b"")})).dataset

    assert level.get_item(0x00080060).value == b"MR"
    assert not level.get_item(0x00082111).value
    items = level.get_item(0x00082112).value
    assert isinstance(items, Items)
    assert [each.value(0x00081155) for each in items.levels()] == [b"1.2\0"]
    assert level.value(0x00189999) == b""
    assert 0x00082112 in level
    assert isinstance(items.levels()[0], Level)
    assert len(items.levels()[0]) == 1


@pytest.mark.parametrize("delimited", [False, True])
def test_a_sequence_without_items_is_empty(*, delimited: bool) -> None:
    level = read_part10(part10({0x00082112: ("SQ", [])}, delimited=delimited)).dataset

    assert not level.get_item(0x00082112).value
