"""Make rectangles of Pixel Data black, and leave all else bit for bit as it is; PS3.15 E.3.1."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import UID

from deid_node.dicom.pixel_format import SAMPLES
from deid_node.dicom.pixels import DECODERS, refuse_other_frames
from deid_node.errors import PixelsUnusable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deid_node.dicom.pixel_format import PixelFormat
    from deid_node.dicom.rectangle import Rectangle

Cells = NDArray[np.unsignedinteger[Any]]
"""Pixel cells as unsigned integers, all allocated bits of them, in the shape of a `PixelFormat`."""

_ADOBE: Final = re.compile(rb"(\xff\xee..)Adobe(.{6}(.))", re.DOTALL)
"""Marker segment that says whether the colours of a JPEG stream are YCbCr; its last byte is 0
for RGB. Compressed samples cannot hold FFEE (ISO/IEC 10918-1, B.1.1.5)."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pixels:
    """Pixel cells and what they are.

    Parameters
    ----------
    cells
        In the shape of `form`; not to be written to.
    form
        Their layout.
    """

    cells: Cells
    form: PixelFormat

    def content(self) -> bytes:
        """Lay them out as uncompressed little endian Pixel Data of even length."""
        value = self.cells.astype(self.form.cell, copy=False).tobytes()
        return value + b"\0" * (len(value) % 2)


def blackened(pixels: Pixels, rectangles: Iterable[Rectangle]) -> Pixels:
    """Make rectangles black in every frame.

    Raises
    ------
    PixelsUnusable
        If a rectangle reaches outside the frame, or bits above High Bit are in use: text may
        be drawn there (PS3.5 section 8.1.2).
    """
    form = pixels.form
    cells = pixels.cells.copy()
    by_sample = cells if form.planar else np.moveaxis(cells, -1, 1)
    black = np.array(form.black, cells.dtype)[:, None, None]
    for each in rectangles:
        if not each.fits(form.rows, form.columns):
            raise _unusable("a rectangle of the profile reaches outside the frame")
        by_sample[
            ..., each.row : each.row + each.height, each.column : each.column + each.width
        ] = black
    _refuse_unused_bits(cells, form)
    return Pixels(cells=cells, form=form)


def native_pixels(content: bytes, form: PixelFormat) -> Pixels:
    """Read uncompressed little endian Pixel Data.

    Raises
    ------
    PixelsUnusable
        If it is not as long as its layout says.
    """
    count = int(np.prod(form.shape))
    expected = count * form.cell.itemsize
    if len(content) - expected not in {0, expected % 2}:
        raise _unusable("Pixel Data is not as long as frames × rows × columns × samples")
    return Pixels(cells=np.frombuffer(content, form.cell, count).reshape(form.shape), form=form)


def decoded_pixels(content: bytes, form: PixelFormat, transfer_syntax_uid: str) -> Pixels:
    """Decode encapsulated Pixel Data without any transform of its colours that can be left out.

    Parameters
    ----------
    content
        Items of Pixel Data, PS3.5 A.4.
    form
        Layout as the instance tells it.
    transfer_syntax_uid
        That of `content`.

    Returns
    -------
    Pixels
        Colours by pixel. Their Photometric Interpretation is that of the decoded cells.

    Raises
    ------
    PixelsUnusable
        If it cannot be decoded, or what comes out is not what the instance tells.
    """
    syntax = UID(transfer_syntax_uid)
    options: dict[str, Any] = {
        "pixel_keyword": "PixelData",
        "correct_unused_bits": False,
        "rows": form.rows,
        "columns": form.columns,
        "number_of_frames": form.frames,
        "samples_per_pixel": form.samples,
        "bits_allocated": form.bits_allocated,
        "bits_stored": form.bits_stored,
        "pixel_representation": int(form.signed),
        "photometric_interpretation": form.photometric,
        "planar_configuration": 0,
    }
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # their text quotes values
            refuse_other_frames(content, options, transfer_syntax_uid=syntax)
            values, said = get_decoder(syntax).as_array(
                # Pillow turns YCbCr into RGB where Adobe's marker says that it is YCbCr.
                _ADOBE.sub(rb"\1adobe\2", content),
                raw=True,
                decoding_plugin=DECODERS.get(syntax, ""),
                **options,
            )
    except PixelsUnusable:
        raise
    except Exception:  # noqa: BLE001 - decoders raise many kinds, and their text quotes values
        raise _unusable("compressed Pixel Data cannot be decoded") from None
    photometric = str(said["photometric_interpretation"])
    if photometric == "YBR_FULL_422":
        photometric = "YBR_FULL"  # each pixel has its own colours once it is decoded
    if SAMPLES.get(photometric) != form.samples or _is_contradicted(content, form, photometric):
        raise _unusable("the colours of decoded Pixel Data are not known for sure")
    if values.dtype.itemsize != form.cell.itemsize or values.size != int(np.prod(form.shape)):
        raise _unusable("decoded Pixel Data is not what its layout says")
    cells = values.view(form.cell).reshape(form.shape)
    return Pixels(cells=cells, form=replace(form, photometric=photometric))


def _is_contradicted(content: bytes, form: PixelFormat, photometric: str) -> bool:
    """Whether a stream says that its colours are others than the instance tells."""
    if form.samples == 1:
        return False
    said = {mark[-1] == b"\0" for mark in _ADOBE.findall(content)}
    return bool(said - {photometric == "RGB"})


def _refuse_unused_bits(cells: Cells, form: PixelFormat) -> None:
    """Bits above High Bit must be zero or repeat the sign."""
    unused = form.bits_allocated - form.bits_stored
    if not unused:
        return
    above = np.right_shift(cells, form.bits_stored)
    empty = above == 0
    if form.signed:
        negative = np.right_shift(cells, form.bits_stored - 1) & 1 == 1
        empty |= negative & (above == (1 << unused) - 1)
    if not np.all(empty):
        raise _unusable("bits above High Bit are in use; text may be drawn there")


def _unusable(why: str) -> PixelsUnusable:
    return PixelsUnusable(why=why, n_instances=1)
