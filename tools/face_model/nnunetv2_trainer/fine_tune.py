"""The trainer for fine-tuning with nnunetv2; `nnUNet_extTrainer` names this folder."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

START = "FacePlans.pth"  # written by to_nnunetv2 beside the plans
EPOCHS, ITERATIONS = "FACE_EPOCHS", "FACE_ITERATIONS"  # environment; else 100 epochs of 250


class FaceFineTune(nnUNetTrainer):  # type: ignore[misc]  # nnunetv2 is skipped by the type check
    """Keeps what the network knows: starts with its last layer too, and at a lower rate.

    Mirrors left and right only, and like the first training has no deep supervision.
    """

    def __init__(
        self,
        plans: dict[str, Any],
        configuration: str,
        fold: int,
        dataset_json: dict[str, Any],
        device: torch.device = torch.device("cuda"),  # noqa: B008 - nnunetv2 reads this signature
    ) -> None:
        super().__init__(plans, configuration, fold, dataset_json, device)
        self.initial_lr = 1e-3
        self.enable_deep_supervision = False
        self.num_epochs = int(os.environ.get(EPOCHS, "100"))
        self.num_iterations_per_epoch = int(os.environ.get(ITERATIONS, "250"))
        self.num_val_iterations_per_epoch = max(1, self.num_iterations_per_epoch // 5)

    def initialize(self) -> None:
        """Load all layers; ``-pretrained_weights`` leaves the last one out."""
        super().initialize()
        start = Path(self.preprocessed_dataset_folder_base) / START
        network: Any = getattr(self.network, "_orig_mod", self.network)  # compiled on a GPU
        network.load_state_dict(torch.load(start, weights_only=True)["network_weights"])

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> tuple[Any, ...]:  # noqa: N802
        """Leave up and down, front and back apart: the first axis is left to right."""
        first = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()[:-1]
        self.inference_allowed_mirroring_axes = (0,)
        return (*first, (0,))
