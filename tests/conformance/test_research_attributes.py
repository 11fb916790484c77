"""What `docs/kept-attributes.md` promises a researcher, on instances of each maker's style.

The list is the document; the oracle is the source instance.
"""

from __future__ import annotations

import io
import re
from collections import Counter, defaultdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from pydicom import DataElement, Dataset, dcmread
from pydicom.datadict import tag_for_keyword
from pydicom.multival import MultiValue
from pydicom.uid import EnhancedMRImageStorage, ExplicitVRBigEndian, MRImageStorage

from deid_node.config.profile_file import load_profile
from deid_node.errors import InstanceRefused
from deid_node.headers import csa
from deid_node.headers.private import safe_table
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.pipeline.header_only import HeaderScrubber
from tests.fakes.acquisitions import STYLES, enhanced
from tests.fakes.csa_headers import Drawn, tags_by_nibabel
from tests.planted import written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

DOCUMENT: Final = Path(__file__).parents[2] / "docs" / "kept-attributes.md"
SECTIONS: Final = re.split(r"^## ", DOCUMENT.read_text(encoding="utf-8"), flags=re.MULTILINE)
CLASSIC, FUNCTIONAL, PRIVATE = (
    re.findall(r"^\| (.+) \|$", section, flags=re.MULTILINE)[1:] for section in SECTIONS[1:4]
)
_ROWS = re.findall(r"^\| (\w+) \| (\w\w) \| (.+?) \|", SECTIONS[4], flags=re.MULTILINE)
CSA: Final = [(name, vr) for name, vr, _ in _ROWS[1:]]
CSA_RANGES: Final = {name: values for name, _, values in _ROWS[1:]}
KEPT: Final = {
    name: {cells[0]: cells[1] for cells in (row.split(" | ") for row in rows)}
    for name, rows in (("classic", CLASSIC), ("enhanced", FUNCTIONAL))
}
GROUPS: Final = {
    tag_for_keyword(keyword)
    for keyword in (
        "SharedFunctionalGroupsSequence",
        "PerFrameFunctionalGroupsSequence",
        "RealWorldValueMappingSequence",
    )
}
WORDS: Final = {keyword for kept in KEPT.values() for keyword in kept if kept[keyword] == "words"}


@cache
def scrubber() -> HeaderScrubber:
    return HeaderScrubber(load_profile("research-mr"), Pseudonyms(bytes(range(32))))


def through(content: bytes) -> tuple[Dataset, Dataset]:
    """Give an instance before and after."""
    after = scrubber().run(content).encoded.part10
    return dcmread(io.BytesIO(content)), dcmread(io.BytesIO(after))


def values(dataset: Dataset, keyword: str) -> list[object]:
    """Every value of an attribute outside private sequences, in order of appearance."""
    return [
        _stripped(element.value)
        for element in _public(dataset)
        if element.tag == tag_for_keyword(keyword) and not element.is_empty
    ]


def _stripped(value: object) -> object:
    """Take the padding away that PS3.5 6.2 makes meaningless."""
    if isinstance(value, str):
        return value.strip()
    return list(map(_stripped, value)) if isinstance(value, MultiValue) else value


def _public(dataset: Dataset, *, below: bool = False) -> Iterator[DataElement]:
    """Elements of the top level, and all below the functional groups and the modality's map."""
    for element in dataset:
        if element.VR == "SQ" and not element.tag.is_private and (below or element.tag in GROUPS):
            for item in element.value:
                yield from _public(item, below=True)
        elif element.VR != "SQ":
            yield element


def test_the_document_lists_attributes_of_the_dictionary() -> None:
    assert len(KEPT["classic"]) > 70
    assert len(KEPT["enhanced"]) > 50
    assert len(PRIVATE) > 35
    for kept in KEPT.values():
        assert set(kept.values()) == {"as is", "words"}
        assert [keyword for keyword in kept if tag_for_keyword(keyword) is None] == []


@pytest.mark.parametrize("keyword", KEPT["classic"])
def test_an_attribute_of_the_list_survives_in_every_makers_style(keyword: str) -> None:
    compared = 0
    for style in STYLES.values():
        before, after = through(written(style()))
        assert values(after, keyword) == values(before, keyword)
        compared += len(values(before, keyword))

    assert compared


@pytest.mark.parametrize("keyword", KEPT["enhanced"])
def test_an_attribute_of_the_list_survives_in_enhanced_mr(keyword: str) -> None:
    before, after = through(written(enhanced()))

    assert values(before, keyword)
    assert values(after, keyword) == values(before, keyword)


@pytest.mark.parametrize("row", PRIVATE)
def test_a_private_number_of_the_list_survives(row: str) -> None:
    creator, numbered, vr, _ = row.split(" | ")
    group, element = int(numbered[1:5], 16), int(numbered[8:10], 16)
    found = 0

    for style in STYLES.values():
        before, after = through(written(style()))
        try:
            came = before.private_block(group, creator)[element]
        except KeyError:
            continue
        left = after.private_block(group, creator)[element]
        assert (left.VR, left.value) == (came.VR, came.value) == (vr, came.value)
        found += 1

    assert found == 1


def test_every_private_element_of_the_document_is_safe_by_the_profile() -> None:
    listed = {tuple(row.split(" | ")[:3]) for row in PRIVATE}

    own = safe_table(load_profile("research-mr").safe_private)
    for creator, numbered, vr in listed:
        assert own[creator, int(numbered[1:5], 16)][int(numbered[8:10], 16)] == vr


def test_the_csa_header_is_left_with_the_numbers_of_the_document() -> None:
    header = Drawn().written()
    source = STYLES["siemens"]()
    source.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", header)

    _, after = through(written(source))

    kept = tags_by_nibabel(after.private_block(0x0029, "SIEMENS CSA HEADER")[0x10].value)
    before = tags_by_nibabel(header)
    assert {(name, tag["vr"]) for name, tag in kept.items()} == set(CSA)
    assert all(tag["items"] == before[name]["items"] for name, tag in kept.items())
    assert {name: _range(tag) for name, tag in csa.KEPT.items()} == CSA_RANGES


def _range(kept: csa.Kept) -> str:
    codes = "NONE, DIRECTIONAL, ISOTROPIC, BMATRIX"
    return codes if kept.vr == "CS" else f"{kept.least} to {kept.greatest}"


@pytest.mark.heads
@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom, about the sources themselves
def test_real_mr_loses_no_acquisition_attribute(
    shared_data: Path, record_property: Callable[[str, object], None]
) -> None:
    kept: Counter[str] = Counter()
    lost: defaultdict[str, list[str]] = defaultdict(list)
    for content in _real_mr(shared_data):
        try:
            before, after = through(content)
        except InstanceRefused:
            continue  # the zoo holds files that break off
        kind = "enhanced" if before.SOPClassUID == EnhancedMRImageStorage else "classic"
        for keyword in KEPT[kind].keys() - WORDS:
            came, left = values(before, keyword), values(after, keyword)
            if came == left or _goes_by_law(before, keyword):
                kept[keyword] += bool(came and came == left)
            else:
                lost[keyword].append(str(before.get("Manufacturer", ""))[:8])

    record_property("kept", dict(kept))
    record_property("lost", {keyword: len(makers) for keyword, makers in lost.items()})
    assert sum(kept.values()) > 2000
    assert dict(lost) == {}


def _goes_by_law(before: Dataset, keyword: str) -> bool:
    """Whether a value is the patient's own name, or cells that are turned to little endian."""
    if keyword == "PixelData":
        return bool(before.file_meta.TransferSyntaxUID == ExplicitVRBigEndian)
    return str(before.get(keyword, "")) == str(before.get("PatientName", ""))


def _real_mr(shared_data: Path) -> Iterator[bytes]:
    """Three instances of each head, and every MR instance of the zoo that can be read."""
    for folder in sorted((shared_data / "heads").iterdir()):
        files = sorted(path for path in folder.rglob("*") if path.is_file())
        yield from (
            files[k].read_bytes() for k in {0, len(files) // 2, len(files) - 1} if _is_mr(files[k])
        )
    for path in sorted((shared_data / "zoo").rglob("*")):
        if path.is_file() and _is_mr(path):
            yield path.read_bytes()


def _is_mr(path: Path) -> bool:
    try:
        dataset = dcmread(path, stop_before_pixels=True)
    except Exception:  # noqa: BLE001 - the zoo is full of broken files
        return False
    return dataset.get("SOPClassUID") in {MRImageStorage, EnhancedMRImageStorage}
