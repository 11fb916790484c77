"""The scorer of the face model: a head drawn by hand, masks whose scores are known beforehand."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from face_model.head import Head, face_axes
from face_model.head_surface import Surface, find_surface
from face_model.score import Scores, score

if TYPE_CHECKING:
    from numpy.typing import NDArray

SHAPE = (100, 110, 100)  # 2 mm voxels: axial slices from below, rows to the back, columns to Left
CENTRE = np.array([0.0, 0.0, 0.0])
BRAIN_RADIUS, HEAD_RADIUS = 60.0, 80.0
LANDMARKS = {
    "eye_L": (31.5, -62.0, -10.0),
    "eye_R": (-31.5, -62.0, -10.0),
    "nose": (0.0, -72.0, -20.0),
    "mouth": (0.0, -60.0, -45.0),
    "ear_L": (78.0, 5.0, -25.0),
    "ear_R": (-78.0, 5.0, -25.0),
}


def places() -> NDArray[np.float64]:
    """Voxel centres in mm, LPS: (slices, rows, columns, 3)."""
    z, y, x = np.meshgrid(*(np.arange(n) * 2.0 for n in SHAPE), indexing="ij")
    return np.stack([x - 99, y - 119, z - 99], -1)


@pytest.fixture(scope="module")
def head() -> Head:
    """Draw a ball of tissue with a nose, ears and a brain; the air before it is 40 mm deep."""
    at = places()
    x, y, z = np.moveaxis(at, -1, 0)
    far = np.linalg.norm(at - CENTRE, axis=-1)
    tissue = far < HEAD_RADIUS
    tissue |= (np.abs(x) < 8) & (y > -92) & (y < -60) & (np.abs(z + 20) < 12)
    tissue |= (np.abs(np.abs(x) - 80) < 6) & (np.abs(y - 5) < 14) & (np.abs(z + 25) < 20)
    affine = np.eye(4)
    affine[:3, :3] = [[0, 0, 2], [0, 2, 0], [2, 0, 0]]
    affine[:3, 3] = [-99, -119, -99]
    return Head(
        name="ball",
        values=np.where(tissue, 100, 0).astype(np.float32),
        affine=affine,
        landmarks={k: np.array(v) for k, v in LANDMARKS.items()},
        scale=1.0,
        tissue=tissue,
        brain=far < BRAIN_RADIUS,
        csf=(far >= BRAIN_RADIUS) & (far < BRAIN_RADIUS + 5),
    )


@pytest.fixture(scope="module")
def surface(head: Head) -> Surface:
    return find_surface(head)


def scored(head: Head, removed: NDArray[np.bool_], surface: Surface | None = None) -> Scores:
    return score(head, removed, find_surface(head) if surface is None else surface)


def before(y: float) -> NDArray[np.bool_]:
    """All voxels before a frontal plane."""
    return np.asarray(places()[..., 1] < y)


def test_a_mask_of_nothing_covers_nothing_and_leaves_all_of_the_surface(
    head: Head, surface: Surface
) -> None:
    got = scored(head, np.zeros(SHAPE, bool), surface)

    assert set(got.coverage.values()) == {0.0}
    assert got.residue == 1.0
    assert (got.leak, got.tissue, got.brain_voxels, got.far_ml) == (0.0, 0.0, 0, 0.0)
    assert got.shown == 0.0


def test_a_mask_of_the_tissue_alone_covers_all_and_draws_the_skin(
    head: Head, surface: Surface
) -> None:
    got = scored(head, head.tissue, surface)

    assert set(got.coverage.values()) == {1.0}
    assert (got.composite, got.ears, got.residue, got.tissue) == (1.0, 1.0, 0.0, 1.0)
    assert got.leak > 0.95
    assert got.upright < 0.01
    assert got.shown == 1.0


def test_a_mask_of_the_air_alone_draws_the_skin_from_outside(head: Head, surface: Surface) -> None:
    got = scored(head, surface.outside, surface)

    assert set(got.coverage.values()) == {0.0}
    assert got.leak > 0.95
    assert got.shown == 1.0


def test_a_plane_through_the_air_draws_the_skin_only_where_it_meets_it(
    head: Head, surface: Surface
) -> None:
    got = scored(head, before(-50), surface)

    assert got.residue is not None
    assert got.residue < 0.02
    # within 2 mm of a ball of 80 mm: a ring from 62.4 to 65 mm; the plane is 200 mm square
    ring, plane = np.pi * (65.0**2 - 62.4**2), 200**2 - np.pi * 62.4**2
    assert got.leak == pytest.approx(ring / plane, rel=0.3)
    # four strips more, out to 10 mm: a ring from 65 to 74.8 mm
    assert got.upright == pytest.approx(np.pi * (74.8**2 - 65.0**2) / 4 / plane, rel=0.1)
    assert got.shown is not None
    assert got.shown < 0.1
    assert got.composite is not None
    assert got.composite > 0.9
    assert got.ears == 0.0


def test_half_a_ball_removed_is_half_covered(head: Head) -> None:
    """The plane y = -62 runs through the eyes' centres, far inside the tissue behind them."""
    centre = replace(head, landmarks=head.landmarks | {"mouth": np.array([0.0, 0.0, 0.0])})

    got = scored(centre, before(0.0))

    assert got.coverage["mouth"] == pytest.approx(0.5, abs=0.01)


def test_the_composite_is_the_mean_of_eyes_nose_and_mouth(head: Head, surface: Surface) -> None:
    near_nose = np.linalg.norm(places() - head.landmarks["nose"], axis=-1) < 12

    got = scored(head, near_nose, surface)

    eyes = (got.coverage["eye_L"] + got.coverage["eye_R"]) / 2
    assert got.coverage["nose"] == 1.0
    assert got.composite == pytest.approx((eyes + 1 + got.coverage["mouth"]) / 3)


def test_each_voxel_of_brain_or_csf_that_goes_is_counted(head: Head, surface: Surface) -> None:
    removed = np.zeros(SHAPE, bool)
    removed[49, 59, 48:51] = True  # in the brain's middle: 3 voxels of 8 mm3
    removed[49, 59, 80:85] = head.csf[49, 59, 80:85]  # type: ignore[index]

    got = scored(head, removed, surface)

    assert got.brain_voxels == 3
    assert got.brain_ml == pytest.approx(0.024)
    assert got.csf_voxels == 2


def test_tissue_far_behind_the_face_is_counted_as_far_and_the_ears_are_not(
    head: Head, surface: Surface
) -> None:
    back = places()[..., 1] > 60
    ears = (np.abs(places()[..., 0]) > 73) & (np.abs(places()[..., 2] + 25) < 22)
    ears &= np.abs(places()[..., 1] - 5) < 22

    behind, beside = scored(head, back, surface), scored(head, ears, surface)

    assert behind.far_ml == pytest.approx((back & head.tissue).sum() * 0.008, rel=0.01)
    assert beside.far_ml == 0.0
    assert beside.ears == 1.0


def test_a_face_shaved_by_one_voxel_is_still_there(head: Head, surface: Surface) -> None:
    """Of 2 mm: what is left follows the old surface at 2 mm; shaved by 8 mm it is gone."""
    far = np.linalg.norm(places() - CENTRE, axis=-1)
    nose = (far > HEAD_RADIUS) & head.tissue

    thin, thick = (scored(head, (far > HEAD_RADIUS - mm) & ~nose, surface) for mm in (1.5, 8.0))

    assert thin.residue is not None
    assert thick.residue is not None
    assert thin.residue > 0.95
    assert thick.residue < 0.4  # the nose was left


def test_a_head_scores_the_same_wherever_it_lies(head: Head) -> None:
    """A quarter turn about the vertical, and a shift: geometry, not voxel order, decides."""
    turn = np.array([[0.0, -1, 0, 30], [1, 0, 0, -20], [0, 0, 1, 11], [0, 0, 0, 1]])
    moved = replace(
        head,
        affine=turn @ head.affine,
        landmarks={k: turn[:3, :3] @ p + turn[:3, 3] for k, p in head.landmarks.items()},
    )

    here, there = scored(head, before(-50)), scored(moved, before(-50))

    assert there.coverage == pytest.approx(here.coverage, abs=0.01)
    assert there.leak == pytest.approx(here.leak, abs=0.005)
    assert there.residue == here.residue
    assert there.tissue == here.tissue


def test_thick_slices_do_not_hide_a_mask_that_hugs_the_skin(head: Head) -> None:
    """Of 6 mm: the voxel beyond the border is farther than 2 mm from the skin, yet touches it."""
    affine = head.affine.copy()
    affine[:3, 0] *= 3
    thick = replace(
        head,
        affine=affine,
        values=head.values[::3],
        tissue=head.tissue[::3],
        brain=None,
        csf=None,
    )

    got = scored(thick, thick.tissue)

    assert got.leak > 0.95
    assert got.brain_voxels is None


def test_the_axes_of_a_level_head_are_those_of_the_patient() -> None:
    level = {k: np.array(v) for k, v in LANDMARKS.items()}
    level |= {"ear_L": np.array([75.0, 30.0, -30.0]), "ear_R": np.array([-75.0, 30.0, -30.0])}

    axes = face_axes(level, 1.0)

    np.testing.assert_allclose(axes.axes, np.diag([-1.0, -1.0, 1.0]), atol=1e-9)
    np.testing.assert_allclose(axes.coordinates(level["eye_R"][None]), [[31.5, 0, 0]], atol=1e-9)
