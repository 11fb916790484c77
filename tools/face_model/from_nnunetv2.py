"""Make a model folder of a network that nnunetv2 fine-tuned.

Usage: ``python -m face_model.from_nnunetv2 RESULT FOLDER --name N --training-data TEXT --licence L``,
where RESULT is nnunetv2's folder ``TRAINER__FacePlans__3d_fullres``.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch

from face_model import export, network

EXACT = ("transpose_forward", "image_reader_writer")  # what tells nnunetv2's axes from ours


def read_plans(result: Path) -> dict[str, Any]:
    """Read the plans a network was trained by, and check that the runtime can follow them.

    Parameters
    ----------
    result : Path
        nnunetv2's folder of one trainer, plans and configuration.

    Raises
    ------
    ValueError
        If axes, grid, window or classes are not those of the runtime.
    """
    plan: dict[str, Any] = json.loads((result / "plans.json").read_text())
    own = plan.get("deid_node")
    if own is None:
        raise ValueError(f"{result} was not trained with the plans of to_nnunetv2")
    wanted = network.plans(patch=own["patch"], spacing_mm=own["spacing_mm"])
    grids = [p["configurations"]["3d_fullres"] for p in (plan, wanted)]
    alike = all(plan[key] == wanted[key] for key in EXACT) and own == wanted["deid_node"]
    if not alike or any(grids[0][key] != grids[1][key] for key in ("patch_size", "spacing")):
        raise ValueError(f"the plans of {result} are not those of this version's runtime")
    labels = json.loads((result / "dataset.json").read_text())["labels"]
    if labels != {name: number for number, name in enumerate(network.CLASSES)}:
        raise ValueError(f"labels are not {', '.join(network.CLASSES)}, from 0 on")
    return plan


def main(arguments: argparse.Namespace) -> None:
    plan = read_plans(arguments.result)
    state = arguments.result / f"fold_{arguments.fold}" / arguments.checkpoint
    told = export.Told(
        name=arguments.name,
        version=arguments.version,
        licence=arguments.licence,
        training_data=f"{export.TRAINING_DATA} Then fine-tuned on: {arguments.training_data}",
    )
    export.export([state], arguments.folder, plan, told)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("result", type=Path, help="TRAINER__FacePlans__3d_fullres")
    parser.add_argument("folder", type=Path, help="the model folder to write")
    parser.add_argument("--fold", default="all")
    parser.add_argument("--checkpoint", default="checkpoint_final.pth")
    parser.add_argument("--name", required=True, help="not default")
    parser.add_argument("--version", default="1")
    parser.add_argument("--training-data", required=True, help="what it was fine-tuned on")
    parser.add_argument("--licence", required=True, help="of the result")
    torch.set_num_threads(1)
    main(parser.parse_args())
