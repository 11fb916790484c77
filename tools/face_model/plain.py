"""A plain mask from a shipped folder, made with SimpleITK and without the runtime's code.

Threshold one half; what lies in front of a face or beside an ear belongs to it; one voxel off the
network's own brain. It exists so that the runtime can be held against something simple. A field of
view longer than the window is cut to its middle.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino
import SimpleITK as sitk  # noqa: N813 - the name its own documentation uses
from scipy import ndimage as ndi

if TYPE_CHECKING:
    from pathlib import Path

FACE, EARS, BRAIN, FIRST_PART = 1, 2, 3, 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """A shipped folder, compiled, with what its plans say about the grid."""

    compiled: Any
    patch: int
    spacing_mm: float
    clip: tuple[float, float]

    def probabilities(self, small: np.ndarray) -> np.ndarray:
        """Class probabilities (classes, x, y, z) of an image (x, y, z) on the grid, mirrored and averaged."""
        x = np.clip(small, 0, None)
        x = np.clip(x, *np.percentile(x, self.clip))
        x = ((x - x.mean()) / (x.std() + 1e-6)).astype(np.float32)
        both = [_softmax(self._logits(x)), _softmax(self._logits(x[::-1]))[:, ::-1]]
        return np.asarray((both[0] + both[1]) / 2)

    def _logits(self, x: np.ndarray) -> np.ndarray:
        return np.array(self.compiled(np.ascontiguousarray(x)[None, None])[0][0])


def _softmax(logits: np.ndarray) -> np.ndarray:
    power = np.exp(logits - logits.max(0))
    return np.asarray(power / power.sum(0))


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
    face = np.maximum.accumulate(prob[FACE] + prob[FIRST_PART:].sum(0), axis=1)
    ears = prob[EARS].copy()
    ears[middle:] = np.maximum.accumulate(ears[middle:], axis=0)
    ears[:middle] = np.maximum.accumulate(ears[:middle][::-1], axis=0)[::-1]
    guard = ndi.maximum_filter(prob[BRAIN], 3)
    return np.asarray(np.minimum(np.minimum(face + ears, 1), 1 - guard))


def to_native(field: np.ndarray, small: sitk.Image, image: sitk.Image) -> np.ndarray:
    """Resample a field (x, y, z) of the grid to the volume, (slices, rows, columns)."""
    picture = sitk.GetImageFromArray(np.ascontiguousarray(field.transpose(2, 1, 0), np.float32))
    picture.CopyInformation(small)
    native = sitk.Resample(picture, image, sitk.Transform(), sitk.sitkLinear, 0.0)
    return np.asarray(sitk.GetArrayFromImage(native))


def predict(net: Network, image: sitk.Image) -> np.ndarray:
    """Mask of what is removed, (slices, rows, columns) of bool, on the volume's grid."""
    small = shrink(image, net)
    prob = net.probabilities(sitk.GetArrayFromImage(small).transpose(2, 1, 0))
    return to_native(close(prob), small, image) > 0.5
