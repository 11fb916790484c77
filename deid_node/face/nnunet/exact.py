"""An imported model of nnU-Net v1 that gives v1's own answer, voxel for voxel."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from deid_node.errors import WeightsUnusable
from deid_node.face.nnunet.network import topology
from deid_node.face.nnunet.plans import CONFIGURATION, FORMAT, Planned, Postprocessing
from deid_node.face.nnunet.prepare import labels_of, largest_pieces, prepare
from deid_node.face.nnunet.safetensors import decode
from deid_node.face.nnunet.tiles import predict_windows
from deid_node.face.nnunet.torch_unet import unet
from deid_node.face.weights import read_card

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from deid_node.face.model import ModelCard

PLANS = "plans.json"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ExactModel:
    """All folds of an imported model.

    Parameters
    ----------
    card
        Name, version and digest.
    planned, postprocessing
        What it was trained on, and what is done to its answer.
    folds
        Each from (i, j, k) values to (c, i, j, k) probabilities.
    """

    card: ModelCard
    planned: Planned
    postprocessing: Postprocessing | None
    folds: tuple[Callable[[NDArray[np.float32]], NDArray[np.float32]], ...]

    def segment(
        self, image: NDArray[np.float32], spacing_mm: tuple[float, ...], *, mirror: bool = True
    ) -> NDArray[np.uint8]:
        """Label each voxel of an image as v1's ``nnUNet_predict`` does in single precision.

        Parameters
        ----------
        image : (z, y, x) ndarray of float32
            In the array order that the card names.
        spacing_mm
            Distance of voxels along these axes.
        mirror
            Average over mirrored input too, along the axes that the training mirrored.

        Returns
        -------
        (z, y, x) ndarray of uint8
            The label of each voxel.

        Raises
        ------
        ImplausibleFaceMask
            If all of the image is zero.
        """
        prepared = prepare(image, spacing_mm, self.planned)
        axes = self.planned.mirror_axes if mirror else ()
        total: NDArray[np.float32] | None = None
        for fold in self.folds:
            found = predict_windows(fold, prepared.values, self.planned.patch, axes)
            total = found if total is None else total + found
        if total is None:
            raise WeightsUnusable(f"model {self.card.name} has no fold")
        total /= np.float32(len(self.folds))
        labels = labels_of(total, prepared, self.planned)
        if self.postprocessing is not None:
            largest_pieces(labels, self.postprocessing, prod(spacing_mm))
        return labels


def load_exact(folder: Path) -> ExactModel:
    """Verify an imported model and make it ready.

    Parameters
    ----------
    folder
        As ``deid-node weights import`` writes it.

    Raises
    ------
    WeightsUnusable
        If a file is missing or damaged, the model is not of nnU-Net v1, or torch is missing.
    """
    card = read_card(folder)
    try:
        plans = json.loads((folder / PLANS).read_text(encoding="utf-8"))
        planned = _planned(plans)
        postprocessing = _postprocessing(plans["deid_node"]["postprocessing"])
        paths = sorted(folder.glob("*.safetensors"))
        weights = [decode(path.read_bytes()) for path in paths]
    except (OSError, ValueError, KeyError, TypeError):
        raise WeightsUnusable(f"{folder} does not hold an imported model of nnU-Net v1") from None
    folds = []
    for tensors in weights:
        net = topology({name: array.shape for name, array in tensors.items()}, card.name)
        folds.append(unet(tensors, net))
    return ExactModel(card=card, planned=planned, postprocessing=postprocessing, folds=tuple(folds))


def _planned(plans: dict[str, Any]) -> Planned:
    own = plans["deid_node"]
    if (own["format"], own["generation"]) != (FORMAT, 1):
        raise ValueError
    configuration = plans["configurations"][CONFIGURATION]
    export = configuration["resampling_fn_probabilities_kwargs"]
    return Planned(
        generation=1,
        spacing_mm=tuple(configuration["spacing"]),
        patch=tuple(configuration["patch_size"]),
        transpose_forward=tuple(plans["transpose_forward"]),
        transpose_backward=tuple(plans["transpose_backward"]),
        masked_norm=configuration["use_mask_for_norm"][0],
        labels=tuple(own["labels"]),
        mirror_axes=tuple(own["mirror_axes"]),
        order=export["order"],
        order_z=export["order_z"],
        separate_z=export["force_separate_z"],
    )


def _postprocessing(said: dict[str, Any] | None) -> Postprocessing | None:
    if said is None:
        return None
    groups, least = said["largest_piece_of"], said["least_mm3"]
    return Postprocessing(
        classes=None if groups is None else tuple(tuple(group) for group in groups),
        least_mm3=None if least is None else tuple(least),
    )
