"""Draw brain masks of real heads with a network that shares nothing with ours: MindGrab.

Its weights, ``meshnet/mindgrab/model.pth`` of the public repository neuroneural/brainchop-models,
are not shipped here. The masks hold all that lies inside the skull, with CSF. About three minutes
of CPU and 4 GB a head.

Usage: ``python -m face_model.brains MODEL.pth LANDMARKS.json HEADS OUT``
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import SimpleITK as sitk  # noqa: N813 - the name its own documentation uses
import torch
from scipy import ndimage
from torch.nn import functional

from face_model.real_heads import read

EDGE = 256  # voxels of 1 mm, centred on the volume's centre
DILATIONS = (16, 8, 4, 2, 1) * 5
CLIP = (0.02, 0.98)


def conform(image: sitk.Image) -> sitk.Image:
    """Resample to 256 voxels of 1 mm, axes towards Left, Inferior, Anterior."""
    centre = np.array(
        image.TransformContinuousIndexToPhysicalPoint([(n - 1) / 2 for n in image.GetSize()])
    )
    axes = np.array([[1, 0, 0], [0, 0, -1], [0, -1, 0]], float)
    grid = sitk.Image([EDGE] * 3, sitk.sitkFloat32)
    grid.SetDirection(axes.ravel().tolist())
    grid.SetOrigin((centre - axes @ np.full(3, (EDGE - 1) / 2)).tolist())
    return sitk.Resample(image, grid, sitk.Transform(), sitk.sitkLinear, 0.0)


@torch.inference_mode()  # type: ignore[untyped-decorator]  # torch is skipped by the type check
def find_brain(weights: dict[str, torch.Tensor], conformed: sitk.Image) -> sitk.Image:
    """Mask of the largest piece of brain, on the grid of the conformed image."""
    values = sitk.GetArrayFromImage(conformed).transpose(2, 1, 0)
    low, high = np.quantile(values, CLIP)
    x = torch.tensor(np.clip((values - low) / (high - low), 0, 1), dtype=torch.float32)[None, None]
    for layer, dilation in enumerate(DILATIONS):
        kernel = weights[f"model.{layer}.0.weight"]
        x = functional.conv3d(x, kernel, padding=dilation, dilation=dilation)
        for channel in x[0]:  # each channel is a group of its own
            channel.sub_(channel.mean()).div_((channel.var(correction=0) + 1e-5).sqrt())
        x = functional.gelu(x)
    last = len(DILATIONS)
    x = functional.conv3d(x, weights[f"model.{last}.weight"], weights[f"model.{last}.bias"])
    pieces, n = ndimage.label((x[0, 1] > x[0, 0]).numpy())
    sizes = ndimage.sum_labels(pieces > 0, pieces, np.arange(1, n + 1))
    brain = (pieces == 1 + np.argmax(sizes)).astype(np.uint8).transpose(2, 1, 0)
    mask = sitk.GetImageFromArray(brain)
    mask.CopyInformation(conformed)
    return mask


def main(model: Path, landmarks: Path, heads: Path, out: Path) -> None:
    weights = torch.load(model, map_location="cpu", weights_only=True)
    out.mkdir(parents=True, exist_ok=True)
    for name, head in json.loads(landmarks.read_text())["heads"].items():
        path = out / f"{name}.nii.gz"
        if path.exists() or not (heads / head["file"]).exists():
            continue
        image = read(heads / head["file"])
        mask = find_brain(weights, conform(image))
        ml = float(sitk.GetArrayFromImage(mask).sum()) / 1000
        own = sitk.Resample(mask, image, sitk.Transform(), sitk.sitkNearestNeighbor)
        sitk.WriteImage(own, str(path))
        print(f"{name[:26]:26s} {ml:.0f} ml", flush=True)


if __name__ == "__main__":
    main(*(Path(argument) for argument in sys.argv[1:]))
