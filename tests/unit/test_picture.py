"""The before/after picture shows what is there, from any orientation, and nothing else."""

from __future__ import annotations

import io
from dataclasses import replace
from functools import lru_cache
from itertools import pairwise

import numpy as np
import pytest
from drawn_head.head import Head, small_head
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.spatial.transform import Rotation

from deid_node.dicom.volume import Volume
from deid_node.pipeline.patient_grid import PatientGrid, shrunk
from deid_node.pipeline.picture import draw
from deid_node.pipeline.review import Evidence
from deid_node.pipeline.sheet import Cell, sheet
from deid_node.pipeline.surface import despeckled, shaded_view, skin_threshold

GREY_TOLERANCE = 2
"""Levels of 255 by which rounding may differ between two ways of storing one volume."""


@lru_cache(maxsize=1)
def head() -> Head:
    return small_head(orientation="oblique", seed=3)


def volume_of(signal: np.ndarray, affine: np.ndarray) -> Volume:
    n_slices = len(signal)
    return Volume(
        stored=np.round(signal).astype(np.uint16),
        slope=np.ones(n_slices),
        intercept=np.zeros(n_slices),
        affine=affine,
    )


def face_of(drawn: Head) -> np.ndarray:
    """Mask what lies in front of the ears and below the brow."""
    index = np.indices(drawn.values.shape).reshape(3, -1)
    x, y, z = drawn.affine[:3, :3] @ index + drawn.affine[:3, 3:]
    face: np.ndarray = (np.abs(x) < 60) & (y < -45) & (z < -20)
    return face.reshape(drawn.values.shape)


def evidence_of(drawn: Head, mask: np.ndarray | None = None) -> Evidence:
    mask = face_of(drawn) if mask is None else mask
    noise = np.random.default_rng(5).rayleigh(11, drawn.values.shape)
    return Evidence(
        before=volume_of(drawn.values, drawn.affine),
        after=volume_of(np.where(mask, noise, drawn.values), drawn.affine),
        mask=mask,
    )


def pixels(png: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(int)


def rows(png: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Cut the sheet into its row before and its row after, without names and caption."""
    page = pixels(png)[34:-44]
    half = (len(page) - 8) // 2
    return page[:half], page[half + 8 : 2 * half + 8]


def orange(page: np.ndarray) -> int:
    """Count pixels that are far more red than blue, as no skin is."""
    return int(((page[..., 0] - page[..., 2]) > 60).sum())


def reordered(volume: Volume, axes: tuple[int, ...], flips: tuple[bool, ...]) -> Volume:
    """Store the same voxels in another order, with the affine that says so."""
    stored = volume.stored.transpose(axes)
    affine = volume.affine[:, [*axes, 3]].copy()
    for axis, flip in enumerate(flips):
        if flip:
            stored = np.flip(stored, axis)
            affine[:3, 3] += affine[:3, axis] * (stored.shape[axis] - 1)
            affine[:3, axis] *= -1
    n_slices = len(stored)
    return replace(
        volume,
        stored=stored,
        affine=affine,
        slope=np.ones(n_slices),
        intercept=np.zeros(n_slices),
    )


@pytest.mark.parametrize("axes", [(0, 1, 2), (1, 2, 0), (2, 1, 0)])
@pytest.mark.parametrize("flips", [(False, False, True), (True, True, False)])
def test_the_order_of_the_voxels_does_not_change_the_picture(
    axes: tuple[int, ...], flips: tuple[bool, ...]
) -> None:
    straight = evidence_of(head())
    mask = replace(straight.before, stored=straight.mask.astype(np.uint8))
    turned = Evidence(
        before=reordered(straight.before, axes, flips),
        after=reordered(straight.after, axes, flips),
        mask=reordered(mask, axes, flips).stored > 0,
    )

    expected, found = pixels(draw(straight))[:-44], pixels(draw(turned))[:-44]

    assert expected.shape == found.shape
    differ = np.abs(expected - found).max(axis=-1) > GREY_TOLERANCE
    assert differ.mean() < 0.001


def test_equal_evidence_gives_equal_bytes() -> None:
    assert draw(evidence_of(head())) == draw(evidence_of(head()))


def test_without_a_mask_both_rows_are_the_same() -> None:
    nothing = np.zeros(head().values.shape, bool)

    before, after = rows(draw(evidence_of(head(), nothing)))

    same_but_for_names = np.abs(before - after)[26:].max()
    assert same_but_for_names == 0
    assert orange(before) == 0


def test_the_mask_is_marked_before_and_not_after() -> None:
    before, after = rows(draw(evidence_of(head())))

    assert orange(before) > 1000
    assert orange(after) == 0


def test_the_picture_holds_pixels_and_no_other_chunk() -> None:
    png = draw(evidence_of(head()))

    kinds = []
    at = 8
    while at < len(png):
        kinds.append(png[at + 4 : at + 8])
        at += 12 + int.from_bytes(png[at : at + 4], "big")

    assert set(kinds) == {b"IHDR", b"IDAT", b"IEND"}


def test_a_volume_of_nothing_still_has_a_picture() -> None:
    dark = volume_of(np.zeros((12, 20, 16)), np.diag([4.0, 2.0, 2.0, 1.0]))
    mask = np.zeros((12, 20, 16), bool)

    page = pixels(draw(Evidence(before=dark, after=dark, mask=mask)))

    assert page.shape[1] > 6 * 16


def ball(centre: tuple[float, float, float], radius: float) -> np.ndarray:
    """Fill a (z, y, x) grid of 60 points a side with a ball of 100 in 0."""
    away = [(axis - c) ** 2 for axis, c in zip(np.indices((60, 60, 60)), centre, strict=True)]
    inside: np.ndarray = np.sqrt(np.sum(away, axis=0)) < radius
    return inside.astype(np.float32) * np.float32(100)


def where_lit(view: np.ndarray) -> tuple[float, float]:
    row, column = np.nonzero(view > 0)
    return float(row.mean()) / view.shape[0], float(column.mean()) / view.shape[1]


@pytest.mark.parametrize(
    ("yaw_degrees", "centre", "expected"),
    [
        (0.0, (30, 30, 45), (0.5, 0.76)),
        (0.0, (45, 30, 30), (0.24, 0.5)),
        (90.0, (30, 15, 30), (0.5, 0.26)),
        (-90.0, (30, 15, 30), (0.5, 0.74)),
        (90.0, (15, 30, 45), (0.74, 0.5)),
    ],
    ids=["left is right of it", "up is up", "front is left", "front is right", "down is down"],
)
def test_a_viewer_sees_each_side_where_it_should_be(
    yaw_degrees: float, centre: tuple[float, float, float], expected: tuple[float, float]
) -> None:
    view = shaded_view(ball(centre, 6), 50, yaw_degrees=yaw_degrees)

    assert where_lit(view) == pytest.approx(expected, abs=0.02)


def test_the_nearer_of_two_surfaces_hides_the_farther() -> None:
    near, far = ball((30, 15, 30), 12), ball((30, 45, 30), 6)

    both = shaded_view(near + far, 50, yaw_degrees=0)

    np.testing.assert_array_equal(both, shaded_view(near, 50, yaw_degrees=0))


def test_a_quarter_turn_is_exact() -> None:
    blob = (ball((30, 22, 41), 14) + ball((18, 40, 30), 9))[:, :50, 3:]
    from_left_in_front = blob.transpose(0, 2, 1)[:, ::-1]

    view = shaded_view(blob, 50, yaw_degrees=90)

    expected = shaded_view(np.ascontiguousarray(from_left_in_front), 50, yaw_degrees=0)
    np.testing.assert_allclose(view, expected, atol=1e-4)


def test_half_a_turn_shows_a_sphere_alike_from_everywhere() -> None:
    sphere = ball((29.5, 29.5, 29.5), 20)

    views = [shaded_view(sphere, 50, yaw_degrees=yaw) for yaw in (0, 45, 90, 137)]

    areas = [int((view > 0).sum()) for view in views]
    assert max(areas) / min(areas) < 1.03


def test_a_piece_that_floats_free_is_drawn() -> None:
    remnant = ball((30, 30, 30), 15) + ball((30, 5, 30), 4)

    left = despeckled(remnant, 50, step_mm=1.6)

    assert (left[:, :10] > 50).any()


def test_a_speck_of_noise_is_not_drawn() -> None:
    noisy = ball((30, 30, 30), 15)
    noisy[5, 5, 5] = noisy[50, 4, 7] = 90

    left = despeckled(noisy, 50, step_mm=1.6)

    np.testing.assert_array_equal(left, ball((30, 30, 30), 15))


@pytest.mark.parametrize("contrast", ["T1", "T2", "FLAIR"])
def test_noise_that_fills_a_face_is_not_drawn_as_fog(contrast: str) -> None:
    drawn = small_head(contrast=contrast, orientation="coronal")  # type: ignore[arg-type]
    evidence = evidence_of(drawn)
    grid = PatientGrid.around(drawn.values.shape, drawn.affine, 1.6)
    threshold = skin_threshold(grid.sampled(evidence.before.values(), drawn.affine))

    after = grid.sampled(evidence.after.values(), drawn.affine)
    solid = despeckled(after, threshold, step_mm=1.6) > threshold

    mask = grid.sampled(evidence.mask.astype(np.float32), drawn.affine)
    assert not solid[mask == 1].any()
    head_share = (solid & (mask == 0)).mean() / (drawn.labels > 0).mean()
    assert head_share > 0.6


@given(
    turn=st.integers(0, 2**32 - 1),
    spacing=st.tuples(*[st.floats(0.5, 4.0)] * 3),
    step_mm=st.floats(0.8, 3.0),
)
def test_a_volume_of_any_obliquity_is_read_where_it_lies(
    turn: int, spacing: tuple[float, float, float], step_mm: float
) -> None:
    affine = np.eye(4)
    rotation = Rotation.random(rng=np.random.default_rng(turn)).as_matrix()
    affine[:3, :3] = rotation * np.array(spacing)
    affine[:3, 3] = (-31.0, 17.0, 5.0)
    index = np.indices((14, 15, 16)).reshape(3, -1)
    slope = np.array([1.0, 10.0, 100.0])
    field = (slope @ (affine[:3, :3] @ index + affine[:3, 3:]) + 1e4).reshape(14, 15, 16)

    blocks, placed = shrunk(field.astype(np.float32), affine, step_mm)
    grid = PatientGrid.around(field.shape, affine, step_mm)
    read = grid.sampled(blocks, placed)

    # A linear field survives averaging and interpolation wherever all neighbours exist.
    z, y, x = np.indices(grid.shape) * step_mm
    lps = np.stack([x, y, z]).reshape(3, -1) + grid.origin[:, None]
    expected = (slope @ lps + 1e4).reshape(grid.shape)
    at = np.linalg.inv(placed)[:3] @ np.vstack([lps, np.ones(lps.shape[1])])
    limit = np.array(blocks.shape)[:, None] - 1.01
    inner = ((at > 0.01) & (at < limit)).all(axis=0).reshape(grid.shape)
    np.testing.assert_allclose(read[inner], expected[inner], rtol=1e-3)
    assert inner.any()


def test_a_plane_and_a_cropped_grid_lie_where_they_were_cut() -> None:
    affine = np.eye(4)
    grid = PatientGrid.around((20, 30, 40), affine, 1.0)
    field = np.broadcast_to(np.arange(20.0)[:, None, None], (20, 30, 40)).astype(np.float32)

    cropped = grid.cropped((slice(3, 9), slice(0, 5), slice(4, 12)))
    plane = cropped.plane(2, 2, 0.5)

    # The affine makes index 0 the x axis: x runs from 4 in the crop, and 2 on from there.
    assert plane.sampled(field, affine).shape == (11, 9, 1)
    np.testing.assert_allclose(plane.sampled(field, affine), 6.0)


def test_lengths_in_the_picture_are_lengths_in_the_patient() -> None:
    block = np.zeros((30, 120, 60))
    block[5:25, 20:100, 10:50] = 500
    volume = volume_of(block, np.diag([2.0, 1.0, 4.0, 1.0]))
    nothing = np.zeros(block.shape, bool)

    before, _ = rows(draw(Evidence(before=volume, after=volume, mask=nothing)))

    # 40 mm to the left, 80 mm back, 160 mm up; a pixel is 0.8 mm; the front view comes first.
    front = before[:, 16:91, 0] > 30
    below_name, middle = front[60:90], front[:, 30:40]
    assert np.ptp(np.nonzero(below_name.any(axis=0))[0]) == pytest.approx(40 / 0.8, abs=4)
    assert np.ptp(np.nonzero(middle.any(axis=1))[0]) == pytest.approx(160 / 0.8, abs=10)


def test_the_sheet_keeps_every_cell_whole_and_apart() -> None:
    def cell(level: int, size: tuple[int, int]) -> Cell:
        return Cell(title="", pixels=np.full((*size, 3), level, np.uint8))

    page = pixels(
        sheet(
            (
                ("", [cell(100, (40, 60)), cell(150, (20, 50))]),
                ("", [cell(200, (10, 60)), cell(250, (25, 50))]),
            ),
            "",
        )
    )

    areas = {level: int((page == level).all(axis=-1).sum()) for level in (100, 150, 200, 250)}
    assert areas == {100: 2400, 150: 1000, 200: 600, 250: 1250}
    tops = [int(np.nonzero((page == level).all(axis=-1))[0].min()) for level in (100, 200)]
    assert all(b > a for a, b in pairwise(tops))
