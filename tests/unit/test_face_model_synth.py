"""The generator of synthetic MR: repeatable, plausible, and honest about what was cut off."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from face_model.contrasts import LEFT_OF, draw_intensities

if TYPE_CHECKING:
    import torch
else:
    torch = pytest.importorskip(
        "torch", reason="torch is not installed: `make test-torch` runs this"
    )

from face_model import degrade, shapes, synth
from face_model.targets import Frame

pytestmark = pytest.mark.torch

SHAPE = (24, 28, 32)
FRAME = Frame(origin=np.array([128.0, 200.0, 128.0]), axes=np.eye(3), scale=1.0)
TABLE = np.array([0, 3, 511])


@pytest.fixture(scope="module")
def drawn_map() -> synth.LabelMap:
    """Draw a ball of skin round a ball of brain, with a face in front."""
    axis = torch.arange(synth.EDGE, dtype=torch.float32) - 128.5
    radius = (axis[:, None, None] ** 2 + axis[:, None] ** 2 + axis**2).sqrt()
    codes = torch.zeros((synth.EDGE,) * 3, dtype=torch.uint8)
    codes[radius < 90] = 2 * synth.KINDS
    codes[radius < 75] = 1 * synth.KINDS + 3
    front = (axis[:, None] > 78) & (axis < 0)
    codes += (front[None] & (radius > 78)).to(torch.uint8)
    return synth.LabelMap(codes=codes, frame=FRAME)


def source(drawn_map: synth.LabelMap, seed: int) -> synth.Synth:
    return synth.Synth([drawn_map], TABLE, spacing_mm=8.0, seed=seed)


def test_the_same_seed_draws_the_same_samples(drawn_map: synth.LabelMap) -> None:
    first, second = source(drawn_map, 5), source(drawn_map, 5)

    for _ in range(4):
        (image, target), (again, target_again) = first(SHAPE), second(SHAPE)
        assert torch.equal(image, again)
        assert torch.equal(target, target_again)


def test_another_seed_draws_another_sample(drawn_map: synth.LabelMap) -> None:
    image, target = source(drawn_map, 5)(SHAPE)
    other, other_target = source(drawn_map, 6)(SHAPE)

    assert not torch.equal(image, other)
    assert not torch.equal(target, other_target)


def test_samples_are_standardised_and_hold_only_the_classes(drawn_map: synth.LabelMap) -> None:
    draw = source(drawn_map, 1)

    for _ in range(12):
        image, target = draw(SHAPE)
        assert image.shape == (1, *SHAPE)
        assert target.shape == SHAPE
        assert bool(image.isfinite().all())
        assert abs(float(image.mean())) < 1e-3
        assert set(target.unique().tolist()) <= {0, 1, 2, 3}


def test_an_undistorted_sample_finds_face_in_front_and_brain_behind(
    drawn_map: synth.LabelMap,
) -> None:
    draw = source(drawn_map, 3)
    fronts = []
    for _ in range(30):
        _, target = draw(SHAPE)
        where = [np.argwhere(target.numpy() == c)[:, 1] for c in (1, 3)]
        if min(len(w) for w in where) > 20:
            fronts.append(where[0].mean() > where[1].mean())

    assert len(fronts) > 10
    assert np.mean(fronts) > 0.9


def test_what_was_not_measured_is_zero_and_has_no_class() -> None:
    rng = np.random.default_rng(0)
    image, target = torch.ones(SHAPE), torch.ones(SHAPE, dtype=torch.uint8)
    keep = torch.zeros(SHAPE, dtype=torch.bool)
    keep[:, :, 10:] = True

    seen, found = degrade.cut(rng, image, target, keep)

    assert float(seen[~keep].abs().max()) == 0
    assert int(found[~keep].max()) == 0
    assert int(found[keep].min()) == 1


def test_fields_of_view_are_cut_from_every_side_sooner_or_later() -> None:
    rng = np.random.default_rng(0)
    target = torch.ones(SHAPE, dtype=torch.uint8)

    views = torch.stack([degrade.draw_field_of_view(rng, target, np.eye(3)) for _ in range(200)])

    corners = [views[:, 0, 14, 16], views[:, -1, 14, 16], views[:, 12, 0, 16], views[:, 12, -1, 16]]
    corners += [views[:, 12, 14, 0], views[:, 12, 14, -1]]
    assert all(0.02 < float((~corner).float().mean()) < 0.6 for corner in corners)


def test_offsets_of_look_ups_cancel_and_span_the_thickness_of_a_slice() -> None:
    rng = np.random.default_rng(0)
    slices = degrade.Slices(shape=SHAPE, blur_mm=(1.0, 1.0, 4.0), axis=2)

    offsets = slices.offsets(rng, 6)

    np.testing.assert_allclose(offsets.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(np.sort(offsets[:, 2]), np.array([-5, -3, -1, 1, 3, 5]) * 2 / 3)


def test_the_head_of_a_child_has_its_chin_where_the_adult_has_the_mouth() -> None:
    point = torch.tensor(FRAME.origin, dtype=torch.float32)[:, None, None, None].clone()
    point[2] -= 60
    half = shapes.Build(height=0.5, depth=1.0, jaw=1.0, bulge_mm=0.0)

    moved = shapes.child_warp(point, FRAME, half)

    assert moved.ravel().tolist() == pytest.approx([0, 0, -60], abs=1)


def test_air_is_dark_in_most_samples_and_both_sides_look_alike() -> None:
    rng = np.random.default_rng(0)

    air = [draw_intensities(rng, TABLE)[0, 0] for _ in range(300)]

    assert np.mean(np.array(air) <= 10) > 0.9
    assert not set(LEFT_OF) & set(LEFT_OF.values())
