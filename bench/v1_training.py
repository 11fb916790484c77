"""What `v1_model` has an interpreter with nnunet 1.7.1 do: build, train and save a model.

Usage: PYTHON bench/v1_training.py FOLDER OUT

FOLDER holds ``told.json``, ``head_*.npz`` and perhaps ``begin.npz``. Network, plans and checkpoints
are nnU-Net v1's own; its data loaders, which want a whole data set, are not asked.
"""

from __future__ import annotations

import json
import os
import pickle
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any, Final

import numpy as np

PROJECT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT))
for _name in ("nnUNet_raw_data_base", "nnUNet_preprocessed", "RESULTS_FOLDER"):
    os.environ[_name] = sys.argv[1]

import torch  # noqa: E402
from nnunet.training.network_training.nnUNet_variants.data_augmentation.nnUNetTrainerV2_noMirroring import (  # noqa: E402
    nnUNetTrainerV2_noMirroring,
)
from nnunet.training.network_training.nnUNetTrainerV2 import nnUNetTrainerV2  # noqa: E402
from torch.nn import functional  # noqa: E402

from deid_node.face.nnunet.generic_unet import names_of_v1  # noqa: E402

RATE, MOMENTUM, WARM_UP, STEEPEST = 1e-2, 0.95, 20, 12
BATCH, CROP = 2, 64
DISTURBED: Final = 0.01
"""Share of a kernel's own deviation that is added to it in the other folds."""


def main() -> None:
    """Make the folder of a model."""
    folder, out = (Path(given) for given in sys.argv[1:])
    told = json.loads((folder / "told.json").read_text())
    torch.manual_seed(1)
    out.mkdir(parents=True)
    (out / "plans.pkl").write_bytes(pickle.dumps(plans(told)))
    made_by = nnUNetTrainerV2 if told["mirrors"] else nnUNetTrainerV2_noMirroring
    trainer = made_by(str(out / "plans.pkl"), 0, str(out), str(folder), stage=0)
    trainer.initialize(training=False)
    if (folder / "begin.npz").exists():
        begin(trainer.network, folder / "begin.npz")
    heads = [dict(np.load(path)) for path in sorted(folder.glob("head_*.npz"))]
    train(trainer.network, heads, told)
    for fold in range(told["folds"]):
        trainer.fold = fold
        trainer.output_folder = str(out / f"fold_{fold}")
        trainer.init_args = (trainer.init_args[0], fold, *trainer.init_args[2:])
        Path(trainer.output_folder).mkdir(exist_ok=True)
        if fold:
            disturb(trainer.network)
        trainer.save_checkpoint(f"{trainer.output_folder}/model_final_checkpoint.model")
    for log in out.rglob("training_log_*"):
        log.unlink()


def plans(told: dict[str, Any]) -> dict[str, Any]:
    """Say what nnU-Net's planner would."""
    patch, spacing = np.array([told["patch"]] * 3), np.array([told["spacing"]] * 3)
    stage = {
        "batch_size": BATCH,
        "num_pool_per_axis": [told["pools"]] * 3,
        "patch_size": patch,
        "median_patient_size_in_voxels": patch,
        "current_spacing": spacing,
        "original_spacing": spacing,
        "do_dummy_2D_data_aug": False,
        "pool_op_kernel_sizes": [[2, 2, 2]] * told["pools"],
        "conv_kernel_sizes": [[3, 3, 3]] * (told["pools"] + 1),
    }
    return {
        "num_stages": 1,
        "num_modalities": 1,
        "modalities": {0: "MRI"},
        "normalization_schemes": OrderedDict([(0, "nonCT")]),
        "dataset_properties": {
            "all_classes": [1],
            "modalities": {0: "MRI"},
            "intensityproperties": None,
        },
        "list_of_npz_files": [],
        "original_spacings": [spacing],
        "original_sizes": [tuple(patch)],
        "preprocessed_data_folder": ".",
        "num_classes": 1,
        "all_classes": [1],
        "base_num_features": told["features"],
        "use_mask_for_norm": OrderedDict([(0, told["masked"])]),
        "keep_only_largest_region": None,
        "min_region_size_per_class": None,
        "min_size_per_class": None,
        "transpose_forward": [2, 1, 0],
        "transpose_backward": [2, 1, 0],
        "data_identifier": "nnUNetData_plans_v2.1",
        "plans_per_stage": {0: stage},
        "preprocessor_name": "GenericPreprocessor",
        "conv_per_stage": 2,
    }


def begin(network: torch.nn.Module, path: Path) -> None:
    """Take over the layers that fit."""
    own = network.state_dict()
    given = np.load(path)
    for name, other in names_of_v1(list(own), "the network").items():
        if other in given.files and given[other].shape == own[name].shape:
            own[name].copy_(torch.from_numpy(given[other]))


def train(network: torch.nn.Module, heads: list[dict[str, Any]], told: dict[str, Any]) -> None:
    """Let it see crops of the heads, of each batch one of the face.

    Cross entropy plus one minus Dice at full resolution, by stochastic gradient descent as
    nnU-Net has it.
    """
    network.train()
    network.do_ds = False
    optimizer = torch.optim.SGD(network.parameters(), lr=RATE, momentum=MOMENTUM, nesterov=True)
    rng = np.random.default_rng(1)
    losses = []
    for step in range(told["steps"]):
        rate = RATE * min(1, (step + 1) / WARM_UP) * (1 - step / told["steps"]) ** 0.9
        for group in optimizer.param_groups:
            group["lr"] = rate
        crops = [
            crop(heads[rng.integers(len(heads))], rng, told, face=n == 0) for n in range(BATCH)
        ]
        image, named = (torch.from_numpy(np.stack(part)) for part in zip(*crops, strict=True))
        logits = network(image[:, None])
        share = logits.softmax(1)[:, 1]
        dice = (2 * (share * named).sum() + 1) / (share.sum() + named.sum() + 1)
        loss = functional.cross_entropy(logits, named) + 1 - dice
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), STEEPEST)
        optimizer.step()
        losses.append(loss.item())
        if step % 30 == 29:
            print(f"step {step + 1}: loss {np.mean(losses[-30:]):.3f}", flush=True)
    network.do_ds = True


def crop(
    head: dict[str, Any], rng: np.random.Generator, told: dict[str, Any], *, face: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Cut out a window, round a place of the face or anywhere, and change brightness and sides."""
    image, named = head["image"], head["named"]
    short = [(0, max(0, CROP - n)) for n in image.shape]
    image, named = np.pad(image, short), np.pad(named, short)
    last = np.array(image.shape) - CROP
    if face:
        places = np.argwhere(named)
        at = np.clip(places[rng.integers(len(places))] - CROP // 2, 0, last)
    else:
        at = rng.integers(last + 1)
    window = tuple(slice(a, a + CROP) for a in at)
    image, named = image[window], named[window]
    if told["mirrors"]:
        axes = tuple(axis for axis in range(3) if rng.random() < 0.5)
        image, named = np.flip(image, axes), np.flip(named, axes)
    image = image * rng.uniform(0.8, 1.25) + rng.uniform(-0.2, 0.2)
    image = image + rng.normal(0, rng.uniform(0, 0.15), image.shape)
    return np.ascontiguousarray(image, np.float32), np.ascontiguousarray(named, np.int64)


def disturb(network: torch.nn.Module) -> None:
    """Change every kernel a little."""
    with torch.no_grad():
        for kernel in network.parameters():
            if kernel.ndim > 1:
                kernel.add_(DISTURBED * kernel.std() * torch.randn_like(kernel))


if __name__ == "__main__":
    main()
