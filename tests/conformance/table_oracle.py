"""What the standard asks for, row by row; written from the text of PS3.15 E.1.1 and E.3.

Shares nothing with the code under test but the tables of the standard themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydicom import Dataset
from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedMRImageStorage, MRImageStorage, SegmentationStorage

from deid_node.headers.confidentiality import Option, Row, table
from deid_node.headers.profile import Action

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydicom.dataelem import DataElement

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
    0x04000550,
    0x04000561,
    0x00120063,
    0xFFFAFFFA,
    0x4FFE0001,
    0x00120064,
}
"""Removed whatever the table says: each can hide anything (see `headers.plan`)."""


STRICTER = {0x00340007, 0x04000310}
"""Times in bytes, Frame Origin Timestamp and Certified Timestamp: they go even under Retain
Full Dates, because bytes can say anything and nothing here reads them."""


def rows() -> Mapping[int, Row]:
    """Rows of single attributes that lie in a dataset and that an option can keep."""
    found = {tag: row for tag, row in table().rows.items() if tag >> 16 > 7}
    return {tag: row for tag, row in found.items() if tag not in ALWAYS_GONE}


def vr_of(tag: int) -> str:
    """VR of the dictionary, the first of two."""
    return dictionary_VR(tag)[:2] if dictionary_has_tag(tag) else "UN"


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
        "D": {Action.DUMMY, *({Action.UID} if vr == "UI" else ())},
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


STRANGER = "qvex"
"""What words begin with that are in no vocabulary."""

_NUMBERS: dict[str, object] = {
    "AS": "042Y",
    "AT": 0x00180081,
    "DS": "41.5",
    "FD": 41.5,
    "FL": 41.5,
    "IS": "41",
    "SL": 41,
    "SS": 41,
    "UL": 41,
    "US": 41,
}


def value_of(tag: int) -> object:
    """Give a valid value that tells whether it was kept, cleaned, moved or replaced.

    No two attributes share one, so that what one keeps does not betray what another lost.
    """
    vr = vr_of(tag)
    word = STRANGER + "".join(chr(ord("a") + tag // 16**k % 16) for k in range(8))
    number = sorted(rows()).index(tag)
    day = str(np.datetime64("2001-01-01") + number).replace("-", "")
    if vr == "SQ":
        entry = Dataset()
        entry.ReferencedSOPInstanceUID = f"1.2.3.9.{tag}.1"
        entry.PatientName = f"{STRANGER}^Inner"
        entry.PatientID = word
        return Sequence([entry])
    return _NUMBERS.get(vr) or {
        "AE": word,
        "CS": word.upper(),
        "DA": day,
        "DT": f"{day}101112",
        "OB": word.encode(),
        "OW": word.encode(),
        "PN": f"{word}^Person",
        "TM": f"1011{number // 60:02}.{number % 60:02}",
        "UI": f"1.2.3.9.{tag}",
        "UN": word.encode(),
        "UR": f"http://{word}",
    }.get(vr, f"{word} T2")


def outcome(before: DataElement, after: DataElement | None, option: Option | None) -> set[Action]:
    """Say which actions an element that is written bears out."""
    if after is None:
        return {Action.REMOVE, Action.CLEAN}
    if after.VR == "SQ":
        return _outcome_of_items(list(after.value), option)
    if after.is_empty:
        return {Action.EMPTY, Action.CLEAN}
    if after.value == before.value:
        return {Action.KEEP, Action.CLEAN} if after.VR in _NUMBERS else {Action.KEEP}
    return _outcome_of_value(after.VR, str(before.value), str(after.value))


def _outcome_of_value(vr: str, before: str, after: str) -> set[Action]:
    """Tell apart what may stand where another value stood."""
    if vr == "UI":
        return {Action.UID, Action.DUMMY} if after.startswith("2.25.") else set()
    if vr in {"DA", "DT"} and after[:8] != "19000101":
        days = (_day(before) - _day(after)).astype(int)
        return {Action.SHIFT} if after[8:] == before[8:] and days in range(365, 3651) else set()
    if STRANGER in after.lower():
        return set()
    return {Action.CLEAN} if "T2" in after else {Action.DUMMY, Action.CLEAN}


def _outcome_of_items(items: list[Dataset], option: Option | None) -> set[Action]:
    """Items must be there and scrubbed themselves, whatever keeps the sequence."""
    if not items:
        return {Action.EMPTY}
    told = "".join(str(element.value) for each in items for element in each)
    kept = "1.2.3.9." in told and option is not Option.RETAIN_UIDS
    if kept or STRANGER in told.lower():
        return set()
    return {Action.KEEP, Action.CLEAN, Action.UID, Action.DUMMY}


def _day(value: str) -> np.datetime64:
    return np.datetime64(f"{value[:4]}-{value[4:6]}-{value[6:8]}")
