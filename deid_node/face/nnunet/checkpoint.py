"""Read the numbers of a torch checkpoint without torch.

Since torch 1.6 a checkpoint is a zip archive, never compressed: ``NAME/data.pkl`` is a pickle
whose tensors refer to storages, and ``NAME/data/KEY`` holds the numbers of one storage. Before,
it was a row of five pickles with the storages behind them. Both are read; the tar archives of
torch 0.1 are not.
"""

from __future__ import annotations

import os
import struct
import zipfile
from dataclasses import dataclass
from io import BytesIO
from math import prod
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from deid_node.errors import ForeignModelRefused
from deid_node.face.nnunet.pickles import read_pickle

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import BinaryIO

    from numpy.typing import NDArray

    from deid_node.face.nnunet.names import Storage, Tensor

MOST_PICKLE_BYTES: Final = 64 << 20
MOST_MEMBERS: Final = 20_000

_ZIP: Final = b"PK\x03\x04"
_LEGACY_MAGIC: Final = 0x1950A86A20F9469CFC6C
_LEGACY_PROTOCOL: Final = 1001
_WEIGHTS: Final = {"f4": "<f4", "f2": "<f2", "bf2": "<u2"}
"""Kinds of numbers that a network's weights may have, and how they lie in the file."""
_BFLOAT16: Final = "bf2"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Checkpoint:
    """What a checkpoint says, with its tensors still in the file.

    Parameters
    ----------
    what
        What the file is, for refusals.
    values
        The pickled value; a dict with `Tensor`s in it, in a checkpoint of nnU-Net.
    """

    what: str
    values: Any
    _storage: Callable[[Storage], bytes]

    def read(self, tensor: Tensor) -> NDArray[np.float32]:
        """Read a tensor's numbers.

        Returns
        -------
        `tensor.shape` ndarray of float32
            Exactly the numbers of the file: every float16 and bfloat16 is a float32.

        Raises
        ------
        ForeignModelRefused
            If it is not the whole of its storage, not of floating-point numbers, or not finite.
        """
        storage = tensor.storage
        if storage.code not in _WEIGHTS:
            raise ForeignModelRefused(f"{self.what} has weights that are no floating-point numbers")
        raw = self._storage(storage)
        numbers = np.frombuffer(raw, _WEIGHTS[storage.code])
        if storage.code == _BFLOAT16:
            numbers = (numbers.astype("<u4") << 16).view("<f4")
        if len(numbers) != storage.count or not _is_whole(tensor):
            raise ForeignModelRefused(f"{self.what} has a tensor that is not what it says it is")
        steps = tuple(step * numbers.itemsize for step in tensor.strides)
        view = np.lib.stride_tricks.as_strided(numbers, tensor.shape, steps)
        values = np.ascontiguousarray(view, dtype=np.float32)
        if not np.isfinite(values).all():
            raise ForeignModelRefused(f"{self.what} has weights that are not finite")
        return values


def read_checkpoint(file: BinaryIO, *, what: str) -> Checkpoint:
    """Read a file that torch saved.

    Parameters
    ----------
    file
        Must stay open and seekable as long as tensors are read.
    what
        What the file is, for refusals.

    Raises
    ------
    ForeignModelRefused
        If it is broken, or would need more than this to be read.
    """
    file.seek(0)
    is_zip = file.read(len(_ZIP)) == _ZIP
    return _read_zip(file, what) if is_zip else _read_legacy(file, what)


def _is_whole(tensor: Tensor) -> bool:
    """Check that a tensor is its whole storage, in whatever order of the axes."""
    expected = 1
    for step, n in sorted(zip(tensor.strides, tensor.shape, strict=True)):
        if n != 1 and step != expected:
            return False
        expected *= n
    return tensor.offset == 0 and prod(tensor.shape) == tensor.storage.count


def _read_zip(file: BinaryIO, what: str) -> Checkpoint:
    try:
        archive = zipfile.ZipFile(file)
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        raise ForeignModelRefused(f"{what} is a zip archive that breaks off") from None
    members = archive.infolist()
    _check_members(members, file, what)
    names = {member.filename: member.file_size for member in members}
    prefixes = [n.removesuffix("data.pkl") for n in names if n.endswith("/data.pkl")]
    if len(prefixes) != 1 or names[f"{prefixes[0]}data.pkl"] > MOST_PICKLE_BYTES:
        raise ForeignModelRefused(f"{what} is not a checkpoint of torch")
    prefix = prefixes[0]

    def member(name: str) -> bytes:
        try:
            return archive.read(prefix + name)
        except (KeyError, zipfile.BadZipFile, ValueError, OSError, NotImplementedError, EOFError):
            raise ForeignModelRefused(f"{what} is a checkpoint whose parts are damaged") from None

    if f"{prefix}byteorder" in names and member("byteorder") != b"little":
        raise ForeignModelRefused(f"{what} was written by a big-endian machine: save it again")
    values = read_pickle(BytesIO(member("data.pkl")), what=what, storages={})
    return Checkpoint(
        what=what, values=values, _storage=lambda storage: member(f"data/{storage.key}")
    )


def _check_members(members: list[zipfile.ZipInfo], file: BinaryIO, what: str) -> None:
    """Refuse compression, encryption and overlap: then reading costs no more than the file is long."""
    length = file.seek(0, os.SEEK_END)
    if any(m.compress_type != zipfile.ZIP_STORED or m.flag_bits & 1 for m in members):
        raise ForeignModelRefused(f"{what} is compressed or encrypted, as torch never writes it")
    if len(members) > MOST_MEMBERS or sum(m.file_size for m in members) > length:
        raise ForeignModelRefused(f"{what} says that it holds more than it does")
    if len({m.filename for m in members}) != len(members):
        raise ForeignModelRefused(f"{what} holds two parts of one name")


def _read_legacy(file: BinaryIO, what: str) -> Checkpoint:
    """Read a file of torch 1.0 to 1.5: magic number, protocol, system, value, keys; storages."""
    file.seek(0)
    head = BytesIO(file.read(MOST_PICKLE_BYTES))
    if head.getvalue()[:1] != b"\x80":
        raise ForeignModelRefused(f"{what} is not a checkpoint of torch 1.0 or newer")
    magic = read_pickle(head, what=what)
    protocol = read_pickle(head, what=what) if magic == _LEGACY_MAGIC else None
    if protocol != _LEGACY_PROTOCOL:
        raise ForeignModelRefused(f"{what} is a pickle, but not a checkpoint of torch")
    system = read_pickle(head, what=what)
    if not isinstance(system, dict) or system.get("little_endian") is not True:
        raise ForeignModelRefused(f"{what} was written by a big-endian machine: save it again")
    storages: dict[str, Storage] = {}
    values = read_pickle(head, what=what, storages=storages)
    keys = read_pickle(head, what=what)
    if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
        raise ForeignModelRefused(f"{what} does not name its storages")
    places = _places(file, head.tell(), [storages.get(key) for key in keys], what)

    def storage(wanted: Storage) -> bytes:
        if wanted.key not in places:
            raise ForeignModelRefused(f"{what} lacks numbers that it refers to")
        file.seek(places[wanted.key])
        return file.read(_length(wanted))

    return Checkpoint(what=what, values=values, _storage=storage)


def _places(
    file: BinaryIO, start: int, storages: list[Storage | None], what: str
) -> dict[str, int]:
    """Find where each storage begins: a count of 8 bytes, then the numbers."""
    places = {}
    end = file.seek(0, os.SEEK_END)
    at = start
    for storage in storages:
        file.seek(at)
        count = file.read(8)
        if storage is None or count != struct.pack("<q", storage.count):
            raise ForeignModelRefused(f"{what} keeps other numbers than it refers to")
        places[storage.key] = at + 8
        at += 8 + _length(storage)
    if at > end:
        raise ForeignModelRefused(f"{what} breaks off")
    return places


def _length(storage: Storage) -> int:
    return storage.count * int(storage.code.lstrip("bfiu"))
