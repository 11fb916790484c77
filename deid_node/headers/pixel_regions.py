"""Tell which pixels of an instance its profile wants clean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deid_node.headers import reading

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deid_node.dicom.rectangle import Rectangle
    from deid_node.headers.profile import PixelRegion
    from deid_node.headers.reading import Source


def rectangles_of(source: Source, regions: Iterable[PixelRegion]) -> tuple[Rectangle, ...]:
    """Gather the rectangles of every region that is meant for an instance.

    Parameters
    ----------
    source
        Top level of an instance as it came.
    regions
        Of a profile.

    Returns
    -------
    tuple of Rectangle
        Each once; empty if the instance is of none of the kinds.
    """
    found = (
        rectangle
        for region in regions
        if all(_is(source, tag, wanted) for tag, wanted in region.when)
        for rectangle in region.rectangles
    )
    return tuple(dict.fromkeys(found))


def _is(source: Source, tag: int, wanted: str | int) -> bool:
    """Whether an attribute has one value, and which; white space around a string is nothing."""
    if tag not in source:
        return False
    element = source.get_item(tag)
    vr = reading.vr_of(element, signed_pixels=False)
    if vr is None:
        return False
    if vr not in reading.STRINGS:
        return reading.numbers(element, vr) == (wanted,)
    values = reading.strings(element, vr, reading.codec_of(source)) or ()
    stripped = [value.strip(" \0") for value in values]
    return stripped == [wanted] or (vr == "IS" and list(map(int, stripped)) == [wanted])
