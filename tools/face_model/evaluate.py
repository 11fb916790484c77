"""Measure a shipped folder on real heads that it was never trained on.

Per head: share of tissue changed in a ball round each landmark, brain changed, share of the head's
tissue removed. The mask is a plain one (threshold one half, what lies in front of a face or
beside an ear belongs to it, one voxel off the network's own brain), made here with SimpleITK and
without the runtime's code, so that the two can be held against each other.

Usage: ``python -m face_model.evaluate WEIGHTS LANDMARKS.json HEADS [--brains FOLDER] [--json OUT]``
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import SimpleITK as sitk  # noqa: N813 - the name its own documentation uses
from scipy import ndimage as ndi

BALL_MM = 12.0  # times the head's scale
FEATURES = ("eye_L", "eye_R", "nose", "mouth", "chin", "ear_L", "ear_R")
FACE, EARS, BRAIN = 1, 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A shipped folder, compiled, with what its plans say about the grid."""

    compiled: Any
    patch: int
    spacing_mm: float
    clip: tuple[float, float]

    def probabilities(self, small: np.ndarray) -> np.ndarray:
        """Class probabilities (4, x, y, z) of an image (x, y, z) on the grid, mirrored and averaged."""
        x = np.clip(small, 0, None)
        x = np.clip(x, *np.percentile(x, self.clip))
        x = ((x - x.mean()) / (x.std() + 1e-6)).astype(np.float32)
        both = [_softmax(self._logits(x)), _softmax(self._logits(x[::-1]))[:, ::-1]]
        return (both[0] + both[1]) / 2

    def _logits(self, x: np.ndarray) -> np.ndarray:
        return np.array(self.compiled(np.ascontiguousarray(x)[None, None])[0][0])


def _softmax(logits: np.ndarray) -> np.ndarray:
    power = np.exp(logits - logits.max(0))
    return power / power.sum(0)


def load(folder: Path) -> Network:
    """Compile the IR on one thread."""
    plan = json.loads((folder / "plans.json").read_text())["deid_node"]
    compiled = openvino.Core().compile_model(
        folder / "face.xml", "CPU", {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32"}
    )
    return Network(
        compiled=compiled,
        patch=plan["patch"],
        spacing_mm=plan["spacing_mm"],
        clip=tuple(plan["clip_percentiles"]),
    )


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


def shrink(image: sitk.Image, net: Network) -> sitk.Image:
    """Antialias and resample to the network's grid: RAS, centred on the volume, zero outside."""
    small = image
    for axis, spacing in enumerate(image.GetSpacing()):
        sigma = np.sqrt(max(0.0, net.spacing_mm**2 - spacing**2)) / 2.355
        if sigma > 0.1 and image.GetSize()[axis] > 4:
            order = sitk.RecursiveGaussianImageFilter.ZeroOrder
            small = sitk.RecursiveGaussian(small, sigma, False, order, axis)  # noqa: FBT003 - positional API
    size = [(n - 1) / 2 for n in image.GetSize()]
    centre = np.array(image.TransformContinuousIndexToPhysicalPoint(size))
    half = (net.patch - 1) / 2 * net.spacing_mm
    grid = sitk.Image([net.patch] * 3, sitk.sitkFloat32)
    grid.SetSpacing([net.spacing_mm] * 3)
    grid.SetDirection([-1, 0, 0, 0, -1, 0, 0, 0, 1])
    grid.SetOrigin((centre + np.array([half, half, -half])).tolist())
    return sitk.Resample(small, grid, sitk.Transform(), sitk.sitkLinear, 0.0)


def close(prob: np.ndarray) -> np.ndarray:
    """Probability that a voxel of the grid is to be removed, with the air in front and beside."""
    middle = prob.shape[1] // 2
    face = np.maximum.accumulate(prob[FACE], axis=1)
    ears = prob[EARS].copy()
    ears[middle:] = np.maximum.accumulate(ears[middle:], axis=0)
    ears[:middle] = np.maximum.accumulate(ears[:middle][::-1], axis=0)[::-1]
    guard = ndi.maximum_filter(prob[BRAIN], 3)
    return np.minimum(np.minimum(face + ears, 1), 1 - guard)


def to_native(field: np.ndarray, small: sitk.Image, image: sitk.Image) -> np.ndarray:
    """Resample a field (x, y, z) of the grid to the volume, (slices, rows, columns)."""
    picture = sitk.GetImageFromArray(np.ascontiguousarray(field.transpose(2, 1, 0), np.float32))
    picture.CopyInformation(small)
    native = sitk.Resample(picture, image, sitk.Transform(), sitk.sitkLinear, 0.0)
    return np.asarray(sitk.GetArrayFromImage(native))


def predict(net: Network, image: sitk.Image) -> tuple[np.ndarray, np.ndarray]:
    """Mask of what is removed, and the network's own brain, on the volume's grid."""
    small = shrink(image, net)
    x = sitk.GetArrayFromImage(small).transpose(2, 1, 0)
    prob = net.probabilities(x)
    return to_native(close(prob), small, image) > 0.5, to_native(prob[BRAIN], small, image) > 0.5


def ball(image: sitk.Image, point: list[float], radius_mm: float) -> np.ndarray:
    """Voxels whose centre lies within a radius of a point in mm, LPS."""
    shape = image.GetSize()[::-1]
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)[..., ::-1]
    steps = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    start = image.TransformPhysicalPointToContinuousIndex(point)
    away = (index - np.array(start)) @ steps.T
    return (away**2).sum(-1) < radius_mm**2


def score(
    image: sitk.Image, removed: np.ndarray, head: dict[str, Any], brains: dict[str, np.ndarray]
) -> dict[str, float | None]:
    """Score one mask: coverage per landmark, ml of each brain removed, share of tissue removed."""
    tissue = sitk.GetArrayFromImage(image) > head["air"]
    ml = float(np.prod(image.GetSpacing())) / 1000
    result: dict[str, float | None] = {}
    for feature in FEATURES:
        point = head["landmarks"].get(feature)
        result[feature] = None
        if point is not None:
            near = ball(image, point, BALL_MM * head["scale"]) & tissue
            if near.sum() * ml > 0.3:
                result[feature] = round(float(removed[near].mean()), 3)
    for name, brain in brains.items():
        result[name] = round(float((removed & brain).sum() * ml), 2)
    result["tissue"] = round(float(removed[tissue].mean()), 3)
    return result


def main(arguments: argparse.Namespace) -> None:
    net = load(arguments.weights)
    table = {}
    for name, head in json.loads(arguments.landmarks.read_text())["heads"].items():
        if not (arguments.heads / head["file"]).exists():
            continue
        image = read(arguments.heads / head["file"])
        removed, own = predict(net, image)
        brains = {"own brain ml": own}
        reference = arguments.brains / f"{name}.nii.gz" if arguments.brains else None
        if reference and reference.exists():
            brains["brain ml"] = sitk.GetArrayFromImage(sitk.ReadImage(str(reference))) > 0
        table[name] = score(image, removed, head, brains)
        cells = " ".join(f"{k}={'-' if v is None else v}" for k, v in table[name].items())
        print(f"{name[:26]:26s} {cells}", flush=True)
    covered = [row[f] for row in table.values() for f in FEATURES if row[f] is not None]
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
    main(parser.parse_args())
