"""The training target: a head's frame, and the regions that are drawn in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from face_model import targets
from scipy import ndimage

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

LEFT_GLOBE, RIGHT_GLOBE, CHIASM = (20.0, 70.0, 40.0), (83.0, 70.0, 40.0), (51.5, 25.0, 40.0)


def ball(shape: tuple[int, ...], centre: tuple[float, ...], radius: float) -> NDArray[np.bool_]:
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)
    return np.asarray(((index - centre) ** 2).sum(-1) < radius**2)


def level_head() -> NDArray[np.int16]:
    labels = np.zeros((104, 90, 80), np.int16)
    for globe in (LEFT_GLOBE, RIGHT_GLOBE):
        labels[ball(labels.shape, globe, 11)] = targets.GLOBE
    labels[ball(labels.shape, CHIASM, 3)] = targets.CHIASM
    return labels


def face_at(x: float, y: float, z: float, chin: float = -115.0) -> bool:
    x_, y_, z_ = (np.array([v]) for v in (x, y, z))
    return bool(targets.face_region(x_, y_, z_, chin)[0])


def test_the_frame_lies_midway_between_the_globes_and_looks_forward() -> None:
    labels = level_head()

    frame = targets.find_frame(labels)

    np.testing.assert_allclose(frame.origin, [51.5, 70, 40], atol=0.1)
    np.testing.assert_allclose(frame.axes @ frame.axes.T, np.eye(3), atol=1e-9)
    np.testing.assert_allclose(frame.axes[0], [1, 0, 0], atol=1e-3)
    assert frame.axes[1, 1] > 0.97
    assert frame.scale == pytest.approx(1.0, abs=0.01)


def test_coordinates_of_a_globe_are_half_the_distance_of_the_globes() -> None:
    labels = level_head()

    where = targets.find_frame(labels).coordinates(labels.shape)

    right = [where[axis][labels == targets.GLOBE][-1] for axis in range(3)]
    assert where.shape == (3, *labels.shape)
    assert right[0] == pytest.approx(targets.GLOBE_DISTANCE_MM / 2, abs=12)
    assert where[0][83, 70, 40] == pytest.approx(31.5, abs=0.3)


def test_levelling_puts_the_ears_at_the_height_they_have_in_a_level_head() -> None:
    frame = targets.find_frame(level_head())
    low, high = np.array([66.0, -100.0, -45.0]), np.array([80.0, -70.0, -15.0])
    ears = [targets.Pinna(low=low, high=high, voxels=1000)] * 2

    turned = targets.level(frame, ears)

    ear = (low + high) / 2 @ frame.axes
    assert (turned.axes @ ear)[2] == pytest.approx(targets.PINNA_HEIGHT, abs=0.1)


def test_a_head_without_visible_ears_keeps_its_pitch() -> None:
    frame = targets.find_frame(level_head())
    missed = targets.Pinna(low=np.zeros(3), high=np.ones(3), voxels=3)

    assert targets.level(frame, [missed, missed]) is frame


def test_the_face_holds_eyes_nose_mouth_chin_and_the_air_before_them() -> None:
    eyes = [(31.5, 0, 0), (-31.5, 10, 0), (31.5, -14, 0)]
    midline = [(0, 35, -35), (0, 30, -70), (0, 25, -105), (0, 60, -40)]

    assert all(face_at(*point) for point in (*eyes, *midline))


def test_the_face_leaves_temple_forehead_and_throat() -> None:
    others = [(0, 0, 45), (0, -40, 0), (0, -30, -60), (85, 0, -20), (0, 20, -132), (0, 75, -40)]

    assert not any(face_at(*point) for point in others)


def test_an_ear_plate_lies_on_its_own_side_only() -> None:
    pinna = targets.Pinna(low=np.array([66, -105, -40]), high=np.array([82, -70, 5]), voxels=999)
    where = np.array([[75, -75, 60], [-88, -88, -88], [-18, -18, -18]])[:, :, None, None]

    plate = targets.ear_region(where, pinna, 1)

    assert plate.ravel().tolist() == [True, False, False]


def test_a_pinna_is_what_stands_off_the_head() -> None:
    grid = np.stack(np.meshgrid(*(np.arange(-60, 60) * 2.0,) * 3, indexing="ij"))
    skull = (grid[0] / 68) ** 2 + (grid[1] / 95) ** 2 + (grid[2] / 95) ** 2 < 1
    where = grid + np.array([0, -88.0, -18.0])[:, None, None, None]
    plate = (np.abs(grid[0] - 72) < 9) & (np.abs(grid[1]) < 16) & (np.abs(grid[2]) < 24)

    found = targets.find_pinna(skull | plate, where, 1.0, 1)
    absent = targets.find_pinna(skull | plate, where, 1.0, -1)

    assert found.found
    assert not absent.found
    assert found.high[0] == pytest.approx(80, abs=3)


def test_inside_the_skull_is_brain_with_the_fluid_on_it_but_not_far_from_it() -> None:
    labels = np.zeros((70, 70, 70), np.int16)
    labels[5:65, 30:40, 30:40] = targets.CSF  # a canal that leads away
    labels[ball(labels.shape, (35, 35, 35), 18)] = targets.CSF
    labels[ball(labels.shape, (35, 35, 35), 13)] = 3

    inside = targets.inside_skull(labels)

    assert inside[35, 35, 35 + 17]
    assert inside[35, 35 + 17, 35]
    assert not inside[6, 35, 35]


@pytest.mark.slow
@pytest.mark.heads
def test_a_real_label_map_gets_face_and_ears_off_the_brain(shared_data: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    path = shared_data / "labels" / "synthseg_20_wholehead" / "training_seg_08.nii.gz"
    labels = np.asarray(nibabel.as_closest_canonical(nibabel.load(path)).dataobj).astype(np.int16)

    target, _, pinnae = targets.draw(labels)

    brain = np.isin(labels, targets.BRAIN)
    near = ndimage.distance_transform_edt(~brain) <= targets.GUARD_MM
    face = np.isin(target, (targets.FACE, targets.EYES, targets.NOSE, targets.MOUTH))
    assert not (face | (target == targets.EARS))[near].any()
    assert (target[labels == targets.GLOBE] == targets.EYES).mean() > 0.97
    assert all(pinna.found for pinna in pinnae)
    sizes = [face, target == targets.EARS, target == targets.BRAIN_CLASS]
    assert [where.sum() / 1000 for where in sizes] == pytest.approx([1150, 190, 1600], rel=0.25)
