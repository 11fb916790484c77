"""Measure a shipped folder on real heads that it was never trained on.

Per head: share of tissue changed in a ball round each landmark, brain changed, share of the head's
tissue removed, and whether the runtime would have held it. The mask is the runtime's own, at its
default policy; ``--plain`` takes the simple one of `plain` instead.

Usage: ``python -m face_model.evaluate WEIGHTS LANDMARKS.json HEADS [--brains FOLDER] [--json OUT]``
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import SimpleITK as sitk  # noqa: N813 - the name its own documentation uses

from deid_node.dicom.volume import Volume
from deid_node.errors import ImplausibleFaceMask
from deid_node.face.mask import MaskPolicy, shape_mask
from deid_node.face.openvino_model import load_model
from deid_node.face.plausibility import judge
from face_model import plain

if TYPE_CHECKING:
    from collections.abc import Callable

BALL_MM = 12.0  # times the head's scale
FEATURES = ("eye_L", "eye_R", "nose", "mouth", "chin", "ear_L", "ear_R")

Answer = tuple[np.ndarray, str]
"""Mask of what is removed, (slices, rows, columns), and the verdict on it."""


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


def as_volume(image: sitk.Image) -> Volume:
    """Give an image the shape the runtime takes, its values rounded to 16 bits."""
    values = sitk.GetArrayFromImage(image)
    peak = max(1.0, float(np.abs(values).max()))
    stored = np.round(values * (32000 / peak)).astype(np.int16)
    affine = np.eye(4)
    steps = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    affine[:3, :3], affine[:3, 3] = steps[:, ::-1], image.GetOrigin()
    slices = len(stored)
    slope = np.full(slices, peak / 32000)
    return Volume(stored=stored, slope=slope, intercept=np.zeros(slices), affine=affine)


def by_runtime(folder: Path) -> Callable[[sitk.Image], Answer]:
    """Make masks as the node makes them."""
    model = load_model(folder, threads=1)

    def answer(image: sitk.Image) -> Answer:
        volume = as_volume(image)
        estimate = model.estimate(volume)
        removed = shape_mask(estimate, volume, MaskPolicy())
        try:
            judge(removed, estimate, volume)
        except ImplausibleFaceMask as held:
            return removed, str(held)
        return removed, "passed"

    return answer


def by_plain(folder: Path) -> Callable[[sitk.Image], Answer]:
    """Make the simple masks of `plain`, which nothing judges."""
    net = plain.load(folder)
    return lambda image: (plain.predict(net, image), "not judged")


def ball(image: sitk.Image, point: list[float], radius_mm: float) -> np.ndarray:
    """Voxels whose centre lies within a radius of a point in mm, LPS."""
    shape = image.GetSize()[::-1]
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)[..., ::-1]
    steps = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    start = image.TransformPhysicalPointToContinuousIndex(point)
    away = (index - np.array(start)) @ steps.T
    return (away**2).sum(-1) < radius_mm**2


def score(
    image: sitk.Image, removed: np.ndarray, head: dict[str, Any], brain: np.ndarray | None
) -> dict[str, float | str | None]:
    """Score one mask.

    Parameters
    ----------
    image : SimpleITK.Image
        The volume.
    removed : (slices, rows, columns) ndarray of bool
        The mask.
    head : dict
        Its entry of the landmark file: `landmarks` in mm, LPS; `air`, the value below which a
        voxel is no tissue; `scale`, 1 for an adult.
    brain : (slices, rows, columns) ndarray of bool, optional
        Brain as something else than this network finds it.

    Returns
    -------
    dict
        Coverage of each feature (None where it is not in the field of view), `brain_ml`, the
        brain removed, and `tissue`, the share of all tissue removed.
    """
    tissue = sitk.GetArrayFromImage(image) > head["air"]
    ml = float(np.prod(image.GetSpacing())) / 1000
    result: dict[str, float | str | None] = {}
    for feature in FEATURES:
        point = head["landmarks"].get(feature)
        result[feature] = None
        if point is not None:
            near = ball(image, point, BALL_MM * head["scale"]) & tissue
            if near.sum() * ml > 0.3:
                result[feature] = round(float(removed[near].mean()), 3)
    result["brain_ml"] = None if brain is None else round(float((removed & brain).sum() * ml), 2)
    result["tissue"] = round(float(removed[tissue].mean()), 3)
    return result


def main(arguments: argparse.Namespace) -> None:
    answer = (by_plain if arguments.plain else by_runtime)(arguments.weights)
    table = {}
    for name, head in json.loads(arguments.landmarks.read_text())["heads"].items():
        if not (arguments.heads / head["file"]).exists():
            continue
        image = read(arguments.heads / head["file"])
        removed, verdict = answer(image)
        known = arguments.brains / f"{name}.nii.gz" if arguments.brains else None
        brain = None
        if known and known.exists():
            brain = sitk.GetArrayFromImage(sitk.ReadImage(str(known))) > 0
        table[name] = score(image, removed, head, brain) | {"verdict": verdict}
        cells = " ".join(f"{k}={'-' if v is None else v}" for k, v in table[name].items())
        print(f"{name[:26]:26s} {cells}", flush=True)
    values = [row[feature] for row in table.values() for feature in FEATURES]
    covered = [float(v) for v in values if v is not None]
    print(f"mean coverage {np.mean(covered):.4f}, lowest {min(covered):.3f}")
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("landmarks", type=Path)
    parser.add_argument("heads", type=Path)
    parser.add_argument("--brains", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plain", action="store_true")
    main(parser.parse_args())
