"""The safetensors format, which holds numbers and nothing that could run.

A header of JSON, padded with blanks to 8 bytes, says where each tensor lies; its length comes
before it as 8 bytes, least first. Tensors follow one another without gaps.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import numpy as np
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
