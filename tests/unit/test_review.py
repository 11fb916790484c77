"""A person may accept a doubtful mask that was seen, and no other."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawn_head.head import small_head
from drawn_head.series import dicom_series

from deid_node.dicom.series import Series
from deid_node.errors import ImplausibleFaceMask
from deid_node.pipeline.deidentify import deidentify
from deid_node.pipeline.review import Evidence, Review
from tests.fakes.face import UnsureModel
from tests.fakes.recipe import recipe_of

if TYPE_CHECKING:
    from deid_node.pipeline.deidentify import DeidentifiedSeries


@lru_cache
def series() -> Series:
    return Series(instances=tuple(dicom_series(small_head())))


def judged(
    *, accepted: str | None, model: UnsureModel | None = None
) -> tuple[DeidentifiedSeries | None, list[Evidence]]:
    """De-identify; give the result, if there is one, and what was shown."""
    shown: list[Evidence] = []
    recipe = recipe_of(model=model or UnsureModel())
    try:
        result = deidentify(series(), recipe, review=Review(accepted=accepted, show=shown.append))
    except ImplausibleFaceMask:
        return None, shown
    return result, shown


def test_doubtful_mask_is_shown_and_held_until_exactly_that_is_accepted() -> None:
    held, [shown] = judged(accepted=None)
    other, again = judged(accepted="0" * 64)
    result, none = judged(accepted=shown.digest())

    assert held is None
    assert other is None
    assert [each.digest() for each in again] == [shown.digest()]
    assert none == []
    assert result is not None
    assert np.array_equal(result.evidence.mask, shown.mask)
    assert shown.mask.any()


def test_without_a_person_a_doubt_is_a_doubt() -> None:
    with pytest.raises(ImplausibleFaceMask):
        deidentify(series(), recipe_of(model=UnsureModel()))


def test_mask_that_removes_nothing_is_shown_but_cannot_be_accepted() -> None:
    blind = UnsureModel(highest=0.0)
    _, [shown] = judged(accepted=None, model=blind)

    result, again = judged(accepted=shown.digest(), model=blind)

    assert not shown.mask.any()
    assert result is None
    assert len(again) == 1


def test_digest_changes_with_everything_that_was_seen() -> None:
    _, [shown] = judged(accepted=None)
    volume = shown.before
    changed = volume.stored.copy()
    changed[0, 0, 0] += 1
    mask = shown.mask.copy()
    mask[0, 0, 0] ^= True
    affine = volume.affine + np.eye(4)

    others = [
        replace(shown, before=replace(volume, stored=changed)),
        replace(shown, after=replace(volume, stored=changed)),
        replace(shown, mask=mask),
        replace(shown, before=replace(volume, affine=affine)),
    ]

    assert len({each.digest() for each in (shown, *others)}) == 5
