"""Table E.1-1 row by row: for each IOD and option, the action that the standard asks for.

The oracle is written from the text of PS3.15 E.1.1 and E.3 and shares nothing with the
code under test but the tables of the standard themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.uid import EnhancedMRImageStorage, MRImageStorage, SegmentationStorage

from deid_node.headers.confidentiality import Option, Row, table
from deid_node.headers.iod import section_of
from deid_node.headers.plan import explain
from deid_node.headers.profile import Action, Profile

if TYPE_CHECKING:
    from collections.abc import Callable

COLUMNS = [
    None,
    *sorted({o for r in table().rows.values() for o in r.options}, key=lambda o: o.value),
]
IODS = {"MR": MRImageStorage, "Enhanced MR": EnhancedMRImageStorage, "SEG": SegmentationStorage}
ALWAYS_GONE = {
    0x00080006,
    0x00880200,
    0x00420011,
    0x04000500,
    0x04000561,
    0x00120063,
    0xFFFAFFFA,
    0x4FFE0001,
    0x00120064,
}
"""Removed whatever the table says: each can hide anything (see `headers.plan`)."""


def allowed(row: Row, option: Option | None, kind: str | None, vr: str) -> set[Action]:
    """Give the actions that the standard leaves open for one attribute."""
    if option is not None and option in row.options:
        if row.options[option] == "K":
            return {Action.KEEP}
        return {"DA": {Action.SHIFT}, "DT": {Action.SHIFT}, "TM": {Action.KEEP}}.get(
            vr, {Action.CLEAN}
        )
    letters = set(row.basic.rstrip("*").split("/"))
    actions = {
        "X": {Action.REMOVE},
        "Z": {Action.EMPTY},
        "D": {Action.DUMMY},
        "U": {Action.UID},
    }
    if letters == {"X", "Z", "U"}:
        # "or replacement of contained instance UIDs": open to Type 2, needed by Type 1.
        open_to = {"1": "U", "1C": "U", "2": "ZU", "2C": "ZU"}.get(kind or "3", "X")
        return set[Action]().union(*(actions[letter] for letter in open_to))
    if letters == {"D"} and vr == "SQ" and "C" in row.options.values():
        # Reports and graphics. No row says what stands for the elements inside, and an IOD
        # with no such content is whole: Type 1C, or of a module that is optional.
        return {Action.REMOVE}
    if len(letters) == 1:
        return actions[letters.pop()]
    wanted = {"1": "D", "1C": "D", "2": "Z", "2C": "Z"}.get(kind or "3", "X")
    stricter = {"X": "XZD", "Z": "ZD", "D": "D"}[wanted]
    return next(actions[letter] for letter in stricter if letter in letters)


@pytest.mark.parametrize("iod", IODS)
@pytest.mark.parametrize("option", COLUMNS, ids=lambda o: o.value if o else "basic")
def test_every_row_gets_the_action_of_the_standard(
    iod: str, option: Option | None, record_property: Callable[[str, object], None]
) -> None:
    options = frozenset({option}) if option else frozenset[Option]()
    profile = Profile(name="row", version=1, edition=table().edition, options=options)
    section = section_of(IODS[iod])
    rows = {
        tag: row for tag, row in table().rows.items() if tag >> 16 > 7 and tag not in ALWAYS_GONE
    }

    wrong = []
    for tag, row in rows.items():
        vr = dictionary_VR(tag) if dictionary_has_tag(tag) else "UN"
        decision = explain(profile, tag, IODS[iod])
        if decision.action not in allowed(row, option, section.type_of(tag), vr):
            wrong.append((f"{tag:08X}", row.basic, section.type_of(tag), decision.action.value))

    record_property("rows", len(rows))
    assert len(rows) > 600
    assert wrong == []


@pytest.mark.parametrize("tag", sorted(ALWAYS_GONE))
@pytest.mark.parametrize("iod", IODS)
def test_what_can_hide_anything_goes_under_every_option(tag: int, iod: str) -> None:
    options = frozenset(Option) - {Option.RETAIN_FULL_DATES, Option.CLEAN_PIXEL_DATA}
    profile = Profile(name="all", version=1, edition=table().edition, options=options)

    assert explain(profile, tag, IODS[iod]).action is Action.REMOVE
