"""A CSA header comes out as numbers or not at all, whatever lay in it."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import dcmread

from deid_node.config.profile_file import load_profile
from deid_node.headers.csa import KEPT, MOST_ITEMS, MOST_TAGS, rebuilt
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.headers.search import Search
from deid_node.headers.second_look import source_identifiers
from deid_node.pipeline.header_only import HeaderScrubber
from tests.fakes.csa_headers import DIFFUSION, MAGIC, NUMBERS, Drawn, numbers_in, tags_by_nibabel
from tests.planted import mr_instance, written

if TYPE_CHECKING:
    from pathlib import Path

TAGS = DIFFUSION
WORD = b"QZXV"


def new_header() -> bytes:
    header = rebuilt(Drawn().written())
    assert header is not None
    return header


def kept_of(drawn: Drawn) -> dict[str, list[str]]:
    new = rebuilt(drawn.written())
    return {} if new is None else numbers_in(new)


def with_values(name: str, *values: str) -> Drawn:
    vr, multiplicity, _ = TAGS[name]
    return Drawn(tags={**TAGS, name: (vr, multiplicity, list(values))})


@pytest.mark.parametrize("csa1", [False, True])
def test_the_numbers_of_the_list_stay_as_they_were_written(*, csa1: bool) -> None:
    assert kept_of(Drawn(csa1=csa1)) == {
        name: [value.strip() for value in TAGS[name][2]] for name in NUMBERS
    }


def test_both_layouts_become_the_same_header() -> None:
    new = rebuilt(Drawn().written())

    assert new == rebuilt(Drawn(csa1=True).written())
    assert new is not None
    assert rebuilt(new) == new


def test_every_tag_of_the_list_says_why() -> None:
    assert frozenset(KEPT) == NUMBERS
    assert all(kept.why for kept in KEPT.values())


def test_another_reader_finds_the_same_numbers() -> None:
    before = tags_by_nibabel(Drawn().written())

    after = tags_by_nibabel(new_header())

    assert {name: after[name]["items"] for name in after} == {
        name: before[name]["items"] for name in NUMBERS
    }
    assert {name: (after[name]["vr"], after[name]["vm"]) for name in after} == {
        name: (before[name]["vr"], before[name]["vm"]) for name in NUMBERS
    }


def test_a_tag_has_three_items_at_least_because_dcm2niix_reads_three() -> None:
    tags = tags_by_nibabel(new_header())

    assert all(tag["n_items"] >= 3 for tag in tags.values())


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("B_value", "QUENTIN"),
        ("B_value", "1000 QUENTIN"),
        ("B_value", "1000\0QUENTIN"),
        ("B_value", "19420707"),
        ("B_value", "-1"),
        ("B_value", "1000.5"),
        ("B_value", "0001000"),
        ("B_value", "1e3"),
        ("B_value", "nan"),
        ("B_value", "inf"),
        ("B_value", "٣"),
        ("B_value", " "),
        ("PhaseEncodingDirectionPositive", "2"),
        ("NumberOfImagesInMosaic", "0"),
        ("TimeAfterStart", "19420707"),
        ("TimeAfterStart", "0.123456789"),
        ("TimeAfterStart", "1.2.840"),
        ("DiffusionDirectionality", "QUENTIN"),
        ("DiffusionDirectionality", "NONE QUENTIN"),
    ],
)
def test_a_value_that_the_tag_cannot_have_goes_with_its_tag_alone(name: str, value: str) -> None:
    assert kept_of(with_values(name, value)).keys() == NUMBERS - {name}


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("B_value", ["1", "2"]),
        ("SliceNormalVector", ["0.0", "1.0"]),
        ("SliceNormalVector", ["0.0", "1.0", "19.0"]),
        ("SliceNormalVector", ["0.0", "", "1.0"]),
        ("B_matrix", ["1.0"] * 7),
        ("MosaicRefAcqTimes", ["0.0", "QUENTIN"]),
        ("MosaicRefAcqTimes", ["19420707.0"]),
    ],
)
def test_a_wrong_number_of_values_goes_with_its_tag(name: str, values: list[str]) -> None:
    assert name not in kept_of(with_values(name, *values))


def broken() -> dict[str, bytes]:
    good = Drawn().written()
    n_tags = len(TAGS)
    twice = good[:8] + struct.pack("<I", n_tags + 1) + good[12:-4]
    value_at = good.index(b"B_value") + 84
    return {
        "nothing": b"",
        "a few bytes": b"SV10\4\3\2\1\1\0\0\0",
        "text": b"IMAGE NUM 4 ",
        "no tags": MAGIC + struct.pack("<2I", 0, 77),
        "one tag missing": good[:8] + struct.pack("<I", n_tags + 1) + good[12:],
        "a tag twice": twice + Drawn(tags={"B_value": TAGS["B_value"]}).written()[16:],
        "too many tags": Drawn(
            tags={
                "B_value": TAGS["B_value"],
                **{f"QCData{n}": ("FD", 0, list[str]()) for n in range(MOST_TAGS)},
            }
        ).written(),
        "another mark": good[:12] + struct.pack("<I", 78) + good[16:],
        "cut in the middle": good[: len(good) // 2],
        "cut in the last value": Drawn(
            tags={"MosaicRefAcqTimes": TAGS["MosaicRefAcqTimes"]}
        ).written()[:-12],
        "a name without an end": good[:16] + b"Q" * 64 + good[80:],
        "another mark of a tag": good[:96] + struct.pack("<I", 1) + good[100:],
        "another mark of an item": good[: value_at + 8] + b"\1" + good[value_at + 9 :],
        "an endless value": good[: value_at + 4] + b"\xff\xff\xff\x7f" + good[value_at + 8 :],
        "a negative length": good[: value_at + 4] + b"\xff\xff\xff\xff" + good[value_at + 8 :],
        "big endian": struct.pack(">2I", n_tags, 77) + good[16:],
        "too many items": Drawn(
            tags={**TAGS, "MosaicRefAcqTimes": ("FD", 0, ["1.0"] * (MOST_ITEMS + 1))}
        ).written(),
        "too many items of another tag": Drawn(
            tags={**TAGS, "QCData": ("FD", 0, ["1.0"] * (MOST_ITEMS + 1))}
        ).written(),
        "nothing of the list": Drawn(tags={"ICE_Dims": TAGS["ICE_Dims"]}).written(),
    }


@pytest.mark.parametrize("name", broken())
def test_what_leaves_a_doubt_is_no_header(name: str) -> None:
    assert rebuilt(broken()[name]) is None


def test_a_length_below_nought_in_the_old_layout_is_no_header() -> None:
    old = Drawn(csa1=True).written()
    second_item = 8 + 84 + 16 + 12
    assert old[second_item : second_item + 4] == struct.pack("<I", 6)

    assert rebuilt(old[:second_item] + struct.pack("<I", 5) + old[second_item + 4 :]) is None


def names() -> st.SearchStrategy[str]:
    return st.sampled_from([*TAGS, "Qzxv", ""])


TEXTS = st.sampled_from(["", "0", "1.5", "-0.0", "35      ", "QZXV", "NONE", "1\0QZXV", "9" * 30])
HEADERS = st.builds(
    Drawn,
    tags=st.dictionaries(
        names(),
        st.tuples(
            st.sampled_from(["IS", "LO", "FD"]), st.integers(0, 7), st.lists(TEXTS, max_size=8)
        ),
        max_size=6,
    ),
    csa1=st.booleans(),
    planted=st.dictionaries(
        st.sampled_from(["name", "vm", "vr", "type", "item", "padding"]), st.just(WORD)
    ),
)


@given(data=st.data())
def test_any_bytes_become_numbers_or_nothing(data: st.DataObject) -> None:
    value = data.draw(st.binary(max_size=300) | HEADERS.map(Drawn.written))
    if data.draw(st.booleans()) and value:
        at = data.draw(st.integers(0, len(value) - 1))
        change = data.draw(st.binary(max_size=8))
        value = value[:at] + change + value[data.draw(st.integers(at, len(value))) :]

    new = rebuilt(value)

    if new is not None:
        assert numbers_in(new)
        assert rebuilt(new) == new
        assert WORD not in new


PLACES = ("name", "vm", "vr", "type", "item", "padding", "end")


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("csa1", [False, True])
@pytest.mark.parametrize("place", [*PLACES, "other tag", "unknown tag", "value", "behind a value"])
def test_a_planted_word_survives_in_no_corner(place: str, *, csa1: bool, implicit: bool) -> None:
    word = b"QUENTINZEBRAFISH" if place in {"name", "end"} else WORD
    drawn = Drawn(csa1=csa1)
    if place in PLACES:
        drawn.planted = {place: b"\xfe" if place == "vr" else word}
        word = b"IS\0\xfe" if place == "vr" else word[: 3 if place == "padding" else None]
    else:
        name = {"other tag": "ICE_Dims", "unknown tag": "Qzxv"}.get(place, "TimeAfterStart")
        text = {"behind a value": "1.5\0QZXV"}.get(place, "QZXV")
        drawn.tags[name] = ("DS", 1, [text])
    dataset = mr_instance()
    dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(
        0x10, "OB", drawn.written()
    )
    source = written(dataset, implicit=implicit)
    assert word in source

    output = HeaderScrubber(load_profile("research-mr"), Pseudonyms(bytes(range(32)))).run(source)

    assert b"PhaseEncodingDirectionPositive" in output.encoded.part10
    assert word.lower() not in output.encoded.part10.lower()


def test_a_patient_whose_name_is_part_of_a_tag_name_is_not_held_for_it() -> None:
    dataset = mr_instance()
    dataset.PatientName = "DURAN^NORMA"
    block = dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x10, "OB", Drawn().written())
    source = written(dataset)

    output = HeaderScrubber(load_profile("research-mr"), Pseudonyms(bytes(range(32)))).run(source)

    found = Search(source_identifiers(source))
    assert b"SliceNormalVector" in output.encoded.part10
    assert found.run(output.encoded.part10) == ()
    assert found.run(output.encoded.part10 + b"Duran") != ()
    assert found.run(output.encoded.part10.replace(b"TimeAfterStart", b"DuranTimeStart")) != ()


def test_the_series_header_and_the_lines_about_both_go() -> None:
    dataset = mr_instance()
    block = dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    for element, value in {0x08: b"IMAGE NUM 4 ", 0x09: b"20100114", 0x18: b"MR"}.items():
        block.add_new(element, "OB", value)
    for element in (0x10, 0x20):
        block.add_new(element, "OB", Drawn().written())

    output = HeaderScrubber(load_profile("research-mr"), Pseudonyms(bytes(range(32)))).run(
        written(dataset)
    )

    assert output.encoded.part10.count(b"\x29\0\x10\x10OB") == 1
    assert output.encoded.part10.count(MAGIC) == 1
    assert b"IMAGE NUM" not in output.encoded.part10


@pytest.mark.heads
def test_real_headers_keep_their_numbers(shared_data: Path) -> None:
    folders: dict[Path, int] = {}
    for path in sorted(shared_data.rglob("*")):
        if "labels" in path.parts or not path.is_file() or folders.get(path.parent, 0) >= 3:
            continue
        header = _csa_of(path)
        if header is None:
            continue
        new = rebuilt(header)
        before = tags_by_nibabel(header)
        numbers = {name: _values(tag) for name, tag in before.items() if name in NUMBERS}
        numbers = {name: values for name, values in numbers.items() if values}
        if numbers:
            assert new is not None
            numbers_in(new)
            after = tags_by_nibabel(new)
            assert {name: tag["items"] for name, tag in after.items()} == numbers
            folders[path.parent] = folders.get(path.parent, 0) + 1

    assert len(folders) > 8


def _values(tag: dict[str, list[object]]) -> list[object]:
    return [each for each in tag["items"] if each not in {None, ""}]


def _csa_of(path: Path) -> bytes | None:
    try:
        dataset = dcmread(path, stop_before_pixels=True)
        header = dataset.private_block(0x0029, "SIEMENS CSA HEADER")[0x10].value
    except Exception:  # noqa: BLE001 - the zoo is full of files that are no DICOM
        return None
    return header if header[:4] == MAGIC[:4] else None
