"""Expand what a deid recipe calls several attributes by, over the DICOM dictionary.

deid searches the attributes of each instance, with regular expressions. Here the
dictionary is searched once, without any: words and ``|`` between them are all that is
accepted. Private attributes are in no dictionary; the node removes all of them anyway.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from pydicom._dicom_dict import DicomDictionary

from deid_node.config.importing.attributes import tag_named, vrs_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

EVERYTHING: Final = "all"
_WORDS: Final = re.compile(r"[a-z0-9_ ,'-]+(\|[a-z0-9_ ,'-]+)*")
_PRIVATE: Final = re.compile(r'\(?([0-9a-fA-F]{4}),"[^"]*",[0-9a-fA-F]{2}\)?')
_SELECT: Final = re.compile(r"(vr:[a-z]{2}|group:[0-9a-f]{1,4})")

_TESTS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "startswith": str.startswith,
    "endswith": str.endswith,
    "contains": str.__contains__,
    "except": str.__contains__,
}


def tags_of(target: str) -> tuple[int, ...] | str:
    """Find the attributes that a target stands for.

    Parameters
    ----------
    target
        A keyword, a number or an expander. For ``except:`` these are the attributes that
        it excepts.

    Returns
    -------
    tuple of int or str
        Their tags in ascending order, or why they cannot be told.
    """
    private = _PRIVATE.fullmatch(target)
    if private is not None:
        return (int(private[1], 16) << 16,)
    kind, colon, pattern = target.partition(":")
    if colon:
        return _expanded(kind.lower(), pattern.lower())
    if "__" in target:
        return "a rule holds at every depth; name the attribute without its sequence"
    tag = tag_named(target)
    return "the dictionary has no such attribute" if tag is None else (tag,)


def _expanded(kind: str, pattern: str) -> tuple[int, ...] | str:
    if kind == "select":
        return _selected(pattern)
    if kind not in _TESTS:
        return "it depends on the values of each instance, or is no expander"
    if _WORDS.fullmatch(pattern) is None:
        return "only words and | between them are expanded, no regular expression"
    test, words = _TESTS[kind], pattern.split("|")
    found = tuple(
        tag
        for tag, names in _names().items()
        if any(test(name, word) for name in names for word in words)
    )
    return found or "no attribute of the dictionary matches"


def _selected(pattern: str) -> tuple[int, ...] | str:
    if _SELECT.fullmatch(pattern) is None:
        return "only VR and group can be selected by"
    what, _, value = pattern.partition(":")
    if what == "vr":
        return tuple(tag for tag in _names() if value.upper() in vrs_of(tag)) or "no such VR"
    group = int(value, 16)
    return tuple(tag for tag in _names() if tag >> 16 == group) or "no such group"


@lru_cache(maxsize=1)
def _names() -> dict[int, tuple[str, ...]]:
    """List what deid compares of each attribute, in lower case: keyword, name, number twice."""
    return {
        tag: (
            entry[4].lower(),
            entry[2].lower(),
            f"({tag >> 16:04x},{tag & 0xFFFF:04x})",
            f"{tag:08x}",
        )
        for tag, entry in sorted(DicomDictionary.items())
        if entry[4]
    }
