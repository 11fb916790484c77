"""Datasets that a scanner, a PACS or an attacker could write, for property tests."""

from __future__ import annotations

import struct

from hypothesis import strategies as st
from pydicom._dicom_dict import DicomDictionary

from tests.planted import mr_instance, written

SHORT = [
    "AE",
    "AS",
    "AT",
    "CS",
    "DA",
    "DS",
    "DT",
    "FD",
    "FL",
    "IS",
    "LO",
    "LT",
    "PN",
    "SH",
    "SL",
    "SS",
    "ST",
    "TM",
    "UI",
    "UL",
    "US",
]
LONG = ["OB", "OD", "OF", "OL", "OV", "OW", "SV", "UC", "UN", "UR", "UT", "UV"]
NUMBERS = {"US": 2, "SS": 2, "UL": 4, "SL": 4, "FL": 4, "FD": 8, "AT": 4, "UV": 8, "SV": 8}
STANDARD = sorted(
    tag
    for tag, (vr, *_) in DicomDictionary.items()
    if 0x0008 < tag >> 16 < 0x7FE0 and tag & 0xFFFF and len(vr) == 2 and vr != "SQ"
)
SEQUENCES = sorted(tag for tag, (vr, *_) in DicomDictionary.items() if vr == "SQ")
TEXTS = [
    "",
    "T2 FLAIR",
    "Zebrafish",
    "ZEBRAFISH^QUENTIN",
    "ep2d_diff b1000",
    "3",
    "3.50 ",
    " 7",
    "-1.5e-3",
    "1\\2\\3",
    "0.5\\",
    "20240229",
    "20231301",
    "101112.250",
    "235960",
    "20240229101112+0100",
    "034Y",
    "1.2.840.10008.1.2",
    "1.2.3.4.5",
    "1.2.3\\4.5.6",
    "Größe",
    "M\\ND",
    "HEAD",
    "A==",
]


DEEPEST = 3
PRIVATE = 2
UNDEFINED = 0xFFFFFFFF


def _vr_of(tag: int) -> str:
    return DicomDictionary[tag][0]


@st.composite
def raw_values(draw: st.DrawFn, vr: str) -> bytes:
    """Bytes for a VR: mostly what belongs there, now and then what does not."""
    if vr in NUMBERS and draw(st.integers(0, 5)):
        count = draw(st.integers(0, 3))
        return draw(st.binary(min_size=count * NUMBERS[vr], max_size=count * NUMBERS[vr]))
    if vr == "AT":
        return struct.pack("<HH", 0x0010, 0x0010)
    text = draw(st.sampled_from(TEXTS)).encode("latin-1")
    return text + b" " * draw(st.sampled_from([0, 0, 0, 1, 2]))


Plain = dict[int, "tuple[str, bytes | list[Plain]]"]
"""VR and value of each element of a level; the value of a sequence is its items."""


@st.composite
def elements(draw: st.DrawFn, depth: int = 0) -> Plain:
    """Draw one element of any kind."""
    kind = draw(st.integers(0, 9))
    if kind == 0 and depth < DEEPEST:
        return {
            draw(st.sampled_from(SEQUENCES)): ("SQ", draw(st.lists(levels(depth + 1), max_size=2)))
        }
    tag = draw(st.sampled_from(STANDARD))
    vr = _vr_of(tag)
    if kind == 1:
        vr = draw(st.sampled_from(SHORT + LONG))
    if kind == PRIVATE:
        tag, vr = draw(st.sampled_from([0x00091002, 0x00190011, 0x0019100C, 0x00290010])), "LO"
    value = draw(raw_values(vr))
    return {tag: (vr, value + b"\0" * (len(value) % 2))}


@st.composite
def levels(draw: st.DrawFn, depth: int = 0) -> Plain:
    """Draw a dataset without what an instance must have."""
    level: Plain = {}
    for element in draw(st.lists(elements(depth), max_size=6)):
        level |= element
    return level


@st.composite
def instances(draw: st.DrawFn) -> bytes:
    """Draw a Part 10 file: a good MR instance with anything on top, in either VR encoding."""
    level = draw(levels())
    level |= {
        0x00100010: (
            "PN",
            draw(st.sampled_from([b"ZEBRAFISH^QUENTIN ", b"BRAIN^ADA ", b"FLAIR^T2"])),
        ),
        0x00100020: ("LO", draw(st.sampled_from([b"MRN-0815", b"MRN-0816", b""]))),
        0x00190010: ("LO", b"SIEMENS MR HEADER "),
        0x0019100C: ("IS", draw(st.sampled_from([b"1000", b"5 ", b""]))),
    }
    if draw(st.booleans()):
        charset = draw(st.sampled_from([b"ISO_IR 100", b"ISO_IR 192", b"ISO_IR 13 ", b"NONSENSE"]))
        level[0x00080005] = ("CS", charset)
    return part10(level, implicit=draw(st.booleans()), delimited=draw(st.booleans()))


def part10(extra: Plain, *, implicit: bool = False, delimited: bool = False) -> bytes:
    """Write a good MR instance with more elements, or others, than it has."""
    base = mr_instance()
    file = written(base)  # settles VRs that depend on other attributes
    level: Plain = {int(each.tag): (each.VR, _value_in(file, int(each.tag))) for each in base}
    head = written(base, implicit=implicit)
    start = 132 + 12 + struct.unpack_from("<I", head, 140)[0]
    return head[:start] + encoded(level | extra, implicit=implicit, delimited=delimited)


def encoded(level: Plain, *, implicit: bool, delimited: bool) -> bytes:
    """Write a level; sequences and items of undefined length if they are delimited."""
    parts = []
    for tag, (vr, value) in sorted(level.items()):
        body = value if isinstance(value, bytes) else b""
        length = len(body)
        if not isinstance(value, bytes):
            items = [encoded(each, implicit=implicit, delimited=delimited) for each in value]
            body = b"".join(_item(each, delimited=delimited) for each in items)
            length = UNDEFINED if delimited else len(body)
            body += _delimiter(0xE0DD) if delimited else b""
        parts += [_head(tag, vr, length, implicit=implicit), body]
    return b"".join(parts)


def _item(body: bytes, *, delimited: bool) -> bytes:
    length = UNDEFINED if delimited else len(body)
    head = struct.pack("<HHI", 0xFFFE, 0xE000, length)
    return head + body + (_delimiter(0xE00D) if delimited else b"")


def _delimiter(element: int) -> bytes:
    return struct.pack("<HHI", 0xFFFE, element, 0)


def _head(tag: int, vr: str, length: int, *, implicit: bool) -> bytes:
    if implicit:
        return struct.pack("<HHI", tag >> 16, tag & 0xFFFF, length)
    if vr in {*LONG, "SQ"}:
        return struct.pack("<HH2sHI", tag >> 16, tag & 0xFFFF, vr.encode(), 0, length)
    return struct.pack("<HH2sH", tag >> 16, tag & 0xFFFF, vr.encode(), length)


def _value_in(file: bytes, tag: int) -> bytes:
    """Find the value of a top-level element in an explicit VR file without sequences before it."""
    at = 132 + 12 + struct.unpack_from("<I", file, 140)[0]
    while True:
        group, element, vr, length = struct.unpack_from("<HH2sH", file, at)
        start = at + 8
        if vr.decode() in {*LONG, "SQ"}:
            (length,) = struct.unpack_from("<I", file, at + 8)
            start = at + 12
        if group << 16 | element == tag:
            return file[start : start + length]
        at = start + length
