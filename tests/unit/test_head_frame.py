"""A frame laid through the parts of a head tells where the head lies, which way it looks, its size."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from deid_node.face.head_frame import PLACES, HeadFrame, apart, find_parts, fit

NAMES = ("brain", "nose", "mouth", "eyes", "ears")


def turn(nod: float, tilt: float, yaw: float) -> np.ndarray:
    """Turn about the head's right, front and top, in degrees, one after the other."""
    out = np.eye(3)
    for axis, degrees in enumerate((nod, tilt, yaw)):
        c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
        one = np.eye(3)
        a, b = (axis + 1) % 3, (axis + 2) % 3
        one[a, a] = one[b, b] = c
        one[a, b], one[b, a] = -s, s
        out = one @ out
    return out


def somewhere(scale: float = 0.8) -> HeadFrame:
    return HeadFrame(origin=np.array([12.0, -40.0, 33.0]), axes=turn(30, -12, 25).T, scale=scale)


def parts_of(frame: HeadFrame, *without: str) -> dict[str, np.ndarray]:
    """Place every part by hand: scale, then turn, then shift."""
    return {
        name: frame.axes.T @ (np.array(at) * frame.scale) + frame.origin
        for name, at in PLACES.items()
        if name not in without
    }


@pytest.mark.parametrize("scale", [0.5, 0.8, 1.1])
@pytest.mark.parametrize(
    "without",
    [
        (),
        ("left eye",),
        ("left ear", "right ear"),
        ("right eye", "right ear", "mouth"),
        ("left eye", "right eye", "nose", "mouth"),
    ],
    ids=["all parts", "one eye", "no ears", "one side", "no face"],
)
def test_a_frame_is_found_again_exactly(without: tuple[str, ...], scale: float) -> None:
    true = somewhere(scale)

    found = fit(parts_of(true, *without))

    assert found is not None
    np.testing.assert_allclose(found.origin, true.origin, atol=1e-9)
    np.testing.assert_allclose(found.axes, true.axes, atol=1e-9)
    assert found.scale == pytest.approx(scale)


def test_parts_that_lie_a_little_off_turn_a_frame_a_little() -> None:
    true, rng = somewhere(), np.random.default_rng(0)

    for _ in range(20):
        shaken = {n: at + rng.normal(0, 1.5, 3) for n, at in parts_of(true).items()}
        found = fit(shaken)
        assert found is not None
        degrees, mm, share = apart(true, found)
        assert degrees < 5
        assert mm < 4
        assert abs(share) < 0.06


def test_an_eye_weighs_more_than_a_brain() -> None:
    true = somewhere()
    eye_off, brain_off = parts_of(true), parts_of(true)
    eye_off["left eye"] = eye_off["left eye"] + [0, 12, 0]
    brain_off["brain"] = brain_off["brain"] + [0, 12, 0]

    by_eye, by_brain = fit(eye_off), fit(brain_off)

    assert by_eye is not None
    assert by_brain is not None
    assert apart(true, by_eye)[1] > 3 * apart(true, by_brain)[1]


def test_axes_are_those_of_a_right_handed_head_even_if_the_parts_are_mirrored() -> None:
    mirrored = {name: at * [-1, 1, 1] for name, at in parts_of(somewhere()).items()}

    found = fit(mirrored)

    assert found is not None
    assert np.linalg.det(found.axes) == pytest.approx(1)


def test_two_points_are_too_few_for_a_frame() -> None:
    eyes_only = {n: at for n, at in parts_of(somewhere()).items() if n.endswith("eye")}

    assert fit(eyes_only) is None
    assert fit({}) is None


def test_points_on_one_line_leave_the_turn_open() -> None:
    line = {
        name: np.array([0.0, 0.0, 10.0 * n]) for n, name in enumerate(("nose", "mouth", "brain"))
    }

    assert fit(line) is None


def test_head_coordinates_and_patient_coordinates_undo_each_other() -> None:
    frame = somewhere()
    points = np.random.default_rng(1).normal(0, 60, (5, 4, 3))

    np.testing.assert_allclose(frame.to_head(frame.to_patient(points)), points, atol=1e-9)
    np.testing.assert_allclose(frame.to_patient(np.zeros(3)), frame.origin)


def test_apart_tells_turn_shift_and_size() -> None:
    one = somewhere()
    other = HeadFrame(
        origin=one.origin + np.array([3, 0, 4]),
        axes=one.axes @ turn(0, 0, 10),
        scale=one.scale * 1.1,
    )

    degrees, mm, share = apart(one, other)

    assert degrees == pytest.approx(10)
    assert mm == pytest.approx(5)
    assert share == pytest.approx(0.1)
    assert apart(one, one) == pytest.approx((0, 0, 0), abs=1e-5)


SHAPE, EDGE_MM = (60, 60, 60), 4.0
AFFINE = np.diag([EDGE_MM, EDGE_MM, EDGE_MM, 1.0])


def classes(**balls: list[tuple[tuple[float, float, float], float]]) -> dict[str, np.ndarray]:
    """Balls of certainty at points in mm, each with its radius in mm."""
    at = np.stack(np.meshgrid(*(np.arange(n) * EDGE_MM for n in SHAPE), indexing="ij"), -1)
    out = {name: np.zeros(SHAPE, np.float32) for name in NAMES}
    for name, each in balls.items():
        for middle, radius in each:
            out[name][((at - middle) ** 2).sum(-1) < radius**2] = 1
    return out


BRAIN = ((120.0, 100.0, 160.0), 50.0)
NOSE = ((120.0, 190.0, 120.0), 10.0)
EYES = [((150.0, 180.0, 140.0), 12.0), ((90.0, 180.0, 140.0), 12.0)]


def test_right_and_left_are_told_apart_by_where_they_lie() -> None:
    found = find_parts(classes(brain=[BRAIN], nose=[NOSE], eyes=EYES), AFFINE)

    assert set(found) == {"brain", "nose", "right eye", "left eye"}
    np.testing.assert_allclose(found["right eye"], EYES[0][0], atol=2)
    np.testing.assert_allclose(found["left eye"], EYES[1][0], atol=2)
    np.testing.assert_allclose(found["nose"], NOSE[0], atol=2)


def test_a_turned_head_still_knows_its_right_eye() -> None:
    nearly_one_behind_the_other = [((122.0, 200.0, 140.0), 12.0), ((118.0, 150.0, 140.0), 12.0)]

    found = find_parts(classes(brain=[BRAIN], eyes=nearly_one_behind_the_other), AFFINE)

    np.testing.assert_allclose(found["right eye"], nearly_one_behind_the_other[0][0], atol=2)


@pytest.mark.parametrize(("number", "name"), [(0, "right eye"), (1, "left eye")])
def test_a_single_eye_is_named_by_the_middle_of_the_head(number: int, name: str) -> None:
    found = find_parts(classes(brain=[BRAIN], nose=[NOSE], eyes=[EYES[number]]), AFFINE)

    assert set(found) == {"brain", "nose", name}


def test_a_speck_beside_an_eye_is_no_second_eye() -> None:
    speck = ((60.0, 180.0, 140.0), 6.0)

    found = find_parts(classes(brain=[BRAIN], nose=[NOSE], eyes=[EYES[0], speck]), AFFINE)

    assert "left eye" not in found
    np.testing.assert_allclose(found["right eye"], EYES[0][0], atol=2)


def test_a_few_voxels_are_not_a_part() -> None:
    found = find_parts(classes(brain=[BRAIN], nose=[((120.0, 188.0, 120.0), 3.0)]), AFFINE)

    assert set(found) == {"brain"}


def test_sides_are_not_named_where_nothing_tells_the_middle() -> None:
    assert find_parts(classes(eyes=EYES), AFFINE) == {}


def test_the_frame_of_drawn_parts_is_that_of_the_head() -> None:
    true = replace(somewhere(), origin=np.array([110.0, 130.0, 120.0]))
    at = parts_of(true)
    drawn = classes(
        brain=[(tuple(at["brain"]), 40.0)],
        nose=[(tuple(at["nose"]), 10.0)],
        mouth=[(tuple(at["mouth"]), 12.0)],
        eyes=[(tuple(at["right eye"]), 10.0), (tuple(at["left eye"]), 10.0)],
        ears=[(tuple(at["right ear"]), 14.0), (tuple(at["left ear"]), 14.0)],
    )

    found = fit(find_parts(drawn, AFFINE))

    assert found is not None
    degrees, mm, share = apart(true, found)
    assert degrees < 3
    assert mm < 2
    assert abs(share) < 0.03
