"""Table E.1-1 and private elements: what should not be there, or should look otherwise."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Final, NamedTuple

from deid_node.headers.verification.attributes import BYTE_VRS
from deid_node.headers.verification.checks import Remark
from deid_node.headers.verification.declared import PLACEHOLDER_DAYS
from deid_node.headers.verification.structure import is_hidden
from deid_node.headers.verification.words import is_of_mr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deid_node.headers.verification.attributes import Attribute
    from deid_node.headers.verification.opened import Opened

_PATIENT_ID: Final = 0x00100020
_PATIENT_NAME: Final = 0x00100010
_AGE: Final = 0x00101010
_TRIAL_GROUP: Final = 0x0012
_FIRST_GROUP: Final = 0x0008
_OLDEST: Final = 89
_VALUES: Final = frozenset({"X", "D", "Z", "U"})
_CREATORS: Final = range(0x10, 0x100)
_DESCRIPTIONS: Final = frozenset({"SH", "LO", "UC", "ST", "LT", "UT"})
_SAFE_PRIVATE: Final = "retain-safe-private"
_LONG_NAMES: Final = frozenset(
    {"SH", "LO", "UC", "ST", "LT", "UT", "PN", "AE", "UR", "DA", "DT", "UI"}
)
"""VRs in which a private element may hold text, a day or a UID."""
_VENDORS: Final = re.compile(
    r"1\.3\.12\.2\.1107\.|1\.2\.840\.113619\.|1\.3\.46\.670589\.|1\.2\.392\.200036\."
    r"|1\.2\.840\.114051\.|1\.2\.840\.113704\.|1\.2\.410\.|1\.2\.124\.113532\.|1\.3\.51\."
)
"""Siemens, GE, Philips, Toshiba and Fuji, and other makers of scanners and archives."""
_NOTHING: Final = re.compile(
    r"(anon\w*|de-?id\w*|removed?|unknown|none|dummy|default|redacted|replaced|no ?name|n/?a"
    r"|not available|withheld|masked|placeholder|changed|patient|subject|volunteer|phantom|case|name|test|x+|-+|_+|[0:.]+|000[dwmy])",
    re.IGNORECASE,
)
_RANDOM: Final = re.compile(
    r"[0-9a-f]{16,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|[A-Z0-9]*\d[A-Z0-9]{15,}|P[A-Z2-7]{16}",
    re.IGNORECASE,
)
"""Long hexadecimal, UUID, long letters and digits, and the pseudonyms of this program, of which
one in thirty has no digit."""


class _Row(NamedTuple):
    """Code of the Basic Profile, and options that override it."""

    basic: str
    options: dict[str, str]


def listed(file: Opened) -> Iterator[Remark]:
    """Check every attribute against Table E.1-1, and private elements."""
    told: set[tuple[int, ...]] = set()
    for each in file.attributes:
        inside = any(each.path[:depth] in told for depth in range(1, len(each.path)))
        if not each.n_values or inside or is_hidden(each.tag):
            continue
        check = _private(each, file) if each.is_private else _standard(each, file)
        if check:
            yield Remark(check, each.where)
        if check in {"removed-attribute", "private"}:
            told.add(each.path)


def is_kept(tag: int, options: frozenset[str]) -> bool:
    """Whether an option that is claimed keeps the attribute as it is."""
    row = _row(tag)
    return row is not None and any(row.options.get(option) == "K" for option in options)


def is_nothing(text: str) -> bool:
    """Whether a value is a placeholder or is made at random."""
    return bool(_NOTHING.fullmatch(text) or _RANDOM.fullmatch(text))


def is_pseudonym(name: str) -> bool:
    """Whether a person name is empty, a placeholder, or holds a digit."""
    words = [word for word in re.split(r"[\^= ,]+", name) if word]
    return any(map(str.isdigit, name)) or all(map(is_nothing, words))


def _private(each: Attribute, file: Opened) -> str:
    if _SAFE_PRIVATE not in file.options:
        return "private"
    creator = len(each.path) > 0 and each.tag & 0xFFFF in _CREATORS
    if creator:
        return ""
    return "private-text" if each.vr in _LONG_NAMES or each.vr in BYTE_VRS else ""


def _standard(each: Attribute, file: Opened) -> str:
    if each.vr == "PN":
        return "" if all(map(is_pseudonym, each.texts)) else "person-name"
    if each.vr == "UI":
        vendor = any(map(_VENDORS.match, each.texts))
        return "vendor-uid" if vendor and "retain-uids" not in file.options else ""
    if each.tag == _AGE:
        return _age(each, file)
    if each.tag == _PATIENT_ID:
        same = each.texts == file.texts(_PATIENT_NAME)
        return "" if same or all(map(is_nothing, each.texts)) else "patient-id"
    return _by_table(each, file)


def _by_table(each: Attribute, file: Opened) -> str:
    row = _row(each.tag)
    allowed = row is None or any(option in file.options for option in row.options)
    if row is None or allowed or each.tag >> 16 == _TRIAL_GROUP or "U" in row.basic:
        return ""
    replaced = bool(each.texts) and all(_is_dummy(text, each, file) for text in each.texts)
    within = each.vr == "SQ" and row.basic not in {"Z", "X"}
    if replaced or within:
        return ""
    if row.basic != "X":
        return "original-value"
    described = each.vr in _DESCRIPTIONS and all(map(is_of_mr, each.texts))
    return "kept-words" if described else "removed-attribute"


def _age(each: Attribute, file: Opened) -> str:
    if "retain-patient-characteristics" not in file.options:
        return "" if all(map(is_nothing, each.texts)) else "removed-attribute"
    years = [int(text[:3]) for text in each.texts if re.fullmatch(r"\d{3}Y", text)]
    return "age" if any(year > _OLDEST + 1 for year in years) else ""


def _is_dummy(text: str, each: Attribute, file: Opened) -> bool:
    if each.vr in {"DA", "DT"}:
        return text.startswith(PLACEHOLDER_DAYS)
    return is_nothing(text) or text == file.text(_PATIENT_ID)


def _row(tag: int) -> _Row | None:
    return _table().get(f"{tag:08X}") if tag >> 16 >= _FIRST_GROUP else None


@lru_cache(maxsize=1)
def _table() -> dict[str, _Row]:
    """Read the package data, by itself: nothing of the de-identifier is shared."""
    file = resources.files("deid_node.headers") / "data" / "confidentiality.json"
    rows = json.loads(file.read_text(encoding="utf-8"))["rows"]
    return {tag: _Row(row[0], row[1] if len(row) > 1 else {}) for tag, row in rows.items()}
