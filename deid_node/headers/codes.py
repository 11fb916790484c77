"""Coded entries: a code stays if the standard's own context groups have it.

A code value is free text to a scanner, so it is believed only when it is a known concept;
its meaning is then written anew from the dictionary (PS3.3 section 8).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final, cast

from pydicom.sr._concepts_dict import concepts as _concepts
from pydicom.sr._snomed_dict import mapping

CODE_VALUES: Final = frozenset({0x00080100, 0x00080119, 0x00080120})
"""Code Value, Long Code Value and URN Code Value."""
CODING_SCHEME: Final = 0x00080102
CODE_MEANING: Final = 0x00080104

_CONCEPTS = cast("dict[str, dict[str, dict[str, tuple[str, list[int]]]]]", _concepts)
_LONGEST_MEANING: Final = 64
_RETIRED_SNOMED: Final = frozenset({"SRT", "SNM3", "99SDM"})


def standard_meaning(scheme: str, value: str) -> str | None:
    """Meaning of a code that the standard uses; None for every other code.

    Examples
    --------
    >>> standard_meaning("SCT", "69536005"), standard_meaning("99LOCAL", "DOE")
    ('Head', None)
    """
    if scheme in _RETIRED_SNOMED:
        scheme, value = "SCT", mapping["SRT"].get(value, "")
    return _meanings().get((scheme, value))


@lru_cache(maxsize=1)
def _meanings() -> dict[tuple[str, str], str]:
    return {
        (scheme, value): meaning[:_LONGEST_MEANING]
        for scheme, by_keyword in _CONCEPTS.items()
        for by_value in by_keyword.values()
        for value, (meaning, _) in by_value.items()
    }
