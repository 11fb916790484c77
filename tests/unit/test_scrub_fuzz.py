"""A name in every VR, at every depth, in every class: none of thousands survives.

Seeded, so that a survivor can be looked at again. Most attributes are drawn from the
instance's own IOD, where most would stay if they held what they should.
"""

from __future__ import annotations

import random
import struct
from functools import cache

import pytest
from pydicom._dicom_dict import DicomDictionary
from pydicom.datadict import dictionary_VM, dictionary_VR

from deid_node.config.profile_file import load_profile
from deid_node.headers.iod import Section, section_of
from deid_node.headers.profile import Option, Profile
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.pipeline.header_only import HeaderScrubber
from tests.planted import INSTANCES, surviving, written

OURS = Pseudonyms(bytes(range(32)))
DEEPEST = 5
PER_INSTANCE = 25
LONG = {"OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"}
BY_VR = {
    vr: [t for t in DicomDictionary if dictionary_VR(t) == vr and 0x0008 < t >> 16 < 0x7FE0]
    for vr in {entry[0] for entry in DicomDictionary.values()}
    if len(vr) == 2
}
BY_TAG = {vr: {tag for tag in DicomDictionary if dictionary_VR(tag) == vr} for vr in {*BY_VR, "SQ"}}
VRS = sorted(vr for vr, tags in BY_VR.items() if tags and vr != "SQ")
NUMBERS = {"AT", "FD", "FL", "SL", "SS", "SV", "UL", "US", "UV"}
SPARED = {0x00080016, 0x00080018}
"""What names no class or no instance is refused, and then nothing is written at all."""
CREATORS = [b"SIEMENS MR HEADER ", b"GEMS_ACQU_01", b"Philips Imaging DD 001", b"SOMEBODY"]


@cache
def profile(name: str) -> Profile:
    if name != "everything kept":
        return load_profile(name)
    options = frozenset(Option) - {
        Option.CLEAN_PIXEL_DATA,
        Option.RETAIN_FULL_DATES,
        Option.RETAIN_UIDS,
        Option.RETAIN_INSTITUTION_IDENTITY,
        Option.RETAIN_DEVICE_IDENTITY,
        Option.RETAIN_PATIENT_CHARACTERISTICS,
    }
    return Profile(name=name, version=1, edition="2024e", options=options)


def encoded(tag: int, vr: str, value: bytes, *, implicit: bool = False) -> bytes:
    value += b"\0" * (len(value) % 2)
    head = struct.pack("<HH", tag >> 16, tag & 0xFFFF)
    if implicit:
        return head + struct.pack("<I", len(value)) + value
    if vr in LONG:
        return head + vr.encode() + struct.pack("<HI", 0, len(value)) + value
    return head + vr.encode() + struct.pack("<H", len(value)) + value


def entry(content: bytes) -> bytes:
    return struct.pack("<HHI", 0xFFFE, 0xE000, len(content)) + content


class Hiding:
    """Hides one token after another in one class of instances."""

    def __init__(self, seed: int, kind: str) -> None:
        self.rng = random.Random(seed)  # noqa: S311 - a test that can be repeated
        self.section = section_of(INSTANCES[kind]().SOPClassUID)
        self.tokens: list[str] = []

    def token(self) -> str:
        number = len(self.tokens)
        letters = "".join(chr(ord("A") + number // 26**k % 26) for k in range(4))
        self.tokens.append(f"QZVEX{letters}")
        return self.tokens[-1]

    def element(self) -> bytes:
        """Encode one element that holds a token, in up to five sequences."""
        rng, section = self.rng, self.section
        around = []
        for _ in range(rng.randint(0, DEEPEST)):
            around.append(tag := self.tag("SQ", section))
            section = section.below(tag)
        implicit = bool(around) and rng.random() < 0.2
        made = self.leaf(section, implicit=implicit)
        for depth, tag in enumerate(reversed(around)):
            outermost_un = implicit and depth == len(around) - 1
            vr = "UN" if outermost_un else "SQ"
            made = encoded(tag, vr, entry(made), implicit=implicit and not outermost_un)
        return made

    def leaf(self, section: Section, *, implicit: bool) -> bytes:
        rng = self.rng
        vr = rng.choice(VRS)
        kind = rng.choice(["listed", "listed", "listed", "mistyped", "private", "unknown", "UN"])
        tag = self.tag(vr, section)
        text = self.token()
        if rng.random() < 0.3:
            text = f"T2 {text} FLAIR"
        if vr not in {"CS", "AE"} and rng.random() < 0.3:
            text = text.lower()
        value = text.encode(rng.choice(["ascii", "ascii", "utf-16-le", "utf-16-be"]))
        if vr in NUMBERS:
            value = value.ljust(24, b" ")  # whole numbers, of every size
        if kind == "mistyped":
            tag = self.tag(rng.choice(VRS), section)
        if kind == "unknown":
            tag = 0x00109900 | rng.randint(0, 0xFF)
        if kind == "private":
            block, number = rng.choice([0x0019, 0x0043, 0x2001]), rng.randint(0, 0xFF)
            creator = encoded(block << 16 | 0x10, "LO", rng.choice(CREATORS), implicit=implicit)
            return creator + encoded(block << 16 | 0x1000 | number, vr, value, implicit=implicit)
        return encoded(tag, "UN" if kind == "UN" else vr, value, implicit=implicit)

    def tag(self, vr: str, section: Section) -> int:
        """Draw a tag of a VR, most of the time one that the IOD has here.

        Of numbers one with several values: a text is many numbers.
        """
        own = [tag for tag in sorted(section.types.keys() - SPARED) if tag in BY_TAG[vr]]
        if vr in NUMBERS:
            own = [tag for tag in own if dictionary_VM(tag) != "1"] or own
        return self.rng.choice(own if own and self.rng.random() < 0.7 else BY_VR[vr])


@pytest.mark.parametrize(
    "planted", [1_000, pytest.param(10_000, marks=pytest.mark.slow)], ids=["some", "all"]
)
@pytest.mark.parametrize("name", ["basic", "research-mr", "everything kept"])
@pytest.mark.parametrize("kind", INSTANCES)
def test_none_of_the_names_hidden_anywhere_survives(kind: str, name: str, planted: int) -> None:
    hiding = Hiding(planted, kind)
    source = written(INSTANCES[kind]())
    scrubber = HeaderScrubber(profile(name), OURS)

    left, hidden = [], 0
    for _ in range(0, planted // len(INSTANCES), PER_INSTANCE):
        part10 = source + b"".join(hiding.element() for _ in range(PER_INSTANCE))
        tokens = surviving(hiding.tokens[hidden:], part10)
        hidden += len(tokens)
        left += surviving(tokens, scrubber.run(part10).encoded.part10)

    assert left == []
    assert hidden == len(hiding.tokens) >= planted // len(INSTANCES)
