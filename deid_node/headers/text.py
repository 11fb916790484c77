"""Clean descriptions: only words of the MR vocabulary stay.

A list of what may stay, not of what must go: a name, a place or a number that nobody
thought of goes because nobody put it on the list. Words of the patient's own go even when
they are on the list (a patient named Brain).
"""

from __future__ import annotations

import re
from functools import lru_cache
from importlib import resources
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

_SEPARATORS: Final = re.compile(r"[^A-Za-z0-9.]+")
_FIGURE: Final = re.compile(
    r"""
      \d{1,2}(\.\d{1,2})?(mm|cm|ms|s|sec|min|deg|t|ch|iso|x|d|dir|nex|nsa|avg|th|echo|hz)  # 3mm 1.5T 2D
    | \d(\.\d{1,2})?x\d(\.\d{1,2})?(x\d(\.\d{1,2})?)?(mm|iso)?                            # 1x1x1mm
    | (te|tr|ti|fa|bw|etl|b)\d{1,4}                                                       # TE90 b1000
    | (p|x|s|mb|r|g|nex|ipat|sl|acc|cs|st)\d{1,2}                                        # p2 s2
    | (vb|va|vd|ve|xa|dv|mr|hd|b|d|e|n)\d{2}[a-z]?                                             # VB17A XA30
    | \d{1,2}(\.\d){1,4}                                                                # 5.4.1.1
    """,
    re.VERBOSE,
)
"""Figures with a unit or a parameter's letters. A bare number may be a date or an ID."""

_SEQUENCE_NAME: Final = re.compile(
    r"""
    \*?(ci|csi|ep|epfid|fl|fm|gre|hsl|mp2rage|qfl|re|se|spc|spcir|spcr|svs|swi|tfi|tfl|tgse|tir|tirm|tse)
    _?([23]d\d{0,2}[a-z]{0,2}|b\d{1,4}(\#\d{1,3})?)
    (_(\d{1,3}[a-z]{0,2}|ns|ir|fs|t\d{1,3}|v\d{1,3}(in|ap|rl|fh)?|rb\d{2,4})){0,3}
    """,
    re.VERBOSE,
)
"""Sequence Name (0018,0024) as Siemens writes it: kernel, dimensions, turbo factor."""
_SHORTEST_OWN: Final = 3
_SHORT_CODE: Final = 2


def own_words(texts: Iterable[str]) -> frozenset[str]:
    """Words of a patient's names and IDs, folded. Shorter ones are initials and abbreviations of MR.

    Examples
    --------
    >>> sorted(own_words(["Brain^Ada A", "47-11"]))
    ['ada', 'brain']
    """
    words = {word for text in texts for word in re.findall(r"[^\W_]+", text.casefold())}
    return frozenset(word for word in words if len(word) >= _SHORTEST_OWN)


def cleaned(text: str, own: frozenset[str], also: frozenset[str] = frozenset()) -> str:
    """Keep the words of a description that the vocabulary knows.

    Parameters
    ----------
    text
        Value of an element of VR SH, LO, UC, ST, LT or UT.
    own
        Words that must go whatever they mean, from `own_words`.
    also
        Words of the site that may stay besides the vocabulary, in lower case.

    Returns
    -------
    str
        The text itself if all of it may stay, else the words that may, one space between.

    Examples
    --------
    >>> cleaned("T2_FLAIR ax 3mm Jane Doe 19870312", frozenset())
    'T2 FLAIR ax 3mm'
    """
    lower = text.lower()
    whole = _SEQUENCE_NAME.fullmatch(text) or lower in vocabulary()
    if whole and not own.intersection(re.findall(r"[a-z]+", lower)):
        return text
    ascii_only = re.sub(r"\S*[^\x00-\x7f]\S*", " ", text)
    words = [word.strip(".") for word in _SEPARATORS.split(ascii_only)]
    words = [word for word in words if word]
    kept = [word for word in words if _may_stay(word.lower(), own, also)]
    if len(kept) == len(words) and text == ascii_only and text.isprintable():
        return text
    return " ".join(kept)


def cleaned_code(code: str, own: frozenset[str], also: frozenset[str] = frozenset()) -> str | None:
    """Let a code string (CS) pass whole or not at all; None if it may not.

    `also` are whole codes of the site.
    """
    words = [word for word in re.split(r"[_ ]+", code.lower()) if word]
    known = (
        len(code) <= _SHORT_CODE
        or code in known_codes()
        or code in also
        or all(_may_stay(word, frozenset()) for word in words)
    )
    return code if known and (len(code) <= _SHORT_CODE or not own.intersection(words)) else None


@lru_cache(maxsize=1)
def vocabulary() -> frozenset[str]:
    """Words that may stay, in lower case; package data."""
    return frozenset(word.lower() for word in _listed("mr-words.txt"))


@lru_cache(maxsize=1)
def known_codes() -> frozenset[str]:
    """Values that code strings may have; package data."""
    return frozenset(word.replace("~", " ") for word in _listed("mr-codes.txt"))


def _listed(name: str) -> list[str]:
    text = (resources.files(__package__) / "data" / name).read_text(encoding="utf-8")
    return [word for line in text.splitlines() if line[:1] != "#" for word in line.split()]


def _may_stay(word: str, own: frozenset[str], also: frozenset[str] = frozenset()) -> bool:
    if word in own:
        return False
    return word in vocabulary() or word in also or _FIGURE.fullmatch(word) is not None
