"""A volume is handed to an imported model as the converters of its training images store it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import dicom2nifti
import nibabel as nib
import numpy as np
import pytest

from deid_node.dicom.pixels import pixel_words
from deid_node.dicom.series import group_files, read_series
from deid_node.dicom.volume import stack
from deid_node.errors import WeightsUnusable
from deid_node.face.array_order import ArrayOrder, is_orientation
from tests.fakes.head import axial_affine, every_order, ramp, volume_of
from tests.fakes.series import mr_series

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from deid_node.dicom.volume import Volume

SHAPE = (7, 6, 5)
ORIENTATIONS = {
    "axial": (1.0, 0, 0, 0, 1, 0),
    "sagittal": (0.0, 1, 0, 0, 0, -1),
    "coronal": (1.0, 0, 0, 0, 0, -1),
    "slanted": (0.9397, 0.342, 0, -0.342, 0.9397, 0),
}


def numbered(shape: tuple[int, int, int] = SHAPE) -> NDArray[np.uint16]:
    return (100 + np.arange(np.prod(shape))).reshape(shape).astype(np.uint16)


def written(
    folder: Path, orientation: tuple[float, ...], kind: str, gap_mm: float
) -> tuple[Path, Volume]:
    """Write a series; return its folder and its volume."""
    source = folder / "in"
    source.mkdir()
    series = mr_series(numbered((12, 14, 13)), orientation=orientation, gap_mm=gap_mm)
    for number, instance in enumerate(series):
        instance.MRAcquisitionType = kind
        instance.save_as(source / f"{number}.dcm", enforce_file_format=True)
    by_series, _ = group_files(sorted(source.iterdir()))
    (paths,) = by_series.values()
    read = read_series(paths)
    return source, stack(read, [pixel_words(each) for each in read.instances])


def stored(path: Path) -> NDArray[Any]:
    """Give the array (z, y, x) of a NIfTI file as SimpleITK gives it to nnU-Net."""
    return np.asarray(nib.load(path).dataobj.get_unscaled()).T


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_letters_give_the_array_that_dicom2nifti_stores(tmp_path: Path, orientation: str) -> None:
    source, volume = written(tmp_path, ORIENTATIONS[orientation], "3D", 1.5)
    dicom2nifti.dicom_series_to_nifti(str(source), str(tmp_path / "v.nii"), reorient_nifti=True)

    image, _ = ArrayOrder("LAS").image(volume)

    expected = stored(tmp_path / "v.nii")
    if orientation == "slanted":  # it resamples what is slanted
        assert image.shape == expected.shape
    else:
        np.testing.assert_array_equal(image, expected)


@pytest.mark.peer
@pytest.mark.parametrize("orientation", ORIENTATIONS)
@pytest.mark.parametrize(("kind", "gap_mm"), [("3D", 1.5), ("2D", 4.0)])
def test_dcm2niix_stores_the_same_array(
    tmp_path: Path, peer: Callable[[str], str], orientation: str, kind: str, gap_mm: float
) -> None:
    source, volume = written(tmp_path, ORIENTATIONS[orientation], kind, gap_mm)
    (tmp_path / "out").mkdir()
    arguments = ["-z", "n", "-f", "v", "-o", str(tmp_path / "out"), str(source)]
    subprocess.run([peer("dcm2niix"), *arguments], check=False, capture_output=True)

    image, _ = ArrayOrder("dcm2niix").image(volume)

    np.testing.assert_array_equal(image, stored(tmp_path / "out" / "v.nii"))


@pytest.mark.parametrize("orientation", ["RAS", "LAS", "LPS", "PIR", "SAL"])
def test_every_order_of_the_same_voxels_gives_one_image_of_true_places(orientation: str) -> None:
    affine = axial_affine(SHAPE)
    original = volume_of(np.round(ramp(affine, SHAPE)).astype(np.uint16), affine)
    image, spacing = ArrayOrder(orientation).image(original)

    for volume, _, _ in every_order(original):
        again, spacing_again = ArrayOrder(orientation).image(volume)
        np.testing.assert_array_equal(again, image)
        assert spacing_again == spacing

    # 2 a mm to the left, 3 to the back, -1 to the top: see `ramp`
    slopes = {"L": 2, "R": -2, "P": 3, "A": -3, "S": -1, "I": 1}
    for axis, letter in enumerate(orientation[::-1]):
        step = np.diff(image, axis=axis).mean() / spacing[axis]
        assert step == pytest.approx(slopes[letter], abs=0.1)


@pytest.mark.parametrize("orientation", ["RAS", "PIR", "slices", "dcm2niix"])
def test_an_answer_comes_back_to_the_voxels_that_it_is_of(orientation: str) -> None:
    order = ArrayOrder(orientation)
    for volume, _, _ in every_order(volume_of(numbered())):
        image, _ = order.image(volume)

        np.testing.assert_array_equal(order.restored(image, volume), volume.stored)


def test_what_is_no_orientation_is_refused() -> None:
    words = ("RAS", "LPI", "dcm2niix", "slices", "RRS", "ras", "", "RASX", "RLA")

    assert [is_orientation(word) for word in words] == [True] * 4 + [False] * 5
    with pytest.raises(WeightsUnusable):
        ArrayOrder("RLA")
