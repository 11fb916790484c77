"""The fast second look finds what the slow one finds, on any bytes."""

from __future__ import annotations

import io
import re
import struct
import zlib

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import tag_for_keyword

from deid_node.config.profile_file import load_profile
from deid_node.errors import InstanceRefused
from deid_node.headers import second_look
from deid_node.headers.byte_walk import Unwalkable, Walk, pixel_span
from deid_node.headers.needles import Identifiers, Needle
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.headers.residue import identifiers_of, residue
from deid_node.headers.search import Finding
from deid_node.headers.second_look import SecondLook, source_identifiers
from deid_node.pipeline.header_only import HeaderScrubber
from tests.encoded import EXPLICIT, IMPLICIT, UNDEFINED, element, file_of, sequence
from tests.planted import mr_instance, planted, written

RLE = "1.2.840.10008.1.2.5"


VALUES = {
    "PatientName": [
        b"ZEBRAFISH^QUENTIN",
        b"Lee^Ann",
        b"X^Y",
        "Brain^Ümit=山田^太郎".encode(),
        "Æon^Ümit".encode("latin-1"),
        b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B",
        b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7",
    ],
    "OperatorsName": [b"", b"Otter^Olga\\Heron^Hugo"],
    "PatientID": [b"MRN-0815-77", b"4000", b"123456", b"ANONYMOUS", b"A\0B99"],
    "AccessionNumber": [b"A4711", b"1"],
    "PatientBirthDate": [b"19420707", b"1942", b"19000101"],
    "StudyDate": [b"20240229", b""],
    "AcquisitionDateTime": [b"20240301101112.25", b" 20240301", b"20240301\\20240302"],
    "StudyInstanceUID": [b"1.2.826.0.1.3680043.9.1\0", b"1.2.840.10008.1.2\0", b"1.2\\1.3.4.5.6"],
    "PatientTelephoneNumbers": [b"+49 6221 123456", b"030/1234567 ", b"12"],
    "PatientAddress": [b"Kranichweg 5, Entenhausen, ada@example.org"],
    "PatientTelecomInformation": [b"tel:+4962211234 quentin@example.org"],
    "SeriesDescription": [b"ZEBRAFISH"],
}
VRS = {keyword: pydicom.datadict.dictionary_VR(tag_for_keyword(keyword) or 0) for keyword in VALUES}
CHARACTER_SETS = [b"ISO_IR 192", b"ISO_IR 100", b"\\ISO 2022 IR 87", b"\\ISO 2022 IR 149", b"none"]


@st.composite
def contents(draw: st.DrawFn, *, explicit: bool, depth: int = 0) -> bytes:
    """Elements of a dataset or item, nested, mistyped, in several character sets."""
    made: dict[int, bytes] = {}
    if draw(st.booleans()):
        charset = draw(st.sampled_from(CHARACTER_SETS))
        made[0x00080005] = element(0x00080005, "CS", charset, explicit=explicit)
    for keyword in draw(st.lists(st.sampled_from(sorted(VALUES)), unique=True, max_size=6)):
        tag = tag_for_keyword(keyword) or 0
        vr = draw(st.sampled_from([VRS[keyword], "UN"]))
        made[tag] = element(tag, vr, draw(st.sampled_from(VALUES[keyword])), explicit=explicit)
    for tag in (0x00082112, 0x00400275, 0x00081199) if depth < 3 else ():
        if draw(st.integers(0, 2)) == 0:
            vr = draw(st.sampled_from(["SQ", "SQ", "UN"]))
            inner = explicit and vr == "SQ"
            entries = draw(st.lists(contents(explicit=inner, depth=depth + 1), max_size=2))
            undefined = draw(st.booleans())
            made[tag] = sequence(tag, vr, entries, explicit=explicit, undefined=undefined)
    if draw(st.booleans()):
        noise = draw(st.binary(max_size=8).filter(lambda b: b[:4] != b"\xfe\xff\x00\xe0"))
        made[0x00291010] = element(0x00291010, "OB", noise, explicit=explicit)
    return b"".join(made[tag] for tag in sorted(made))


@st.composite
def sources(draw: st.DrawFn) -> bytes:
    syntax = draw(st.sampled_from([EXPLICIT, IMPLICIT, RLE]))
    content = draw(contents(explicit=syntax != IMPLICIT))
    if syntax == RLE:
        fragments = [b"", b"zebrafish "]
        head = element(0x7FE00010, "OB", b"", explicit=True, length=UNDEFINED)
        content += head + b"".join(
            struct.pack("<HHI", 0xFFFE, 0xE000, len(each)) + each for each in fragments
        )
        content += struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return file_of(content, syntax)


def read(part10: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(part10))


@given(sources())
@pytest.mark.filterwarnings("ignore:Unknown encoding")
def test_bytes_tell_the_same_identifiers_as_pydicom_reads(source: bytes) -> None:
    Walk(source)  # it is walked, and nothing falls back

    assert source_identifiers(source) == identifiers_of(read(source))


def plainly_found(searched: bytes, identifiers: Identifiers) -> set[str]:
    """Search without any trick: every place of every pattern, one by one."""

    def is_free(needle: Needle, at: int) -> bool:
        wide = needle.encoding.startswith("utf-16")
        ends = at + len(needle.pattern)
        sides = [searched[max(0, at - 1 - wide) : at], searched[ends : ends + 1 + wide]]
        for side in sides:
            if wide and len(side) == 2:
                letter, zero = side if needle.encoding == "utf-16-le" else side[::-1]
                touches = zero == 0 and re.match(rb"[0-9a-z.]", bytes([letter]))
            else:
                touches = None if wide else re.match(rb"[0-9a-z.]", side)
            if touches:
                return False
        return True

    found = set()
    for needle in identifiers.needles:
        places = [at for at in range(len(searched)) if searched.startswith(needle.pattern, at)]
        if any(not needle.whole or is_free(needle, at) for at in places):
            found.add(needle.keyword)
    return found


CREPT_IN = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "zebrafish",
                "quentin",
                "lee",
                "ann",
                "sleek",
                "山田",
                "太郎",
                "heron",
                "mrn-0815-77",
                "123456",
                "0.123456",
                "a4711",
                "07.07.1942",
                "19420707",
                "20240229",
                "20240301",
                "kranichweg",
                "Ümit",
                "ümit",
                "ab99",
            ]
        ),
        st.sampled_from(["utf-8", "utf-16-le", "utf-16-be", "latin-1", "iso2022_jp"]),
        st.sampled_from([b" ", b"", b"x", b"\0", b"."]),
    ),
    max_size=4,
)


@given(sources(), CREPT_IN)
def test_it_finds_what_a_plain_search_finds(
    source: bytes, crept_in: list[tuple[str, str, bytes]]
) -> None:
    value = b"".join(
        mark + text.encode(codec, errors="ignore") + mark for text, codec, mark in crept_in
    )
    output = file_of(element(0x00091010, "UN", value, explicit=True))
    identifiers = source_identifiers(source)

    fast = set(SecondLook().findings(source, output))

    assert fast == set(residue(output, identifiers))
    telephones = {finding.keyword for finding in fast if finding.encoding == "digits"}
    uids = {keyword for keyword, _ in identifiers.uids}
    assert {f.keyword for f in fast} - telephones - uids == plainly_found(
        output.lower(), identifiers
    ) - telephones


def test_one_look_after_another_finds_the_same_as_a_first_look() -> None:
    many = [
        file_of(element(0x00100010, "PN", name, explicit=True))
        for name in (b"ZEBRAFISH", b"OTTER^OLGA", b"ZEBRAFISH")
    ]
    output = file_of(element(0x00091010, "UN", b"the zebrafish", explicit=True))
    look = SecondLook()

    findings = [look.findings(source, output) for source in many]

    assert findings == [SecondLook().findings(source, output) for source in many]
    assert findings[0] == (Finding("PatientName", "utf-8"),)
    assert findings[1] == ()


def test_what_is_remembered_stays_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(second_look, "_MOST_REMEMBERED", 3)
    look = SecondLook()
    output = file_of(b"")

    for number in range(10):
        name = f"PERSON{number:03}^X".encode()
        look.findings(file_of(element(0x00100010, "PN", name, explicit=True)), output)

    assert len(look._searches) <= 3


def test_another_profile_keeps_other_attributes() -> None:
    source = file_of(element(0x00080020, "DA", b"20240229", explicit=True))
    output = file_of(element(0x00091010, "UN", b"of 20240229 x", explicit=True))
    look = SecondLook()

    assert look.findings(source, output) == (Finding("StudyDate", "utf-8"),)
    assert look.findings(source, output, kept=frozenset({"StudyDate"})) == ()
    assert look.findings(source, output) == (Finding("StudyDate", "utf-8"),)


def test_uids_that_the_profile_keeps_are_not_looked_for() -> None:
    source = file_of(element(0x0020000D, "UI", b"1.2.826.0.1.3680043.9.1", explicit=True))

    assert SecondLook().findings(source, source) == (Finding("StudyInstanceUID", "ascii"),)
    assert SecondLook().findings(source, source, kept=frozenset({"StudyInstanceUID"})) == ()


def test_names_in_a_private_sequence_that_nobody_declares_are_found() -> None:
    name = element(0x00100010, "PN", b"NESTLING^NORA", explicit=False)
    nested = sequence(0x00091001, "UN", [name], explicit=True, undefined=False)
    output = file_of(element(0x00104000, "UN", b"a nestling", explicit=True))

    assert SecondLook().findings(file_of(nested), output) == (Finding("PatientName", "utf-8"),)


def test_bytes_that_only_begin_like_a_sequence_tell_nothing_and_break_nothing() -> None:
    odd = element(0x00091001, "UN", b"\xfe\xff\x00\xe0\x04\0\0\0NORA", explicit=True)
    name = element(0x00100010, "PN", b"NESTLING^NORA", explicit=True)
    output = file_of(element(0x00104000, "UN", b"a nestling", explicit=True))

    assert SecondLook().findings(file_of(odd), output) == ()
    assert SecondLook().findings(file_of(odd + name), output) != ()


def deflated() -> bytes:
    """Write a file whose dataset is deflated (PS3.5 A.5), and so long that bytes say nothing."""
    plain = file_of(element(0x00100010, "PN", b"ZEBRAFISH^QUENTIN", explicit=True))
    meta = file_of(b"", "1.2.840.10008.1.2.1.99")
    content = plain[plain.index(b"\x08\0\x16\0UI") :]
    packer = zlib.compressobj(wbits=-15)
    return meta[: meta.index(b"\x08\0\x16\0UI")] + packer.compress(content) + packer.flush()


NAMED = element(0x00100010, "PN", b"ZEBRAFISH^QUENTIN", explicit=True)
BROKEN = {
    "breaks off": file_of(NAMED)[:-2],
    "overlong item": file_of(
        NAMED + element(0x00081140, "SQ", b"\xfe\xff\x00\xe0\xff\0\0\0", explicit=True)
    ),
    "no delimiter": file_of(
        NAMED
        + element(0x00081140, "SQ", b"\xfe\xff\x00\xe0\0\0\0\0", explicit=True, length=UNDEFINED)
    ),
    "odd VR": file_of(NAMED + b"\x10\0\x40\0QQ\x02\0M "),
    "implicit that says explicit": file_of(
        element(0x00100010, "PN", b"ZEBRAFISH^QUENTIN", explicit=False), EXPLICIT
    ),
    "character set after the name": file_of(
        NAMED + element(0x00080005, "CS", b"ISO_IR 192", explicit=True)
    ),
    "item longer than its sequence": file_of(
        NAMED
        + element(0x00081140, "SQ", b"\xfe\xff\x00\xe0\x0a\0\0\0", explicit=True)
        + element(0x00100020, "LO", b"12", explicit=True)
    ),
    "deflated": deflated(),
}


REFUSED = {"breaks off", "no delimiter"}
"""Of these, what nobody can parse: the rest pydicom reads."""


@pytest.mark.parametrize("name", sorted(BROKEN))
@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_walked_is_read_by_pydicom_and_never_passed_over(name: str) -> None:
    source = BROKEN[name]
    with pytest.raises(Unwalkable):
        Walk(source)
    output = file_of(element(0x00091010, "UN", b"quentin ", explicit=True))

    try:
        findings = SecondLook().findings(source, output)
    except InstanceRefused:
        assert name in REFUSED
    else:
        assert name not in REFUSED
        assert Finding("PatientName", "utf-8") in findings


@pytest.mark.parametrize("source", [b"", b"ZEBRAFISH" * 99, file_of(b"")[:150]])
def test_what_nobody_can_read_is_refused(source: bytes) -> None:
    with pytest.raises(InstanceRefused):
        SecondLook().findings(source, file_of(b""))


@given(st.binary(max_size=60), st.integers(0, 200))
@pytest.mark.filterwarnings("ignore")
def test_no_bytes_crash_it(noise: bytes, at: int) -> None:
    whole = file_of(NAMED)
    source = whole[: 132 + at] + noise + whole[132 + at :]

    try:
        findings = SecondLook().findings(source, source)
    except InstanceRefused:
        return
    assert isinstance(findings, tuple)


def test_the_guess_at_a_sequence_takes_back_what_it_read_of_something_else() -> None:
    name = element(0x00100010, "PN", b"NESTLING^NORA", explicit=True)
    item = b"\xfe\xff\x00\xe0" + struct.pack("<I", len(name)) + name
    odd = element(0x00091001, "UN", item + b"no second item", explicit=True)

    assert source_identifiers(file_of(odd)) == Identifiers()


@pytest.mark.parametrize("undefined", [False, True])
@pytest.mark.parametrize("n_levels", [60, 70])
def test_what_lies_too_deep_is_found_or_refused(n_levels: int, *, undefined: bool) -> None:
    content = NAMED
    for _ in range(n_levels):
        content = sequence(0x00081140, "SQ", [content], explicit=True, undefined=undefined)
    source = file_of(content)
    output = file_of(element(0x00091010, "UN", b"quentin ", explicit=True))

    if n_levels > 64:
        with pytest.raises(InstanceRefused):
            SecondLook().findings(source, output)
    else:
        assert Finding("PatientName", "utf-8") in SecondLook().findings(source, output)


def test_items_within_items_without_end_are_refused_and_crash_nothing() -> None:
    content = NAMED
    for _ in range(3000):
        content = sequence(0x00081140, "SQ", [content], explicit=True, undefined=True)
    scrubber = HeaderScrubber(load_profile("basic"), Pseudonyms(bytes(range(32))))

    with pytest.raises(InstanceRefused):
        scrubber.run(file_of(content))


def test_the_planted_instance_is_walked_and_full_of_findings() -> None:
    dataset, _ = planted()
    for implicit in (False, True):
        source = written(dataset, implicit=implicit)
        Walk(source)

        keywords = {f.keyword for f in SecondLook().findings(source, source)}

        assert {"PatientName", "PatientID", "PatientBirthDate", "SOPInstanceUID"} <= keywords


def test_pixel_data_is_found_where_it_lies() -> None:
    native = written(mr_instance())
    start, stop = pixel_span(native)

    assert native[start:stop] == mr_instance().PixelData
    assert pixel_span(b"no DICOM") == (8, 8)
    assert pixel_span(native[: start + 4]) == (start + 4, start + 4)
