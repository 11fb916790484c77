"""What the node does with a series: profile and model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from deid_node.config.face_models import face_models, model_folder
from deid_node.config.profile_lint import lint
from deid_node.dicom.volume import Volume
from deid_node.face.weights import read_card
from deid_node.node.doctor.finding import Answer, Bad, Doubtful, Good
from deid_node.node.models.inference import InferenceProcess, inference_apart

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deid_node.config.schema import Settings

SHAPE: Final = (48, 56, 56)
SPACING_MM: Final = (4.0, 4.2, 4.2)
HALF_AXES_MM: Final = (85.0, 95.0, 75.0)


def profile(settings: Settings) -> Answer:
    """Look through the profile as `profile lint` does."""
    linted = lint(Path(settings.profile))
    if linted.errors:
        return Bad(f"{len(linted.errors)} mistakes in {settings.profile}", _lint(settings))
    if linted.warnings:
        return Doubtful(f"{len(linted.warnings)} warnings on {settings.profile}", _lint(settings))
    return Good(settings.profile)


def weights(settings: Settings) -> Answer:
    """Compare every file of each model with its card."""
    cards = [read_card(folder) for folder in dict.fromkeys(map(model_folder, settings.faces))]
    told = (f"{card.name} {card.version}, digest {card.sha256[:12]}" for card in cards)
    return Good(
        f"{'; '.join(told)}: as {'its card says' if len(cards) == 1 else 'their cards say'}"
    )


def model(settings: Settings) -> Answer:
    """Load each model in turn, on each device, and have it look at a head of two strokes."""
    slowest = 0.0
    faces = [place for face in settings.faces for place in face.places]
    for face in faces:
        [chosen] = face_models([face], inference_apart).values()
        began = time.monotonic()
        try:
            estimate = chosen.estimate(drawn_toy())
        finally:
            second = getattr(chosen, "second", None)
            if isinstance(second, InferenceProcess):
                second.close()
        slowest = max(slowest, time.monotonic() - began)
        answers = (estimate.face, estimate.ears, estimate.brain)
        if not all(np.isfinite(each).all() and each.size for each in answers):
            return Bad(f"model {face.model} answers with no numbers", "install its weights again")
    if slowest > settings.face.seconds:
        return Bad(f"one look took {slowest:.0f} s", "raise [face] seconds, or use more threads")
    if len(faces) == 1:
        return Good(f"it looked at a drawn head in {slowest:.1f} s")
    return Good(f"all {len(faces)} looked at a drawn head, in {slowest:.1f} s at most")


def drawn_toy() -> Volume:
    """Draw a bright ellipsoid in noisy air, sagittal slices from the right to the left."""
    rng = np.random.default_rng(0)
    affine = np.eye(4)
    affine[:3, :3] = np.diag(SPACING_MM)[[2, 1, 0]]
    affine[:3, 3] = -affine[:3, :3] @ (np.array(SHAPE) - 1) / 2
    index = np.indices(SHAPE).reshape(3, -1)
    lps = affine[:3, :3] @ index + affine[:3, 3:]
    inside = ((lps / np.array(HALF_AXES_MM)[:, None]) ** 2).sum(axis=0) < 1
    stored = np.where(inside, 400, 0) + rng.rayleigh(6, inside.size)
    ones: NDArray[np.float64] = np.ones(SHAPE[0])
    return Volume(
        stored=stored.reshape(SHAPE).astype(np.uint16),
        slope=ones,
        intercept=0 * ones,
        affine=affine,
    )


def _lint(settings: Settings) -> str:
    return f"`deid-node profile lint {settings.profile}` lists them"
