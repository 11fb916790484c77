"""Lay pictures out on one sheet with titles, directions and a caption."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

_PAPER = (13, 15, 18)
_INK = (222, 226, 232)
_FAINT = (128, 136, 147)
_GUTTER, _MARGIN, _HEADING, _CAPTION = 8, 16, 34, 44
_TEXT_SIZE, _LETTER_SIZE = 17, 15


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cell:
    """One picture and what its edges are called.

    Parameters
    ----------
    title
        Stands above the column.
    pixels : (rows, columns, 3) ndarray of uint8
        RGB.
    across
        Letters at the left and the right edge, or nothing.
    upright
        Letters at the upper and the lower edge, or nothing.
    """

    title: str
    pixels: NDArray[np.uint8]
    across: str = ""
    upright: str = ""


def sheet(rows: Sequence[tuple[str, Sequence[Cell]]], caption: str) -> bytes:
    """Draw a sheet.

    Parameters
    ----------
    rows
        Name and cells of each row; a column's cells may differ in size.
    caption
        One line below the pictures.

    Returns
    -------
    bytes
        A PNG.
    """
    widths = [max(c.pixels.shape[1] for c in column) for column in _columns(rows)]
    heights = [max(c.pixels.shape[0] for c in cells) for _, cells in rows]
    width = sum(widths) + _GUTTER * (len(widths) - 1) + 2 * _MARGIN
    height = sum(heights) + _GUTTER * (len(heights) - 1) + _HEADING + _CAPTION
    page = Image.new("RGB", (width, height), _PAPER)
    pen = ImageDraw.Draw(page)
    top = _HEADING
    for (name, cells), cell_height in zip(rows, heights, strict=True):
        left = _MARGIN
        for cell, cell_width in zip(cells, widths, strict=True):
            _place(page, cell, (left, top, cell_width, cell_height))
            if top == _HEADING:
                at = (left + cell_width / 2, _HEADING / 2)
                pen.text(at, cell.title, _FAINT, _font(_TEXT_SIZE), anchor="mm")
            left += cell_width + _GUTTER
        pen.text((_MARGIN + 4, top + 4), name, _INK, _font(_TEXT_SIZE))
        top += cell_height + _GUTTER
    pen.text((_MARGIN, height - _CAPTION / 2), caption, _INK, _font(_TEXT_SIZE), anchor="lm")
    out = io.BytesIO()
    page.save(out, "PNG")
    return out.getvalue()


def _columns(rows: Sequence[tuple[str, Sequence[Cell]]]) -> list[tuple[Cell, ...]]:
    return list(zip(*(cells for _, cells in rows), strict=True))


def _place(page: Image.Image, cell: Cell, frame: tuple[int, int, int, int]) -> None:
    """Put a cell into the middle of its frame, and its letters at the frame's edges."""
    left, top, width, height = frame
    rows, columns = cell.pixels.shape[:2]
    page.paste(
        Image.fromarray(cell.pixels), (left + (width - columns) // 2, top + (height - rows) // 2)
    )
    pen = ImageDraw.Draw(page)
    edges = [
        *zip(
            cell.across,
            ((left + 4, top + height / 2, "lm"), (left + width - 4, top + height / 2, "rm")),
            strict=False,
        ),
        *zip(
            cell.upright,
            ((left + width / 2, top + 4, "ma"), (left + width / 2, top + height - 4, "md")),
            strict=False,
        ),
    ]
    for letter, (x, y, anchor) in edges:
        pen.text(
            (x, y),
            letter,
            _INK,
            _font(_LETTER_SIZE),
            anchor=anchor,
            stroke_width=2,
            stroke_fill=_PAPER,
        )


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)
