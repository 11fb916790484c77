"""Search written bytes for identifiers.

Nearly every instance holds none, and that is told first and fast: a pattern in any of the
encodings that is there is also there after all zero bytes are taken out, which turns UTF-16
into ASCII. Only where that much is found, the pattern itself is looked for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deid_node.headers.byte_walk import pixel_span

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from deid_node.headers.needles import Identifiers, Needle

_UIDS: Final = (
    ("ascii", re.compile(rb"[0-9]+(?:\.[0-9]+){2,}")),
    ("utf-16-le", re.compile(rb"(?:[0-9.]\x00){7,}")),
    ("utf-16-be", re.compile(rb"(?:\x00[0-9.]){7,}")),
)
_UID_START: Final = 14
"""Length of what UIDs are first searched by; most of an instance share it."""
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
        The bytes; ASCII letters in lower case.
    folded
        The same without zero bytes.
    """

    __slots__ = ("folded", "searched")

    def __init__(self, part10: bytes) -> None:
        start, stop = pixel_span(part10)
        self.searched = (part10[:start] + b"\0\0" + part10[stop:]).lower()
        self.folded = self.searched.replace(b"\0", b"")


class Search:
    """A search for the same identifiers in one instance after another.

    Parameters
    ----------
    identifiers
        What to search for.
    """

    __slots__ = ("_by_fold", "_identifiers")

    def __init__(self, identifiers: Identifiers) -> None:
        self._identifiers = identifiers
        self._by_fold: dict[bytes, list[Needle]] = {}
        for needle in identifiers.needles:
            self._by_fold.setdefault(needle.pattern.replace(b"\0", b""), []).append(needle)

    def run(self, part10: bytes) -> tuple[Finding, ...]:
        """Search the bytes of one Part 10 file; findings are sorted."""
        haystack = Haystack(part10)
        findings = {
            *self.words(haystack),
            *find_uids(haystack, self._identifiers.uids),
        }
        return tuple(sorted(findings))

    def words(self, haystack: Haystack) -> Iterator[Finding]:
        """Search for all but UIDs."""
        folded, searched = haystack.folded, haystack.searched
        for fold, needles in self._by_fold.items():
            if fold in folded:
                for needle in needles:
                    if needle.pattern in searched and _counts(needle, searched):
                        yield Finding(needle.keyword, needle.encoding)
        if self._identifiers.telephones:
            squeezed = folded.translate(None, _MARKS)
            for keyword, digits in self._identifiers.telephones:
                if digits.encode() in squeezed and _is_telephone(digits, folded):
                    yield Finding(keyword, "digits")


def find_uids(haystack: Haystack, uids: Collection[tuple[str, str]]) -> Iterator[Finding]:
    """Search for whole UIDs.

    Parameters
    ----------
    haystack
        Where.
    uids
        Keyword and UID of each.
    """
    starts = {uid[:_UID_START] for _, uid in uids}
    if not any(start.encode() in haystack.folded for start in starts):
        return
    for encoding, pattern in _UIDS:
        written = {found.decode(encoding) for found in pattern.findall(haystack.searched)}
        yield from (Finding(keyword, encoding) for keyword, uid in uids if uid in written)


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
