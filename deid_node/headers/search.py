"""Search written bytes for identifiers.

Nearly every instance holds none, and that is told first and fast: a pattern in any of the
encodings that is there is also there after all zero bytes are taken out, which turns UTF-16
into ASCII. Only where that much is found, the pattern itself is looked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deid_node.headers import csa
from deid_node.headers.byte_walk import pixel_span

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from deid_node.headers.needles import Identifiers, Needle

_UIDS: Final = (
    ("ascii", re.compile(rb"[0-9]+(?:\.[0-9]+){2,}")),
    ("utf-16-le", re.compile(rb"(?:[0-9.]\x00){7,}")),
    ("utf-16-be", re.compile(rb"(?:\x00[0-9.]){7,}")),
)
_UID_START: Final = 14
"""Length of what UIDs are first searched by; most of an instance share it."""
_CSA_NAMES: Final = tuple(name.lower() for name in csa.NAMES)
"""Tag names of the CSA header that is written here: a patient Duran is in one of them."""
_CSA_START: Final = csa.START.lower()
_MARKS: Final = b" ()/.-"
"""What may stand between the digits of a telephone number."""


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """An identifier that is still there.

    Parameters
    ----------
    keyword
        Attribute of the *source* whose value was found.
    encoding
        How it was written; ``digits`` for a telephone number in any grouping.
    """

    keyword: str
    encoding: str


class Haystack:
    """The bytes of one written instance, without its pixel data, made ready to search.

    Parameters
    ----------
    part10
        A Part 10 file in an Explicit VR Little Endian Transfer Syntax. If it is none, all
        of it is searched, pixel data too.

    Attributes
    ----------
    searched
        The bytes; ASCII letters in lower case, and zeros for the names of CSA tags.
    folded
        The same without zero bytes.
    """

    __slots__ = ("folded", "searched")

    def __init__(self, part10: bytes) -> None:
        start, stop = pixel_span(part10)
        apart = part10[:start] + b"\0\0" + part10[stop:] if stop > start else part10
        self.searched = _without_csa_names(apart.lower())
        self.folded = self.searched.replace(b"\0", b"")


class Search:
    """A search for the same identifiers in one instance after another.

    Parameters
    ----------
    identifiers
        What to search for.
    """

    __slots__ = ("_by_fold", "_telephones", "_uids")

    def __init__(self, identifiers: Identifiers) -> None:
        self._telephones = identifiers.telephones
        self._uids = UIDs(identifiers.uids)
        self._by_fold: dict[bytes, list[Needle]] = {}
        for needle in identifiers.needles:
            self._by_fold.setdefault(needle.pattern.replace(b"\0", b""), []).append(needle)

    def run(self, part10: bytes) -> tuple[Finding, ...]:
        """Search the bytes of one Part 10 file; findings are sorted."""
        haystack = Haystack(part10)
        return tuple(sorted({*self.words(haystack), *self._uids.find(haystack)}))

    def words(self, haystack: Haystack) -> Iterator[Finding]:
        """Search for all but UIDs."""
        folded, searched = haystack.folded, haystack.searched
        for fold, needles in self._by_fold.items():
            if fold in folded:
                for needle in needles:
                    if needle.pattern in searched and _counts(needle, searched):
                        yield Finding(needle.keyword, needle.encoding)
        if self._telephones:
            squeezed = folded.translate(None, _MARKS)
            for keyword, digits in self._telephones:
                if digits.encode() in squeezed and _is_telephone(digits, folded):
                    yield Finding(keyword, "digits")


class UIDs:
    """UIDs to search for, whole and not as parts of longer ones.

    Parameters
    ----------
    uids
        Keyword and UID of each.
    """

    __slots__ = ("_keywords", "_starts")

    def __init__(self, uids: Iterable[tuple[str, str]]) -> None:
        self._keywords: dict[str, set[str]] = {}
        for keyword, uid in uids:
            self._keywords.setdefault(uid, set()).add(keyword)
        self._starts = {uid[:_UID_START].encode() for uid in self._keywords}

    def find(self, haystack: Haystack) -> Iterator[Finding]:
        """Search for them."""
        if not any(start in haystack.folded for start in self._starts):
            return
        for encoding, pattern in _UIDS:
            written = {found.decode(encoding) for found in pattern.findall(haystack.searched)}
            for uid in written & self._keywords.keys():
                yield from (Finding(keyword, encoding) for keyword in self._keywords[uid])


def _without_csa_names(searched: bytes) -> bytes:
    if _CSA_START in searched:
        for name in _CSA_NAMES:
            searched = searched.replace(name, bytes(len(name)))
    return searched


def _counts(needle: Needle, searched: bytes) -> bool:
    """Whether a needle that must stand alone has neither letter, digit nor dot beside it."""
    if not needle.whole:
        return True
    wide = needle.encoding.startswith("utf-16")
    touch = rb"[0-9a-z.]\x00" if needle.encoding == "utf-16-le" else rb"\x00[0-9a-z.]"
    touch = touch if wide else rb"[0-9a-z.]"
    return (
        re.search(b"(?<!%b)%b(?!%b)" % (touch, re.escape(needle.pattern), touch), searched)
        is not None
    )


def _is_telephone(digits: str, folded: bytes) -> bool:
    """Whether the digits stand there in some grouping, with a country code or a zero or without."""
    marks = rb"[ ()/.-]{0,3}"
    grouped = marks.join(digit.encode() for digit in digits)
    before = rb"(?<![0-9.])(?:(?:\+|00)[0-9]{1,3}%b)?(?:0%b)?" % (marks, marks)
    return re.search(before + grouped + rb"(?!\.?[0-9])", folded) is not None
