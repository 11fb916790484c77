"""Verify a folder, one file after another; no file is read here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydicom.datadict import dictionary_VR, tag_for_keyword

from deid_node.headers.search import Search
from deid_node.headers.verification.attributes import Unparsable
from deid_node.headers.verification.checks import Remark
from deid_node.headers.verification.declared import declared
from deid_node.headers.verification.folder import Facts, compared, facts_of, named
from deid_node.headers.verification.listed import is_kept, listed
from deid_node.headers.verification.opened import NotPart10, Opened, opened
from deid_node.headers.verification.structure import structure
from deid_node.headers.verification.texts import texts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deid_node.headers.needles import Identifiers

_MODIFIED_DATES: Final = "retain-longitudinal-modified-dates"


class Verifier:
    """Looks at the files of one folder, and remembers what they must have in common.

    Parameters
    ----------
    originals
        Identifiers of the originals, where these are at hand.
    """

    def __init__(self, originals: Identifiers | None = None) -> None:
        self._search = None if originals is None else Search(originals)
        self._facts: dict[str, Facts] = {}
        self._remarks: dict[str, set[Remark]] = {}

    def look(self, path: str, content: bytes) -> None:
        """Check one file.

        Parameters
        ----------
        path
            Relative to the folder, with ``/`` between its parts.
        content
            All of it.
        """
        remarks = self._remarks.setdefault(path, set())
        options: frozenset[str] = frozenset()
        try:
            file = opened(content)
        except NotPart10:
            remarks.add(Remark("not-dicom"))
        except Unparsable:
            remarks.add(Remark("undecodable"))
        else:
            options = file.options
            self._facts[path] = facts_of(file)
            remarks.update(_of_instance(file))
        if self._search is not None:
            remarks.update(_of_originals(self._search, content, options))
            remarks.update(_of_originals(self._search, path.encode(), options))

    def finish(self) -> tuple[tuple[str, Remark], ...]:
        """Compare the files with each other.

        Returns
        -------
        tuple of (str, Remark)
            Path and remark, sorted; files without a remark are not among them.
        """
        names = frozenset(word for facts in self._facts.values() for word in facts.names)
        for path, remarks in self._remarks.items():
            remarks.update(named(path, names))
        for path, remark in compared(self._facts):
            self._remarks[path].add(remark)
        return tuple(
            sorted((path, each) for path, remarks in self._remarks.items() for each in remarks)
        )


def _of_instance(file: Opened) -> Iterator[Remark]:
    yield from structure(file)
    yield from declared(file)
    yield from listed(file)
    yield from texts(file)


def _of_originals(search: Search, content: bytes, options: frozenset[str]) -> Iterator[Remark]:
    """Search for identifiers of the originals; `Remark.where` names the original's attribute."""
    for keyword in {finding.keyword for finding in search.run(content)}:
        tag = tag_for_keyword(keyword) or 0
        if is_kept(tag, options):
            continue
        dated = keyword != "PatientBirthDate" and tag and dictionary_VR(tag) in {"DA", "DT"}
        by_chance = dated and _MODIFIED_DATES in options
        yield Remark("original-date" if by_chance else "original", keyword)
