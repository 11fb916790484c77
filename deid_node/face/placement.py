"""Judge whether what a model found lies as the parts of one head lie.

A frame is fitted through all parts; a part that does not fit it is a mistake of the model, or
this is no ordinary head. Either way a person must look.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deid_node.errors import ImplausibleFaceMask
from deid_node.face.grid import RAS_SIGN
from deid_node.face.head_frame import FAR, PLACES, SPREADS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deid_node.dicom.volume import Volume
    from deid_node.face.head_frame import HeadFrame
    from deid_node.face.model import FaceEstimate

SIZES = (0.45, 1.3)
"""Size of a head relative to an adult's: a preterm newborn's to above the largest adult's."""

BALL_MM = 12.0
"""A part is in the field of view if everything within this distance of its place is, in mm of an
adult."""

NEEDED = ("right eye", "left eye", "nose")
"""Parts that must be found where the field of view holds them."""


def check_placement(estimate: FaceEstimate, volume: Volume) -> HeadFrame:
    """Hold what does not lie as a head does.

    Parameters
    ----------
    estimate
        With its parts and frame.
    volume
        What was estimated.

    Returns
    -------
    HeadFrame
        That of the estimate.

    Raises
    ------
    ImplausibleFaceMask
        With the first check that failed.
    """
    frame = estimate.frame
    if frame is None:
        raise ImplausibleFaceMask(why="too little of a head was found to tell how it lies")
    if not estimate.settled:
        raise ImplausibleFaceMask(why="two looks at the head do not agree on how it lies")
    low, high = SIZES
    if not low <= frame.scale <= high:
        raise ImplausibleFaceMask(why="a head of no human size was found")
    for name, place in PLACES.items():
        _check_part(name, np.array(place), estimate, frame, volume)
    return frame


def _check_part(
    name: str,
    place: NDArray[np.float64],
    estimate: FaceEstimate,
    frame: HeadFrame,
    volume: Volume,
) -> None:
    in_view = _in_view(place, frame, volume)
    if name not in estimate.parts:
        if in_view and name in NEEDED:
            raise ImplausibleFaceMask(why=f"the {name} was not found where it must be")
        return
    away = float(np.linalg.norm(frame.to_head(estimate.parts[name]) - place))
    if in_view and away > FAR * SPREADS[name]:
        raise ImplausibleFaceMask(why=f"the {name} lies too far from where it should")


def _in_view(place: NDArray[np.float64], frame: HeadFrame, volume: Volume) -> bool:
    """Whether the corners of a cube round a place lie in the volume."""
    corners = place + BALL_MM * (np.array(list(np.ndindex(2, 2, 2))) * 2 - 1)
    lps = frame.to_patient(corners) * RAS_SIGN
    to_voxel = np.linalg.inv(volume.affine)
    at = lps @ to_voxel[:3, :3].T + to_voxel[:3, 3]
    last = np.array(volume.stored.shape) - 1
    return bool(((at >= 0) & (at <= last)).all())
