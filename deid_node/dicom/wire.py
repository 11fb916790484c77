"""Read the elements of a Part 10 file without parsing their values.

A level of a dataset is the places of its elements in the bytes; an element is looked at when
somebody asks for it. What is unusual (other Transfer Syntaxes, elements out of order, VRs
that are none) raises `Unsuited`: pydicom, which is slower, must read such a file.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pydicom.datadict import dictionary_has_tag, dictionary_VR
from pydicom.dataelem import RawDataElement, empty_value_for_VR
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

from deid_node.dicom.uids import ENCAPSULATED

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, KeysView, Mapping

LONG_VRS: Final = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)
"""VRs with a length of four bytes, PS3.5 Table 7.1-1."""
_SHORT_VRS: Final = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()
)
PIXEL_DATA: Final = 0x7FE00010

UNDEFINED: Final = 0xFFFFFFFF
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_ITEM_GROUP: Final = 0xFFFE
_META_GROUP: Final = b"\2\0"
_META: Final = 132
"""Where the file meta information begins: behind preamble and prefix, PS3.10 section 7.1."""
_TRANSFER_SYNTAX: Final = 0x00020010

_NOWHERE: Final = (0, 0, 0)

_short = struct.Struct("<HH2sH").unpack_from
_long = struct.Struct("<I").unpack_from
_implicit = struct.Struct("<HHI").unpack_from


class Unsuited(Exception):
    """The bytes are not of the plain kind that is read here."""


@dataclass(slots=True)
class Level:
    """The elements of a dataset or item, by the places where they stand.

    It answers what the header engine asks of a pydicom Dataset: `keys`, ``in``, `len` and
    `get_item`.

    Parameters
    ----------
    source
        The whole file.
    implicit
        Whether VRs are left out.
    spans
        First byte of each element, of its value, and the first byte behind, by tag in
        ascending order.
    """

    source: bytes
    implicit: bool
    spans: dict[int, tuple[int, int, int]] = field(default_factory=dict)

    def __contains__(self, tag: int) -> bool:
        return tag in self.spans

    def __len__(self) -> int:
        return len(self.spans)

    def keys(self) -> KeysView[int]:
        """Tags in ascending order."""
        return self.spans.keys()

    def get_item(self, tag: int) -> RawDataElement:
        """Give one element; the value of a sequence is `Items`."""
        start, at, stop = self.spans[tag]
        vr, length = self._head(start, at)
        value: object = self.source[at:stop]
        if vr == "SQ" or (vr is None and _is_sequence(tag)):
            value = Items(self.source, self.implicit, at, stop)
        elif vr == "UN" and _is_sequence(tag):
            raise Unsuited
        elif length == UNDEFINED:
            value = self.source[at : stop - 8]
        elif not length:
            value = empty_value_for_VR(vr, raw=True)
        return RawDataElement(
            BaseTag(tag),
            vr,
            length,
            value,  # type: ignore[arg-type]  # our Items stand where pydicom has a Sequence
            at,
            self.implicit,
            is_little_endian=True,
        )

    def whole(self, tag: int) -> bytes:
        """Bytes of an element, from its tag to the end of its value."""
        start, _, stop = self.spans[tag]
        return self.source[start:stop]

    def value(self, tag: int) -> bytes:
        """Bytes of a value; none if the element is not there."""
        _, at, stop = self.spans.get(tag, _NOWHERE)
        return self.source[at:stop]

    def _head(self, start: int, at: int) -> tuple[str | None, int]:
        """VR and length field of an element."""
        if self.implicit:
            length = _long(self.source, start + 4)[0]
            # An undefined length without VR was checked to be a sequence.
            return ("SQ" if length == UNDEFINED else None), length
        vr = self.source[start + 4 : start + 6].decode("ascii")
        if at - start == 12:  # noqa: PLR2004 - a head with a length of four bytes
            return vr, _long(self.source, start + 8)[0]
        return vr, _short(self.source, start)[3]


@dataclass(frozen=True, slots=True)
class Items:
    """The items of a sequence, read when somebody asks.

    Parameters
    ----------
    source
        The whole file.
    implicit
        Whether VRs are left out.
    start, stop
        Where its items stand.
    """

    source: bytes
    implicit: bool
    start: int
    stop: int

    def __bool__(self) -> bool:
        """Whether there is an item."""
        return self.start < self.stop and _item_head(self.source, self.start)[0] == _ITEM

    def levels(self) -> tuple[Level, ...]:
        """Read every item.

        Raises
        ------
        Unsuited
            If they are not items one behind the other.
        """
        return tuple(self._each())

    def _each(self) -> Iterator[Level]:
        at = self.start
        while at < self.stop:
            tag, length = _item_head(self.source, at)
            if tag == _SEQUENCE_END:
                return
            if tag != _ITEM:
                raise Unsuited
            stop = self.stop if length == UNDEFINED else at + 8 + length
            level, at = read_level(
                self.source, at + 8, stop, implicit=self.implicit, delimited=length == UNDEFINED
            )
            yield level


@dataclass(frozen=True, slots=True, kw_only=True)
class Part10:
    """A Part 10 file whose top level is known.

    Parameters
    ----------
    transfer_syntax_uid
        From its file meta information.
    dataset
        Top level of the dataset.
    """

    transfer_syntax_uid: str
    dataset: Level


def read_part10(content: bytes) -> Part10:
    """Find the elements of a Part 10 file.

    Raises
    ------
    Unsuited
        If it is not little endian and uncompressed as a whole, breaks off, or is otherwise
        not plain.
    """
    if content[128:_META] != b"DICM":
        raise Unsuited
    syntax, start = read_meta(content)
    implicit = syntax == ImplicitVRLittleEndian
    if not (implicit or syntax == ExplicitVRLittleEndian or syntax in ENCAPSULATED):
        raise Unsuited
    if implicit and content[start + 4 : start + 6].isupper():  # VRs where none belong
        raise Unsuited
    dataset, _ = read_level(content, start, len(content), implicit=implicit)
    return Part10(transfer_syntax_uid=syntax, dataset=dataset)


def read_elements(elements: Mapping[int, bytes], tags: Collection[int]) -> Level:
    """Read some of the elements that were written as Explicit VR Little Endian."""
    content = b"".join([elements[tag] for tag in sorted(tags) if tag in elements])
    return read_level(content, 0, len(content), implicit=False)[0]


def read_level(
    source: bytes, at: int, stop: int, *, implicit: bool, delimited: bool = False
) -> tuple[Level, int]:
    """Find the elements of one level.

    Parameters
    ----------
    source
        The whole file.
    at, stop
        Where the level begins; where it, or what holds it, ends.
    implicit
        Whether VRs are left out.
    delimited
        Whether an Item Delimitation Item ends it.

    Returns
    -------
    Level, int
        The level, and the first byte behind it.

    Raises
    ------
    Unsuited
        If an element is out of order, breaks off, or has no known VR.
    """
    spans: dict[int, tuple[int, int, int]] = {}
    head = _implicit_head if implicit else _explicit_head
    before = -1
    while at + 8 <= stop:
        tag, vr, value, length = head(source, at)
        if delimited and tag == _ITEM_END:
            return Level(source, implicit, spans), at + 8
        if tag <= before or tag >> 16 == _ITEM_GROUP:
            raise Unsuited
        end = value + length
        if length == UNDEFINED:
            end = end_of(source, tag, value, stop, implicit=implicit, vr=vr)
        spans[tag] = (at, value, end)
        before, at = tag, end
    if delimited or at != stop:
        raise Unsuited
    return Level(source, implicit, spans), at


def _explicit_head(source: bytes, at: int) -> tuple[int, bytes, int, int]:
    """Tag, VR, first byte of the value, and its length."""
    group, element, vr, length = _short(source, at)
    if vr in _SHORT_VRS or group == _ITEM_GROUP:
        return group << 16 | element, vr, at + 8, length
    if vr not in LONG_VRS or at + 12 > len(source):
        raise Unsuited
    return group << 16 | element, vr, at + 12, _long(source, at + 8)[0]


def _implicit_head(source: bytes, at: int) -> tuple[int, bytes, int, int]:
    group, element, length = _implicit(source, at)
    return group << 16 | element, b"", at + 8, length


def end_of(source: bytes, tag: int, at: int, stop: int, *, implicit: bool, vr: bytes) -> int:
    """Find the end of a value of undefined length: a sequence, or pixels in fragments.

    Raises
    ------
    Unsuited
        If it is neither.
    """
    if tag == PIXEL_DATA and vr in {b"OB", b"OW"}:
        return _end_of_fragments(source, at, stop)
    private = bool(tag >> 16 & 1)
    if vr != b"SQ" and not (implicit and (private or _is_sequence(tag))):
        raise Unsuited
    while at + 8 <= stop:
        found, length = _item_head(source, at)
        at += 8
        if found == _SEQUENCE_END:
            return at
        if found != _ITEM:
            raise Unsuited
        if length == UNDEFINED:
            _, at = read_level(source, at, stop, implicit=implicit, delimited=True)
        else:
            at += length
    raise Unsuited


def _end_of_fragments(source: bytes, at: int, stop: int) -> int:
    while at + 8 <= stop:
        tag, length = _item_head(source, at)
        if tag == _SEQUENCE_END:
            return at + 8
        if tag != _ITEM or length == UNDEFINED:
            raise Unsuited
        at += 8 + length
    raise Unsuited


def _item_head(source: bytes, at: int) -> tuple[int, int]:
    if at + 8 > len(source):
        raise Unsuited
    group, element, length = _implicit(source, at)
    return group << 16 | element, length


def read_meta(content: bytes) -> tuple[str, int]:
    """Transfer Syntax UID of the file meta information, and the first byte behind it."""
    at, syntax = _META, ""
    while content[at : at + 2] == _META_GROUP and at + 8 <= len(content):
        tag, _, value, length = _explicit_head(content, at)
        at = value + length
        if tag == _TRANSFER_SYNTAX:
            syntax = content[value:at].rstrip(b"\0 ").decode("latin-1")
    if not syntax:
        raise Unsuited
    return syntax, at


def _is_sequence(tag: int) -> bool:
    return dictionary_has_tag(tag) and dictionary_VR(tag) == "SQ"
