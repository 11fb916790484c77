"""Read the value of one element without trusting it.

pydicom quotes values in its warnings and exceptions, and repairs what is broken by
guessing. Here a value either is what its VR promises or is `UNREADABLE`, and nothing is
ever said about it.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Final, Protocol

from pydicom.charset import python_encoding
from pydicom.datadict import dictionary_has_tag, dictionary_VM, dictionary_VR
from pydicom.dataelem import DataElement, RawDataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.valuerep import PersonName

from deid_node.dicom.wire import Items

if TYPE_CHECKING:
    from collections.abc import Collection

Element = DataElement | RawDataElement


class Source(Protocol):
    """A level of a dataset as it came: a pydicom Dataset, or places in bytes."""

    def __contains__(self, tag: int, /) -> bool:
        """Whether the level has an element."""

    def __len__(self) -> int:
        """Count the elements."""

    def keys(self) -> Collection[int]:
        """Tags of the elements."""

    def get_item(self, tag: int, /) -> Element:
        """Give one element, as raw as may be."""


TEXT: Final = frozenset({"SH", "LO", "UC", "ST", "LT", "UT"})
STRINGS: Final = TEXT | {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "PN", "TM", "UI", "UR"}
BYTES: Final = frozenset({"OB", "OD", "OF", "OL", "OV", "OW", "UN"})

_CHARACTER_SET: Final = 0x00080005
_UNDEFINED: Final = 0xFFFFFFFF
_ONE_VALUE: Final = frozenset({"ST", "LT", "UT", "UR"})
_NUMBER_FORMATS: Final = {
    "US": "H",
    "SS": "h",
    "UL": "I",
    "SL": "i",
    "UV": "Q",
    "SV": "q",
    "FL": "f",
    "FD": "d",
    "AT": "H",
}
_LETTERS: Final = re.compile(rb"[A-Za-z0-9 ^=.-]{8,}")
_GRAMMAR: Final = {
    "DS": re.compile(r" *[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})? *"),
    "IS": re.compile(r" *[+-]?\d{1,10} *"),
    "DA": re.compile(r"\d{8}"),
    "DT": re.compile(r"\d{4}(\d{2}){0,5}(\.\d{1,6})?([+-]\d{4})?"),
    "TM": re.compile(r"([01]\d|2[0-3])([0-5]\d([0-5]\d|60(?=\.|$))?)?(\.\d{1,6})?"),
    "AS": re.compile(r"\d{3}[DWMY]"),
    "CS": re.compile(r"[A-Z0-9_ ]{0,16}"),
}
"""Values that have a grammar (PS3.5 6.2); an empty value among several is allowed too."""


def vr_of(element: Element, *, signed_pixels: bool) -> str | None:
    """Settle the VR of a standard attribute; None if it is not what the dictionary says.

    Parameters
    ----------
    element
        As read; implicit VR and UN are looked up in the dictionary.
    signed_pixels
        Whether Pixel Representation is 1: what ``US or SS`` stands for.
    """
    allowed = dictionary_VR(element.tag).split(" or ") if dictionary_has_tag(element.tag) else []
    given = element.VR
    if given in {None, "UN"} or " or " in str(given):
        if "OW" in allowed:
            return "OW" if "OB" in allowed else None
        return ("SS" if signed_pixels else "US") if "SS" in allowed else (allowed or ["UN"])[0]
    given = str(given)
    if not allowed or given in allowed or (given in TEXT and allowed[0] in TEXT):
        return given
    # Text under another text's VR is read, and judged, as what the dictionary says it is.
    return allowed[0] if given in STRINGS and allowed[0] in STRINGS else None


def codec_of(dataset: Source) -> str | None:
    """Python's name of the character set of a dataset; None if it cannot be told simply.

    Several character sets with ISO 2022 escapes, and unknown ones, give None: then only
    ASCII text is readable.
    """
    if _CHARACTER_SET not in dataset:
        return "ascii"
    names = strings(dataset.get_item(_CHARACTER_SET), "LO", "ascii")
    if names is None or len(names) != 1:
        return None
    return python_encoding.get(names[0].strip() or "ISO_IR 6")


def strings(element: Element, vr: str, codec: str | None) -> tuple[str, ...] | None:
    """Values of an element of a string VR; None if they break the grammar of the VR.

    No value at all gives an empty tuple.
    """
    raw = element.value
    if isinstance(raw, bytes):
        text = _decoded(raw, codec)
        if text is None:
            return None
        values = [text] if vr in _ONE_VALUE else text.split("\\")
    else:
        values = [_as_text(value) for value in _each(raw)]
    values = [value.rstrip(" \0") for value in values]
    grammar = _GRAMMAR.get(vr)
    if grammar is not None:
        values = [value.strip(" \0") for value in values]
        if not all(grammar.fullmatch(value) or not value for value in values):
            return None
    return tuple(values) if any(values) else ()


def numbers(element: Element, vr: str) -> tuple[float, ...] | None:
    """Values of an element of a binary number VR.

    None if their count or length is wrong, if the bytes are letters (text that was written
    where numbers belong, UTF-16 too), or if an attribute tag is none of the dictionary's.
    """
    values = _numbers(element, vr)
    if values is None or (len(values) > 1 and single(int(element.tag))):
        return None
    if vr == "AT" and not all(dictionary_has_tag(int(tag)) for tag in values):
        return None
    return values


def _numbers(element: Element, vr: str) -> tuple[float, ...] | None:
    raw = element.value
    if not isinstance(raw, bytes):
        found = list(_each(raw))
        values = tuple(v for v in found if isinstance(v, int | float) and not isinstance(v, bool))
        return values if len(values) == len(found) else None
    form = _NUMBER_FORMATS[vr]
    size = 4 if vr == "AT" else struct.calcsize(form)
    if len(raw) % size or looks_like_text(raw):
        return None
    endian = "<" if getattr(element, "is_little_endian", True) else ">"
    unpacked = struct.unpack(f"{endian}{len(raw) // struct.calcsize(form)}{form}", raw)
    if vr == "AT":
        return tuple(g << 16 | e for g, e in zip(unpacked[::2], unpacked[1::2], strict=True))
    return unpacked


def looks_like_text(raw: bytes) -> bool:
    """Whether the bytes of a number are letters, UTF-16 too."""
    return _LETTERS.fullmatch(raw.replace(b"\0", b"")) is not None


@lru_cache(maxsize=4096)
def single(tag: int) -> bool:
    """Whether the dictionary allows one value only."""
    return dictionary_has_tag(tag) and dictionary_VM(tag) == "1"


def items(dataset: Source, tag: int) -> tuple[Source, ...] | None:
    """Items of a sequence; None if it cannot be parsed."""
    value: object = dataset.get_item(tag).value
    if isinstance(value, Items):
        return value.levels()
    if isinstance(dataset, Dataset) and not isinstance(value, DicomSequence):
        try:
            value = dataset[tag].value
        except Exception:  # noqa: BLE001 - any parser fault means unreadable; its text may quote values
            return None
    return tuple(value) if isinstance(value, DicomSequence) else None


def is_encapsulated(element: Element) -> bool:
    """Whether pixel data came in fragments (PS3.5 A.4)."""
    if isinstance(element, RawDataElement):
        return element.length == _UNDEFINED
    return element.is_undefined_length


def _decoded(raw: bytes, codec: str | None) -> str | None:
    if raw.isascii() and b"\x1b" not in raw:
        return raw.decode("ascii")
    if codec is None or b"\x1b" in raw:
        return None
    try:
        return raw.decode(codec)
    except (UnicodeDecodeError, LookupError):
        return None


def _each(value: object) -> Iterable[object]:
    if value is None or value == "":
        return ()
    if isinstance(value, Sequence) and not isinstance(value, str | bytes | PersonName):
        return value
    return (value,)


def _as_text(value: object) -> str:
    """Text as it was written: a number keeps its digits, a name its component groups."""
    if isinstance(value, PersonName):
        return str(value)
    return str(getattr(value, "original_string", None) or value)
