"""Tell a Siemens CSA image header that is made of numbers alone from any other bytes.

Read here once more and by its own rules: every byte must be accounted for. A header as a
scanner writes it fails, for text and memory that was not cleared lie in it.
"""

from __future__ import annotations

import re
import struct
from typing import Any, Final

NUMBERS_ALONE: Final = "CSA"
"""Stands as VR of an attribute that is such a header."""

_BEGINS: Final = b"SV10\x04\x03\x02\x01"
_MOST: Final = 1024
_VALUE: Final = re.compile(
    rb"[+-]?\d{1,8}(\.\d{1,8})?|NONE|DIRECTIONAL|ISOTROPIC|BMATRIX", re.ASCII
)
_TAGS: Final = {
    b"B_value": (1, b"IS"),
    b"B_matrix": (6, b"FD"),
    b"BandwidthPerPixelPhaseEncode": (1, b"FD"),
    b"DiffusionDirectionality": (1, b"CS"),
    b"DiffusionGradientDirection": (3, b"FD"),
    b"MosaicRefAcqTimes": (0, b"FD"),
    b"NumberOfImagesInMosaic": (1, b"US"),
    b"PhaseEncodingDirectionPositive": (1, b"IS"),
    b"ProtocolSliceNumber": (1, b"IS"),
    b"RealDwellTime": (1, b"IS"),
    b"SliceMeasurementDuration": (1, b"DS"),
    b"SliceNormalVector": (3, b"FD"),
    b"TimeAfterStart": (1, b"DS"),
}
"""Value multiplicity and VR of what may be there; PS3.15 has no list of them."""
_TYPES: Final = {b"DS": 3, b"FD": 4, b"IS": 6, b"US": 10, b"CS": 16}


def is_numbers_alone(value: bytes) -> bool:
    """Whether bytes are a CSA2 header in which nothing but numbers and known codes is said.

    Examples
    --------
    >>> is_numbers_alone(b"SV10 and a word")
    False
    """
    try:
        return value[:8] == _BEGINS and _Reader(value).reads_to_the_end()
    except struct.error:
        return False


class _Reader:
    """Reads on from where it is; whatever breaks off raises `struct.error`."""

    def __init__(self, value: bytes) -> None:
        self._value = value
        self._at = len(_BEGINS)

    def reads_to_the_end(self) -> bool:
        n_tags, mark = self._next("<2I")
        sound = mark == 77 and 0 < n_tags <= len(_TAGS)  # noqa: PLR2004 - of the layout
        return sound and all(self._tag() for _ in range(n_tags)) and self._at == len(self._value)

    def _next(self, form: str) -> tuple[Any, ...]:
        found = struct.unpack_from(form, self._value, self._at)
        self._at += struct.calcsize(form)
        return found

    def _tag(self) -> bool:
        field = self._value[self._at : self._at + 64]
        self._at += 64
        multiplicity, vr, kind, n_items, mark = self._next("<I4s3I")
        name = field.rstrip(b"\0")
        if _TAGS.get(name) != (multiplicity, vr.rstrip(b"\0")) or kind != _TYPES[_TAGS[name][1]]:
            return False
        if n_items > _MOST or mark not in {77, 205}:
            return False
        return all(self._item() for _ in range(n_items))

    def _item(self) -> bool:
        first, length, mark, last = self._next("<4I")
        if not first == length == last or mark != (77 if length else 205):
            return False
        filled = length + -length % 4
        whole = self._value[self._at : self._at + filled]
        self._at += filled
        written = whole.rstrip(b"\0")
        return len(whole) == filled and (not length or _VALUE.fullmatch(written) is not None)
