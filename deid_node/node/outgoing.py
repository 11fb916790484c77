"""Instances on their way out: where their bytes lie, and what their file meta information says.

A file is read block by block when its turn comes, so memory does not grow with the size of an
instance or the length of a series.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deid_node.errors import NotDicom

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from deid_node.dicom.part10 import EncodedInstance

_HEAD_BYTES: Final = 4096
"""More than the preamble and any file meta information that this node writes."""
_META_AT: Final = 132
_LONG_VRS: Final = (b"OB", b"OW", b"SQ", b"UN", b"UT")
_SOP_CLASS, _SOP_INSTANCE, _SYNTAX = 0x0002, 0x0003, 0x0010
"""Element numbers of group 2, PS3.10 Table 7.1-1."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outgoing:
    """One instance of a result.

    Parameters
    ----------
    number
        Its place in the result, from 1.
    sop_class_uid, sop_instance_uid, transfer_syntax_uid
        As in the file meta information. The SOP Instance UID is a pseudonym.
    source
        A Part 10 file, or what would stand in it.
    dataset_at
        First byte of the dataset, behind the file meta information.
    length
        Bytes of the whole file.
    replaces
        Whether an earlier generation of it may be over there, which gives way.
    """

    number: int
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    source: Path | bytes
    dataset_at: int
    length: int
    replaces: bool = False

    @property
    def dataset_length(self) -> int:
        """Bytes of the dataset."""
        return self.length - self.dataset_at

    def blocks(self, size: int, *, start: int = 0) -> Iterator[memoryview]:
        """Read from byte `start` on, in blocks of `size` bytes and a rest.

        Raises
        ------
        OSError
            If the file cannot be read.
        """
        if isinstance(self.source, bytes):
            whole = memoryview(self.source)
            for at in range(start, len(whole), size):
                yield whole[at : at + size]
            return
        with self.source.open("rb", buffering=0) as file:
            file.seek(start)
            while block := file.read(size):
                yield memoryview(block)

    def part10(self) -> bytes:
        """Read all of it: for the few who must see it whole."""
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()


def from_file(path: Path, *, number: int) -> Outgoing:
    """Describe a Part 10 file.

    Raises
    ------
    NotDicom
        If it is none, or its file meta information lacks a UID.
    OSError
        If it cannot be read.
    """
    with path.open("rb", buffering=0) as file:
        head = file.read(_HEAD_BYTES)
    return _outgoing(head, path, length=path.stat().st_size, number=number)


def from_encoded(instances: Sequence[EncodedInstance]) -> list[Outgoing]:
    """Describe instances that are in memory.

    Raises
    ------
    NotDicom
        If one is not in the form of a Part 10 file.
    """
    return [
        _outgoing(each.part10[:_HEAD_BYTES], each.part10, length=len(each.part10), number=number)
        for number, each in enumerate(instances, start=1)
    ]


def _outgoing(head: bytes, source: Path | bytes, *, length: int, number: int) -> Outgoing:
    try:
        meta, dataset_at = _file_meta(head)
        return Outgoing(
            number=number,
            sop_class_uid=meta[_SOP_CLASS],
            sop_instance_uid=meta[_SOP_INSTANCE],
            transfer_syntax_uid=meta[_SYNTAX],
            source=source,
            dataset_at=dataset_at,
            length=length,
        )
    except (KeyError, ValueError, struct.error):
        raise NotDicom("an instance of the result is not a Part 10 file") from None


def _file_meta(head: bytes) -> tuple[dict[int, str], int]:
    """Read group 2, PS3.10 section 7.1; give the elements as text and where the dataset begins."""
    if head[128:_META_AT] != b"DICM" or head[_META_AT : _META_AT + 6] != b"\x02\0\0\0UL":
        raise ValueError
    at = _META_AT + 12
    end = at + struct.unpack_from("<I", head, at - 4)[0]
    if end > len(head):
        raise ValueError
    found: dict[int, str] = {}
    while at < end:
        number, vr = struct.unpack_from("<H2s", head, at + 2)
        if vr in _LONG_VRS:
            value, length = at + 12, struct.unpack_from("<I", head, at + 8)[0]
        else:
            value, length = at + 8, struct.unpack_from("<H", head, at + 6)[0]
        at = value + length
        found[number] = head[value:at].rstrip(b"\0 ").decode("latin-1")
    return found, end
