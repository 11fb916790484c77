"""Which attributes an IOD has, at each level of nesting, and of which Type.

The module tables of PS3.3 as package data made by ``tools/build_table.py``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from deid_node.headers.confidentiality import packaged

_CONTENT: Final = 0x0040A730
"""Content Sequence: content items nest in themselves (PS3.3 C.17.3), the tables stop at one."""

_STRICTNESS: Final = ("1", "1C", "2", "2C", "3")

_PATIENT_NAME: Final = 0x00100010
_OPAQUE: Final = frozenset({0x00420011})
"""Encapsulated Document."""
_RAW_DATA: Final = "1.2.840.10008.5.1.4.1.1.66"

Group = Mapping[int, tuple[str, int | None]]
"""Type of each attribute of a group, and the number of the group inside its items."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """The attributes that one level of an IOD may have.

    Parameters
    ----------
    types
        Type of each attribute: 1, 1C, 2, 2C or 3 (PS3.5 7.4).
    demanded
        Attributes that must be there whatever else is: those of Type 1 or 2 in a
        mandatory module, or in an item of a sequence that is there.
    conditional
        Attributes of Type 1C or 2C in the same places: they may be demanded.
    """

    types: Mapping[int, str]
    demanded: frozenset[int]
    conditional: frozenset[int] = frozenset()
    _below: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    def below(self, tag: int) -> Section:
        """Attributes in the items of a sequence; empty if the IOD has no such sequence."""
        groups = tuple(self._below.get(tag, ()))
        return _section(tuple((group, "M") for group in groups), tag == _CONTENT)

    def type_of(self, tag: int) -> str | None:
        """Type of an attribute at this level; None if the IOD does not have it here."""
        return self.types.get(tag)


def section_of(sop_class_uid: str) -> Section:
    """Top level of the IOD of a SOP Class; empty for a class that the tables do not know."""
    tables = _tables()
    iod = tables["classes"].get(sop_class_uid)
    members = tables["iods"].get(iod, [])
    return _section(tuple((group, usage) for group, usage in members))


@lru_cache(maxsize=512)
def is_patients(sop_class_uid: str) -> bool:
    """Whether instances of a SOP Class are about a patient and a header tells what they hold.

    False for unknown classes, directories, templates and protocols without a patient,
    encapsulated documents, and raw data of a vendor's own form.
    """
    section = section_of(sop_class_uid)
    is_about_a_patient = _PATIENT_NAME in section.demanded
    return is_about_a_patient and not _OPAQUE & section.types.keys() and sop_class_uid != _RAW_DATA


@lru_cache(maxsize=4096)
def _section(members: tuple[tuple[int, str], ...], nests: bool = False) -> Section:  # noqa: FBT001, FBT002 - private
    types: dict[int, str] = {}
    demanded: set[int] = set()
    conditional: set[int] = set()
    below: dict[int, set[int]] = {}
    for number, usage in members:
        for tag, (kind, inside) in _group(number).items():
            types[tag] = min(types.get(tag, "3"), kind, key=_STRICTNESS.index)
            if usage == "M" and kind in {"1", "2"}:
                demanded.add(tag)
            elif usage == "M" and kind in {"1C", "2C"}:
                conditional.add(tag)
            if inside is not None:
                below.setdefault(tag, set()).add(inside)
    if nests and members:
        types.setdefault(_CONTENT, "1C")
        below.setdefault(_CONTENT, {number for number, _ in members})
    return Section(
        types=types,
        demanded=frozenset(demanded),
        conditional=frozenset(conditional),
        _below={tag: tuple(sorted(numbers)) for tag, numbers in below.items()},
    )


@lru_cache(maxsize=4096)
def _group(number: int) -> Group:
    rows = _tables()["groups"][number]
    return {int(tag, 16): (kind, (*inside, None)[0]) for tag, kind, *inside in rows}


@lru_cache(maxsize=1)
def _tables() -> dict[str, Any]:
    return packaged("iods.json")
