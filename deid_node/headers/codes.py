"""Coded entries: a code stays if the standard's own context groups have it.

A code value is free text to a scanner, so it is believed only when it is a known concept;
its meaning is then written anew from the dictionary (PS3.3 section 8).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final, cast

from pydicom.sr._concepts_dict import concepts as _concepts
from pydicom.sr._snomed_dict import mapping

from deid_node.headers.reading import strings

if TYPE_CHECKING:
    from deid_node.headers.reading import Source

CODE_VALUES: Final = frozenset({0x00080100, 0x00080119, 0x00080120})
"""Code Value, Long Code Value and URN Code Value."""
CODING_SCHEME: Final = 0x00080102
CODING_SCHEME_VERSION: Final = 0x00080103
CODE_MEANING: Final = 0x00080104
ATTRIBUTES: Final = CODE_VALUES | {CODING_SCHEME, CODING_SCHEME_VERSION, CODE_MEANING}
"""What a coded entry is made of, PS3.3 Table 8.8-1."""
CODED_ENTRY: Final = CODE_VALUES | {CODING_SCHEME, CODE_MEANING}
"""What the standard's own dictionary settles in an item that is a coded entry."""
UNKNOWN: Final = {0x00080100: "261665006", CODING_SCHEME: "SCT", CODE_MEANING: "Unknown"}
"""Stands where a code must be and only somebody's own scheme knows it."""

_CONCEPTS = cast("dict[str, dict[str, dict[str, tuple[str, list[int]]]]]", _concepts)
_LONGEST_MEANING: Final = 64
_SNOMED_KIND: Final = re.compile(r" \([a-z /]+\)$")
"""What a fully specified name of SNOMED CT ends in, as in ``(body structure)``."""

_RETIRED_SNOMED: Final = frozenset({"SRT", "SNM3", "99SDM"})


@dataclass(frozen=True, slots=True, kw_only=True)
class CodedEntry:
    """A code that the standard knows.

    Parameters
    ----------
    tag
        Which of the code value attributes holds it.
    value, scheme
        The code.
    meaning
        What the standard calls it.
    given
        What the source calls it; not trusted.
    """

    tag: int
    value: str
    scheme: str
    meaning: str
    given: str


def is_coded(entry: Source) -> bool:
    """Whether an item is a coded entry."""
    return any(tag in entry for tag in CODE_VALUES)


def standard_meaning(scheme: str, value: str) -> str | None:
    """Meaning of a code that the standard uses; None for every other code.

    Examples
    --------
    >>> standard_meaning("SCT", "69536005"), standard_meaning("99LOCAL", "DOE")
    ('Head structure', None)
    """
    if scheme in _RETIRED_SNOMED:
        scheme, value = "SCT", mapping["SRT"].get(value, "")
    meaning = _meanings().get((scheme, value))
    return None if meaning is None else _SNOMED_KIND.sub("", meaning)[:_LONGEST_MEANING]


def coded_entry(source: Source, codec: str | None) -> CodedEntry | None:
    """Read an item as a coded entry; None if the standard does not know the code."""
    tag = next((tag for tag in CODE_VALUES if tag in source), None)
    if tag is None:
        return None
    value, scheme, given = (_first(source, at, codec) for at in (tag, CODING_SCHEME, CODE_MEANING))
    meaning = standard_meaning(scheme, value)
    if meaning is None:
        return None
    return CodedEntry(tag=tag, value=value, scheme=scheme, meaning=meaning, given=given)


def _first(source: Source, tag: int, codec: str | None) -> str:
    values = strings(source.get_item(tag), "UC", codec) if tag in source else None
    return values[0] if values else ""


@lru_cache(maxsize=1)
def _meanings() -> dict[tuple[str, str], str]:
    """Full meanings of all concepts by scheme and value."""
    return {
        (scheme, value): meaning
        for scheme, by_keyword in _CONCEPTS.items()
        for by_value in by_keyword.values()
        for value, (meaning, _) in by_value.items()
    }
