"""Gather what de-identification needs, as the settings say."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deid_node.config.face_models import face_models
from deid_node.config.load import read_key
from deid_node.config.profile_file import load_profile
from deid_node.face.fill import Fill
from deid_node.face.mask import MaskPolicy
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.pipeline.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from deid_node.config.faces import Face
    from deid_node.config.schema import Settings
    from deid_node.face.paired import Segmenter


def recipe_from(
    settings: Settings, *, segmenter: Callable[[Path, Face], Segmenter] | None = None
) -> Recipe:
    """Gather profile, key, model and face policy for series of which no caller is known.

    Parameters
    ----------
    settings
        Of the whole node.
    segmenter
        Makes what runs an imported model, from its folder; by default it runs in this process.

    Raises
    ------
    ProfileInvalid, KeyUnusable, WeightsUnusable
        If one of them cannot be used.
    """
    return _recipes(settings, [settings.face], segmenter)[settings.face]


def recipes_from(
    settings: Settings, *, segmenter: Callable[[Path, Face], Segmenter] | None = None
) -> dict[Face, Recipe]:
    """Gather what `recipe_from` does for each of ``settings.faces``, in their order."""
    return _recipes(settings, settings.faces, segmenter)


def _recipes(
    settings: Settings,
    faces: Iterable[Face],
    segmenter: Callable[[Path, Face], Segmenter] | None,
) -> dict[Face, Recipe]:
    profile = load_profile(settings.profile)
    pseudonyms = Pseudonyms(read_key(settings.pseudonym_key))
    return {
        face: Recipe(
            profile=profile,
            pseudonyms=pseudonyms,
            model=model,
            mask=MaskPolicy(
                margin_mm=face.margin_mm,
                brain_guard_mm=face.brain_guard_mm,
                ear_guard_mm=face.ear_guard_mm,
                ears=face.ears,
            ),
            fill=_fill(face),
        )
        for face, model in face_models(faces, segmenter).items()
    }


def _fill(face: Face) -> Fill:
    if isinstance(face.fill, int):
        return Fill(method="constant", constant=face.fill)
    return Fill(method=face.fill, constant=None)
