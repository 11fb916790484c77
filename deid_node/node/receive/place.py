"""Find out where a slice lies, from the elements that follow its UIDs.

Only what lies in the bytes that are at hand anyway is read, and nothing is waited for: it is a
hint at when a series is whole, and decides nothing else.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple

from deid_node.node.assembly import Place
from deid_node.node.receive.identity import following

if TYPE_CHECKING:
    from deid_node.node.receive.identity import Identity, Opening

_POSITION: Final = 0x00200032
_ORIENTATION: Final = 0x00200037
_IMAGES_IN_ACQUISITION: Final = 0x00201002
_SOUGHT: Final = {_POSITION, _ORIENTATION, _IMAGES_IN_ACQUISITION}
_DIGITS: Final = 3
"""Decimals of a position in mm, and of a direction cosine, that tell two slices apart."""
_LONGEST: Final = 128
"""Bytes of six decimal strings of 16 characters, and more."""


def place_of(opening: Opening, transfer_syntax_uid: str, identity: Identity) -> Place | None:
    """Read Image Position, Image Orientation and Images in Acquisition.

    Parameters
    ----------
    opening
        First bytes of the dataset.
    transfer_syntax_uid
        As it was negotiated.
    identity
        What was found in the same bytes.

    Returns
    -------
    Place or None
        None if position or orientation are not there or of no use.
    """
    found = following(
        opening, transfer_syntax_uid, at=identity.stop, tags=_SOUGHT, longest=_LONGEST
    )
    position = _numbers(found.get(_POSITION), 3)
    direction = _direction(found.get(_ORIENTATION))
    if position is None or direction is None:
        return None
    announced = _numbers(found.get(_IMAGES_IN_ACQUISITION), 1)
    return Place(
        position_mm=round(sum(map(float.__mul__, position, direction.normal)), _DIGITS),
        orientation=direction.rounded,
        n_announced=None if announced is None else int(announced[0]),
    )


class _Direction(NamedTuple):
    """Normal of a slice, and its orientation, rounded."""

    normal: tuple[float, float, float]
    rounded: tuple[float, ...]


@lru_cache
def _direction(value: bytes | None) -> _Direction | None:
    """Read Image Orientation (Patient): all slices of a series have the same."""
    orientation = _numbers(value, 6)
    if orientation is None:
        return None
    (a, b, c), (d, e, f) = orientation[:3], orientation[3:]
    return _Direction(
        normal=(b * f - c * e, c * d - a * f, a * e - b * d),
        rounded=tuple(round(each, _DIGITS) + 0.0 for each in orientation),
    )


def _numbers(value: bytes | None, n: int) -> tuple[float, ...] | None:
    """Read so many decimal or integer strings."""
    if value is None:
        return None
    try:
        numbers = tuple(map(float, value.rstrip(b"\0 ").split(b"\\")))
    except ValueError:
        return None
    return numbers if len(numbers) == n and all(map(math.isfinite, numbers)) else None
