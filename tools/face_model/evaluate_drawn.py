"""Measure a shipped folder on heads drawn by code, where the truth is known voxel by voxel.

Four contrasts, three ages, thin and thick slices; none was trained on. Per head: share of the
voxels of each feature that the runtime removes, and how much brain it removes.

Usage: ``python -m face_model.evaluate_drawn WEIGHTS [--json OUT] [--seed 11]``
"""

from __future__ import annotations

import argparse
import json
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, get_args

import numpy as np
from drawn_head.head import Age, draw_head, grid
from drawn_head.tissue import BRAIN, CONTRASTS, Label

from deid_node.dicom.volume import Volume
from deid_node.errors import ImplausibleFaceMask
from deid_node.face.mask import MaskPolicy, shape_mask
from deid_node.face.openvino_model import load_model
from deid_node.face.plausibility import judge

if TYPE_CHECKING:
    from drawn_head.head import Head

    from deid_node.face.model import FaceModel

FEATURES = (Label.EYES, Label.NOSE, Label.MOUTH, Label.CHIN, Label.EARS)
SLICES_MM = ((2.0, 2.0, 2.0), (5.0, 1.5, 1.5))


def as_volume(head: Head) -> Volume:
    """Give a drawn head the shape the runtime takes."""
    slices = len(head.values)
    stored = np.round(head.values).astype(np.int16)
    return Volume(
        stored=stored, slope=np.ones(slices), intercept=np.zeros(slices), affine=head.affine
    )


def score(model: FaceModel, head: Head) -> dict[str, float | str | None]:
    """Share of each feature's voxels removed, ml of brain removed, share of all tissue removed."""
    volume = as_volume(head)
    estimate = model.estimate(volume)
    removed = shape_mask(estimate, volume, MaskPolicy())
    result: dict[str, float | str | None] = {}
    for label in FEATURES:
        where = head.labels == label
        seen = bool(where.any())
        result[label.name.lower()] = round(float(removed[where].mean()), 3) if seen else None
    ml = float(np.prod(volume.spacing_mm())) / 1000
    result["brain_ml"] = round(float(removed[np.isin(head.labels, BRAIN)].sum() * ml), 2)
    result["tissue"] = round(float(removed[head.labels != Label.AIR].mean()), 3)
    try:
        judge(removed, estimate, volume)
        result["verdict"] = "passed"
    except ImplausibleFaceMask as held:
        result["verdict"] = str(held)
    return result


def main(arguments: argparse.Namespace) -> None:
    model = load_model(arguments.weights, threads=1)
    table = {}
    for age, size, contrast in product(get_args(Age), SLICES_MM, CONTRASTS):
        where = grid("axial", size)
        head = draw_head(
            contrast=contrast, shape=where.shape, affine=where.affine, seed=arguments.seed, age=age
        )
        name = f"{age} {contrast} {size[0]:g} mm"
        table[name] = score(model, head)
        print(f"{name:20s}", " ".join(f"{k}={v}" for k, v in table[name].items()), flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--seed", type=int, default=11)
    main(parser.parse_args())
