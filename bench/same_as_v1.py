"""Voxels in which the exact effort differs from nnU-Net v1's own predictor.

Usage: python bench/same_as_v1.py MODEL --peer PYTHON [--folds N] [--without-mirrors] [--images A,B]

MODEL is a model folder of v1, one of your own: nnU-Net unpickles it, and so runs what it holds.
PYTHON is an interpreter with nnunet 1.7.1 and batchgenerators 0.25, which is asked by what
`nnUNet_predict` calls, in single precision, on the CPU. The model is imported for the exact effort,
which needs torch here. Heads are drawn small, so that they are of 62 to 72 voxels; what counts is
that one image is in the model's spacing and others are not, thick, framed by zeros, or turned.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import numpy as np

PROJECT: Final = Path(__file__).parents[1]
sys.path[:0] = [str(PROJECT), str(PROJECT / "tools")]

from drawn_head.head import draw_head, grid  # noqa: E402

from deid_node.face.nnunet.effort import EXACT  # noqa: E402
from deid_node.face.nnunet.imported import load_imported  # noqa: E402
from deid_node.node.models.store import find_licence, import_model  # noqa: E402

if TYPE_CHECKING:
    from drawn_head.head import Orientation
    from numpy.typing import NDArray

    Triple = tuple[float, float, float]

PEER: Final = """
import json, os, sys
for name in ("nnUNet_raw_data_base", "nnUNet_preprocessed", "RESULTS_FOLDER"):
    os.environ[name] = sys.argv[2]
import numpy as np, SimpleITK as sitk, torch
loaded = torch.load
torch.load = lambda *a, **k: loaded(*a, **{"weights_only": False, **k})
from nnunet.inference.predict import predict_cases
model, folder, folds, mirrored = sys.argv[1:]
with np.load(os.path.join(folder, "images.npz")) as stored:
    images = dict(stored)
spacing = json.load(open(os.path.join(folder, "spacing.json")))
asked, answers = [], []
for name, values in images.items():
    image = sitk.GetImageFromArray(values)
    image.SetSpacing(spacing[name][::-1])
    asked.append([os.path.join(folder, name + "_0000.nii.gz")])
    answers.append(os.path.join(folder, name + ".nii.gz"))
    sitk.WriteImage(image, asked[-1][0])
predict_cases(model, asked, answers, tuple(range(int(folds))), False, 1, 1, None, do_tta=mirrored == "1",
              mixed_precision=False, overwrite_existing=True, all_in_gpu=False, step_size=0.5)
labels = {name: sitk.GetArrayFromImage(sitk.ReadImage(a)) for name, a in zip(images, answers)}
np.savez(os.path.join(folder, "labels.npz"), **labels)
"""
"""Writes NIfTI files, as nnU-Net v1 takes them, and reads what it answers."""


KINDS: Final[dict[str, tuple[Orientation, Triple, Triple]]] = {
    "as_it_is": ("axial", (1.0, 1.0, 1.0), (3.4, 3.6, 3.4)),
    "resampled": ("axial", (1.2, 0.9, 0.9), (3.4, 3.8, 3.4)),
    "thick": ("axial", (4.0, 0.9, 0.9), (7.0, 3.8, 3.6)),
    "zero_air": ("axial", (1.0, 1.0, 1.0), (3.3, 3.8, 3.4)),
    "coarse": ("axial", (2.0, 2.0, 2.0), (4.6, 4.6, 4.4)),
    "sagittal": ("sagittal", (1.1, 0.9, 0.9), (2.9, 3.9, 3.8)),
    "coronal": ("coronal", (1.1, 0.9, 0.9), (3.7, 3.7, 3.5)),
}
"""Plane, the distance of voxels that the models are told, and that in which the head is drawn."""

FRAMED: Final = "zero_air"
"""The image in which the air is exactly zero."""


class Image(NamedTuple):
    """A drawn image (z, y, x), and the distance of its voxels along these axes, in mm."""

    values: NDArray[np.float32]
    spacing_mm: Triple


def main() -> None:
    """Ask both, and print a line for each image."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--peer", required=True, help="interpreter with nnunet 1.7.1")
    parser.add_argument("--folds", type=int, default=1)
    parser.add_argument("--without-mirrors", action="store_true")
    parser.add_argument("--images", default="", help="names with commas; all by default")
    arguments = parser.parse_args()
    chosen = arguments.images.split(",") if arguments.images else None
    images = {name: image for name, image in drawn() if chosen is None or name in chosen}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "v1"
        folder.mkdir()
        expected = ask_v1(arguments, images, folder)
        found = ask_exact(arguments, images, Path(scratch))
    print(f"{'image':12}{'voxels':>10}{'of the mask':>12}{'differ':>8}")
    for name, labels in expected.items():
        differ = int((found[name] != labels).sum())
        print(f"{name:12}{labels.size:10}{int((labels > 0).sum()):12}{differ:8}")


def drawn() -> list[tuple[str, Image]]:
    """Draw a head for each way in which an image may lie."""
    images = []
    for name, (orientation, told_mm, drawn_mm) in KINDS.items():
        lies = grid(orientation, drawn_mm)
        head = draw_head(contrast="T1", shape=lies.shape, affine=lies.affine, seed=11)
        values = np.rint(head.values).astype(np.float32)
        if name == FRAMED:
            values[values < np.percentile(values, 99) / 8] = 0
        images.append((name, Image(values, told_mm)))
    return images


def ask_v1(
    arguments: argparse.Namespace, images: dict[str, Image], folder: Path
) -> dict[str, NDArray[np.uint8]]:
    """Let nnU-Net v1 predict."""
    with zipfile.ZipFile(folder / "images.npz", "w") as archive:
        for name, image in images.items():
            with archive.open(f"{name}.npy", "w") as opened:
                np.save(opened, image.values)
    spacing = {name: image.spacing_mm for name, image in images.items()}
    (folder / "spacing.json").write_text(json.dumps(spacing))
    command = [arguments.peer, "-W", "ignore", "-c", PEER, str(arguments.model), str(folder)]
    command += [str(arguments.folds), "0" if arguments.without_mirrors else "1"]
    began = time.perf_counter()
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode:
        sys.exit(f"nnU-Net v1 gave no answer for {arguments.model}: see above")
    print(f"nnU-Net v1: {time.perf_counter() - began:.0f} s", flush=True)
    with np.load(folder / "labels.npz") as stored:
        return dict(stored)


def ask_exact(
    arguments: argparse.Namespace, images: dict[str, Image], folder: Path
) -> dict[str, NDArray[np.uint8]]:
    """Import the model, and let the exact effort predict."""
    model, licence = arguments.model, find_licence(arguments.model)
    import_model(model, name=model.name, folder=folder, licence=licence)
    began = time.perf_counter()
    effort = replace(EXACT, folds=arguments.folds, mirrors=0 if arguments.without_mirrors else None)
    exact = load_imported(folder / model.name, effort)
    labels = {name: exact.segment(image.values, image.spacing_mm) for name, image in images.items()}
    print(f"exact: {time.perf_counter() - began:.0f} s", flush=True)
    return labels


if __name__ == "__main__":
    main()
