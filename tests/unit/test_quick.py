"""A short way passes, or gives what the long way gives."""

from __future__ import annotations

import itertools
import struct

import pytest
from pydicom.datadict import tag_for_keyword
from pydicom.dataelem import RawDataElement
from pydicom.tag import BaseTag

from deid_node.dicom import wire_out
from deid_node.headers.plan import Decision
from deid_node.headers.profile import Action
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.headers.quick import quick_way
from deid_node.headers.values import Subject, changed

SUBJECT = Subject(
    pseudonyms=Pseudonyms(bytes(range(32))), patient="P", days=-400, own=frozenset(), age_cap=89
)
TEXTS = [
    *("", "1", "12", "-1.50", "+.5", "1.", "1e5", "1E-05", "1e300", "1e3000", ".", "e5", "0x10"),
    *("1 ", "1  ", " 1", "1\0", "1\\2", "1\\", "\\1", "1\\ 2", "1 \\2", "1,5", "12345678901"),
    *("20240229", "20240230", "2024022", "20240229\\20240301", "17990101", "00010101", "20240229 "),
    *(
        "101112",
        "101112.5",
        "10",
        "1011",
        "235960",
        "235960.5",
        "246060",
        "101112  ",
        "1011.1234567",
    ),
    *("1.2.840.10008.1.2", "1.2.3", "1.2.3\0", "1.2.3 ", "1.2.3\\4.5", "1.2.x", "." * 64, "1" * 65),
    *("NAME", "ZEBRAFISH^QUENTIN", "Größe", "\x1b$B", "1.2.3.4.5.6", "-", "+", "0000000000"),
]
BYTES = [
    struct.pack("<d", 1.5),
    struct.pack("<3d", 0, 0.6, 0.8),
    b"ZEBRAFIS",
    b"Z\0E\0B\0R\0A\0F\0I\0S\0",
    b"\0\0",
    b"\1\2",
    b"\1\2\3\4",
    b"\1\2\3\4\5\6",
    b"12345678",
    b"",
]
ATTRIBUTES = {
    "DS": "SliceLocation",
    "IS": "InstanceNumber",
    "TM": "ContentTime",
    "DA": "ContentDate",
    "UI": "SOPInstanceUID",
    "US": "SmallestImagePixelValue",
    "SS": "PixelPaddingValue",
    "UL": "RegionFlags",
    "SL": "ReferencePixelX0",
    "FD": "DiffusionBValue",
}
SEVERAL = {
    "FD": "DiffusionGradientOrientation",
    "DS": "ImagePositionPatient",
    "UL": "SimpleFrameList",
}


@pytest.mark.parametrize("action", set(Action) - {Action.SET})
@pytest.mark.parametrize(
    ("vr", "keyword"), [*ATTRIBUTES.items(), *SEVERAL.items()], ids=lambda text: text
)
def test_a_short_way_gives_what_the_long_way_gives(vr: str, keyword: str, action: Action) -> None:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    decision = Decision(action=action, authority="table")
    way = quick_way(tag, vr, decision, SUBJECT)
    for raw in [*(text.encode("latin-1") for text in TEXTS), *BYTES]:
        value = raw + b" " * (len(raw) % 2)
        new = way(value) if way is not None else None
        if new is not None:
            element = RawDataElement(BaseTag(tag), vr, len(value), value, 0, False, True)  # noqa: FBT003
            long = changed(element, vr, "ascii", decision, SUBJECT)
            assert long is not None, (vr, value)
            assert wire_out.with_head(tag, vr, new) == wire_out.element(tag, vr, long), (vr, value)


@pytest.mark.parametrize(
    ("vr", "action", "value"),
    [
        ("DS", Action.KEEP, b"-90.5\\12 "),
        ("IS", Action.CLEAN, b"12"),
        ("TM", Action.KEEP, b"101112.250000 "),
        ("DA", Action.SHIFT, b"20240229"),
        ("UI", Action.UID, b"1.2.3\0"),
        ("US", Action.KEEP, b"\1\2"),
        ("FD", Action.KEEP, struct.pack("<d", 1000)),
    ],
)
def test_what_scanners_write_takes_the_short_way(vr: str, action: Action, value: bytes) -> None:
    tag = tag_for_keyword(ATTRIBUTES[vr])
    assert tag is not None
    way = quick_way(tag, vr, Decision(action=action, authority="table"), SUBJECT)

    assert way is not None
    assert way(value) is not None


@pytest.mark.parametrize(
    ("vr", "action"),
    [*itertools.product(["DS", "UI", "US"], [Action.REMOVE, Action.EMPTY, Action.DUMMY])],
)
def test_what_does_not_look_at_the_value_has_no_short_way(vr: str, action: Action) -> None:
    tag = tag_for_keyword(ATTRIBUTES[vr])
    assert tag is not None

    assert quick_way(tag, vr, Decision(action=action, authority="table"), SUBJECT) is None
