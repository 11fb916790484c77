"""Look a second time at what would be sent, for the patient's own identifiers.

Independent of the scrubber on purpose. It shares no code with it, knows no tag table and
no profile: it remembers what the source said about the person and searches the bytes that
were written, whatever element they are in.

What is not searched for, so that false holds stay rare:

* words with fewer than three letters, and words that are also words of MR, of placeholders
  or of what the node itself writes (`common_words`): a patient named "Brain Test", or Mr. Basic,
  would hold every series;
* IDs with fewer than four characters, or than six if all are digits (a Patient ID "4000" is
  also a repetition time); days that are placeholders;
* names of three or four letters inside longer words, and IDs and dates inside longer ones.

Pixel data is not searched: 16 bits of noise spell every short word sooner or later.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Final

from pydicom.charset import python_encoding
from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag
from pydicom.multival import MultiValue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset

PLACEHOLDER_DAYS: Final = frozenset({"19000101", "00010101", "19700101", "00000000"})
SHORTEST_NAME: Final = 3
LONGEST_SHORT_NAME: Final = 4
SHORTEST_ID: Final = 4
SHORTEST_NUMBER: Final = 6

_IDS: Final = frozenset(
    {
        "PatientID",
        "AccessionNumber",
        "StudyID",
        "AdmissionID",
        "MedicalRecordLocator",
        "OtherPatientIDs",
        "RequestedProcedureID",
        "ScheduledProcedureStepID",
        "PerformedProcedureStepID",
        "PlacerOrderNumberImagingServiceRequest",
        "FillerOrderNumberImagingServiceRequest",
        "ServiceEpisodeID",
        "PatientTelephoneNumbers",
    }
)
_STANDARD_ARC: Final = "1.2.840.10008."
_MONTHS: Final = [
    "jan",
    "feb",
    "mar",
    "apr",
    "may",
    "jun",
    "jul",
    "aug",
    "sep",
    "oct",
    "nov",
    "dec",
]
_UIDS: Final = (
    ("ascii", re.compile(rb"[0-9]+(?:\.[0-9]+){2,}")),
    ("utf-16-le", re.compile(rb"(?:[0-9.]\x00){7,}")),
    ("utf-16-be", re.compile(rb"(?:\x00[0-9.]){7,}")),
)
_LONG_VRS: Final = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
_CHARACTER_SET: Final = 0x00080005
_PIXEL_DATA: Final = (0x7FE0, 0x0010)
_ITEM_END: Final = (0xFFFE, 0xE00D)
_SEQUENCE_END: Final = (0xFFFE, 0xE0DD)
_UNDEFINED: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True, kw_only=True)
class Needle:
    """One thing to search for.

    Parameters
    ----------
    keyword
        Attribute of the source that it comes from.
    encoding
        How it is written.
    pattern
        The bytes; ASCII letters in lower case.
    whole
        Whether it counts only where no letter, digit or dot touches it.
    """

    keyword: str
    encoding: str
    pattern: bytes
    whole: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Identifiers:
    """What the source says about the person. Never to be logged or shown.

    Join those of several instances with ``|``.
    """

    needles: frozenset[Needle] = frozenset()
    uids: frozenset[tuple[str, str]] = frozenset()

    def __or__(self, other: Identifiers) -> Identifiers:
        """Join two."""
        return Identifiers(needles=self.needles | other.needles, uids=self.uids | other.uids)

    def __repr__(self) -> str:
        """Count, and show nothing."""
        return f"Identifiers({len(self.needles)} needles, {len(self.uids)} UIDs)"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """An identifier that is still there.

    Parameters
    ----------
    keyword
        Attribute of the *source* whose value was found.
    encoding
        How it was written.
    """

    keyword: str
    encoding: str


def identifiers_of(dataset: Dataset, *, kept: frozenset[str] = frozenset()) -> Identifiers:
    """Collect what identifies the person in a source dataset, at every depth.

    Person names, IDs and telephone numbers, the birth date in eight forms, other dates as
    DICOM writes them, and UIDs that are not the standard's.

    Parameters
    ----------
    dataset
        Source instance. Elements that cannot be parsed are passed over.
    kept
        Keywords of attributes that the profile keeps as they are, such as dates under
        Retain Full Dates.
    """
    encodings = _encodings(dataset)
    needles: dict[tuple[str, bytes], Needle] = {}
    uids: set[tuple[str, str]] = set()
    for keyword, vr, text in _texts(dataset, encodings):
        if keyword in kept:
            continue
        if vr == "UI":
            if not text.startswith(_STANDARD_ARC):
                uids.add((keyword, text))
            continue
        for word, whole in _words(keyword, vr, text):
            for encoding, pattern in _patterns(word, encodings):
                needle = Needle(keyword=keyword, encoding=encoding, pattern=pattern, whole=whole)
                needles.setdefault((keyword, pattern), needle)
    return Identifiers(needles=frozenset(needles.values()), uids=frozenset(uids))


def residue(part10: bytes, identifiers: Identifiers) -> tuple[Finding, ...]:
    """Search the bytes of one written instance for identifiers of its source.

    Parameters
    ----------
    part10
        A Part 10 file in an Explicit VR Little Endian Transfer Syntax. If it is none, all
        of it is searched, pixel data too.
    identifiers
        Those of the source series.

    Returns
    -------
    tuple of Finding
        Sorted; empty if nothing was found.
    """
    start, stop = _pixel_span(part10)
    searched = (part10[:start] + b"\0\0" + part10[stop:]).lower()
    findings = {
        Finding(needle.keyword, needle.encoding)
        for needle in identifiers.needles
        if needle.pattern in searched and (not needle.whole or _stands_alone(needle, searched))
    }
    for encoding, pattern in _UIDS:
        written = {found.decode(encoding) for found in pattern.findall(searched)}
        findings |= {
            Finding(keyword, encoding) for keyword, uid in identifiers.uids if uid in written
        }
    return tuple(sorted(findings))


@lru_cache(maxsize=1)
def common_words() -> frozenset[str]:
    """Words that an output may rightly hold, in lower case; package data."""
    text = (resources.files(__package__) / "data" / "common-words.txt").read_text(encoding="utf-8")
    return frozenset(w for line in text.splitlines() if line[:1] != "#" for w in line.split())


def _texts(dataset: Dataset, encodings: tuple[str, ...]) -> Iterator[tuple[str, str, str]]:
    """Keyword, VR and each value of every element that may identify, at any depth.

    Values are decoded here and not by pydicom, whose warnings quote them.
    """
    for tag in list(dataset.keys()):
        element = dataset.get_item(tag)
        vr, keyword = (
            str(element.VR),
            keyword_for_tag(tag) or f"({tag.group:04X},{tag.element:04X})",
        )
        if vr in {"None", "UN"}:
            vr = dictionary_VR(tag) if dictionary_has_tag(tag) else "UN"
        if vr == "SQ":
            for entry in _entries(dataset, tag):
                yield from _texts(entry, encodings)
        elif vr in {"PN", "DA", "DT", "UI"} or keyword in _IDS:
            for text in _decoded(element.value, encodings):
                yield from ((keyword, vr, value.strip(" \0")) for value in text.split("\\"))


def _entries(dataset: Dataset, tag: int) -> list[Dataset]:
    try:
        return list(dataset[tag].value)
    except Exception:  # noqa: BLE001 - what no parser reads names nobody; its fault may quote a value
        return []


def _decoded(value: object, encodings: tuple[str, ...]) -> Iterator[str]:
    """Text of a value; of bytes beyond ASCII every reading, for one of them is right."""
    if isinstance(value, list | MultiValue):
        yield from map(str, value)
    elif not isinstance(value, bytes):
        yield "" if value is None else str(value)
    elif value.isascii() and b"\x1b" not in value:
        yield value.decode("ascii")
    else:
        for encoding in encodings:
            try:
                yield value.decode(encoding)
            except (UnicodeDecodeError, LookupError):
                continue


def _words(keyword: str, vr: str, text: str) -> Iterator[tuple[str, bool]]:
    """Give what to search for, and whether it must stand alone."""
    if vr == "PN":
        for word in re.findall(r"[^\W\d_]+", text):
            if len(word) >= SHORTEST_NAME and word.lower() not in common_words():
                yield word, len(word) <= LONGEST_SHORT_NAME
    elif vr in {"DA", "DT"}:
        yield from (
            (form, True) for form in _day_forms(text[:8], birth=keyword == "PatientBirthDate")
        )
    else:
        shortest = SHORTEST_NUMBER if text.isdigit() else SHORTEST_ID
        if len(text) >= shortest and text.lower() not in common_words():
            yield text, True


def _day_forms(day: str, *, birth: bool) -> list[str]:
    if len(day) != len("YYYYMMDD") or not day.isdigit() or day in PLACEHOLDER_DAYS:
        return []
    year, month, number = day[:4], day[4:6], day[6:]
    if not birth:
        return [day]
    name = _MONTHS[(int(month) - 1) % len(_MONTHS)]
    return [
        day,
        f"{number}{month}{year}",
        f"{number}{name}{year}",
        f"{number}-{name}-{year}",
        *(f"{year}{mark}{month}{mark}{number}" for mark in "-./"),
        *(f"{number}{mark}{month}{mark}{year}" for mark in "-./"),
        *(f"{month}{mark}{number}{mark}{year}" for mark in "-./"),
    ]


def _encodings(dataset: Dataset) -> tuple[str, ...]:
    """List the encodings that a text of this dataset may turn up in."""
    element = dataset.get_item(_CHARACTER_SET) if _CHARACTER_SET in dataset else None
    declared = list(_decoded(element.value, ("latin-1",))) if element is not None else []
    names = [name.strip() for text in declared for name in text.split("\\")]
    known = [python_encoding[name] for name in names if name in python_encoding]
    return tuple(dict.fromkeys(["utf-8", *known, "latin-1", "utf-16-le", "utf-16-be"]))


def _patterns(word: str, encodings: tuple[str, ...]) -> Iterator[tuple[str, bytes]]:
    """Write a word in each encoding; beyond ASCII in lower, upper and title case."""
    cases = {word.lower()} if word.isascii() else {word, word.lower(), word.upper(), word.title()}
    for encoding in encodings:
        for case in sorted(cases):
            try:
                yield encoding, case.encode(encoding).lower()
            except UnicodeEncodeError:
                continue


def _stands_alone(needle: Needle, searched: bytes) -> bool:
    """Whether one of the places has neither letter, digit nor dot before and after it."""
    wide = needle.encoding.startswith("utf-16")
    touch = rb"[0-9a-z.]\x00" if needle.encoding == "utf-16-le" else rb"\x00[0-9a-z.]"
    touch = touch if wide else rb"[0-9a-z.]"
    return (
        re.search(b"(?<!%b)%b(?!%b)" % (touch, re.escape(needle.pattern), touch), searched)
        is not None
    )


def _pixel_span(part10: bytes) -> tuple[int, int]:
    """Where the value of Pixel Data lies; an empty span at the end if it cannot be told."""
    nowhere = (len(part10), len(part10))
    if part10[128:132] != b"DICM":
        return nowhere
    position = 132
    try:
        while position + 8 <= len(part10):
            tag, start, length = _header(part10, position)
            stop = start + length if length != _UNDEFINED else _end_of_sequence(part10, start)
            if tag == _PIXEL_DATA:
                return start, stop
            position = stop
    except (struct.error, RecursionError):
        pass
    return nowhere


def _header(part10: bytes, position: int) -> tuple[tuple[int, int], int, int]:
    """Tag, start of the value and its length."""
    group, element, vr, short = struct.unpack_from("<HH2sH", part10, position)
    if group == _ITEM_END[0]:
        (length,) = struct.unpack_from("<I", part10, position + 4)
        return (group, element), position + 8, length
    if vr in _LONG_VRS:
        (length,) = struct.unpack_from("<I", part10, position + 8)
        return (group, element), position + 12, length
    return (group, element), position + 8, short


def _end_of_sequence(part10: bytes, position: int) -> int:
    """Skip items, or fragments, up to and over the delimiter of a sequence."""
    while True:
        tag, start, length = _header(part10, position)
        if tag in {_SEQUENCE_END, _ITEM_END}:
            return start
        position = start + length if length != _UNDEFINED else _end_of_sequence(part10, start)
