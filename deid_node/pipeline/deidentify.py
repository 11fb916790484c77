"""The single path that the node and the command line take."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from deid_node.dicom.part10 import encode
from deid_node.dicom.pixels import pixel_words
from deid_node.dicom.volume import stack
from deid_node.errors import ImplausibleFaceMask
from deid_node.face.fill import fill
from deid_node.face.joint import face_mask
from deid_node.face.plausibility import judge
from deid_node.headers.level_scrub import kept_keywords
from deid_node.pipeline.closing import refuse_changed_voxels, refuse_residue
from deid_node.pipeline.linkage import Linkage, linkage_of
from deid_node.pipeline.output import (
    deface_instances,
    scrub_instances,
    segment,
)
from deid_node.pipeline.record import Record, count_deeds
from deid_node.pipeline.review import Evidence
from deid_node.pipeline.screening import screen

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from deid_node.dicom.part10 import EncodedInstance
    from deid_node.dicom.series import Series
    from deid_node.dicom.volume import Volume
    from deid_node.pipeline.output import Scrub
    from deid_node.pipeline.recipe import Recipe
    from deid_node.pipeline.review import Review

STAGES: Final = ("stack", "estimate", "mask", "fill", "headers", "segmentation", "residue")
"""Names that an observer hears, in this order."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeidentifiedSeries:
    """What may leave the node, and the evidence that stays.

    Parameters
    ----------
    instances : tuple of EncodedInstance
        The defaced instances, in stack order.
    segmentation : EncodedInstance
        The SEG of the mask.
    record : Record
        What was done; holds no identifier.
    evidence : Evidence
        Before, after and mask; stays on the trusted side.
    linkages : tuple of Linkage
        Old and new identifiers of each instance; never to be shown.
    """

    instances: tuple[EncodedInstance, ...]
    segmentation: EncodedInstance
    record: Record
    evidence: Evidence
    linkages: tuple[Linkage, ...] = ()


def deidentify(
    series: Series,
    recipe: Recipe,
    *,
    observe: Callable[[str], None] | None = None,
    review: Review | None = None,
) -> DeidentifiedSeries:
    """Take the person out of one series.

    Parameters
    ----------
    series : Series
        Instances that form one volume, in stack order; not changed.
    recipe : Recipe
        Equal series and equal recipe give equal bytes.
    observe : callable, optional
        Called with a name of `STAGES` when that stage begins.
    review : Review, optional
        What a person says about a mask that is found implausible; without it nobody does.

    Returns
    -------
    DeidentifiedSeries
        What may leave the node.

    Raises
    ------
    SOPClassNotAccepted
        If the profile is not for instances of this SOP Class.
    SeriesHeld
        If anything is doubtful: pixels, geometry, the mask, or an identifier that is left.
    """
    begin = observe or (lambda _stage: None)

    begin("stack")
    screen(series, recipe.profile)
    words = [pixel_words(each) for each in series.instances]
    before = stack(series, words)

    seed = recipe.pseudonyms.seed("fill", str(series.instances[0].SeriesInstanceUID))
    mask, doubt = _face_mask(before, recipe, begin)
    if doubt is not None and review is None:
        raise doubt

    begin("fill")
    after = _filled(before, mask, recipe, seed, doubt)
    evidence = Evidence(before=before, after=after, mask=mask)
    if doubt is not None and review is not None:
        review.refuse_unless_accepted(doubt, evidence)

    begin("headers")
    scrubs = scrub_instances(series, recipe)
    defaced = deface_instances(scrubs, words, after, mask)
    refuse_changed_voxels(defaced, words, mask)
    instances = tuple(encode(each) for each in defaced)

    begin("segmentation")
    segmentation = encode(segment(mask, defaced, series, scrubs[0], recipe))

    begin("residue")
    kept = kept_keywords(deed for each in scrubs for deed in each.deeds)
    refuse_residue(series, (*instances, segmentation), kept=kept)
    return DeidentifiedSeries(
        instances=instances,
        segmentation=segmentation,
        record=_record(recipe, after, mask, scrubs),
        evidence=evidence,
        linkages=tuple(
            linkage_of(source, each.dataset, days=each.days)
            for source, each in zip(series.instances, scrubs, strict=True)
        ),
    )


def _face_mask(
    volume: Volume, recipe: Recipe, begin: Callable[[str], None]
) -> tuple[NDArray[np.bool_], ImplausibleFaceMask | None]:
    """Find the voxels to remove and what speaks against them; let go of what the model saw."""
    begin("estimate")
    estimate = recipe.model.estimate(volume)

    begin("mask")
    mask = face_mask(estimate, volume, recipe.mask)
    try:
        judge(mask, estimate, volume, ears=recipe.mask.ears)
    except ImplausibleFaceMask as doubt:
        return mask, doubt.with_traceback(None)
    return mask, None


def _filled(
    volume: Volume,
    mask: NDArray[np.bool_],
    recipe: Recipe,
    seed: int,
    doubt: ImplausibleFaceMask | None,
) -> Volume:
    """Fill the mask; where that fails on a doubtful one, the doubt is the reason to hold."""
    try:
        return replace(volume, stored=fill(volume, mask, recipe.fill, seed=seed))
    except Exception:
        if doubt is not None:
            raise doubt from None
        raise


def _record(
    recipe: Recipe, volume: Volume, mask: NDArray[np.bool_], scrubs: tuple[Scrub, ...]
) -> Record:
    """Account for what was done."""
    n_voxels = int(np.count_nonzero(mask))
    voxel_ml = abs(float(np.linalg.det(volume.affine[:3, :3]))) / 1000
    card = recipe.model.card
    return Record(
        recipe=recipe.digest,
        profile=f"{recipe.profile.name} {recipe.profile.version}",
        model=f"{card.name} {card.version} {card.sha256}",
        series_instance_uid=str(scrubs[0].dataset.SeriesInstanceUID),
        n_instances=len(scrubs),
        n_voxels_removed=n_voxels,
        removed_ml=round(n_voxels * voxel_ml, 3),
        method_codes=scrubs[0].codes,
        deeds=count_deeds(each.deeds for each in scrubs),
    )
