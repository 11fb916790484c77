"""Lay a dataset out flat: every attribute at every depth, with its path and its text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydicom.datadict import dictionary_has_tag, dictionary_VR, keyword_for_tag
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.sequence import Sequence

from deid_node.headers.needles import encodings_of, readings
from deid_node.headers.verification.csa import NUMBERS_ALONE, is_numbers_alone

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom.dataset import Dataset

BYTE_VRS: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})
NUMBER_VRS: Final = frozenset({"US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "AT"})
_ONE_VALUE: Final = frozenset({"ST", "LT", "UT", "UR"})
_CHARACTER_SET: Final = 0x00080005
_UNDEFINED: Final = 0xFFFFFFFF
_REPEATING: Final = frozenset({0x50, 0x60})
"""Curves and overlays, PS3.5 section 7.6."""
_DEEPEST: Final = 64
_PRINTABLE: Final = re.compile(rb"[\x20-\x7e]{8,}")
_LONGEST_BYTES: Final = 1 << 20
_CSA_GROUP: Final = 0x0029
_CSA_ELEMENT: Final = 0x10
_BLOCKS: Final = 0x1000
"""First element number that lies in a private block, PS3.5 7.8.1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attribute:
    """One element, flat.

    Parameters
    ----------
    path
        Tags from the top level down.
    where
        The same for people: keywords or numbers, with item numbers from 1.
    vr
        As written; of the dictionary where it is not written or UN; ``CSA`` for a private
        element that is a CSA header made of numbers alone.
    texts
        Values of a string VR; printable runs of a byte VR; nothing for numbers.
    n_values
        Bytes, items or values that are not empty; 0 if the element is empty.
    """

    path: tuple[int, ...]
    where: str
    vr: str
    texts: tuple[str, ...]
    n_values: int

    @property
    def tag(self) -> int:
        """The last of the path."""
        return self.path[-1]

    @property
    def is_private(self) -> bool:
        """Whether its group is odd."""
        return bool(self.tag >> 16 & 1)


class Unparsable(ValueError):
    """A sequence cannot be parsed, or lies too deep."""


def attributes_of(dataset: Dataset) -> list[Attribute]:
    """List every attribute but Pixel Data, in order.

    Raises
    ------
    Unparsable
        If a value breaks off or a sequence cannot be read.
    """
    return list(_level(dataset, (), "", ()))


def _level(
    dataset: Dataset, path: tuple[int, ...], where: str, inherited: tuple[str, ...]
) -> Iterator[Attribute]:
    declared = (*inherited, *_declared(dataset))
    if len(path) > _DEEPEST:
        raise Unparsable
    for tag in map(int, list(dataset.keys())):
        if tag >> 16 == 0x7FE0 and not path:  # noqa: PLR2004 - pixel data
            continue
        element = _element(dataset, tag)
        vr = str(element.VR)
        if vr in {"None", "UN"} and dictionary_has_tag(tag):
            vr = dictionary_VR(tag)
        here, at = (*path, tag), where + _name(tag)
        if vr == "SQ" or isinstance(element.value, Sequence):
            items = _items(dataset, tag)
            yield Attribute(path=here, where=at, vr="SQ", texts=(), n_values=len(items))
            for number, each in enumerate(items, 1):
                yield from _level(each, here, f"{at}[{number}]/", declared)
        else:
            vr = NUMBERS_ALONE if _is_csa(tag, vr, element.value) else vr
            texts, n_values = _texts(element.value, vr, encodings_of(declared))
            yield Attribute(path=here, where=at, vr=vr, texts=texts, n_values=n_values)


def _is_csa(tag: int, vr: str, value: object) -> bool:
    """Whether an element is a CSA header of which nothing but its numbers is there."""
    place = tag >> 16 == _CSA_GROUP and tag & 0xFF == _CSA_ELEMENT and tag & 0xFFFF >= _BLOCKS
    return (
        place
        and vr in {"OB", "UN", "None"}
        and isinstance(value, bytes)
        and is_numbers_alone(value)
    )


def _name(tag: int) -> str:
    """Keyword, or the number where it has none or would not tell overlays apart."""
    keyword = "" if tag >> 24 in _REPEATING else keyword_for_tag(tag)
    return keyword or f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _element(dataset: Dataset, tag: int) -> DataElement | RawDataElement:
    """Give an element whose value is as long as its length field says."""
    try:
        element = dataset.get_item(tag)
    except Exception:  # noqa: BLE001 - pydicom raises many kinds, and their text quotes values
        raise Unparsable from None
    if isinstance(element, RawDataElement) and element.length not in {
        _UNDEFINED,
        len(element.value or b""),
    }:
        raise Unparsable
    return element


def _items(dataset: Dataset, tag: int) -> list[Dataset]:
    try:
        return list(dataset[tag].value)
    except Exception:  # noqa: BLE001 - pydicom raises many kinds, and their text quotes values
        raise Unparsable from None


def _declared(dataset: Dataset) -> list[str]:
    if _CHARACTER_SET not in dataset:
        return []
    value = dataset.get_item(_CHARACTER_SET).value
    text = value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
    return text.split("\\")


def _texts(value: object, vr: str, encodings: tuple[str, ...]) -> tuple[tuple[str, ...], int]:
    """Text of a value, and how much of it there is."""
    if not isinstance(value, bytes):
        text = "" if value is None else str(value)
        return ((text,) if text and vr not in NUMBER_VRS else ()), len(text)
    if vr in NUMBER_VRS or vr == NUMBERS_ALONE:
        return (), len(value)
    if vr in BYTE_VRS or " or " in vr:
        runs = _PRINTABLE.findall(value[:_LONGEST_BYTES].replace(b"\0", b""))
        return tuple(run.decode("ascii") for run in runs), len(value.strip(b"\0"))
    text = next(readings(value, encodings), "")
    parts = [text] if vr in _ONE_VALUE else text.split("\\")
    kept = tuple(part.strip(" \0") for part in parts if part.strip(" \0"))
    return kept, len(kept)
