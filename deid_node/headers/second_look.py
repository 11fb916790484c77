"""Search each written instance for what its own source bytes say about the person; fast.

The same search as `deid_node.headers.residue`, for one instance after another of a series:
it walks over bytes instead of parsing them, and remembers what it searched for, because
the instances of a patient say the same.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from deid_node.dicom.series import decode_instance
from deid_node.headers.byte_walk import Unwalkable, Walk
from deid_node.headers.needles import Identifiers, encodings_of, identifiers_in, joined
from deid_node.headers.residue import identifiers_of, name_of
from deid_node.headers.search import Finding, Haystack, Search, UIDs

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST_REMEMBERED: Final = 256
_STANDARD_ARC: Final = "1.2.840.10008."

Texts = frozenset[tuple[int, str, bytes, tuple[bytes, ...]]]


class SecondLook:
    """Looks at one written instance after another.

    What it remembers changes its speed and never its findings.
    """

    def __init__(self) -> None:
        self._searches: dict[tuple[frozenset[str], Texts], Search] = {}

    def findings(
        self, source: bytes, written: bytes, *, kept: frozenset[str] = frozenset()
    ) -> tuple[Finding, ...]:
        """Search a written instance for the identifiers of its source.

        Parameters
        ----------
        source
            Part 10 file that came.
        written
            Part 10 file that would leave, in Explicit VR Little Endian, native or
            encapsulated.
        kept
            Keywords of attributes that the profile keeps as they are.

        Returns
        -------
        tuple of Finding
            Sorted; empty if nothing was found.

        Raises
        ------
        InstanceRefused
            If the source is not DICOM or cannot be parsed by any means.
        """
        try:
            walk = Walk(source)
        except Unwalkable:
            return Search(identifiers_of(decode_instance(source), kept=kept)).run(written)
        haystack = Haystack(written)
        found = set(self._search(frozenset(walk.texts), kept).words(haystack))
        found.update(UIDs(_uids(walk.uids, kept)).find(haystack))
        return tuple(sorted(found))

    def _search(self, texts: Texts, kept: frozenset[str]) -> Search:
        """Give the search for these elements, made once."""
        search = self._searches.get((kept, texts))
        if search is None:
            search = Search(_identifiers(texts, kept))
            if len(self._searches) >= _MOST_REMEMBERED:
                self._searches.clear()
            self._searches[kept, texts] = search
        return search


def source_identifiers(source: bytes, *, kept: frozenset[str] = frozenset()) -> Identifiers:
    """Collect what one source instance tells, from its bytes.

    Parameters
    ----------
    source, kept
        As for `SecondLook.findings`.

    Raises
    ------
    InstanceRefused
        If it is not DICOM or cannot be parsed by any means.
    """
    try:
        walk = Walk(source)
    except Unwalkable:
        return identifiers_of(decode_instance(source), kept=kept)
    uids = Identifiers(uids=frozenset(_uids(walk.uids, kept)))
    return uids | _identifiers(frozenset(walk.texts), kept)


def _identifiers(texts: Texts, kept: frozenset[str]) -> Identifiers:
    found = []
    for little, vr, value, charsets in texts:
        keyword = _keyword(little)
        if keyword not in kept:
            declared = [name for each in charsets for name in each.decode("latin-1").split("\\")]
            found.append(identifiers_in(keyword, vr, value, encodings_of(declared)))
    return joined(found)


def _uids(found: Iterable[tuple[int, bytes]], kept: frozenset[str]) -> list[tuple[str, str]]:
    """Keyword and UID of those that are not the standard's."""
    pairs = [
        (_keyword(little), text.strip(" \0"))
        for little, value in found
        for text in value.decode("latin-1").split("\\")
    ]
    return [
        (keyword, uid)
        for keyword, uid in pairs
        if keyword not in kept and not uid.startswith(_STANDARD_ARC)
    ]


@lru_cache(maxsize=8192)
def _keyword(little: int) -> str:
    return name_of((little & 0xFFFF) << 16 | little >> 16)
