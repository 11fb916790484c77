"""Build the datasets that leave: scrubbed headers, new pixels, the SEG of the mask."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from deid_node import __version__
from deid_node.dicom.derivation import with_new_pixels
from deid_node.dicom.segmentation import SegmentationIdentity, encode_segmentation
from deid_node.dicom.volume import replaced_words
from deid_node.headers.declaration import codes_of, declare
from deid_node.headers.scrub import scrub
from deid_node.pipeline.new_instance import for_new_pixels

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from pydicom import Dataset

    from deid_node.dicom.pixels import Words
    from deid_node.dicom.series import Series
    from deid_node.dicom.volume import Volume
    from deid_node.headers.scrub import Deed
    from deid_node.pipeline.recipe import Recipe

SHORT_DIGEST = 16
"""Characters of the recipe's digest that go into De-identification Method."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scrub:
    """One instance with its new header, and what made it.

    Parameters
    ----------
    dataset : Dataset
        The new header, declared; its pixels are still the old ones.
    deeds : tuple of Deed
        What was done to the header.
    codes : tuple of str
        Codes of CID 7050 that the deeds bear out.
    days : int
        Whole days that its dates were moved by; never to be shown.
    """

    dataset: Dataset
    deeds: tuple[Deed, ...]
    codes: tuple[str, ...]
    days: int = field(repr=False)


def scrub_instances(series: Series, recipe: Recipe) -> tuple[Scrub, ...]:
    """Give every instance of a series its new header.

    The face counts as removed: the caller has a mask that was judged plausible.
    """
    return tuple(_scrub_one(each, recipe) for each in series.instances)


def deface_instances(
    scrubs: Sequence[Scrub], words: Sequence[Words], after: Volume, mask: NDArray[np.bool_]
) -> tuple[Dataset, ...]:
    """Put the new pixels into the scrubbed instances.

    Parameters
    ----------
    scrubs : sequence of Scrub
        In stack order.
    words : sequence of (rows, columns) ndarray
        Pixel cells as they came.
    after : Volume
        New stored values.
    mask : (slices, rows, columns) ndarray of bool
        Where they count.
    """
    return tuple(
        with_new_pixels(each.dataset, replaced_words(cells, stored, here), stored)
        for each, cells, stored, here in zip(scrubs, words, after.stored, mask, strict=True)
    )


def segment(
    mask: NDArray[np.bool_],
    defaced: Sequence[Dataset],
    series: Series,
    scrubbed: Scrub,
    recipe: Recipe,
) -> Dataset:
    """Encode the mask as a SEG of the defaced instances, under keyed UIDs of its own."""
    source_uid = str(series.instances[0].SeriesInstanceUID)
    card = recipe.model.card
    identity = SegmentationIdentity(
        series_instance_uid=recipe.pseudonyms.uid(f"face mask series {source_uid}"),
        sop_instance_uid=recipe.pseudonyms.uid(f"face mask {source_uid}"),
        dimension_organization_uid=recipe.pseudonyms.uid(f"face mask dimensions {source_uid}"),
        algorithm_name=f"deid-node face model {card.name}",
        algorithm_version=card.version,
        weights_sha256=card.sha256,
        software_version=__version__,
    )
    segmentation = encode_segmentation(mask, defaced, identity)
    return _declared(segmentation, scrubbed.deeds, recipe)


def _scrub_one(instance: Dataset, recipe: Recipe) -> Scrub:
    """Scrub and declare one instance."""
    scrubbed = scrub(instance, for_new_pixels(recipe.profile), recipe.pseudonyms)
    return Scrub(
        dataset=_declared(scrubbed.dataset, scrubbed.deeds, recipe),
        deeds=scrubbed.deeds,
        codes=codes_of(scrubbed.deeds, face_removed=True),
        days=scrubbed.days,
    )


def _declared(dataset: Dataset, deeds: tuple[Deed, ...], recipe: Recipe) -> Dataset:
    """Say in a dataset what was done to it."""
    return declare(
        dataset,
        profile=recipe.profile,
        deeds=deeds,
        face_removed=True,
        node=f"deid-node {__version__}",
        recipe=recipe.digest[:SHORT_DIGEST],
    )
