"""Messages of words and arrays through a pipe; nothing in them is run by whoever reads them.

A message is the length of its JSON (8 bytes, least first), the JSON, and the bytes of its
arrays one after another.
"""

from __future__ import annotations

import json
from math import prod
from typing import IO, TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LENGTH_BYTES: Final = 8
MOST_HEADER_BYTES: Final = 1 << 16
DTYPES: Final = {"float32": np.float32, "uint8": np.uint8, "bool": np.bool_}


def write_message(
    pipe: IO[bytes], words: dict[str, Any], arrays: Sequence[NDArray[Any]] = ()
) -> None:
    """Write one message.

    Parameters
    ----------
    pipe
        Where to.
    words
        JSON types.
    arrays
        Of the kinds in `DTYPES`.

    Raises
    ------
    OSError
        If nobody reads any more.
    """
    described = [{"dtype": each.dtype.name, "shape": list(each.shape)} for each in arrays]
    header = json.dumps({"words": words, "arrays": described}).encode()
    pipe.write(len(header).to_bytes(LENGTH_BYTES, "little") + header)
    for each in arrays:
        pipe.write(np.ascontiguousarray(each).data.cast("B") if each.size else b"")
    pipe.flush()


def read_message(pipe: IO[bytes]) -> tuple[dict[str, Any], list[NDArray[Any]]]:
    """Read one message.

    Returns
    -------
    dict, list of ndarray
        Words and arrays, as they were written.

    Raises
    ------
    EOFError
        If nobody writes any more.
    ValueError
        If it is not a message.
    """
    length = int.from_bytes(_exactly(pipe, LENGTH_BYTES), "little")
    if length > MOST_HEADER_BYTES:
        raise ValueError("the message begins with more than a header")
    header = json.loads(_exactly(pipe, length))
    arrays = []
    for each in header["arrays"]:
        dtype = np.dtype(DTYPES[each["dtype"]])
        raw = _exactly(pipe, dtype.itemsize * prod(each["shape"]))
        arrays.append(np.frombuffer(raw, dtype).reshape(each["shape"]))
    return header["words"], arrays


def _exactly(pipe: IO[bytes], count: int) -> bytes:
    found = pipe.read(count)
    if len(found) < count:
        raise EOFError
    return found
