"""The answer of an imported model is nnU-Net v1's own, to the last bit."""

from __future__ import annotations

import hashlib
import shutil
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from deid_node.errors import ImplausibleFaceMask, WeightsUnusable
from deid_node.face.nnunet.effort import EXACT
from deid_node.face.nnunet.imported import ImportedModel, load_imported
from deid_node.face.nnunet.plans import Planned, Postprocessing
from deid_node.face.nnunet.prepare import largest_pieces, prepare
from deid_node.face.nnunet.second import prepare_second
from deid_node.face.nnunet.tiles import predict_windows
from tests.fakes.command import run
from tests.fakes.foreign_models import MODELS
from tests.fakes.network_answers import CASES, assert_same_network, planned_of, ramp_network

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from numpy.typing import NDArray

    from deid_node.face.nnunet.prepare import Prepared

SMALL = Planned(
    generation=1,
    spacing_mm=(1.0, 1.0, 1.0),
    patch=(8, 8, 8),
    transpose_forward=(0, 1, 2),
    transpose_backward=(0, 1, 2),
    masked_norm=True,
    labels=(1,),
    mirror_axes=(),
)


@pytest.fixture(scope="session")
def answers() -> dict[str, NDArray[Any]]:
    with np.load(MODELS / "v1_answers.npz") as stored:
        return dict(stored)


def digest(array: NDArray[np.float32]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).digest()


def case_of(answers: dict[str, NDArray[Any]], name: str) -> dict[str, NDArray[Any]]:
    return {key.split("/")[1]: v for key, v in answers.items() if key.startswith(f"{name}/")}


def spacing_of(case: dict[str, NDArray[Any]]) -> tuple[float, ...]:
    return tuple(float(mm) for mm in case["spacing"])


@pytest.mark.parametrize("name", CASES)
def test_the_networks_input_is_v1s_to_the_last_bit(
    answers: dict[str, NDArray[Any]], name: str
) -> None:
    case = case_of(answers, name)

    prepared = prepare(
        case["image"].astype(np.float32), spacing_of(case), planned_of(case, generation=1)
    )

    assert prepared.values.shape == tuple(case["prepared_shape"])
    assert digest(prepared.values) == case["prepared"].tobytes()


@pytest.mark.parametrize("name", CASES)
def test_the_mean_of_windows_and_mirrors_is_v1s_to_the_last_bit(
    answers: dict[str, NDArray[Any]], name: str
) -> None:
    case = case_of(answers, name)
    planned = planned_of(case, generation=1)
    prepared = prepare(case["image"].astype(np.float32), spacing_of(case), planned)

    found = predict_windows(
        ramp_network(planned.patch), prepared.values, planned.patch, planned.mirror_axes
    )

    assert digest(found) == case["answer"].tobytes()


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize(
    ("expected", "postprocessing"),
    [
        ("labels", None),
        ("largest", Postprocessing(classes=((1,),), least_mm3=None)),
        ("largest", Postprocessing(classes=None, least_mm3=None)),
        ("larger", Postprocessing(classes=((1,),), least_mm3=(5.0,))),
    ],
)
def test_no_voxel_of_the_answer_differs(
    answers: dict[str, NDArray[Any]],
    name: str,
    expected: str,
    postprocessing: Postprocessing | None,
) -> None:
    case = case_of(answers, name)
    planned = planned_of(case, generation=1)
    model = ImportedModel(
        effort=EXACT,
        planned=planned,
        postprocessing=postprocessing,
        folds=(ramp_network(planned.patch),),
    )

    labels = model.segment(case["image"].astype(np.float32), spacing_of(case))

    np.testing.assert_array_equal(labels, case[expected])


def test_two_folds_are_averaged_before_the_decision(answers: dict[str, NDArray[Any]]) -> None:
    case = case_of(answers, "as it is")
    planned = planned_of(case, generation=1)
    network = ramp_network(planned.patch)

    def opposed(values: NDArray[np.float32]) -> NDArray[np.float32]:
        return -3 * network(values)

    image = case["image"].astype(np.float32)
    model = ImportedModel(
        effort=EXACT,
        planned=planned,
        postprocessing=None,
        folds=(network, opposed),
    )

    labels = model.segment(image, spacing_of(case))

    # the mean of p and -3 p is -p: wherever one class leads, the other one wins
    assert np.mean(labels == 1 - case["labels"]) > 0.999


def test_groups_of_labels_are_joined_before_their_largest_piece_is_found() -> None:
    labels = np.zeros((1, 1, 12), np.uint8)
    labels[0, 0, [0, 1, 2]] = [1, 2, 2]
    labels[0, 0, [5, 6]] = 2
    labels[0, 0, 9] = 1

    joined = largest_pieces(labels.copy(), Postprocessing(classes=((1, 2),), least_mm3=None), 1)
    kept = largest_pieces(labels.copy(), Postprocessing(classes=((1, 2),), least_mm3=(5.0,)), 3)

    assert np.flatnonzero(joined).tolist() == [0, 1, 2]
    assert np.flatnonzero(kept).tolist() == [0, 1, 2, 5, 6]


@pytest.mark.parametrize("make", [prepare, prepare_second], ids=["nnU-Net v1", "nnunetv2"])
def test_zeros_within_the_head_count_as_head_and_those_round_it_do_not(
    make: Callable[..., Prepared],
) -> None:
    image = np.zeros((12, 12, 12), np.float32)
    image[2:10, 2:10, 2:10] = np.random.default_rng(3).uniform(1, 2, (8, 8, 8))
    image[5:7, 5:7, 5:7] = 0
    image[2, 2, 2] = 0  # a corner, open to the outside

    prepared = make(image, (1.0, 1.0, 1.0), SMALL)

    assert prepared.box == (slice(2, 10),) * 3
    head = np.ones((8, 8, 8), bool)
    head[0, 0, 0] = False
    values = image[2:10, 2:10, 2:10]
    expected = (values - values[head].mean()) / values[head].std()
    np.testing.assert_allclose(prepared.values[head], expected[head], rtol=1e-5)
    assert prepared.values[0, 0, 0] == 0


def test_an_image_of_one_value_has_no_contrast_and_no_nan() -> None:
    prepared = prepare(np.full((9, 9, 9), 7, np.float32), (1.0, 1.0, 1.0), SMALL)

    assert prepared.values.tobytes() == bytes(9 * 9 * 9 * 4)


def test_an_image_of_zeros_is_held() -> None:
    with pytest.raises(ImplausibleFaceMask):
        prepare(np.zeros((9, 9, 9), np.float32), (1.0, 1.0, 1.0), SMALL)


@pytest.mark.torch
@pytest.mark.parametrize("name", ["v1", "v1_thick"])
def test_an_imported_network_answers_as_its_own_did(tmp_path: Path, name: str) -> None:
    torch = pytest.importorskip(
        "torch", reason="torch is not installed: `make test-torch` runs this"
    )
    arguments = ("--name", "m", "--folder", tmp_path, "--accept-licence")
    assert run("weights", "import", MODELS / f"{name}.zip", *arguments) == 0
    with np.load(MODELS / f"{name}.npz") as stored:
        logits, values = stored["logits"][0], stored["input"][0, 0]

    probabilities = load_imported(tmp_path / "m", EXACT).folds[0](values)

    expected = torch.from_numpy(logits).softmax(0).numpy()
    assert_same_network(probabilities, expected)


def test_what_is_no_imported_model_is_refused(tmp_path: Path) -> None:
    shutil.copytree(MODELS, tmp_path / "m")

    with pytest.raises(WeightsUnusable):
        load_imported(tmp_path / "m", EXACT)
