"""The safetensors format, which holds numbers and nothing that could run.

A header of JSON, padded with blanks to 8 bytes, says where each tensor lies; its length comes
before it as 8 bytes, least first. Tensors follow one another without gaps.
"""

from __future__ import annotations

import json
from math import prod
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray


def encode(tensors: Mapping[str, NDArray[np.float32]]) -> Iterator[bytes]:
    """Write tensors, in the order of their names.

    Parameters
    ----------
    tensors
        By name.

    Yields
    ------
    bytes
        Part after part of the file.
    """
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    at = 0
    names = sorted(tensors)
    for name in names:
        end = at + tensors[name].nbytes
        shape = list(tensors[name].shape)
        header[name] = {"dtype": "F32", "shape": shape, "data_offsets": [at, end]}
        at = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for name in names:
        yield tensors[name].astype("<f4", order="C").tobytes()


def decode(raw: bytes) -> dict[str, NDArray[np.float32]]:
    """Read tensors of float32, as views of the file's bytes.

    Raises
    ------
    ValueError, KeyError, TypeError
        If it is not a file that `encode` wrote.
    """
    start = 8 + int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8:start])
    found = {}
    for name, said in header.items():
        if name == "__metadata__":
            continue
        begin, end = said["data_offsets"]
        if said["dtype"] != "F32" or end - begin != 4 * prod(said["shape"]):
            raise ValueError
        numbers = np.frombuffer(raw, "<f4", prod(said["shape"]), start + begin)
        found[name] = numbers.reshape(said["shape"])
    return found
