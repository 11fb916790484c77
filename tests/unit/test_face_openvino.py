"""The network's adapter: what goes in, what comes out, and what it must never do."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawn_head.head import small_head
from drawn_head.series import dicom_series

from deid_node.dicom.pixels import pixel_words
from deid_node.dicom.series import Series
from deid_node.dicom.volume import Volume, stack
from deid_node.errors import ImplausibleFaceMask, WeightsUnusable
from deid_node.face import openvino_model
from deid_node.face.looks import View
from deid_node.face.mask import MaskPolicy, shape_mask
from deid_node.face.model import ModelCard
from deid_node.face.openvino_model import OpenVinoModel, Plans, load_model, softmax, standardise
from deid_node.face.plausibility import judge
from deid_node.face.weights import default_weights
from tests.fakes.head import axial_affine, every_order, head_volume, in_first_order, volume_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deid_node.face.model import FaceModel

CARD = ModelCard(name="test", version="1", sha256="0" * 64)
CLASSES = ("background", "face", "ears", "brain", "eyes", "nose", "mouth")
VIEW = View(
    window=32, spacing_mm=8.0, level_mm=7.0, level_centre=(0.0, -30.0, -20.0), classes=CLASSES
)
PLANS = Plans(view=VIEW, clip=(0.5, 99.5), mirror_axes=(0,))


@pytest.fixture(scope="module")
def model() -> FaceModel:
    return load_model(default_weights(), threads=1)


@pytest.fixture(scope="module")
def drawn() -> Volume:
    series = Series(instances=tuple(dicom_series(small_head())))
    return stack(series, [pixel_words(each) for each in series.instances])


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    return shutil.copytree(default_weights(), tmp_path / "model")


def test_a_drawn_head_loses_its_face(model: FaceModel, drawn: Volume) -> None:
    estimate = model.estimate(drawn)
    mask = shape_mask(estimate, drawn, MaskPolicy())

    judge(mask, estimate, drawn)
    assert mask.any()


def test_the_same_volume_gives_the_same_bytes(model: FaceModel, drawn: Volume) -> None:
    one, two = model.estimate(drawn), model.estimate(drawn)

    assert one.face.tobytes() == two.face.tobytes()
    assert one.brain.tobytes() == two.brain.tobytes()


def test_the_order_of_the_voxels_does_not_change_the_mask(model: FaceModel, drawn: Volume) -> None:
    first = shape_mask(model.estimate(drawn), drawn, MaskPolicy())

    for turned, order, flips in islice(every_order(drawn), 3, None, 9):
        mask = shape_mask(model.estimate(turned), turned, MaskPolicy())
        np.testing.assert_array_equal(in_first_order(mask, order, flips), first)


def test_brightness_does_not_change_the_estimate(model: FaceModel, drawn: Volume) -> None:
    brighter = replace(drawn, slope=drawn.slope * 3.7)

    one, two = model.estimate(drawn), model.estimate(brighter)

    np.testing.assert_allclose(one.face, two.face, atol=1e-3)


def cylinder(radius_mm: float, *, bone_mm: float = 0.0) -> np.ndarray:
    """Draw a limb along the body in 100 x 128 x 128 voxels of 2 mm."""
    _, row, column = np.indices((100, 128, 128)) * 2 - 128
    away = np.hypot(row, column)
    return np.where(away < bone_mm, 500, np.where(away < radius_mm, 300, 0))


@pytest.mark.parametrize(
    "signal",
    [
        np.zeros((100, 128, 128)),
        np.full((100, 128, 128), 300),
        cylinder(60, bone_mm=12),
        cylinder(65, bone_mm=30),
        cylinder(80),
    ],
    ids=["noise", "even", "neck", "knee", "bottle"],
)
def test_what_is_no_head_is_held(model: FaceModel, signal: np.ndarray) -> None:
    noise = np.random.default_rng(0).rayleigh(8, signal.shape)
    stored = (signal + noise).astype(np.int16)
    volume = volume_of(stored, axial_affine(stored.shape, (2.0, 2.0, 2.0)))
    estimate = model.estimate(volume)
    mask = shape_mask(estimate, volume, MaskPolicy())

    with pytest.raises(ImplausibleFaceMask):
        judge(mask, estimate, volume)


def fake_model(
    logits: Callable[[np.ndarray], np.ndarray], *, mirror_axes: tuple[int, ...] = (0,)
) -> OpenVinoModel:
    return OpenVinoModel(card=CARD, plans=replace(PLANS, mirror_axes=mirror_axes), logits=logits)


def test_the_network_sees_a_head_the_right_way_round() -> None:
    volume = head_volume()
    # something bright at the patient's left front top tells the sides apart
    places = np.indices(volume.stored.shape).reshape(3, -1)
    lps = (volume.affine[:3, :3] @ places + volume.affine[:3, 3:]).reshape(3, *volume.stored.shape)
    volume.stored[(lps[0] > 40) & (lps[1] < -40) & (lps[2] > 40)] = 4000
    seen = []

    def logits(values: np.ndarray) -> np.ndarray:
        seen.append(values)
        return np.zeros((1, len(CLASSES), *values.shape[2:]), np.float32)

    fake_model(logits, mirror_axes=()).estimate(volume)

    (values,) = seen
    assert values.shape == (1, 1, 32, 32, 32)
    assert values.dtype == np.float32
    right, front, top = np.argwhere(values[0, 0] > 3).mean(axis=0)
    assert right < 15
    assert front > 16
    assert top > 16


def test_mirrored_answers_are_turned_back_and_averaged() -> None:
    def logits(values: np.ndarray) -> np.ndarray:
        out = np.zeros((1, len(CLASSES), *values.shape[2:]), np.float32)
        out[0, 1, :8] = 50.0
        return out

    model, values = fake_model(logits), np.zeros((32, 32, 32), np.float32)
    once = model._once(values)
    mirrored = model._mirrored(values, once)

    assert once[1, 0, 0, 0] == pytest.approx(1)
    assert mirrored[1, 0, 0, 0] == pytest.approx((1 + 1 / 7) / 2)
    assert mirrored[1, -1, 0, 0] == pytest.approx((1 + 1 / 7) / 2)
    assert mirrored[1, 16, 0, 0] == pytest.approx(1 / 7)


def test_classes_come_in_the_order_of_the_plans() -> None:
    def logits(values: np.ndarray) -> np.ndarray:
        shape = values.shape[2:]
        return np.stack([np.full(shape, n, np.float32) for n in range(len(CLASSES))])[None]

    estimate = fake_model(logits).estimate(head_volume())

    expected = np.exp(np.arange(7.0)) / np.exp(np.arange(7.0)).sum()
    assert estimate.face.max() == pytest.approx(expected[[1, 4, 5, 6]].sum())
    assert estimate.ears.max() == pytest.approx(expected[2])
    assert estimate.brain.max() == pytest.approx(expected[3])


def test_softmax_survives_large_logits() -> None:
    logits = np.array([[1000.0], [0.0], [-1000.0]], np.float32)

    np.testing.assert_allclose(softmax(logits)[:, 0], [1, 0, 0])


def test_values_are_clipped_and_standardised() -> None:
    values = np.random.default_rng(0).normal(100, 10, (32, 32, 32)).astype(np.float32)
    values[0, 0, 0], values[2, 2, 2] = -500, 90000

    out = standardise(values, (0.5, 99.5))

    assert out.mean() == pytest.approx(0, abs=1e-3)
    assert out.std() == pytest.approx(1, abs=1e-3)
    assert np.abs(out).max() < 4


def test_negative_values_count_as_none() -> None:
    values = np.full((8, 8, 8), -50, np.float32)
    values[2:4] = -10
    values[4:] = 10

    out = standardise(values, (0, 100))

    np.testing.assert_allclose(np.unique(out), [-1, 1], atol=1e-5)


def test_an_even_volume_is_standardised_to_nothing() -> None:
    assert not standardise(np.full((8, 8, 8), 7, np.float32), (0.5, 99.5)).any()


def reseal(folder: Path, name: str, content: bytes) -> None:
    """Replace a file and make the card agree."""
    import hashlib  # noqa: PLC0415 - one use

    (folder / name).write_bytes(content)
    card = json.loads((folder / "card.json").read_text())
    card["sha256"][name] = hashlib.sha256(content).hexdigest()
    (folder / "card.json").write_text(json.dumps(card))


def test_a_damaged_network_is_refused(copy: Path) -> None:
    (copy / "face.bin").write_bytes((copy / "face.bin").read_bytes()[:-1])

    with pytest.raises(WeightsUnusable, match="damaged"):
        load_model(copy)


def test_a_network_the_engine_cannot_read_is_refused_without_its_words(copy: Path) -> None:
    reseal(copy, "face.xml", b"<nothing secret-word/>")

    with pytest.raises(WeightsUnusable, match="not a network") as refused:
        load_model(copy)

    assert "secret-word" not in str(refused.value)
    assert refused.value.__cause__ is None


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"spacing_mm": "wide"}, "does not describe"),
        ({"clip_percentiles": [1]}, "does not describe"),
        ({"classes": ["background", "face"]}, "names other classes"),
    ],
)
def test_plans_of_another_kind_are_refused(copy: Path, change: dict[str, object], why: str) -> None:
    plans = json.loads((copy / "plans.json").read_text())
    plans["deid_node"] |= change
    reseal(copy, "plans.json", json.dumps(plans).encode())

    with pytest.raises(WeightsUnusable, match=why):
        load_model(copy)


def test_plans_without_our_key_are_refused(copy: Path) -> None:
    reseal(copy, "plans.json", b"{}")

    with pytest.raises(WeightsUnusable, match="does not describe"):
        load_model(copy)


def test_the_engine_is_not_imported_before_it_is_needed_and_never_its_telemetry() -> None:
    script = """
import sys
from deid_node.face.openvino_model import load_model
from deid_node.face.weights import default_weights
assert "openvino" not in sys.modules
load_model(default_weights(), threads=1)
assert "openvino" in sys.modules
print([name for name in sys.modules if "telemetry" in name or "openvino.tools" in name])
"""

    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )

    assert done.stdout.strip() == "[]", done.stderr


def test_a_model_says_which_files_it_is_made_of(model: FaceModel) -> None:
    assert model.card.name
    assert len(model.card.sha256) == 64


def test_an_engine_at_hand_is_used_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in = object()
    monkeypatch.setitem(sys.modules, "openvino", stand_in)

    assert openvino_model.import_engine() is stand_in
