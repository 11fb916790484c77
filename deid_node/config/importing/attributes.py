"""Attributes as foreign rules name them, and what the node allows to be done to each."""

from __future__ import annotations

import re
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from pydicom import config
from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import dictionary_has_tag, dictionary_VR, tag_for_keyword
from pydicom.uid import MRImageStorage
from pydicom.valuerep import validate_value

from deid_node.config.profile_file import load_profile, shipped_profiles
from deid_node.headers.plan import NUMBERS, PIXELS, explain
from deid_node.headers.profile import Action

if TYPE_CHECKING:
    from deid_node.config.importing.statements import Meaning
    from deid_node.headers.profile import Profile


def _tags(*keywords: str) -> frozenset[int]:
    return frozenset(tag_for_keyword(keyword) or 0 for keyword in keywords)


PATIENT: Final = _tags("PatientName", "PatientID")
WRITTEN_BY_NODE: Final = _tags(
    "SpecificCharacterSet",
    "PatientIdentityRemoved",
    "DeidentificationMethod",
    "DeidentificationMethodCodeSequence",
    "LongitudinalTemporalInformationModified",
)
"""The node writes these itself, from what it really did."""
VITAL: Final = PIXELS | _tags(
    "SOPClassUID",
    "SOPInstanceUID",
    "StudyInstanceUID",
    "SeriesInstanceUID",
    "FrameOfReferenceUID",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "PlanarConfiguration",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
)
"""Without their own values an instance cannot be told from another, or its pixels not read."""

DATES: Final = frozenset({"DA", "DT"})
_META: Final = 0x0008
_DELIMITERS: Final = 0xFFFE
_NAMES: Final = frozenset({"LO", "PN", "UC", "ST", "LT", "UT"})
"""A pseudonym has 17 characters and is none of the other VRs."""
_STRINGS: Final = _NAMES | {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "SH", "TM", "UR"}
_NO_PRIVATE: Final = (
    "a private attribute stays only as a number under `safe_private`, by its creator; "
    "write that by hand"
)
_NO_PRIVATE_VALUE: Final = "a profile writes no private attribute"
_UNFIT: Final = {
    Action.UID: "only a UID can become a keyed UID; remove it or give a fixed value",
    Action.SHIFT: "only a date (DA, DT) can be moved by days",
    Action.PSEUDONYM: "the patient's pseudonym does not fit its value representation",
    Action.SET: "the new value is not valid for its value representation",
}
_NUMBER: Final = re.compile(r"\(?([0-9a-fA-F]{4})(?:, ?)?([0-9a-fA-F]{4})\)?")


def tag_named(written: str) -> int | None:
    """Find an attribute by keyword, name or number; upper and lower case are the same.

    Examples
    --------
    >>> f"{tag_named('patientname'):08x} {tag_named('(0010,0010)'):08x} {tag_named('Birthday')}"
    '00100010 00100010 None'
    """
    numbered = _NUMBER.fullmatch(written)
    if numbered is not None:
        return int("".join(numbered.groups()), 16)
    return _by_name().get(written.lower())


def vrs_of(tag: int) -> frozenset[str]:
    """Value representations that the dictionary gives an attribute; none if it is unknown."""
    if not dictionary_has_tag(tag):
        return frozenset()
    return frozenset(dictionary_VR(tag).split(" or "))


def is_private(tag: int) -> bool:
    """Whether the group number is odd."""
    return bool(tag >> 16 & 1)


def is_written_by_node(tag: int) -> bool:
    """Whether the node writes an attribute itself whatever a profile says."""
    return tag in WRITTEN_BY_NODE or tag >> 16 < _META or tag >> 16 == _DELIMITERS


def always_goes(tag: int) -> bool:
    """Whether no rule can keep an attribute."""
    unknown = not dictionary_has_tag(tag)
    return is_private(tag) or unknown or explain(basic(), tag, "").authority == "structure"


def is_acquisition_number(tag: int) -> bool:
    """Whether an attribute is a number of the MR acquisition that the Basic Profile passes."""
    found = explain(basic(), tag, MRImageStorage)
    kept = found.authority == "unlisted" and found.action is Action.KEEP
    return kept and not NUMBERS.isdisjoint(vrs_of(tag))


def hindrance(tag: int, meaning: Meaning) -> str:
    """Say what stands against doing this to an attribute; empty if nothing does."""
    if is_private(tag):
        return _NO_PRIVATE_VALUE if meaning.action is Action.SET else _NO_PRIVATE
    if always_goes(tag):
        return "no profile can keep it: it goes from every instance"
    if tag in VITAL and meaning.action not in {Action.KEEP, Action.UID}:
        return "no instance can do without its value; leave the line out"
    if _fits(meaning, vrs_of(tag)):
        return ""
    return _UNFIT[meaning.action]


@lru_cache(maxsize=1)
def basic() -> Profile:
    """Load the profile on top of which an imported one is put."""
    return load_profile(shipped_profiles() / "basic.yaml")


@lru_cache(maxsize=1)
def _by_name() -> dict[str, int]:
    """Tags by keyword and by name, in lower case; the keyword wins."""
    names = {name.lower(): tag for tag, (_, _, name, _, _) in DicomDictionary.items() if name}
    keywords = {entry[4].lower(): tag for tag, entry in DicomDictionary.items() if entry[4]}
    return names | keywords


def _fits(meaning: Meaning, vrs: frozenset[str]) -> bool:
    """Whether an action makes sense for these value representations."""
    return {
        Action.UID: "UI" in vrs,
        Action.SHIFT: not vrs.isdisjoint(DATES),
        Action.PSEUDONYM: not vrs.isdisjoint(_NAMES),
        Action.SET: _is_valid(meaning.value, vrs),
    }.get(meaning.action, True)


def _is_valid(value: str, vrs: frozenset[str]) -> bool:
    if not value or len(vrs) != 1 or not vrs <= _STRINGS:
        return False
    [vr] = vrs
    parts = [value] if vr in {"ST", "LT", "UT", "UR"} else value.split("\\")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they would quote the value
        try:
            for part in parts:
                validate_value(vr, part, config.RAISE)
        except ValueError:
            return False
    return value.isprintable()
