"""Old and new identifiers of one instance: for its folder, and for an honest broker.

The old ones are the patient's own. They stay in memory, unless the settings name a
crosswalk, which encrypts them for somebody else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from pydicom.datadict import tag_for_keyword

from deid_node.dicom.wire import read_elements
from deid_node.headers.level_scrub import strings_of
from deid_node.headers.plan import CHARACTER_SET

if TYPE_CHECKING:
    from collections.abc import Mapping

    from deid_node.dicom.wire import Level
    from deid_node.headers.reading import Source

Kind = Literal["patient", "study", "series", "instance", "frame-of-reference"]

ATTRIBUTES: Final[dict[Kind, tuple[int, str]]] = {
    "patient": (tag_for_keyword("PatientID") or 0, "LO"),
    "study": (tag_for_keyword("StudyInstanceUID") or 0, "UI"),
    "series": (tag_for_keyword("SeriesInstanceUID") or 0, "UI"),
    "instance": (tag_for_keyword("SOPInstanceUID") or 0, "UI"),
    "frame-of-reference": (tag_for_keyword("FrameOfReferenceUID") or 0, "UI"),
}
"""Tag and VR of each identifier that is linked; all stand at the top level."""
LINKED: Final = frozenset({CHARACTER_SET, *(tag for tag, _ in ATTRIBUTES.values())})
"""What `linkage_of` reads of a dataset."""
_SHARED: Final = (
    CHARACTER_SET,
    *(ATTRIBUTES[kind][0] for kind in ATTRIBUTES if kind != "instance"),
)
"""What decides about the links that the instances of a series share."""
_OWN_PLACE: Final = list(ATTRIBUTES).index("instance")
MOST_SHARED: Final = 1000
"""Series whose links are remembered."""


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


class Linker:
    """Links one written instance after another: those of a series share all links but one."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes | None, ...], tuple[Link, ...]] = {}

    def link(self, source: Level, made: Mapping[int, bytes], *, days: int) -> Linkage:
        """Link the identifiers of an instance with those of what was made of it.

        Parameters
        ----------
        source
            Before scrubbing.
        made
            The written elements afterwards, by tag.
        days
            Whole days that its dates were moved by.
        """
        key = (*(source.value(tag) for tag in _SHARED), *(made.get(tag) for tag in _SHARED))
        shared = self._known.get(key)
        whole = None
        if shared is None:
            whole = linkage_of(source, read_elements(made, LINKED), days=days)
            if len(self._known) >= MOST_SHARED:
                self._known.clear()
            shared = self._known[key] = tuple(
                link for link in whole.links if link.kind != "instance"
            )
        if whole is not None:
            return whole
        tag, vr = ATTRIBUTES["instance"]
        new = read_elements(made, {tag})
        own = Link(kind="instance", old=_first(source, tag, vr), new=_first(new, tag, vr))
        return Linkage(links=(*shared[:_OWN_PLACE], own, *shared[_OWN_PLACE:]), days=days)


def linkage_of(source: Source, made: Source, *, days: int) -> Linkage:
    """Link the identifiers of an instance with those of what was made of it.

    Parameters
    ----------
    source, made
        Before and after scrubbing; of what was made the attributes `LINKED` are enough.
    days
        Whole days that its dates were moved by.
    """
    return Linkage(
        links=tuple(
            Link(kind=kind, old=_first(source, tag, vr), new=_first(made, tag, vr))
            for kind, (tag, vr) in ATTRIBUTES.items()
        ),
        days=days,
    )


def _first(dataset: Source, tag: int, vr: str) -> str:
    """Read a value as the pseudonyms read it: where its character set is unknown, as latin-1."""
    values = strings_of(dataset, tag, vr)
    return values[0].strip() if values else ""
