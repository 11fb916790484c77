"""Text that looks like something of a person, in whatever attribute it is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from deid_node.headers.verification.attributes import NUMBER_VRS
from deid_node.headers.verification.checks import Remark
from deid_node.headers.verification.listed import is_kept, is_nothing, is_pseudonym
from deid_node.headers.verification.words import is_of_mr

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deid_node.headers.verification.attributes import Attribute
    from deid_node.headers.verification.opened import Opened

_NO_TEXT: Final = NUMBER_VRS | {"UI", "DA", "DT", "TM", "DS", "IS", "SQ", "AS"}
_NUMBERED: Final = frozenset(
    {0x00100010, 0x00100020, 0x00120063, 0x00120040, 0x00080100, 0x00080119}
)
"""Pseudonyms, the method, and codes: numbers are what they are made of."""
_SHORTEST_WORD: Final = 4

_DAY: Final = r"(0?[1-9]|[12]\d|3[01])"
_MONTH: Final = r"(0?[1-9]|1[0-2])"
_NAMED: Final = r"(jan|feb|mar|m[äa]r|apr|ma[iy]|jun|jul|aug|sep|o[ck]t|nov|de[cz])[a-z]*"
_YEAR: Final = r"(19|20)\d\d"
_FREE: Final = re.compile(
    rf"(?<![\d.]){_YEAR}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(?!\d|\.\d)"
    rf"|(?<![\d.]){_YEAR}[-./ ]{_MONTH}[-./ ]{_DAY}(?!\d|\.\d)"
    rf"|(?<![\d.]){_DAY}[-./]{_MONTH}[-./]{_YEAR}(?!\d)|(?<![\d.]){_MONTH}[-./]{_DAY}[-./]{_YEAR}(?!\d)"
    rf"|(?<![\d.]){_DAY}\.?[- ]?{_NAMED}\.?[- ,]*{_YEAR}(?!\d)|\b{_NAMED}\.? {_DAY},? {_YEAR}(?!\d)",
    re.IGNORECASE,
)
_NAME: Final = re.compile(
    r"[^\W\d_]{2,}\^[^\W\d_]+|\b(Dr|Prof|Mr|Mrs|Ms|Herr|Frau|Mme)\.? +[A-Z][a-zäöüß]{2,}"
)
_NUMBER: Final = re.compile(r"(?<![\w.])[A-Za-z]{0,3}-?\d{6,}(?![\w.])")
LOOKS: Final = (
    ("text-date", _FREE),
    ("text-email", re.compile(r"[\w.+-]+@[\w-]+(\.[\w-]+)+")),
    (
        "text-telephone",
        re.compile(
            r"(?<![\w.])(\+|00)\d{1,3}[ ()/-]{1,2}\d[\d ()/-]{5,}\d(?!\w)"
            r"|(?<![\w.])\(?0\d{2,4}\)?[ /-]{1,2}\d[\d -]{4,}\d(?!\w)|(?<!\d)\d{3}-\d{3}-\d{4}(?!\d)"
            r"|\b(tel|phone|fon|fax|mobile?)\b\.?:? ?[\d+(][\d ()/+-]{5,}",
            re.IGNORECASE,
        ),
    ),
    (
        "text-address",
        re.compile(
            r"(?i:\b\d{1,5}\w? +(\w+ +){1,3}(street|road|avenue|lane|drive|blvd|st|rd|ave)\b)"
            r"|(?i:\b[^\W\d_]+(stra(ss|ß)e|str\.|weg|platz|gasse|allee) *\d+)"
            r"|\b\d{5} +[A-ZÄÖÜ][a-zäöüß]{3,}|(?i:\bhttps?://|\bwww\.\w)"
        ),
    ),
    ("text-name", _NAME),
    ("text-number", _NUMBER),
)
"""Check, and what a text looks like that it remarks."""
_IDENTITY_KEPT: Final = frozenset({"text-date", "text-telephone", "text-address", "text-number"})


def texts(file: Opened) -> Iterator[Remark]:
    """Check every text, and whether words of person names are in other attributes too."""
    words = set(_name_words(file))
    for each in file.attributes:
        if each.vr in _NO_TEXT:
            continue
        kept = is_kept(each.tag, file.options)
        for check in _looks(each):
            if not (kept and check in _IDENTITY_KEPT):
                yield Remark(check, each.where)
        if each.vr != "PN" and any(words & _words(text) for text in each.texts):
            yield Remark("name-elsewhere", each.where)


def looks_of(text: str) -> set[str]:
    """Names of the checks that a text fails."""
    found = {check for check, pattern in LOOKS if pattern.search(text)}
    if "text-name" in found and all(is_of_mr(match[0]) for match in _NAME.finditer(text)):
        found.remove("text-name")  # Siemens writes Head^Routine
    if "text-number" in found and all(is_nothing(match[0]) for match in _NUMBER.finditer(text)):
        found.remove("text-number")
    return found


def person_words(name: str) -> set[str]:
    """Words of a person name that is no pseudonym, in lower case."""
    words = set() if is_pseudonym(name) else _words(name)
    return {word for word in words if not is_nothing(word)}


def _looks(each: Attribute) -> set[str]:
    found = {check for text in each.texts for check in looks_of(text)}
    if each.vr == "PN":
        found -= {"text-name"}
    if each.tag in _NUMBERED:
        found -= {"text-number", "text-date"}
    return found


def _name_words(file: Opened) -> Iterator[str]:
    for each in file.attributes:
        if each.vr == "PN":
            for text in each.texts:
                yield from person_words(text)


def _words(text: str) -> set[str]:
    words = re.findall(r"[^\W\d_]+", text.lower())
    return {word for word in words if len(word) >= _SHORTEST_WORD}
