"""A head is looked at until it lies level and of one size; a network that wanders is found out.

The network of these tests knows a part by its brightness, and the head is drawn so.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from deid_node.face.grid import RAS_SIGN
from deid_node.face.head_frame import PLACES, HeadFrame, apart
from deid_node.face.looks import MOST_LOOKS, View, look
from tests.fakes.head import volume_of
from tests.unit.test_head_frame import turn

if TYPE_CHECKING:
    from deid_node.dicom.volume import Volume

CLASSES = ("background", "face", "ears", "brain", "eyes", "nose", "mouth")
BRIGHT = {"brain": 300, "mouth": 600, "nose": 900, "ears": 1200, "eyes": 1500, "face": 1800}
RADII = {"brain": 45.0, "mouth": 13.0, "nose": 12.0, "ear": 15.0, "eye": 12.0}
NEAR = 40
VIEW = View(
    window=52, spacing_mm=7.0, level_mm=4.0, level_centre=(0.0, -40.0, -10.0), classes=CLASSES
)
SHAPE, EDGE_MM = (88, 88, 88), 3.0
NECK = (0.0, -40.0, -150.0)


def drawn(frame: HeadFrame, *, neck: bool = False) -> Volume:
    """Draw each part as a ball, of a brightness of its own; axes to the right, front and top."""
    affine = np.diag([*(RAS_SIGN * EDGE_MM), 1.0])
    affine[:3, 3] = -affine[:3, :3] @ (np.array(SHAPE) - 1) / 2
    index = np.moveaxis(np.indices(SHAPE), 0, -1)
    at = frame.to_head((index @ affine[:3, :3].T + affine[:3, 3]) * RAS_SIGN)
    stored = np.zeros(SHAPE, np.int16)
    for name, place in PLACES.items():
        part = name.split()[-1]
        key = part if part in BRIGHT else f"{part}s"
        stored[((at - place) ** 2).sum(-1) < RADII[part] ** 2] = BRIGHT[key]
    if neck:
        stored[((at - NECK) ** 2).sum(-1) < 20**2] = BRIGHT["face"]
    return volume_of(stored, affine)


def by_brightness(values: np.ndarray) -> np.ndarray:
    """Call each voxel what its brightness says."""
    out = np.zeros((len(CLASSES), *values.shape), np.float32)
    for name, bright in BRIGHT.items():
        out[CLASSES.index(name)][np.abs(values - bright) < NEAR] = 1
    out[0] = 1 - out.sum(axis=0)
    return out


def again(values: np.ndarray, once: np.ndarray) -> np.ndarray:
    assert once.shape == (len(CLASSES), *values.shape)
    return by_brightness(values)


def lying(nod: float, tilt: float, yaw: float, scale: float) -> HeadFrame:
    axes = turn(nod, tilt, yaw).T
    middle = np.array([0.0, -40.0, -10.0])
    return HeadFrame(origin=-(middle @ axes) * scale + [4, -6, 3], axes=axes, scale=scale)


POSES = [(0, 0, 0, 1.0), (35, 0, 0, 0.8), (-40, 0, 0, 0.6), (0, 30, 0, 1.1), (25, -15, 30, 0.9)]


@pytest.mark.parametrize("pose", POSES)
def test_a_head_ends_level_however_it_lies_and_however_large_it_is(
    pose: tuple[float, float, float, float],
) -> None:
    true = lying(*pose)
    levels = []

    def careful(values: np.ndarray, once: np.ndarray) -> np.ndarray:
        levels.append(values)
        return again(values, once)

    seen = look(by_brightness, careful, drawn(true), VIEW)

    assert seen.settled
    assert seen.frame is not None
    degrees, mm, share = apart(true, seen.frame)
    assert degrees < 2
    assert mm < 2
    assert abs(share) < 0.02
    (level,) = levels
    corner = np.array(VIEW.level_centre) - (VIEW.window - 1) / 2 * VIEW.level_mm
    for name in ("nose", "right ear", "left eye"):
        i, j, k = np.rint((np.array(PLACES[name]) - corner) / VIEW.level_mm).astype(int)
        key = name if name == "nose" else f"{name.split()[-1]}s"
        assert level[i, j, k] == pytest.approx(BRIGHT[key], rel=0.05)


@pytest.mark.parametrize("pose", POSES[1:3])
def test_what_is_seen_level_is_carried_to_where_it_lies(
    pose: tuple[float, float, float, float],
) -> None:
    true = lying(*pose)

    seen = look(by_brightness, again, drawn(true), VIEW)

    regions = {"brain": (seen.brain, ["brain"]), "ears": (seen.ears, ["right ear", "left ear"])}
    regions["face"] = (seen.face, ["right eye", "left eye", "nose", "mouth"])
    for region, names in regions.values():
        for name in names:
            lps = true.to_patient(np.array(PLACES[name])) * RAS_SIGN
            at = np.linalg.inv(seen.grid.affine) @ [*lps, 1]
            assert region[tuple(np.rint(at[:3]).astype(int))] > 0.5
    at = np.argwhere(seen.brain > 0.5).mean(axis=0)
    middle = (seen.grid.affine @ [*at, 1])[:3] * RAS_SIGN
    np.testing.assert_allclose(middle, true.to_patient(np.array(PLACES["brain"])), atol=3)
    assert seen.grid.spacing_mm == pytest.approx(VIEW.level_mm * true.scale, rel=0.03)
    voxel_ml = seen.grid.spacing_mm**3 / 1000
    ball_ml = 4 / 3 * np.pi * (45 * true.scale) ** 3 / 1000
    # its blurred rim is of another brightness and lost
    assert 0.75 < (seen.brain > 0.5).sum() * voxel_ml / ball_ml < 1.05


def test_parts_come_from_the_careful_look_in_patient_coordinates() -> None:
    true = lying(*POSES[1])

    seen = look(by_brightness, again, drawn(true), VIEW)

    assert set(seen.parts) == set(PLACES)
    for name, at in seen.parts.items():
        np.testing.assert_allclose(at, true.to_patient(np.array(PLACES[name])), atol=2)


def test_what_only_the_first_look_reaches_is_kept() -> None:
    true = lying(0, 0, 0, 0.7)

    seen = look(by_brightness, again, drawn(true, neck=True), VIEW)

    at = np.linalg.inv(seen.grid.affine) @ [*(true.to_patient(np.array(NECK)) * RAS_SIGN), 1]
    assert seen.face[tuple(np.rint(at[:3]).astype(int))] > 0.5


def test_where_nothing_is_found_the_first_look_stands() -> None:
    blank = volume_of(np.full((40, 40, 40), 100, np.int16), np.diag([-5.0, -5.0, 5.0, 1.0]))
    asked = []

    def blind(values: np.ndarray) -> np.ndarray:
        asked.append(values)
        return np.full((len(CLASSES), *values.shape), 1 / 7, np.float32)

    seen = look(blind, again, blank, VIEW)

    assert seen.frame is None
    assert not seen.settled
    assert seen.parts == {}
    assert len(asked) == 1
    assert seen.grid.spacing_mm == VIEW.spacing_mm
    np.testing.assert_allclose(seen.face, 4 / 7, atol=1e-6)


def test_a_network_that_sees_the_head_elsewhere_each_time_never_settles() -> None:
    volume = drawn(lying(0, 0, 0, 0.9))
    asked = []

    def wandering(values: np.ndarray) -> np.ndarray:
        asked.append(values)
        return by_brightness(np.roll(values, 2 * (len(asked) % 2), axis=2))

    seen = look(wandering, again, volume, VIEW)

    assert not seen.settled
    assert seen.frame is not None
    assert len(asked) == 1 + MOST_LOOKS


def test_a_head_that_vanishes_when_turned_level_does_not_settle() -> None:
    asked = []

    def once_only(values: np.ndarray) -> np.ndarray:
        asked.append(values)
        return by_brightness(values if len(asked) == 1 else values * 0)

    seen = look(once_only, again, drawn(lying(0, 0, 0, 0.9)), VIEW)

    assert not seen.settled
