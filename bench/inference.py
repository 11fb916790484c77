"""CPU-seconds, wall time and peak memory of an imported model's efforts, against nnunetv2's own predictor.

Usage: python bench/inference.py MODEL --peer PYTHON [--folds N] [--threads N] [--without-mirrors]
                                [--device cuda] [--rounds N] [--only ROW ...]

MODEL is the folder of an imported model, PYTHON an interpreter with nnunetv2, which gets the same
weights by `weights export` and predicts with its default options; without it the peer is left out.
The head is drawn, 176 sagittal slices of 256 x 256 voxels of 1 mm. Each row has a process of its
own, and is printed when it is done. The peer and the exact effort take half an hour each, in which a
machine may become faster or slower: on a processor they run at the same time. All else runs before
them and after them, so many rounds in all, and the row of median CPU-seconds counts. Dice and distance compare what a row calls face with what the
exact effort does: the 95th percentile of the distance from the border of either to that of the
other, in voxels, near the face for the efforts that look there only. "in net" is the share of the
wall time that is spent in the network, on a GPU with the way there and back.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deid_node.face.nnunet.effort import Effort
    from deid_node.face.nnunet.tiles import Predict

PROJECT = Path(__file__).parents[1]
MIB = 1024
PEER = """
import json, resource, sys, time
import numpy as np, torch
began = time.perf_counter()
model, image, out, folds, threads, mirrored, device = sys.argv[1:]
torch.set_num_threads(int(threads))
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
options = {} if mirrored == "1" else {"use_mirroring": False}
predictor = nnUNetPredictor(
    device=torch.device(device), perform_everything_on_device=device != "cpu", allow_tqdm=False,
    **options
)
predictor.initialize_from_trained_model_folder(model, use_folds=tuple(range(int(folds))))
with np.load(image) as stored:
    values, spacing = stored["image"], stored["spacing"]
labels = predictor.predict_single_npy_array(values[None], {"spacing": [float(mm) for mm in spacing]})
np.save(out, labels.astype(np.uint8))
used = resource.getrusage(resource.RUSAGE_SELF)
print(json.dumps({"cpu": used.ru_utime + used.ru_stime, "wall": time.perf_counter() - began,
                  "peak": used.ru_maxrss / 1024}))
"""
PRECISIONS = {
    "all windows, OpenVINO i8": "i8",
    "all windows, OpenVINO bf16": "bf16",
    "all windows, OpenVINO f32": "f32",
}
SHORT = ("fast", "balanced", *PRECISIONS)
LONG = ("nnunetv2", "exact")


def main() -> None:
    """Measure every row and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("model", type=Path)
    parser.add_argument("--peer", help="interpreter with nnunetv2")
    parser.add_argument("--folds", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--without-mirrors", action="store_true")
    parser.add_argument("--device", default="cpu", help="cpu, or a GPU: cuda or cuda:1")
    parser.add_argument("--rounds", type=int, default=1, help="of all rows but the long ones")
    parser.add_argument("--only", nargs="*", default=SHORT, help="rows beside nnunetv2 and exact")
    parser.add_argument("--keep", type=Path, help="folder for the rows and their labels")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    parser.add_argument("--image", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.row:
        print(json.dumps(one(arguments)))
        return
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        arguments.image = folder / "image.npz"
        draw(arguments.image)
        measure_all(arguments, folder)


def draw(path: Path) -> None:
    """Draw the head, as the model wants it and as a volume."""
    sys.path.insert(0, str(PROJECT / "tools"))
    from drawn_head.head import draw_head, grid

    from deid_node.dicom.volume import Volume
    from deid_node.face.array_order import ArrayOrder

    affine = grid("sagittal").affine
    head = draw_head(contrast="T1", shape=(176, 256, 256), affine=affine, seed=7)
    stored = np.rint(head.values).astype(np.int16)
    volume = Volume(stored=stored, slope=np.ones(176), intercept=np.zeros(176), affine=affine)
    image, spacing = ArrayOrder("RAS").image(volume)
    np.savez(path, image=image, spacing=spacing, stored=stored, affine=affine)


def measure_all(arguments: argparse.Namespace, folder: Path) -> None:
    """Run each row in processes of its own, then compare the labels."""
    taken: dict[str, list[dict[str, float]]] = {}

    def take(row: str) -> None:
        found = peer(arguments, folder) if row == "nnunetv2" else apart(arguments, row)
        taken.setdefault(row, []).append(found)
        print(row, {key: round(value, 2) for key, value in found.items()}, flush=True)
        (folder / "rows.json").write_text(json.dumps(taken, indent=1))

    on_cpu = arguments.device == "cpu"
    short = [row for row in arguments.only if on_cpu or row not in PRECISIONS]
    long = [row for row in LONG if arguments.peer or row != "nnunetv2"]
    for row in short:
        take(row)
    with ThreadPoolExecutor(len(long) if on_cpu else 1) as beside:
        list(beside.map(take, long))
    for row in short * (arguments.rounds - 1):
        take(row)
    compare({row: median(taken[row]) for row in (*short, *long)}, folder)


def median(taken: list[dict[str, float]]) -> dict[str, float]:
    """Choose the round of median CPU-seconds, the lower one of two."""
    return sorted(taken, key=lambda found: found["cpu"])[(len(taken) - 1) // 2]


def compare(rows: dict[str, dict[str, float]], folder: Path) -> None:
    """Print what each row took, beside nnunetv2, and how its labels agree with the exact ones."""
    exact = np.load(label_file(folder, "exact"))
    around = folder / "near.npy"
    near = np.load(around) if around.exists() else np.ones_like(exact, bool)
    print(
        f"{'':28}{'CPU s':>9}{'wall s':>9}{'MiB':>7}{'ratio':>8}{'Dice':>9}{'95 %':>7}{'in net':>8}"
    )
    base = rows.get("nnunetv2", rows["exact"])["cpu"]
    for row, measured in rows.items():
        labels = np.load(label_file(folder, row))
        where = near if row in {"fast", "balanced"} else np.ones_like(near)
        dice, away = agreement((labels > 0) & where, (exact > 0) & where)
        cpu = measured["cpu"]
        print(
            f"{row:28}{cpu:9.1f}{measured['wall']:9.1f}{measured['peak']:7.0f}"
            f"{base / cpu:8.1f}{dice:9.5f}{away:7.2f}{measured.get('net', float('nan')):8.2f}"
        )


def apart(arguments: argparse.Namespace, row: str) -> dict[str, float]:
    """Run this script again for one row."""
    command = [sys.executable, __file__, str(arguments.model), "--row", row]
    command += ["--image", str(arguments.image), "--folds", str(arguments.folds)]
    command += ["--threads", str(arguments.threads), "--device", arguments.device]
    command += ["--without-mirrors"] if arguments.without_mirrors else []
    return answer_of(command)


def peer(arguments: argparse.Namespace, folder: Path) -> dict[str, float]:
    """Export the weights and run nnunetv2's own predictor on them."""
    from deid_node.node.models.export import export_nnunetv2

    exported = folder / "exported"
    if not exported.exists():
        export_nnunetv2(arguments.model, exported)
    command = [arguments.peer, "-W", "ignore", "-c", PEER, str(exported), str(arguments.image)]
    command += [str(label_file(folder, "nnunetv2")), str(arguments.folds), str(arguments.threads)]
    command += ["0" if arguments.without_mirrors else "1", arguments.device]
    return answer_of(command)


def answer_of(command: list[str]) -> dict[str, float]:
    """Run a command and read the last line that it prints."""
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def one(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure one row: loading included, as the peer's is; of lesser efforts the first look too."""
    began = time.perf_counter()
    from deid_node.dicom.volume import Volume
    from deid_node.face.array_order import ArrayOrder
    from deid_node.face.neighbourhood import neighbourhood
    from deid_node.face.nnunet.imported import load_imported
    from deid_node.face.openvino_model import load_model
    from deid_node.face.weights import default_weights

    with np.load(arguments.image) as stored:
        image, spacing = stored["image"], tuple(float(mm) for mm in stored["spacing"])
        volume = Volume(
            stored=stored["stored"],
            slope=np.ones(len(stored["stored"])),
            intercept=np.zeros(len(stored["stored"])),
            affine=stored["affine"],
        )
    model = load_imported(arguments.model, effort_asked(arguments), threads=arguments.threads)
    inside: list[float] = []
    model = replace(model, folds=tuple(timed(fold, inside) for fold in model.folds))
    near = None
    if arguments.row in {"fast", "balanced"}:
        estimate = load_model(default_weights(), threads=arguments.threads).estimate(volume)
        near = ArrayOrder("RAS").turned(neighbourhood(estimate, volume), volume)
    labels = model.segment(image, spacing, near)
    used = resource.getrusage(resource.RUSAGE_SELF)
    wall = time.perf_counter() - began
    np.save(label_file(arguments.image.parent, arguments.row), labels)
    if near is not None:
        np.save(arguments.image.parent / "near.npy", near)
    return {
        "cpu": used.ru_utime + used.ru_stime,
        "wall": wall,
        "peak": used.ru_maxrss / MIB,
        "net": sum(inside) / wall,
    }


def timed(predict: Predict, inside: list[float]) -> Predict:
    """Note the seconds of each call of a network."""

    def answer(values: NDArray[np.float32]) -> NDArray[np.float32]:
        began = time.perf_counter()
        out = predict(values)
        inside.append(time.perf_counter() - began)
        return out

    return answer


def effort_asked(arguments: argparse.Namespace) -> Effort:
    """Give the effort of a row, with the folds that were asked for."""
    from deid_node.face.nnunet.effort import EFFORTS, EXACT, effort_of

    if arguments.row in EFFORTS:
        effort = effort_of(arguments.row, arguments.folds, arguments.device)
    else:
        precision = PRECISIONS[arguments.row]
        effort = replace(EXACT, engine="openvino", precision=precision)
    mirrors = 0 if arguments.without_mirrors else effort.mirrors
    return replace(effort, folds=effort.folds or arguments.folds, mirrors=mirrors)


def label_file(folder: Path, row: str) -> Path:
    """Name the file of a row's labels."""
    return folder / f"{row.replace(' ', '-').replace(',', '')}.npy"


def agreement(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> tuple[float, float]:
    """Give Dice, and the 95th percentile of the distances between the borders, in voxels."""
    dice = 2 * (one & other).sum() / max(1, one.sum() + other.sum())
    borders = [each & ~ndimage.binary_erosion(each) for each in (one, other)]
    if not all(border.any() for border in borders):
        return float(dice), float("nan")
    away = [
        ndimage.distance_transform_edt(~there)[here] for here, there in (borders, borders[::-1])
    ]
    return float(dice), float(np.percentile(np.concatenate(away), 95))


if __name__ == "__main__":
    main()
