"""A made-up MR instance with an identifier in every attribute that can hold one.

For `deid-node profile test`: made from the module tables and Table E.1-1, so that a new
edition plants in its new attributes by itself. Nobody is in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydicom import config
from pydicom.datadict import (
    dictionary_has_tag,
    dictionary_VR,
    keyword_for_tag,
    tag_for_keyword,
)
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import MRImageStorage

from deid_node.headers.confidentiality import Option, table
from deid_node.headers.iod import section_of
from deid_node.headers.plan import PIXELS, explain
from deid_node.headers.profile import Action, Profile

if TYPE_CHECKING:
    from deid_node.headers.iod import Section

DEEPEST: Final = 3
"""Levels of nesting that are planted in."""

_TEXT: Final = frozenset({"LO", "LT", "SH", "ST", "UC", "UT"})
_BYTES: Final = frozenset({"OB", "OW", "UN"})
_DATES: Final = frozenset({"DA", "DT"})
_VALID: Final[dict[str, object]] = {
    "SOPClassUID": MRImageStorage,
    "Modality": "MR",
    "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"],
    "PatientSex": "O",
    "PatientAge": "042Y",
    "PatientSize": "1.7",
    "PatientWeight": "70",
    "ScanningSequence": "SE",
    "SequenceVariant": "SK",
    "RepetitionTime": "9000",
    "EchoTime": "87.5",
    "FlipAngle": "150",
    "SeriesNumber": "7",
    "InstanceNumber": "12",
    "StudyTime": "101112",
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "Rows": 2,
    "Columns": 2,
    "BitsAllocated": 16,
    "BitsStored": 12,
    "HighBit": 11,
    "PixelRepresentation": 0,
    "PixelData": bytes(8),
}
"""What is there as a scanner would write it; nothing is planted in it."""
_LEFT_OUT: Final = frozenset(
    tag_for_keyword(keyword)
    for keyword in ("SpecificCharacterSet", "BurnedInAnnotation", "RecognizableVisualFeatures")
)
_CREATORS: Final = (
    ("SIEMENS MR HEADER", 0x0019, 0x0D),
    ("SIEMENS CSA HEADER", 0x0029, 0x10),
    ("GEMS_PARM_01", 0x0043, 0x8A),
    ("Philips Imaging DD 001", 0x2001, 0x04),
)
_STRUCTURES: Final = (
    (0x00104000, "LT"),  # Patient Comments beside the modules
    (0x00109999, "UN"),  # unknown to the dictionary
    (0x00791001, "LO"),  # private without a creator
    (0x40080042, "LO"),  # retired results
    (0x50003000, "OW"),  # a curve
    (0x60000022, "LO"),  # the description of an overlay, and its bits
    (0x60003000, "OW"),
    (0xFFFCFFFC, "OB"),  # trailing padding
)
_FIRST_GROUP: Final = 0x0008


@dataclass(frozen=True, slots=True, kw_only=True)
class Planted:
    """A made-up instance and what was planted in it.

    Parameters
    ----------
    dataset
        One MR instance without file meta group.
    places
        Path of the attribute that each planted value stands in.
    """

    dataset: Dataset
    places: dict[str, tuple[int, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Survivor:
    """A planted identifier that is still there.

    Parameters
    ----------
    path
        The attribute where it was planted.
    option
        Option of PS3.15 under which the profile keeps it, being what the option is for;
        None if it should not be there.
    """

    path: tuple[int, ...]
    option: Option | None


def planted_instance() -> Planted:
    """Make the instance; the same every time."""
    return _Planter().plant()


def survivors(
    planted: Planted, output: bytes, scrubbed: Dataset, profile: Profile
) -> list[Survivor]:
    """Look for everything that was planted.

    Parameters
    ----------
    planted
        The source.
    output
        What was written; text, UIDs and bytes are looked for in all of it.
    scrubbed
        The same as a dataset; dates are looked for where they stood, as a moved date may
        be another's.
    profile
        What was applied.

    Returns
    -------
    list
        In order of the paths.
    """
    found = []
    folded = output.lower()
    for value, path in planted.places.items():
        is_date = vr_of(path[-1]) in _DATES
        there = _value_at(scrubbed, path) == value if is_date else value.lower().encode() in folded
        if there:
            found.append(Survivor(path=path, option=_meant(profile, path)))
    return sorted(found, key=lambda survivor: survivor.path)


def _meant(profile: Profile, path: tuple[int, ...]) -> Option | None:
    """Option that keeps an attribute by the table's own word."""
    decision = explain(profile, path, MRImageStorage)
    kept = decision.action is Action.KEEP and not decision.departs
    return decision.option if kept else None


def _value_at(dataset: Dataset, path: tuple[int, ...]) -> str:
    for tag in path[:-1]:
        items = dataset[tag].value if tag in dataset else None
        if not items:
            return ""
        dataset = items[0]
    return str(dataset[path[-1]].value) if path[-1] in dataset else ""


def vr_of(tag: int) -> str:
    """Value representation of an attribute by the dictionary; UN for one it does not have."""
    return dictionary_VR(tag)[:2] if dictionary_has_tag(tag) else "UN"


class _Planter:
    """Plants values that are each there once."""

    def __init__(self) -> None:
        self._places: dict[str, tuple[int, ...]] = {}

    def plant(self) -> Planted:
        dataset = Dataset()
        self._level(dataset, section_of(MRImageStorage), ())
        for tag in table().rows:
            if tag not in dataset and not tag >> 16 & 1 and tag >> 16 >= _FIRST_GROUP:
                self._put(dataset, (tag,), vr_of(tag))
        for keyword, value in _VALID.items():
            setattr(dataset, keyword, value)
        self._unknown(dataset)
        there = {v: path for v, path in self._places.items() if not _is_valid(path)}
        return Planted(dataset=dataset, places=there)

    def _level(self, dataset: Dataset, section: Section, above: tuple[int, ...]) -> None:
        for tag in section.types:
            path = (*above, tag)
            if vr_of(tag) != "SQ":
                self._put(dataset, path, vr_of(tag))
            elif len(path) < DEEPEST:
                entry = Dataset()
                self._level(entry, section.below(tag), path)
                self._add(dataset, tag, "SQ", Sequence([entry]))

    def _put(self, dataset: Dataset, path: tuple[int, ...], vr: str) -> None:
        value = self._value(vr)
        if value is None or path[-1] in PIXELS | _LEFT_OUT or _is_valid(path):
            return
        self._places[value] = path
        text = f"T2 {value}" if vr in _TEXT else value
        self._add(dataset, path[-1], vr, f"{value} ".encode() if vr in _BYTES else text)

    def _value(self, vr: str) -> str | None:
        """Make a value of its own; None for numbers, times of day and ages."""
        number = len(self._places)
        letters = "".join(chr(ord("A") + number // 26**k % 26) for k in range(4))
        if vr == "UI":
            return f"1.2.826.0.1.{777000 + number}.99"
        if vr in _DATES:
            day = f"{1930 + number // 336}{1 + number // 28 % 12:02}{1 + number % 28:02}"
            return day if vr == "DA" else f"{day}101112"
        if vr == "UR":
            return f"urn:qzvex{letters.lower()}"
        return f"QZVEX{letters}" if vr in {"AE", "CS", "PN", *_TEXT, *_BYTES} else None

    def _unknown(self, dataset: Dataset) -> None:
        """Plant in private, unknown and retired elements, and where groups repeat.

        One private element holds a number that research needs.
        """
        for creator, group, element in _CREATORS:
            block = dataset.private_block(group, creator, create=True)
            for low, vr in ((element, "CS"), (0xF0, "LO"), (0xF1, "OB")):
                self._put(dataset, (block.get_tag(low),), vr)
        number = dataset.private_block(0x0019, "SIEMENS MR HEADER")
        number.add_new(0x0C, "IS", "1000")
        for tag, vr in _STRUCTURES:
            if tag not in dataset:
                self._put(dataset, (tag,), vr)

    @staticmethod
    def _add(dataset: Dataset, tag: int, vr: str, value: object) -> None:
        dataset.add(DataElement(tag, vr, value, validation_mode=config.IGNORE))


def _is_valid(path: tuple[int, ...]) -> bool:
    """Whether an attribute holds what a scanner would write and not an identifier."""
    return len(path) == 1 and keyword_for_tag(path[0]) in _VALID
