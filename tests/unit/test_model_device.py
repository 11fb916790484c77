"""Where an imported model runs: on the processor, or on a GPU that torch knows."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pytest
from scipy import ndimage

from deid_node.errors import WeightsUnusable
from deid_node.face.nnunet.effort import EXACT, effort_of
from deid_node.face.nnunet.imported import load_imported
from tests.fakes.command import run
from tests.fakes.foreign_models import MODELS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

ABSENT = "cuda:31"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Import a model of random weights."""
    arguments = ("--name", "m", "--folder", tmp_path, "--accept-licence")
    assert run("weights", "import", MODELS / "v1.zip", *arguments) == 0
    return tmp_path / "m"


@pytest.mark.parametrize(
    ("accuracy", "device", "engine", "precision"),
    [
        ("exact", "cpu", "torch", "f32"),
        ("exact", "cuda", "torch", "f32"),
        ("balanced", "cpu", "openvino", "i8"),
        ("balanced", "cuda:1", "torch", "half"),
        ("fast", "cuda", "torch", "half"),
    ],
)
def test_a_gpu_takes_half_precision_except_for_the_exact_answer(
    accuracy: str, device: str, engine: str, precision: str
) -> None:
    effort, plain = effort_of(accuracy, 1, device), effort_of(accuracy, 1)

    assert (effort.engine, effort.precision, effort.device) == (engine, precision, device)
    assert effort.is_exact == (accuracy == "exact")
    assert (effort.voxels, effort.mirrors, effort.folds) == (plain.voxels, plain.mirrors, 1)


@pytest.mark.parametrize("accuracy", ["exact", "balanced"])
def test_a_gpu_that_is_not_there_is_refused(folder: Path, accuracy: str) -> None:
    with pytest.raises(WeightsUnusable, match="torch"):
        load_imported(folder, effort_of(accuracy, 0, ABSENT))


def test_a_device_that_is_none_is_no_option(folder: Path) -> None:
    for device in ("gpu", "cuda:", "cuda:x", "cuda:123", "cpu:0", "cuda\n", ""):
        assert run("weights", "bench", "m", "--folder", folder.parent, "--device", device) == 64


def test_bench_says_in_one_line_that_the_gpu_is_not_there(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("weights", "bench", "m", "--folder", folder.parent, "--device", ABSENT) == 69
    assert "torch" in capfd.readouterr().err


def answer(folder: Path, device: str, *, half: bool) -> NDArray[np.float32]:
    """Ask the network of a model for the probabilities of a smooth image."""
    effort = replace(EXACT, device=device, precision="half" if half else "f32")
    network = load_imported(folder, effort, threads=1).folds[0]
    noise = ndimage.gaussian_filter(np.random.default_rng(5).standard_normal((16, 24, 16)), 1.5)
    return network(np.asarray(noise / noise.std(), np.float32))


@pytest.mark.torch
@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_half_precision_and_a_gpu_give_nearly_the_same_probabilities(
    folder: Path, device: str
) -> None:
    torch = pytest.importorskip(
        "torch", reason="torch is not installed: `make test-torch` runs this"
    )
    if device == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    exact = answer(folder, "cpu", half=False)

    whole, half = answer(folder, device, half=False), answer(folder, device, half=True)

    np.testing.assert_allclose(whole, exact, atol=1e-4)
    assert half.dtype == np.float32
    assert not np.array_equal(half, whole)
    np.testing.assert_allclose(half, exact, atol=0.05)
    np.testing.assert_allclose(half.sum(axis=0), 1, atol=1e-5)
