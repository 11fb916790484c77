"""A whole recipe whose model sees a head in any volume."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deid_node.config.profile_file import load_profile
from deid_node.face.fill import Fill
from deid_node.face.mask import MaskPolicy
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.pipeline.recipe import Recipe
from tests.fakes.face import FakeFaceModel

if TYPE_CHECKING:
    from deid_node.face.model import FaceModel


def recipe_of(
    key: bytes = bytes(range(32)),
    *,
    profile: str = "research-mr",
    fill: Fill | None = None,
    model: FaceModel | None = None,
) -> Recipe:
    """Give the recipe of a site with this key."""
    return Recipe(
        profile=load_profile(profile),
        pseudonyms=Pseudonyms(key),
        model=model or FakeFaceModel(),
        mask=MaskPolicy(),
        fill=fill or Fill(),
    )
