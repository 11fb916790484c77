"""Let nnU-Net v1 make a small or a real-size face model, random or briefly trained, to measure with.

Usage: python bench/v1_model.py OUT --peer PYTHON [--patch 64] [--spacing 3.2]
                               [--features 8] [--pools 4]
                               [--steps 330] [--mirrors] [--from-default] [--near]
                               [--masked] [--folds N]

OUT becomes a model folder of v1; PYTHON is an interpreter with nnunet 1.7.1, whose own trainer
builds the network and writes the checkpoints (see `v1_training`). The heads it sees are drawn by
code; what it learns to name is what the default model removes of them. With ``--from-default`` it
begins with the default model's layers where they fit: 8 features, 4 pools, 3.2 mm, and an import
with ``--orientation RAS``. With ``--near`` it leaves the air far from the patient, in which a
window of fine voxels sees nothing that would tell where it is. Every fold but the first is the
first one, disturbed.
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from safetensors.numpy import load_file
from scipy import ndimage

PROJECT: Final = Path(__file__).parents[1]
sys.path[:0] = [str(PROJECT), str(PROJECT / "tools")]

from face_model.defacers import as_volume  # noqa: E402
from face_model.drawn_heads import drawn_heads  # noqa: E402

from deid_node.errors import DeidNodeError  # noqa: E402
from deid_node.face.array_order import ArrayOrder  # noqa: E402
from deid_node.face.mask import MaskPolicy, shape_mask  # noqa: E402
from deid_node.face.neighbourhood import neighbourhood  # noqa: E402
from deid_node.face.nnunet.plans import Planned  # noqa: E402
from deid_node.face.nnunet.prepare import prepare  # noqa: E402
from deid_node.face.openvino_model import load_model  # noqa: E402
from deid_node.face.weights import default_weights  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

SEED: Final = 101
"""Of the drawn heads; not that of the heads that are measured on."""

BACKWARDS: Final = (2, 1, 0)
"""Turns (z, y, x) into (x, y, z), the order in which the default model sees a head in RAS."""


def main() -> None:
    """Draw the heads, and hand them over."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--peer", required=True, help="interpreter with nnunet 1.7.1")
    parser.add_argument("--patch", type=int, default=64, help="edge of a window, in voxels")
    parser.add_argument("--spacing", type=float, default=3.2, help="edge of a voxel, in mm")
    parser.add_argument("--features", type=int, default=8, help="of the first stage")
    parser.add_argument("--pools", type=int, default=4)
    parser.add_argument("--steps", type=int, default=330, help="0 leaves random weights")
    parser.add_argument("--heads", type=int, default=24, help="drawn heads to learn from")
    parser.add_argument(
        "--mirrors", action="store_true", help="learn, and be asked for, mirrored heads"
    )
    parser.add_argument("--from-default", action="store_true")
    parser.add_argument("--near", action="store_true", help="leave out air far from the patient")
    parser.add_argument("--masked", action="store_true", help="normalise over what is not zero")
    parser.add_argument("--folds", type=int, default=1)
    arguments = parser.parse_args()
    if arguments.out.exists():
        sys.exit(f"{arguments.out} is there already")
    if shutil.which(arguments.peer) is None:
        sys.exit(f"{arguments.peer} is no interpreter: name one that has nnunet 1.7.1")
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        told = {name: getattr(arguments, name) for name in vars(arguments) if name != "out"}
        (folder / "told.json").write_text(json.dumps(told))
        if arguments.from_default:
            stored = load_file(default_weights() / "face.safetensors")
            begin: dict[str, Any] = {name: kept.astype(np.float32) for name, kept in stored.items()}
            np.savez(folder / "begin.npz", **begin)
        if arguments.steps:
            for n, (image, named) in enumerate(samples(arguments)):
                np.savez(folder / f"head_{n:02}.npz", image=image, named=named)
        program = str(PROJECT / "bench" / "v1_training.py")
        asked = [arguments.peer, program, str(folder), str(arguments.out)]
        if subprocess.run(asked, check=False).returncode:
            shutil.rmtree(arguments.out, ignore_errors=True)
            sys.exit(f"nnU-Net v1 made no model, {arguments.out} is not there: see above")


def samples(
    arguments: argparse.Namespace,
) -> Iterator[tuple[NDArray[np.float32], NDArray[np.bool_]]]:
    """Give the input that v1's preprocessing makes of each head, and what is to be named in it."""
    planned = Planned(
        generation=1,
        spacing_mm=(arguments.spacing,) * 3,
        patch=(arguments.patch,) * 3,
        transpose_forward=BACKWARDS,
        transpose_backward=BACKWARDS,
        masked_norm=arguments.masked,
        labels=(1,),
        mirror_axes=(),
    )
    teacher, order, taken = load_model(default_weights()), ArrayOrder("RAS"), 0
    for head in drawn_heads(seed=SEED):
        volume = as_volume(head)
        try:
            estimate = teacher.estimate(volume)
            named = shape_mask(estimate, volume, MaskPolicy())
        except DeidNodeError as held:
            print(f"{head.name}: {held}", flush=True)
            continue
        if arguments.near:
            named &= neighbourhood(estimate, volume)
        prepared = prepare(*order.image(volume), planned)
        turned = order.turned(named, volume)[prepared.box].transpose(BACKWARDS)
        fine = np.array(prepared.values.shape) / turned.shape
        yield prepared.values, ndimage.zoom(turned, fine, order=0, grid_mode=True, mode="nearest")
        taken += 1
        if taken == arguments.heads:
            return


if __name__ == "__main__":
    main()
