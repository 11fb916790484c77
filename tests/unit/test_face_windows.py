"""What a network with a fixed window sees of a volume, and how its windows are joined."""

from __future__ import annotations

import numpy as np
import pytest

from deid_node.face.shrunk import shrink
from deid_node.face.windows import see, slide
from tests.fakes.head import axial_affine, volume_of


def bright_box(shape: tuple[int, ...], box: tuple[slice, ...]) -> np.ndarray:
    stored = np.random.default_rng(0).integers(0, 5, shape).astype(np.int16)
    stored[box] = 500
    return stored


def test_a_small_field_of_view_is_centred_in_one_window() -> None:
    volume = volume_of(np.full((20, 20, 20), 100, np.int16), axial_affine((20,) * 3, (8.0,) * 3))

    values, grid = see(volume, shrink(volume, 8.0), 8.0, 32)

    assert values.shape == grid.shape == (32, 32, 32)
    centre = grid.affine @ [15.5, 15.5, 15.5, 1]
    np.testing.assert_allclose(centre[:3], 0, atol=1e-9)
    assert values[16, 16, 16] == pytest.approx(100)
    assert values[0, 0, 0] == 0


def test_air_is_cut_from_a_large_field_of_view() -> None:
    shape = (50, 50, 50)
    stored = bright_box(shape, (slice(25, 45), slice(20, 40), slice(20, 40)))
    volume = volume_of(stored, axial_affine(shape, (8.0,) * 3))

    values, grid = see(volume, shrink(volume, 8.0), 8.0, 32)

    assert values.shape == (32, 32, 32)
    bright = np.argwhere(values > 250).mean(axis=0)
    np.testing.assert_allclose(bright, 15.5, atol=1.0)
    place = grid.affine @ [*bright, 1]
    expected = volume.affine @ [34.5, 29.5, 29.5, 1]
    np.testing.assert_allclose(place, expected, atol=4.0)


def test_a_patient_larger_than_a_window_is_seen_whole() -> None:
    shape = (60, 40, 40)
    stored = bright_box(shape, (slice(4, 56), slice(10, 30), slice(10, 30)))
    volume = volume_of(stored, axial_affine(shape, (8.0,) * 3))

    values, _ = see(volume, shrink(volume, 8.0), 8.0, 32)

    assert values.shape[:2] == (32, 32)
    assert 52 <= values.shape[2] < 60
    assert (values > 250).sum() >= 0.9 * 52 * 20 * 20


def test_nothing_but_air_is_seen_whole() -> None:
    volume = volume_of(np.zeros((50, 40, 40), np.int16), axial_affine((50, 40, 40), (8.0,) * 3))

    values, _ = see(volume, shrink(volume, 8.0), 8.0, 32)

    assert not values.any()
    assert min(values.shape) >= 32


def test_windows_are_joined_without_a_seam() -> None:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(40, 16, 21)).astype(np.float32)

    joined = slide(lambda window: np.stack([window, 1 - window]), values, 16)

    np.testing.assert_allclose(joined[0], values, atol=1e-5)
    np.testing.assert_allclose(joined.sum(axis=0), 1, atol=1e-5)


def test_the_middle_of_a_window_counts_most() -> None:
    values = np.zeros((24, 16, 16), np.float32)
    answers = iter([0.0, 1.0])

    joined = slide(
        lambda window: np.full((1, *window.shape), next(answers), np.float32), values, 16
    )

    line = joined[0, :, 8, 8]
    assert line[:8] == pytest.approx(0)
    assert line[16:] == pytest.approx(1)
    assert 0 < line[10] < 0.2
    assert 0.8 < line[13] < 1


def test_one_window_is_asked_once() -> None:
    asked = []

    def predict(window: np.ndarray) -> np.ndarray:
        asked.append(window.shape)
        return window[None]

    slide(predict, np.zeros((16, 16, 16), np.float32), 16)

    assert asked == [(16, 16, 16)]
