"""Stored values of an instance as an array, and back into Pixel Data.

Words that are not replaced come back bit for bit. Compressed Pixel Data is decoded here
and written uncompressed, which loses nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from pydicom.encaps import generate_frames
from pydicom.pixels.utils import pixel_array
from pydicom.uid import (
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

from deid_node.dicom.jpeg_header import frame_header
from deid_node.errors import PixelsUnusable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from pydicom import Dataset

DECODERS: Final = {
    JPEGBaseline8Bit: "pillow",
    JPEGExtended12Bit: "pillow",
    JPEGLSLossless: "pyjpegls",
    JPEGLSNearLossless: "pyjpegls",
    JPEG2000Lossless: "pillow",
    JPEG2000: "pillow",
}
"""One decoder for each; GDCM, which ends the process over many a broken stream, for JPEG Lossless
alone."""

_JPEG: Final = frozenset(
    {
        JPEGBaseline8Bit,
        JPEGExtended12Bit,
        JPEGLossless,
        JPEGLosslessSV1,
        JPEGLSLossless,
        JPEGLSNearLossless,
    }
)

Words = np.ndarray[tuple[int, int], np.dtype[np.unsignedinteger[Any]]]
"""(rows, columns) array of pixel cells as unsigned integers, all allocated bits."""


def pixel_words(instance: Dataset) -> Words:
    """Read the pixel cells of one instance, all allocated bits of them.

    Parameters
    ----------
    instance : Dataset
        A single-frame instance with grey pixels of 8 or 16 bits allocated.

    Returns
    -------
    (rows, columns) ndarray of uint8 or uint16
        The cells as PS3.5 section 8.1.1 lays them out.

    Raises
    ------
    PixelsUnusable
        If Pixel Data is absent, too short, or cannot be decoded.
    """
    if not instance.get("PixelData"):
        raise PixelsUnusable(why="Pixel Data is absent or of zero length", n_instances=1)
    if _transfer_syntax(instance).is_compressed:
        return _decoded(instance)
    cell = np.dtype(f"{_byte_order(instance)}u{int(instance.BitsAllocated) // 8}")
    shape = (int(instance.Rows), int(instance.Columns))
    expected = shape[0] * shape[1] * cell.itemsize
    if len(instance.PixelData) - expected not in {0, expected % 2}:
        raise PixelsUnusable(why="Pixel Data is not as long as rows × columns", n_instances=1)
    words = np.frombuffer(instance.PixelData, cell, shape[0] * shape[1]).reshape(shape)
    return words.astype(cell.newbyteorder("="), copy=False)


def stored_values(words: Words, instance: Dataset) -> NDArray[np.integer[Any]]:
    """Read pixel cells as stored values.

    Parameters
    ----------
    words : (rows, columns) ndarray of uint8 or uint16
        Pixel cells of `instance`.
    instance : Dataset
        Gives Bits Stored and Pixel Representation.

    Returns
    -------
    (rows, columns) ndarray of uint8, int8, uint16 or int16
        Stored values; those of Pixel Representation 1 are sign-extended.

    Raises
    ------
    PixelsUnusable
        If bits above High Bit are neither zero nor a sign: old systems drew overlays, and
        text, there (PS3.5 section 8.1.2).
    """
    unused = 8 * words.itemsize - int(instance.BitsStored)
    low = np.bitwise_and(words, words.dtype.type((1 << int(instance.BitsStored)) - 1))
    values: NDArray[np.integer[Any]] = low
    if instance.PixelRepresentation == 1:
        signed = np.dtype(f"i{words.itemsize}")
        values = np.right_shift(np.left_shift(words, unused).view(signed), unused)
    if unused and not np.all((words == low) | (words == values.view(words.dtype))):
        raise PixelsUnusable(
            why="bits above High Bit are in use; text may be drawn there", n_instances=1
        )
    return values


def pixel_data(words: Words) -> bytes:
    """Lay pixel cells out as uncompressed little endian Pixel Data of even length.

    Parameters
    ----------
    words : (rows, columns) ndarray of uint8 or uint16
        Pixel cells.

    Returns
    -------
    bytes
        Value of Pixel Data (7FE0,0010), PS3.5 section 8.1.1 and A.2.
    """
    content = words.astype(words.dtype.newbyteorder("<"), copy=False).tobytes()
    return content + b"\0" * (len(content) % 2)


def layout_of(instance: Dataset) -> dict[str, int]:
    """Read what an instance tells of its frames, as `refuse_other_frames` needs it."""
    return {
        "number_of_frames": int(instance.get("NumberOfFrames") or 1),
        "rows": int(instance.Rows),
        "columns": int(instance.Columns),
        "samples_per_pixel": int(instance.SamplesPerPixel),
        "bits_allocated": int(instance.BitsAllocated),
    }


def refuse_other_frames(
    content: bytes, layout: Mapping[str, Any], *, transfer_syntax_uid: UID
) -> None:
    """Keep from the decoders what is not laid out as told: some would not come back from it.

    Parameters
    ----------
    content
        Items of Pixel Data, PS3.5 A.4.
    layout
        As `layout_of` gives it.
    transfer_syntax_uid
        That of `content`; of those that are no JPEG nothing is looked at.

    Raises
    ------
    PixelsUnusable
        If a frame tells another size or precision, or lacks what its samples are coded by.
    """
    if transfer_syntax_uid not in _JPEG:
        return
    size = (layout["rows"], layout["columns"], layout["samples_per_pixel"])
    for stream in generate_frames(content, number_of_frames=layout["number_of_frames"]):
        found = frame_header(stream)
        if (
            found is None
            or (found.rows, found.columns, found.samples) != size
            or found.precision > layout["bits_allocated"]
        ):
            raise PixelsUnusable(
                why="a frame is not as large as its layout says, or is not whole", n_instances=1
            )


def _decoded(instance: Dataset) -> Words:
    """Decode compressed Pixel Data, without any colour or modality transform."""
    syntax = _transfer_syntax(instance)
    try:
        refuse_other_frames(instance.PixelData, layout_of(instance), transfer_syntax_uid=syntax)
        values = pixel_array(instance, decoding_plugin=DECODERS.get(syntax, ""))
    except PixelsUnusable:
        raise
    except Exception:  # noqa: BLE001 - decoders raise many kinds, and their text quotes values
        raise PixelsUnusable(why="compressed Pixel Data cannot be decoded", n_instances=1) from None
    if values.shape != (int(instance.Rows), int(instance.Columns)):
        raise PixelsUnusable(why="Pixel Data is not as long as rows × columns", n_instances=1)
    return values.view(np.dtype(f"u{values.itemsize}"))


def _transfer_syntax(instance: Dataset) -> UID:
    """Read the Transfer Syntax from the file meta information."""
    meta = getattr(instance, "file_meta", None) or {}
    syntax = UID(str(meta.get("TransferSyntaxUID", "")))
    if syntax.is_private or syntax.type != "Transfer Syntax":
        raise PixelsUnusable(why="the Transfer Syntax is missing or unknown", n_instances=1)
    return syntax


def _byte_order(instance: Dataset) -> str:
    """Give the byte order of uncompressed cells, as numpy writes it."""
    return ">" if _transfer_syntax(instance) == ExplicitVRBigEndian else "<"
