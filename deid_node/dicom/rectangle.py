"""A rectangle of pixels."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Rectangle:
    """Pixels side by side, counted from the upper left, from 0.

    Parameters
    ----------
    column, row
        Of its upper left pixel.
    width, height
        In pixels.
    """

    column: int
    row: int
    width: int
    height: int

    def fits(self, rows: int, columns: int) -> bool:
        """Whether it holds a pixel, and none outside a frame of this size.

        Examples
        --------
        >>> banner = Rectangle(column=0, row=0, width=640, height=40)
        >>> banner.fits(480, 640), banner.fits(480, 512)
        (True, False)
        """
        across = self.column >= 0 and self.width > 0 and self.column + self.width <= columns
        return across and self.row >= 0 and self.height > 0 and self.row + self.height <= rows
