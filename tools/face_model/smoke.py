"""Retrain a toy through the code that trained the default model: nothing it shows is a good model.

Its label maps are drawn by code. Then come the steps of the real thing: targets, training, export,
one drawn head, and the folder loaded as the node loads it. Every figure but the loss may be poor.

Usage: ``python -m face_model.smoke FOLDER [--minutes 2]`` (or ``make face-model-smoke``)
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import nibabel as nib
import numpy as np

from deid_node.face.openvino_model import load_model
from face_model import export, network, targets, toy, train
from face_model.defacers import Runtime
from face_model.drawn_heads import drawn_heads
from face_model.head_surface import find_surface
from face_model.score import score

SEEDS = {"training_seg_01.nii.gz": 1, **dict(zip(train.HELD_OUT, (2, 3), strict=True))}
SETTINGS = train.Settings(
    patch=48, narrow=48, spacing_mm=4.0, batch=2, rate=2e-3, averaging=0.95, seed=7
)


def read_log(folder: Path) -> list[dict[str, float]]:
    """Return the reports of a run, without the lines that say its settings."""
    lines = (folder / "log.jsonl").read_text().splitlines()
    return [line for line in map(json.loads, lines) if "loss" in line]


def main(folder: Path, minutes: float) -> None:
    labels, drawn, run, model = (folder / n for n in ("labels", "targets", "run", "model"))
    labels.mkdir(parents=True)
    for name, seed in SEEDS.items():
        nib.save(nib.Nifti1Image(toy.label_map(toy.draw(seed)), np.eye(4)), labels / name)
    targets.main(labels, drawn)
    where = argparse.Namespace(
        folder=run, labels=labels, targets=drawn, minutes=minutes, start=None, report_every=20
    )
    train.run(where, SETTINGS)
    reports = read_log(run)
    first, last = reports[0]["loss"], reports[-1]["loss"]
    print(f"{reports[-1]['iteration']} iterations, loss {first} to {last}")
    if not last < first:
        raise SystemExit("the loss did not fall")
    plan = network.plans(patch=SETTINGS.patch, spacing_mm=SETTINGS.spacing_mm)
    told = export.Told(
        name="toy", version="0", training_data="3 heads drawn by code", limits=("A toy.",)
    )
    export.export([run / "checkpoint.pt"], model, plan, told)
    loaded = load_model(model, threads=1)
    print(f"every file is what the card says: {loaded.card.name}, {loaded.card.sha256[:16]}")
    head = next(drawn_heads())  # no seed of the training drew it
    answer = Runtime(model)(head)
    print(f"{head.name}: {answer.verdict}; {score(head, answer.removed, find_surface(head))}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="made new")
    parser.add_argument("--minutes", type=float, default=2.0, help="of training")
    chosen = parser.parse_args()
    main(chosen.folder, chosen.minutes)
