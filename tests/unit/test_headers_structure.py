"""What can hide anything goes at every depth, though a profile would keep it.

The profile here keeps every attribute by mask, so that only the structures that no rule may
keep can go.
"""

from __future__ import annotations

import io
import struct

import pydicom
import pytest
from pydicom import Dataset
from pydicom.dataelem import DataElement
from pydicom.sequence import Sequence

from deid_node.headers.profile import Action, Profile, Rule
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.headers.scrub import scrub
from tests.planted import mr_instance, written

OURS = Pseudonyms(bytes(range(32)))
KEEPER = Profile(
    name="keeper",
    version=1,
    edition="2024e",
    rules=(Rule(masks=("xxxxxxxx",), action=Action.KEEP, why="everything may stay here"),),
)
STRUCTURES = {
    "group length": (0x00080000, "UL"),
    "group length of a later group": (0x00100000, "UL"),
    "overlay bits": (0x60003000, "OW"),
    "overlay bits of another plane": (0x601E3000, "OW"),
    "overlay comments": (0x60004000, "LT"),
    "overlay label": (0x60021500, "LO"),
    "curve bits": (0x50003000, "OW"),
    "curve label": (0x50020022, "LO"),
    "icon": (0x00880200, "SQ"),
    "encapsulated document": (0x00420011, "OB"),
    "encrypted attributes": (0x04000500, "SQ"),
    "original attributes": (0x04000561, "SQ"),
    "modified attributes": (0x04000550, "SQ"),
    "MAC parameters": (0x4FFE0001, "SQ"),
    "digital signatures": (0xFFFAFFFA, "SQ"),
    "trailing padding": (0xFFFCFFFC, "OB"),
    "the sender's word on private blocks": (0x00080300, "SQ"),
    "an earlier method": (0x00120063, "LO"),
    "private without a creator": (0x00110101, "LO"),
    "private creator of nothing": (0x00110010, "LO"),
}


def value_of(vr: str) -> object:
    entry = Dataset()
    entry.TextValue = "T2 brain"
    return {"SQ": Sequence([entry]), "UL": 4711}.get(vr, b"T2" if vr in {"OB", "OW"} else "T2")


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("name", STRUCTURES)
def test_a_structure_goes_at_every_depth(name: str, depth: int) -> None:
    tag, vr = STRUCTURES[name]
    inner = Dataset()
    inner.TextValue = "T1 brain"
    inner.add(DataElement(tag, vr, value_of(vr)))
    for _ in range(depth):
        outer = Dataset()
        outer.ContentItemModifierSequence = Sequence([inner])
        inner = outer
    dataset = mr_instance()
    dataset.update(inner)

    output = scrub(dataset, KEEPER, OURS).dataset

    innermost = output
    for _ in range(depth):
        innermost = innermost.ContentItemModifierSequence[0]
    assert innermost.TextValue == "T1 brain"
    assert tag not in innermost


@pytest.mark.parametrize("depth", [0, 1, 3])
@pytest.mark.parametrize("vr", ["UN", "LO", "US"])
def test_an_attribute_of_no_dictionary_goes_at_every_depth(vr: str, depth: int) -> None:
    element = struct.pack("<HH2s", 0x0010, 0x9999, vr.encode())
    element += struct.pack("<HI", 0, 2) if vr == "UN" else struct.pack("<H", 2)
    element += b"T2"
    for _ in range(depth):
        entry = struct.pack("<HHI", 0xFFFE, 0xE000, len(element)) + element
        element = struct.pack("<HH2sHI", 0x0008, 0x1115, b"SQ", 0, len(entry)) + entry
    source = pydicom.dcmread(io.BytesIO(written(mr_instance()) + element))
    careful = Profile(name="careful", version=1, edition="2024e")

    output = written(scrub(source, careful, OURS).dataset)

    assert struct.pack("<HH", 0x0010, 0x9999) not in output


def test_file_meta_and_commands_are_no_part_of_a_dataset() -> None:
    dataset = mr_instance()
    dataset.add_new(0x00041220, "SQ", value_of("SQ"))

    assert 0x00041220 not in scrub(dataset, KEEPER, OURS).dataset
