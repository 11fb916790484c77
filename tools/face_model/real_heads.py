"""Read the real heads, their landmarks and their brain masks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import SimpleITK as sitk  # noqa: N813 - the name its own documentation uses
from scipy import ndimage

from face_model.head import Head

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEEP_MM, LIKE_BRAIN = 10.0, (5, 95)
"""Masks of real heads hold all that lies inside the skull. A voxel of one counts as brain where
its value lies between these percentiles of what lies deeper than this in the mask, in mm; else
as CSF, with dura and the inner table of bone that a mask holds by mistake."""


def read(path: Path) -> sitk.Image:
    """Read NIfTI, or the longest series of a folder of DICOM, as float32."""
    if path.is_file():
        return sitk.ReadImage(str(path), sitk.sitkFloat32)
    reader = sitk.ImageSeriesReader
    series = [
        reader.GetGDCMSeriesFileNames(str(path), i) for i in reader.GetGDCMSeriesIDs(str(path))
    ]
    longest = max(series, key=len)
    return sitk.ReadImage(longest if len(longest) > 1 else longest[0], sitk.sitkFloat32)


def affine_of(image: sitk.Image) -> np.ndarray:
    """Map index (slice, row, column, 1) to patient LPS, in mm."""
    affine = np.eye(4)
    steps = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    affine[:3, :3], affine[:3, 3] = steps[:, ::-1], image.GetOrigin()
    return affine


def real_heads(landmarks: Path, heads: Path, brains: Path | None) -> Iterator[Head]:
    """Read every head of a landmark file that is at hand.

    Parameters
    ----------
    landmarks : Path
        JSON: ``heads`` maps a name to `landmarks` in mm, LPS, or null; `air`, the value below
        which a voxel is no tissue; `scale`, 1 for an adult; `file`, relative to `heads`.
    heads : Path
        Folder of DICOM folders and NIfTI files.
    brains : Path, optional
        Folder of ``NAME.nii.gz``, all that lies inside the skull; see `brains`.

    Yields
    ------
    Head
        With `brain`, what its mask holds that looks like brain, and `csf`, the rest of it.
    """
    for name, entry in json.loads(landmarks.read_text())["heads"].items():
        if not (heads / entry["file"]).exists():
            continue
        image = read(heads / entry["file"])
        values = sitk.GetArrayFromImage(image)
        affine = affine_of(image)
        brain = csf = None
        if brains and (brains / f"{name}.nii.gz").exists():
            inside = sitk.GetArrayFromImage(sitk.ReadImage(str(brains / f"{name}.nii.gz"))) > 0
            spacing = np.linalg.norm(affine[:3, :3], axis=0)
            deep = ndimage.distance_transform_edt(inside, spacing) > DEEP_MM
            low, high = np.percentile(values[deep], LIKE_BRAIN)
            brain = inside & (values >= low) & (values <= high)
            csf = inside & ~brain
        yield Head(
            name=name.removesuffix("_dicom").removesuffix("_nii"),
            values=values,
            affine=affine,
            landmarks={k: np.array(v) for k, v in entry["landmarks"].items() if v is not None},
            scale=entry["scale"],
            tissue=values > entry["air"],
            brain=brain,
            csf=csf,
        )
