"""Hand a volume over in the array order that a model was trained on, and take its answer back.

Models of nnU-Net are trained on NIfTI files, read as arrays (z, y, x) in the order in which the
file stores its voxels. That order is the converter's: dicom2nifti turns every image to LAS,
dcm2niix turns 3-D acquisitions to RAS and leaves 2-D ones as the scanner sliced them, with
rows from bottom to top (both verified on real heads: dcm2niix 1.0.20220720, dicom2nifti 2.6).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeVar

import numpy as np

from deid_node.errors import WeightsUnusable
from deid_node.face.grid import body_axes, from_body, to_body

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deid_node.dicom.volume import Volume

Scalar = TypeVar("Scalar", bound=np.generic)

DCM2NIIX: Final = "dcm2niix"
SLICES: Final = "slices"
"""Slice by slice as in DICOM, rows from bottom to top."""

TWO_D: Final = 2.0
"""Slices this many times as thick as a pixel come from a 2-D acquisition, or are sliced like one."""

_LETTERS: Final = ("LR", "PA", "IS")
"""Of each axis of the body: the letter of its far end, and of the end that indices of RAS grow to."""


class ArrayOrder:
    """One way to store the voxels of a head.

    Parameters
    ----------
    orientation
        Three letters as nibabel gives them (each the end towards which an axis of the NIfTI
        file grows, for instance ``LAS``), or ``dcm2niix``, or ``slices``.

    Raises
    ------
    WeightsUnusable
        If it is none of these.
    """

    def __init__(self, orientation: str) -> None:
        if not is_orientation(orientation):
            raise WeightsUnusable("the orientation of a model is three letters, dcm2niix or slices")
        self._orientation = orientation

    def image(self, volume: Volume) -> tuple[NDArray[np.float32], tuple[float, ...]]:
        """Give values and spacing of a volume in this order.

        Returns
        -------
        (z, y, x) ndarray of float32
            Values after the modality transform.
        tuple of float
            Distance of voxels along these axes, in mm.
        """
        values = np.ascontiguousarray(self.turned(volume.values(), volume))
        mm = volume.spacing_mm()
        return values, tuple(float(mm[axis]) for axis in self._axes(volume))

    def turned(self, array: NDArray[Scalar], volume: Volume) -> NDArray[Scalar]:
        """View an array that lies like a volume in this order."""
        code = self._code(volume)
        if code == SLICES:
            return array[:, ::-1]
        axes, flips = _from_ras(code)
        return _flip(to_body(array, body_axes(volume.affine)).transpose(axes), flips)

    def restored(self, array: NDArray[Scalar], volume: Volume) -> NDArray[Scalar]:
        """Undo `turned`, as a view."""
        code = self._code(volume)
        if code == SLICES:
            return array[:, ::-1]
        axes, flips = _from_ras(code)
        ras = _flip(array, flips).transpose(tuple(int(a) for a in np.argsort(axes)))
        return from_body(ras, body_axes(volume.affine))

    def _code(self, volume: Volume) -> str:
        if self._orientation != DCM2NIIX:
            return self._orientation
        slice_mm, *pixel_mm = volume.spacing_mm()
        return SLICES if slice_mm >= TWO_D * max(pixel_mm) else "RAS"

    def _axes(self, volume: Volume) -> list[int]:
        """Tell which axis of the volume each axis is."""
        numbers = self.turned(np.arange(8).reshape(2, 2, 2), volume)
        neighbours = (numbers[1, 0, 0], numbers[0, 1, 0], numbers[0, 0, 1])
        return [(4, 2, 1).index(abs(int(each - numbers[0, 0, 0]))) for each in neighbours]


def is_orientation(word: str) -> bool:
    """Tell whether a word names an order that is known here."""
    if word in {DCM2NIIX, SLICES}:
        return True
    letters = re.fullmatch(r"[RLAPSI]{3}", word)
    return letters is not None and sorted(_axis(letter) for letter in word) == [0, 1, 2]


def _axis(letter: str) -> int:
    return next(axis for axis, pair in enumerate(_LETTERS) if letter in pair)


def _from_ras(code: str) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Give order and flips that make an array (z, y, x) of one to the right, front and top."""
    k, j, i = (_axis(letter) for letter in reversed(code))
    flips = [letter == _LETTERS[_axis(letter)][0] for letter in reversed(code)]
    return (k, j, i), (flips[0], flips[1], flips[2])


def _flip(array: NDArray[Scalar], flips: tuple[bool, bool, bool]) -> NDArray[Scalar]:
    return array[tuple(slice(None, None, -1 if each else 1) for each in flips)]
