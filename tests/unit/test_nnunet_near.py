"""Where only the neighbourhood of the face is predicted, its labels are those of the whole image."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import ndimage

from deid_node.face.nnunet import near as near_module
from deid_node.face.nnunet.effort import BALANCED, EFFORTS, EXACT, FAST, effort_of, spend
from deid_node.face.nnunet.imported import ImportedModel, load_imported, meaning_of
from deid_node.face.nnunet.lines import resample_quickly
from deid_node.face.nnunet.near import WIDE_RIMS, Points, fewest_windows, windows_that_matter
from deid_node.face.nnunet.plans import Planned, Postprocessing
from deid_node.face.nnunet.resample import resample
from tests.fakes.command import run
from tests.fakes.foreign_models import MODELS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

PLANNED = Planned(
    generation=1,
    spacing_mm=(1.0, 1.0, 1.0),
    patch=(16, 16, 16),
    transpose_forward=(0, 1, 2),
    transpose_backward=(0, 1, 2),
    masked_norm=True,
    labels=(1, 2),
    mirror_axes=(),
)
BOX = (slice(3, 20), slice(22, 40), slice(5, 30))
IMAGES = {
    "as it is": ((40, 44, 38), (1.0, 1.0, 1.0), {}),
    "resampled": ((36, 44, 40), (1.3, 0.8, 0.9), {}),
    "thick slices": ((21, 44, 40), (4.0, 0.9, 0.9), {}),
    "turned": (
        (40, 44, 38),
        (1.1, 1.0, 0.9),
        {"transpose_forward": (2, 0, 1), "transpose_backward": (1, 2, 0)},
    ),
    "smaller than a window": ((23, 44, 12), (1.0, 1.0, 1.0), {"patch": (24, 16, 16)}),
}


def head(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Draw smooth values in a frame of zeros."""
    noise = np.random.default_rng(3).standard_normal(shape)
    values = 50 + 400 * ndimage.gaussian_filter(noise, 2)
    values[:2], values[:, -3:] = 0, 0
    return values.astype(np.float32)


def network(calls: list[int]) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Answer by the values and by where in the window they lie, so that windows matter."""

    def answer(values: NDArray[np.float32]) -> NDArray[np.float32]:
        calls.append(1)
        ramp = np.linspace(-0.2, 0.2, values.size, dtype=np.float32).reshape(values.shape)
        scores = np.stack([values * 0, values + ramp, -values - ramp])
        raised = np.exp(scores)
        return np.asarray(raised / raised.sum(axis=0), dtype=np.float32)

    return answer


def model(planned: Planned, calls: list[int], **changes: object) -> ImportedModel:
    effort = replace(BALANCED, **changes)  # type: ignore[arg-type]
    return ImportedModel(
        planned=planned,
        postprocessing=None,
        folds=(network(calls), network(calls)),
        effort=effort,
    )


def near(shape: tuple[int, ...], box: tuple[slice, ...] = BOX) -> NDArray[np.bool_]:
    """Mark the voxels of a box, without those of a smaller one in its corner."""
    found = np.zeros(shape, bool)
    found[box] = True
    found[tuple(slice(each.start, each.start + 3) for each in box)] = False
    return found


@pytest.mark.parametrize("name", IMAGES)
@pytest.mark.parametrize("mirrors", [0, 1, None])
def test_the_labels_near_the_face_are_those_of_all_windows(
    monkeypatch: pytest.MonkeyPatch, name: str, mirrors: int | None
) -> None:
    monkeypatch.setattr(near_module, "LEAST_SHARE", 1e-9)
    monkeypatch.setattr(near_module, "LEAST_POINTS", 0)
    shape, spacing, changes = IMAGES[name]
    planned = replace(PLANNED, mirror_axes=(0, 2), **changes)  # type: ignore[arg-type]
    all_calls: list[int] = []
    few_calls: list[int] = []
    whole = model(planned, all_calls, voxels=None, mirrors=mirrors)
    around = model(planned, few_calls, mirrors=mirrors)
    image, where = head(shape), near(shape)

    expected = whole.segment(image, spacing)
    found = around.segment(image, spacing, where)

    assert len(few_calls) < len(all_calls) or name == "smaller than a window"
    assert (found[where] != expected[where]).mean() < 1e-3  # the last bit decides a draw
    assert found[where].any()
    assert not found[~where].any()


def test_windows_that_hardly_count_are_left_out_and_the_rest_decides_alike() -> None:
    calls: dict[float, list[int]] = {}
    image, where, labels = head((60, 60, 60)), near((60, 60, 60)), {}
    for share in (1e-9, near_module.LEAST_SHARE):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(near_module, "LEAST_SHARE", share)
            one = model(PLANNED, calls.setdefault(share, []))
            labels[share] = one.segment(image, (1.0, 1.0, 1.0), where)

    some, every = len(calls[near_module.LEAST_SHARE]), len(calls[1e-9])
    assert some < 0.8 * every
    assert (labels[near_module.LEAST_SHARE] == labels[1e-9])[where].mean() > 0.97


def test_windows_that_count_at_few_points_are_left_out_unless_nothing_else_holds_these() -> None:
    where = np.zeros((60, 60, 60), bool)
    where[8:40, 8:40, 8:40] = True
    where[42, 20, 20] = True
    beyond = where.copy()
    beyond[58, 58, 58] = True
    lines = (np.arange(60),) * 3

    chosen, far = (
        windows_that_matter(Points(lines=lines, near=each, shape=where.shape), (16, 16, 16))
        for each in (where, beyond)
    )

    assert max(corner[0] for corner in chosen) == 29  # the next begins at 37
    assert (44, 44, 44) in far
    assert set(chosen) < set(far)


def test_fitted_windows_are_few_and_hold_all_that_is_near() -> None:
    calls: list[int] = []
    image = head((60, 60, 60))
    small, large = (slice(20, 31), slice(20, 32), slice(22, 33)), BOX

    mirrored = replace(PLANNED, mirror_axes=(0, 1, 2))
    one = model(mirrored, calls, voxels=1).segment(image, (1.0, 1.0, 1.0), near((60,) * 3, small))
    n_small = len(calls)
    points = Points(
        lines=(np.arange(0, 60, 2),) * 3,
        near=near((60,) * 3, large)[::2, ::2, ::2],
        shape=(60,) * 3,
    )
    corners, wider = (fewest_windows(points, (16, 16, 16), rims=rims) for rims in (1, 3))

    assert n_small == 4  # one window and its mirror image for each fold
    assert one.any()
    held = np.zeros((60, 60, 60), bool)
    inside = held.copy()
    for corner in corners:
        held[tuple(slice(c, c + 16) for c in corner)] = True
        inside[tuple(slice(c + 1, c + 15) for c in corner)] = True
    assert held[::2, ::2, ::2][points.near].all()
    assert inside[::2, ::2, ::2][points.near].mean() > 0.9
    well_inside = np.zeros((60, 60, 60), bool)
    for corner in wider:
        well_inside[tuple(slice(c + 3, c + 13) for c in corner)] = True
    assert well_inside[::2, ::2, ::2][points.near].mean() > 0.9
    assert len(corners) <= 12  # 17 by 18 by 25 voxels in windows of 16
    assert len(windows_that_matter(points, (16, 16, 16))) > len(corners)


def test_windows_that_overlap_more_are_taken_where_they_can_be_paid_for() -> None:
    calls: list[int] = []
    points = Points(
        lines=(np.arange(2, 60, 4),) * 3,
        near=near((60,) * 3, BOX)[2::4, 2::4, 2::4],
        shape=(60,) * 3,
    )
    patch = (16, 16, 16)
    n_all, n_wide, n_few = (
        len(windows_that_matter(points, patch)),
        len(fewest_windows(points, patch, rims=WIDE_RIMS)),
        len(fewest_windows(points, patch)),
    )

    plain = replace(PLANNED, mirror_axes=())
    model(plain, calls, voxels=n_wide * 16**3).segment(
        head((60, 60, 60)), (1.0, 1.0, 1.0), near((60,) * 3, BOX)
    )

    assert n_few < n_wide < n_all
    assert len(calls) == 2 * n_wide  # of two folds


def test_a_box_of_zeros_has_no_face_and_needs_no_window() -> None:
    calls: list[int] = []
    image = head((40, 44, 38))
    box = (slice(0, 2), slice(10, 20), slice(10, 20))

    found = model(PLANNED, calls).segment(image, (1.0, 1.0, 1.0), near(image.shape, box))

    assert not found.any()
    assert calls == []


def test_which_piece_is_the_largest_is_not_told_from_a_part_of_the_image() -> None:
    image = head((40, 44, 38))
    plain = model(PLANNED, [])
    cleaned = replace(plain, postprocessing=Postprocessing(classes=((1,),), least_mm3=None))

    labels = [one.segment(image, (1.0, 1.0, 1.0), near(image.shape)) for one in (plain, cleaned)]
    whole = cleaned.segment(image, (1.0, 1.0, 1.0))

    np.testing.assert_array_equal(labels[0], labels[1])
    assert ndimage.label(labels[0] == 1)[1] > 1
    assert ndimage.label(whole == 1)[1] == 1


def test_only_the_exact_effort_takes_the_engine_and_all_that_nnunet_takes() -> None:
    assert EFFORTS == {"exact": EXACT, "balanced": BALANCED, "fast": FAST}
    assert (EXACT.engine, EXACT.precision, EXACT.folds) == ("torch", "f32", None)
    assert (EXACT.mirrors, EXACT.voxels) == (None, None)


@pytest.mark.parametrize(
    ("voxels", "axes", "found"),
    [
        (8000, (0, 1, 2), (5, (0, 1, 2))),
        (2560, (0, 1, 2), (5, (0, 1, 2))),
        (2559, (0, 1, 2), (2, (0, 1, 2))),
        (1024, (0, 1, 2), (2, (0, 1, 2))),
        (1023, (0, 1, 2), (2, (1, 2))),
        (511, (0, 1, 2), (2, (2,))),
        (640, (0, 2), (2, (0, 2))),
        (640, (2,), (5, (2,))),
        (1, (0, 1, 2), (2, (2,))),
        (320, (), (5, ())),
        (319, (), (2, ())),
        (1, (), (2, ())),
        (512, (2, 0), (2, (2, 0))),
    ],
)
def test_a_budget_does_without_windows_before_mirrors_and_never_without_one(
    voxels: int, axes: tuple[int, ...], found: tuple[int, tuple[int, ...]]
) -> None:
    """Five windows or two, of 64 voxels."""
    windows = [[(n, 0, 0) for n in range(many)] for many in (5, 2)]

    corners, mirrored = spend(voxels, windows, axes, (4, 4, 4))

    assert (len(corners), mirrored) == found


def test_a_network_of_full_size_gets_a_few_windows_and_a_small_one_all_it_has() -> None:
    """Windows as they come near the face of a head of 1 mm, and of 3.2 mm."""
    windows = [[(n, 0, 0) for n in range(many)] for many in (16, 7, 5)]
    full, small = (128,) * 3, (64,) * 3
    told = {
        (name, patch[0]): (len(corners), len(axes))
        for name, effort in (("balanced", BALANCED), ("fast", FAST))
        for patch in (full, small)
        for corners, axes in [spend(effort.voxels or 0, windows, (0, 1, 2), patch)]
    }

    assert told == {
        ("balanced", 128): (7, 2),
        ("fast", 128): (5, 1),
        ("balanced", 64): (16, 3),
        ("fast", 64): (7, 3),
    }


@pytest.mark.parametrize(
    ("mirrors", "axes"), [(0, ()), (1, (2,)), (2, (2, 1)), (3, (2, 0, 1)), (None, (2, 0, 1))]
)
def test_mirrors_are_left_out_from_the_first_axis_on(
    mirrors: int | None, axes: tuple[int, ...]
) -> None:
    assert replace(FAST, mirrors=mirrors).mirror_axes((2, 0, 1)) == axes


@pytest.mark.parametrize(("accuracy", "folds"), [("balanced", 0), ("fast", 0), ("fast", 1)])
def test_lesser_efforts_need_no_torch_and_ask_all_folds_or_as_many_as_are_wanted(
    tmp_path: Path, accuracy: str, folds: int
) -> None:
    arguments = ("--name", "m", "--folder", tmp_path, "--accept-licence")
    assert run("weights", "import", MODELS / "v1.zip", *arguments) == 0

    loaded = load_imported(tmp_path / "m", effort_of(accuracy, folds), threads=1)
    labels = loaded.segment(head((20, 20, 20)), (1.0, 1.0, 1.0), near((20, 20, 20)))

    assert len(loaded.folds) == (folds or 2)
    assert labels.shape == (20, 20, 20)


def test_the_card_says_what_labels_mean(tmp_path: Path) -> None:
    arguments = ("--folder", tmp_path, "--accept-licence", "--orientation", "LAS")
    source = MODELS / "v1.zip"
    assert run("weights", "import", source, "--name", "all", *arguments) == 0
    assert run("weights", "import", source, "--name", "f", "--labels", "face=1", *arguments) == 0
    assert run("weights", "import", source, "--name", "x", "--labels", "face=2", *arguments) == 65
    assert run("weights", "import", source, "--name", "x", "--labels", "ears=1", *arguments) == 65

    every, face = meaning_of(tmp_path / "all"), meaning_of(tmp_path / "f")

    assert (every.face, every.ears, every.orientation) == ((1,), (1,), "LAS")
    assert (face.face, face.ears) == ((1,), ())
    assert sorted(each.name for each in tmp_path.iterdir()) == ["all", "f"]


@pytest.mark.parametrize(
    "more", [("--labels", "nose=1"), ("--labels", "face=1 face=x"), ("--orientation", "RRS")]
)
def test_options_that_say_nothing_are_refused(tmp_path: Path, more: tuple[str, ...]) -> None:
    arguments = ("--name", "m", "--folder", tmp_path / "store", "--accept-licence")

    assert run("weights", "import", MODELS / "v1.zip", *arguments, *more) == 64
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("axis", [None, 0, 2])
@pytest.mark.parametrize("shape", [(31, 52, 47), (60, 40, 39), (40, 44, 70)])
def test_resampling_quickly_is_nearly_resampling(shape: tuple[int, ...], axis: int | None) -> None:
    values = head((40, 44, 38))

    quickly = resample_quickly(values, shape, axis=axis)

    exactly = resample(values, shape, axis=axis, order=3)
    off = np.abs(quickly - exactly) / np.ptp(values)
    assert quickly.dtype == np.float32
    if axis is None:
        assert off.max() < 2e-3
    else:  # a draw between two planes may go either way
        assert np.mean(off > 2e-3) < 0.03


def test_what_has_its_shape_already_is_not_resampled() -> None:
    values = head((9, 8, 7))

    assert resample_quickly(values, (9, 8, 7), axis=None) is values
