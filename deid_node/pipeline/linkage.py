"""Old and new identifiers of one instance: for its folder, and for an honest broker.

The old ones are the patient's own. They stay in memory, unless the settings name a
crosswalk, which encrypts them for somebody else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from pydicom.datadict import tag_for_keyword

from deid_node.headers import reading
from deid_node.headers.profile import Action
from deid_node.headers.scrub import patient_identity

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pydicom import Dataset

    from deid_node.headers.pseudonyms import Pseudonyms
    from deid_node.headers.scrub import Deed

Kind = Literal["patient", "study", "series", "instance", "frame-of-reference"]

ATTRIBUTES: Final[dict[Kind, tuple[int, str]]] = {
    "patient": (tag_for_keyword("PatientID") or 0, "LO"),
    "study": (tag_for_keyword("StudyInstanceUID") or 0, "UI"),
    "series": (tag_for_keyword("SeriesInstanceUID") or 0, "UI"),
    "instance": (tag_for_keyword("SOPInstanceUID") or 0, "UI"),
    "frame-of-reference": (tag_for_keyword("FrameOfReferenceUID") or 0, "UI"),
}
"""Tag and VR of each identifier that is linked; all stand at the top level."""


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Link:
    """What one identifier was, and what it is now; empty where there is none.

    Parameters
    ----------
    kind
        Which identifier.
    old, new
        Its first value, without padding.
    """

    kind: Kind
    old: str
    new: str

    def __repr__(self) -> str:
        """Never show an identifier."""
        return f"Link({self.kind})"


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Linkage:
    """Every link of one instance.

    Parameters
    ----------
    links
        One for each of `ATTRIBUTES`, in that order.
    days
        Whole days that dates of the instance were moved by; 0 if none was moved.
    """

    links: tuple[Link, ...]
    days: int

    def __repr__(self) -> str:
        """Never show an identifier, nor the shift, which undoes every date."""
        return f"Linkage({len(self.links)} links)"

    def of(self, kind: Kind) -> Link:
        """Find the link of one identifier."""
        return next(link for link in self.links if link.kind == kind)


def linkage_of(
    source: Dataset, made: Dataset, deeds: Iterable[Deed], pseudonyms: Pseudonyms
) -> Linkage:
    """Link the identifiers of an instance with those of what was made of it.

    Parameters
    ----------
    source, made
        Before and after scrubbing.
    deeds
        What was done.
    pseudonyms
        The key that it was done under.
    """
    moved = any(deed.action is Action.SHIFT for deed in deeds)
    return Linkage(
        links=tuple(
            Link(kind=kind, old=_first(source, tag, vr), new=_first(made, tag, vr))
            for kind, (tag, vr) in ATTRIBUTES.items()
        ),
        days=pseudonyms.day_shift(patient_identity(source)) if moved else 0,
    )


def _first(dataset: Dataset, tag: int, vr: str) -> str:
    """Read a value as the pseudonyms read it: where its character set is unknown, as latin-1."""
    if tag not in dataset:
        return ""
    element = dataset.get_item(tag)
    values = reading.strings(element, vr, reading.codec_of(dataset))
    if values is None:
        values = reading.strings(element, vr, "latin-1")
    return values[0].strip() if values else ""
