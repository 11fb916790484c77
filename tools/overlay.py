"""Draw a SEG over the instances it refers to, without the libraries that wrote either.

Usage: python tools/overlay.py FOLDER OUT.png

The instances are read and placed by SimpleITK; the SEG's bits are unpacked by pydicom and
placed frame by frame by its own Plane Position and Plane Orientation. If the outline lies on
the hole in the picture, a viewer will show it there too.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813 - its customary name
from PIL import Image
from pydicom import Dataset, dcmread
from scipy import ndimage

COLOUR = (255, 140, 40)
EDGE_MM = 1.0


def read_images(folder: Path) -> sitk.Image:
    """Read the MR series of a folder."""
    headers = {p: dcmread(p, stop_before_pixels=True) for p in sorted(folder.rglob("*.dcm"))}
    path, header = next(each for each in headers.items() if each[1].Modality == "MR")
    names = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(
        str(path.parent), str(header.SeriesInstanceUID)
    )
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(names)
    return reader.Execute()


def read_seg(folder: Path) -> Dataset:
    """Read the SEG of a folder."""
    read = (dcmread(path) for path in folder.rglob("*.dcm"))
    return next(each for each in read if each.Modality == "SEG")


def mask_on(image: sitk.Image, seg: Dataset) -> np.ndarray:
    """Put every SEG pixel that is set into the voxel of `image` where it lies.

    Returns
    -------
    (slices, rows, columns) ndarray of bool
        In the order of ``sitk.GetArrayFromImage(image)``.
    """
    mask = np.zeros(image.GetSize()[::-1], bool)
    to_index = np.linalg.inv(index_to_patient(image))
    shared = seg.SharedFunctionalGroupsSequence[0]
    spacing = shared.PixelMeasuresSequence[0].PixelSpacing
    for frame, groups in zip(
        np.atleast_3d(seg.pixel_array.T).T, seg.PerFrameFunctionalGroupsSequence, strict=True
    ):
        orientation = shared.PlaneOrientationSequence[0].ImageOrientationPatient
        x, y = np.asarray(orientation, float).reshape(2, 3)
        origin = np.asarray(groups.PlanePositionSequence[0].ImagePositionPatient, float)
        rows, columns = np.nonzero(frame)
        points = origin + np.outer(columns * spacing[1], x) + np.outer(rows * spacing[0], y)
        i, j, k = np.round(to_index[:3, :3] @ points.T + to_index[:3, 3:]).astype(int)
        mask[k, j, i] = True
    return mask


def index_to_patient(image: sitk.Image) -> np.ndarray:
    """Affine from (i, j, k, 1) to patient LPS in mm, as SimpleITK has it."""
    affine = np.eye(4)
    affine[:3, :3] = np.reshape(image.GetDirection(), (3, 3)) * np.asarray(image.GetSpacing())
    affine[:3, 3] = image.GetOrigin()
    return affine


def draw(image: sitk.Image, mask: np.ndarray) -> Image.Image:
    """Draw three slices through the mask, its outline in colour."""
    values = sitk.GetArrayFromImage(image).astype(float)
    values = np.clip(values / np.percentile(values, 99.5), 0, 1)
    spacing = np.asarray(image.GetSpacing())[::-1]
    middle = np.round(ndimage.center_of_mass(mask)).astype(int)
    panels = []
    for axis in range(3):
        plane = np.take(values, middle[axis], axis)
        inside = np.take(mask, middle[axis], axis)
        zoom = np.delete(spacing, axis) / spacing.min()
        grey = ndimage.zoom(plane, zoom, order=1)
        shape = ndimage.zoom(inside.astype(float), zoom, order=1) > 0.5
        rgb = np.repeat((grey * 255).clip(0, 255).astype(np.uint8)[..., None], 3, -1)
        rgb[shape & ~ndimage.binary_erosion(shape, iterations=round(EDGE_MM))] = COLOUR
        panels.append(rgb)
    height = max(panel.shape[0] for panel in panels)
    padded = [np.pad(p, ((0, height - p.shape[0]), (0, 4), (0, 0))) for p in panels]
    return Image.fromarray(np.hstack(padded))


def main() -> None:
    """Draw the picture that the command line asks for."""
    folder, out = Path(sys.argv[1]), Path(sys.argv[2])
    image = read_images(folder)
    mask = mask_on(image, read_seg(folder))
    draw(image, mask).save(out)
    print(f"{mask.sum()} voxels of the SEG lie in the image; wrote {out}")


if __name__ == "__main__":
    main()
