"""An imported model of nnU-Net: its own answer to the last voxel, or nearly that and much sooner."""

from __future__ import annotations

import json
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, Any

import numpy as np

from deid_node.errors import WeightsUnusable
from deid_node.face.array_order import DCM2NIIX, is_orientation
from deid_node.face.nnunet.effort import spend
from deid_node.face.nnunet.near import (
    WIDE_RIMS,
    fewest_windows,
    labels_near,
    points_near,
    windows_that_matter,
)
from deid_node.face.nnunet.network import topology
from deid_node.face.nnunet.openvino_unet import openvino_unet
from deid_node.face.nnunet.plans import CONFIGURATION, FORMAT, Planned, Postprocessing
from deid_node.face.nnunet.prepare import labels_of, largest_pieces, prepare
from deid_node.face.nnunet.safetensors import decode
from deid_node.face.nnunet.second import labels_of_second, mean_in_half, prepare_second
from deid_node.face.nnunet.tiles import predict_windows
from deid_node.face.nnunet.torch_unet import unet
from deid_node.face.weights import card_of, read_card

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from deid_node.face.model import ModelCard
    from deid_node.face.nnunet.effort import Effort
    from deid_node.face.nnunet.network import Topology
    from deid_node.face.nnunet.prepare import Prepared
    from deid_node.face.nnunet.tiles import Predict

PLANS = "plans.json"
GENERATIONS = (1, 2)
ORIGINS = ("nnU-Net v1", "nnunetv2")
"""What cards of imported models say of where they come from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Meaning:
    """What an imported model is given, and what its labels mean.

    Parameters
    ----------
    card
        Name, version and digest.
    orientation
        Array order of its input; see `ArrayOrder`.
    face, ears
        Which of its labels are removed as face, and as ears. A label may be of both.
    """

    card: ModelCard
    orientation: str
    face: tuple[int, ...]
    ears: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ImportedModel:
    """Folds of an imported model.

    Parameters
    ----------
    planned, postprocessing
        What it was trained on, and what is done to its answer.
    folds
        Each from (i, j, k) values to (c, i, j, k) probabilities, or logits of nnunetv2.
    effort
        Which windows and mirrors are predicted.
    """

    planned: Planned
    postprocessing: Postprocessing | None
    folds: tuple[Predict, ...]
    effort: Effort

    def segment(
        self,
        image: NDArray[np.float32],
        spacing_mm: tuple[float, ...],
        near: NDArray[np.bool_] | None = None,
    ) -> NDArray[np.uint8]:
        """Label each voxel of an image.

        With the exact effort this is what the model's own software says: ``nnUNet_predict`` of v1
        in single precision, or ``nnUNetv2_predict`` on the CPU.

        Parameters
        ----------
        image : (z, y, x) ndarray of float32
            In the array order that the card names.
        spacing_mm
            Distance of voxels along these axes.
        near : (z, y, x) ndarray of bool
            Voxels round the face; an effort for all windows does not look at it.

        Returns
        -------
        (z, y, x) ndarray of uint8
            The label of each voxel; of a lesser effort, 0 outside `near`.

        Raises
        ------
        ImplausibleFaceMask
            If all of the image is zero.
        """
        first = self.planned.generation == 1
        make = prepare if first else prepare_second
        prepared = make(image, spacing_mm, self.planned, quick=not self.effort.is_exact)
        if self.effort.voxels is not None and near is not None:
            # which piece is the largest cannot be told from a part of the image: all of them stay
            return self._near(prepared, near, self.effort.voxels)
        axes = self.effort.mirror_axes(self.planned.mirror_axes)
        if first:
            labels = labels_of(self._mean(prepared, axes), prepared, self.planned)
        else:
            patch = self.planned.patch
            logits = mean_in_half(self.folds, prepared.values, patch, axes)
            labels = labels_of_second(logits, prepared, self.planned)
        if self.postprocessing is not None:
            largest_pieces(labels, self.postprocessing, prod(spacing_mm))
        return labels

    def _mean(
        self,
        prepared: Prepared,
        axes: tuple[int, ...],
        corners: Sequence[tuple[int, ...]] | None = None,
    ) -> NDArray[np.float32]:
        """Average all folds."""
        patch = self.planned.patch
        total = predict_windows(self.folds[0], prepared.values, patch, axes, corners=corners)
        for fold in self.folds[1:]:
            total = total + predict_windows(fold, prepared.values, patch, axes, corners=corners)
        total /= np.float32(len(self.folds))
        return total

    def _near(self, prepared: Prepared, near: NDArray[np.bool_], voxels: int) -> NDArray[np.uint8]:
        points, patch = points_near(near, prepared, self.planned), self.planned.patch
        if not points.near.any():
            return np.zeros(prepared.shape, np.uint8)
        windows = [
            windows_that_matter(points, patch),
            fewest_windows(points, patch, rims=WIDE_RIMS),
            fewest_windows(points, patch),
        ]
        allowed = self.effort.mirror_axes(self.planned.mirror_axes)
        corners, axes = spend(voxels, windows, allowed, patch)
        return labels_near(self._mean(prepared, axes, corners), near, prepared, self.planned)


def load_imported(folder: Path, effort: Effort, *, threads: int = 0) -> ImportedModel:
    """Verify an imported model and make it ready.

    Parameters
    ----------
    folder
        As ``deid-node weights import`` writes it.
    effort
        How much work it puts into one head.
    threads
        CPU threads; 0 leaves the choice to the engine.

    Raises
    ------
    WeightsUnusable
        If a file is missing or damaged, the model is of another kind, or its engine is missing.
    """
    card = read_card(folder)
    try:
        plans = json.loads((folder / PLANS).read_text(encoding="utf-8"))
        planned = _planned(plans)
        postprocessing = _postprocessing(plans["deid_node"]["postprocessing"])
        paths = sorted(folder.glob("*.safetensors"))[: effort.folds]
        weights = [decode(path.read_bytes()) for path in paths]
    except (OSError, ValueError, KeyError, TypeError):
        raise WeightsUnusable(f"{folder} does not hold an imported model") from None
    if not weights:
        raise WeightsUnusable(f"model {card.name} has no fold")
    folds = []
    for tensors in weights:
        net = topology({name: array.shape for name, array in tensors.items()}, card.name)
        folds.append(_network(tensors, net, planned, effort, threads))
    return ImportedModel(
        planned=planned, postprocessing=postprocessing, folds=tuple(folds), effort=effort
    )


def _network(
    tensors: dict[str, NDArray[np.float32]],
    net: Topology,
    planned: Planned,
    effort: Effort,
    threads: int,
) -> Predict:
    softmax = planned.generation == 1
    if effort.engine == "torch":
        return unet(
            tensors,
            net,
            softmax=softmax,
            threads=threads,
            device=effort.device,
            half=effort.precision == "half",
        )
    return openvino_unet(
        tensors,
        net,
        patch=planned.patch,
        precision=effort.precision,
        softmax=softmax,
        threads=threads,
    )


def is_imported(folder: Path) -> bool:
    """Tell by its card whether a model was imported.

    Raises
    ------
    WeightsUnusable
        If it has no card.
    """
    return card_of(folder).get("origin") in ORIGINS


def meaning_of(folder: Path) -> Meaning:
    """Verify an imported model, and read what it is given and what its labels mean.

    Raises
    ------
    WeightsUnusable
        If a file is missing or damaged, or the card says nothing that can be used.
    """
    card, said = read_card(folder), card_of(folder)
    try:
        labels = said["input"]["labels"]
        removes = said.get("removes", {"face": labels, "ears": labels})
        face, ears = (tuple(int(n) for n in removes[key]) for key in ("face", "ears"))
        orientation = str(said.get("orientation", DCM2NIIX))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise WeightsUnusable(f"the card of {folder} is none of an imported model") from None
    known = set(labels)
    if not face or not known.issuperset({*face, *ears}) or not is_orientation(orientation):
        raise WeightsUnusable(f"the card of {folder} names labels or an orientation in vain")
    return Meaning(card=card, orientation=orientation, face=face, ears=ears)


def _planned(plans: dict[str, Any]) -> Planned:
    own = plans["deid_node"]
    if own["format"] != FORMAT or own["generation"] not in GENERATIONS:
        raise ValueError
    configuration = plans["configurations"][CONFIGURATION]
    export = configuration["resampling_fn_probabilities_kwargs"]
    return Planned(
        generation=own["generation"],
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
