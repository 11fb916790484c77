"""Look a second time at what would be sent, for the patient's own identifiers.

Independent of the scrubber on purpose. It shares no code with it, knows no tag table and
no profile: it remembers what the source said about the person (`deid_node.headers.needles`)
and searches the bytes that were written, whatever element they are in.

Pixel data is not searched: 16 bits of noise spell every short word sooner or later.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag
from pydicom.multival import MultiValue

from deid_node.errors import UndecodableInstance
from deid_node.headers.needles import Identifiers, encodings_of, identifiers_in, is_telling, joined
from deid_node.headers.search import Finding, Search

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset

__all__ = ["Finding", "Identifiers", "identifiers_of", "residue"]

_CHARACTER_SET: Final = 0x00080005
_DEEPEST: Final = 64


def identifiers_of(dataset: Dataset, *, kept: frozenset[str] = frozenset()) -> Identifiers:
    """Collect what identifies the person in a source dataset, at every depth.

    Person names, IDs, telephone numbers, e-mail addresses and words of the address, the
    birth date in fourteen forms, other dates as DICOM writes them, and UIDs that are not
    the standard's.

    Parameters
    ----------
    dataset
        Source instance. Elements that cannot be parsed are passed over.
    kept
        Keywords of attributes that the profile keeps as they are, such as dates under
        Retain Full Dates.

    Raises
    ------
    UndecodableInstance
        If sequences are nested more than 64 levels deep.
    """
    found = [
        identifiers_in(keyword, vr, value, encodings_of(declared))
        for keyword, vr, value, declared in _values(dataset, (), 0)
        if keyword not in kept
    ]
    return joined(found)


def residue(part10: bytes, identifiers: Identifiers) -> tuple[Finding, ...]:
    """Search the bytes of one written instance for identifiers of its source.

    Parameters
    ----------
    part10
        A Part 10 file in an Explicit VR Little Endian Transfer Syntax. If it is none, all
        of it is searched, pixel data too.
    identifiers
        Those of the source series.

    Returns
    -------
    tuple of Finding
        Sorted; empty if nothing was found.
    """
    return Search(identifiers).run(part10)


def name_of(tag: int) -> str:
    """Keyword of an attribute, or its number where it has none."""
    return keyword_for_tag(tag) or f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _values(
    dataset: Dataset, inherited: tuple[str, ...], depth: int
) -> Iterator[tuple[str, str, bytes | str, tuple[str, ...]]]:
    """Keyword, VR, value and character sets of every element that may identify, at any depth.

    Values are decoded here and not by pydicom, whose warnings quote them.
    """
    declared = (*inherited, *_declared(dataset))
    for tag in list(dataset.keys()):
        try:
            element = dataset.get_item(tag)
        except Exception:  # noqa: BLE001, S112 - no parser reads it, and its fault may quote a value
            continue
        vr, keyword = str(element.VR), name_of(int(tag))
        if vr in {"None", "UN"}:
            vr = dictionary_VR(tag) if dictionary_has_tag(tag) else "UN"
        if vr == "SQ":
            if depth >= _DEEPEST:
                raise UndecodableInstance("sequences are nested too deeply to be searched")
            for entry in _entries(dataset, tag):
                yield from _values(entry, declared, depth + 1)
        elif is_telling(keyword, vr):
            yield from ((keyword, vr, value, declared) for value in _each(element.value))


def _declared(dataset: Dataset) -> list[str]:
    if _CHARACTER_SET not in dataset:
        return []
    values = _each(dataset.get_item(_CHARACTER_SET).value)
    texts = (v.decode("latin-1") if isinstance(v, bytes) else v for v in values)
    return [name for text in texts for name in text.split("\\")]


def _entries(dataset: Dataset, tag: int) -> list[Dataset]:
    try:
        return list(dataset[tag].value)
    except Exception:  # noqa: BLE001 - what no parser reads names nobody; its fault may quote a value
        return []


def _each(value: object) -> list[bytes | str]:
    if isinstance(value, list | MultiValue):
        return [str(each) for each in value]
    return [value if isinstance(value, bytes) else "" if value is None else str(value)]
