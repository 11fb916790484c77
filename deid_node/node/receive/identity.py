"""Find out which instance is coming, from the first elements of its dataset.

Nothing else is decoded: only as much structure is followed as leads to the two UIDs.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from pydicom.uid import ExplicitVRBigEndian

from deid_node.dicom.wire import LONG_VRS, PIXEL_DATA, UNDEFINED
from deid_node.errors import UndecodableInstance
from deid_node.node.receive.command import is_uid

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

LONGEST_OPENING: Final = 2**20
"""The UIDs must come within this, in bytes: so much of an instance is held in memory."""
DEEPEST: Final = 32
"""Sequences within sequences that are followed."""

_SOP_INSTANCE_UID: Final = 0x00080018
_STUDY_INSTANCE_UID: Final = 0x0020000D
_SERIES_INSTANCE_UID: Final = 0x0020000E
_UIDS: Final = {_SOP_INSTANCE_UID, _STUDY_INSTANCE_UID, _SERIES_INSTANCE_UID}
_NONE: Final = (0, 0, b"", 0)
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_HEAD: Final = 8
_SHORT_VRS: Final = frozenset(
    b"AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL US".split()
)
"""With a length of two bytes; a quick way for what is most of a header."""


Opening = bytes | bytearray | memoryview
"""First bytes of a dataset."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The UIDs by which an instance is kept.

    Parameters
    ----------
    sop_instance_uid, series_instance_uid
        As they came, without padding.
    study_instance_uid
        Empty if it is missing or none; nothing is kept by it.
    stop
        First byte behind what was read.
    """

    sop_instance_uid: str
    series_instance_uid: str
    study_instance_uid: str = field(default="", compare=False)
    stop: int = field(default=0, compare=False)


class _Incomplete(Exception):
    """The bytes end before the answer."""


_UNPACK: Final = {
    order: tuple(struct.Struct(order + each).unpack_from for each in ("HH2sH", "HHI", "I"))
    for order in "<>"
}
"""Tag with VR and short length, tag with long length, and long length alone."""


def identify(opening: Opening, transfer_syntax_uid: str) -> Identity | None:
    """Read SOP Instance UID and Series Instance UID.

    Whether VRs are there is seen from the first element, as pydicom does: some senders
    encode otherwise than they said.

    Parameters
    ----------
    opening
        First bytes of the dataset; not deflated.
    transfer_syntax_uid
        As it was negotiated.

    Returns
    -------
    Identity or None
        None if more bytes are needed.

    Raises
    ------
    UndecodableInstance
        If a UID is missing or is none, or the bytes are no dataset.
    """
    if len(opening) < _HEAD:
        return None
    try:
        return _Reader(opening, transfer_syntax_uid).identity()
    except _Incomplete:
        return None


def following(
    opening: Opening, transfer_syntax_uid: str, *, at: int, tags: Collection[int], longest: int
) -> dict[int, bytes]:
    """Give the values of those of `tags` that come from byte `at` on, as far as they are at hand.

    Values of more than `longest` bytes are left out.
    """
    found: dict[int, bytes] = {}
    with suppress(_Incomplete, UndecodableInstance):
        reader = _Reader(opening, transfer_syntax_uid)
        for tag, begin, stop in reader.elements(at, tags=tags, beyond=max(tags) + 1):
            if tag not in tags or stop > len(opening):
                break
            if stop - begin <= longest:
                found[tag] = bytes(opening[begin:stop])
    return found


class _Reader:
    """Steps from element to element; `_Incomplete` where the bytes end."""

    def __init__(self, source: Opening, transfer_syntax_uid: str) -> None:
        order = ">" if transfer_syntax_uid == ExplicitVRBigEndian else "<"
        self._source = source
        self._stop = len(source)
        self._is_explicit = b"AA" <= bytes(source[4:6]) <= b"ZZ"
        self._tag_and_vr: Callable[..., tuple[int, int, bytes, int]]
        self._tag: Callable[..., tuple[int, int, int]]
        self._long: Callable[..., tuple[int]]
        self._tag_and_vr, self._tag, self._long = _UNPACK[order]

    def identity(self) -> Identity:
        """Step over the elements up to the second of the two UIDs."""
        found: dict[int, str] = {}
        study = ""
        for tag, begin, stop in self.elements(0, tags=_UIDS, beyond=PIXEL_DATA):
            if tag in {_SOP_INSTANCE_UID, _SERIES_INSTANCE_UID}:
                if stop > self._stop:
                    break
                found[tag] = _uid(bytes(self._source[begin:stop]))
                if len(found) == 2:  # noqa: PLR2004 - both UIDs
                    return Identity(
                        sop_instance_uid=found[_SOP_INSTANCE_UID],
                        series_instance_uid=found[_SERIES_INSTANCE_UID],
                        study_instance_uid=study if is_uid(study) else "",
                        stop=stop,
                    )
            elif tag == _STUDY_INSTANCE_UID and stop <= self._stop:
                study = _text(bytes(self._source[begin:stop]))
            elif tag >= PIXEL_DATA:
                raise UndecodableInstance("the dataset has no usable UID before its pixels")
        raise _Incomplete

    def elements(
        self, at: int, *, tags: Collection[int], beyond: int
    ) -> Iterator[tuple[int, int, int]]:
        """Step over the elements from byte `at` on.

        Gives the tag of an element, and where its value begins and ends: of `tags` alone, and
        of whatever has the tag `beyond` or a higher one.
        """
        # For most of a header there is no call: it would cost more than all the rest.
        source, read = self._source, self._tag_and_vr
        last = self._stop - _HEAD if self._is_explicit else -1
        while True:
            group, number, vr, length = read(source, at) if at <= last else _NONE
            if vr in _SHORT_VRS:
                tag, begin = group << 16 | number, at + _HEAD
                at = begin + length
            else:
                tag, begin, at = self._element(at, explicit=self._is_explicit, depth=0)
            if tag in tags or tag >= beyond:
                yield tag, begin, at

    def _element(self, at: int, *, explicit: bool, depth: int) -> tuple[int, int, int]:
        tag, vr, length, at = self._head(at, explicit=explicit)
        if tag in {_ITEM, _ITEM_END, _SEQUENCE_END}:
            raise UndecodableInstance("the dataset cannot be parsed")
        if tag >= PIXEL_DATA and not depth:
            return tag, at, at
        if length != UNDEFINED:
            return tag, at, _within_reach(at + length)
        if vr not in {b"SQ", b"UN", b""}:
            raise UndecodableInstance("the dataset cannot be parsed")
        # PS3.5 section 6.2.2: within UN there are no VRs.
        return tag, at, self._end_of_items(at, explicit=vr == b"SQ", depth=depth + 1)

    def _end_of_items(self, at: int, *, explicit: bool, depth: int) -> int:
        if depth > DEEPEST:
            raise UndecodableInstance(f"sequences are more than {DEEPEST} deep")
        while True:
            tag, length, at = self._item_head(at)
            if tag == _SEQUENCE_END:
                return at
            if tag != _ITEM:
                raise UndecodableInstance("the dataset cannot be parsed")
            if length != UNDEFINED:
                at = _within_reach(at + length)
                continue
            while self._item_head(at)[0] != _ITEM_END:
                _, _, at = self._element(at, explicit=explicit, depth=depth)
            at += _HEAD

    def _head(self, at: int, *, explicit: bool) -> tuple[int, bytes, int, int]:
        """Tag, VR (none in Implicit VR), length, and where the value begins."""
        tag, length, value = self._item_head(at)
        vr = bytes(self._source[at + 4 : at + 6])
        if not explicit or not b"AA" <= vr <= b"ZZ":
            return tag, b"", length, value
        if vr not in LONG_VRS:
            return tag, vr, self._tag_and_vr(self._source, at)[3], value
        if at + 12 > self._stop:
            raise _Incomplete
        return tag, vr, self._long(self._source, at + 8)[0], at + 12

    def _item_head(self, at: int) -> tuple[int, int, int]:
        if at + _HEAD > self._stop:
            raise _Incomplete
        group, number, length = self._tag(self._source, at)
        return group << 16 | number, length, at + _HEAD


def _within_reach(stop: int) -> int:
    if stop > LONGEST_OPENING:
        raise UndecodableInstance("the UIDs of the dataset come too late")
    return stop


def _uid(value: bytes) -> str:
    """Take the bytes of a UID as they are, so that no library judges or reports them."""
    text = _text(value)
    if not is_uid(text):
        raise UndecodableInstance("a UID of the dataset is none")
    return text


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace").rstrip("\0 ")
