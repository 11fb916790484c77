"""Hand a model folder to nnunetv2: its plans and, as pretrained weights, its network.

Writes ``FacePlans.json`` and ``FacePlans.pth`` into the dataset's folder below
``nnUNet_preprocessed``; docs/fine-tune.md says what to do with them.

Usage: ``python -m face_model.to_nnunetv2 WEIGHTS PREPROCESSED/DatasetNNN_Name``
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from deid_node.face.weights import read_card
from face_model import network

PLANS_NAME = "FacePlans"  # not nnunetv2's own, so that its planning does not overwrite them


def named_for(plan: dict[str, Any], dataset: str) -> dict[str, Any]:
    """Plans under our name and for a dataset; nnunetv2 finds its folders by these three names."""
    configurations = {
        name: {**described, "data_identifier": f"{PLANS_NAME}_{name}"}
        for name, described in plan["configurations"].items()
    }
    names = {"dataset_name": dataset, "plans_name": PLANS_NAME}
    return {**plan, **names, "configurations": configurations}


def checkpoint(plan: dict[str, Any], weights: Path) -> dict[str, dict[str, torch.Tensor]]:
    """Make the checkpoint that ``nnUNetv2_train -pretrained_weights`` reads.

    Parameters
    ----------
    plan : dict
        Of the folder.
    weights : Path
        Its face.safetensors, which name each tensor once.

    Returns
    -------
    dict
        ``network_weights`` in float32, with the second names that nnU-Net gives to tensors.

    Raises
    ------
    ValueError
        If the file is not the network that the plans describe.
    """
    stored = load_file(weights)
    net = network.build(plan)
    unknown = net.load_state_dict({n: t.float() for n, t in stored.items()}, strict=False)
    found = sum(tensor.numel() for tensor in stored.values())
    if unknown.unexpected_keys or found != sum(p.numel() for p in net.parameters()):
        raise ValueError(f"{weights} is not the network of its plans")
    return {"network_weights": net.state_dict()}


def main(folder: Path, dataset: Path) -> None:
    read_card(folder)
    plan = json.loads((folder / "plans.json").read_text())
    made = checkpoint(plan, folder / "face.safetensors")
    dataset.mkdir(parents=True, exist_ok=True)
    named = named_for(plan, dataset.name)
    (dataset / f"{PLANS_NAME}.json").write_text(json.dumps(named, indent=1) + "\n")
    torch.save(made, dataset / f"{PLANS_NAME}.pth")
    print(f"{PLANS_NAME}.json and {PLANS_NAME}.pth are in {dataset}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("weights", type=Path, help="a model folder")
    parser.add_argument("dataset", type=Path, help="PREPROCESSED/DatasetNNN_Name")
    chosen = parser.parse_args()
    main(chosen.weights, chosen.dataset)
