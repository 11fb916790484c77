"""The exact answer of an imported model of nnunetv2 is nnunetv2's own; what is exported it loads."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from deid_node.errors import ImplausibleFaceMask
from deid_node.face.nnunet.effort import BALANCED, EXACT
from deid_node.face.nnunet.imported import ImportedModel, load_imported
from deid_node.face.nnunet.second import mean_in_half, prepare_second
from tests.fakes.command import run
from tests.fakes.foreign_models import MODELS
from tests.fakes.network_answers import CASES, assert_same_network, planned_of, ramp_network

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.fixture(scope="session")
def stored() -> dict[str, dict[str, NDArray[Any]]]:
    """Give images and settings as v1 was asked, and what nnunetv2 answers."""
    cases: dict[str, dict[str, NDArray[Any]]] = {name: {} for name in CASES}
    for file, wanted in (
        ("v1_answers", {"image", "spacing", "target", "patch", "forward", "masked", "mirror"}),
        ("v2_answers", {"prepared", "prepared_shape", "answer", "labels"}),
    ):
        with np.load(MODELS / f"{file}.npz") as opened:
            for key in opened.files:
                name, what = key.split("/")
                if what in wanted:
                    cases[name][what] = opened[key]
    return cases


def digest(array: NDArray[Any]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(array).tobytes()).digest()


def spacing_of(case: dict[str, NDArray[Any]]) -> tuple[float, ...]:
    return tuple(float(mm) for mm in case["spacing"])


@pytest.mark.parametrize("name", CASES)
def test_input_and_mean_logits_are_nnunetv2s_to_the_last_bit(
    stored: dict[str, dict[str, NDArray[Any]]], name: str
) -> None:
    case = stored[name]
    planned = planned_of(case, generation=2)

    prepared = prepare_second(case["image"].astype(np.float32), spacing_of(case), planned)
    logits = mean_in_half(
        (ramp_network(planned.patch),), prepared.values, planned.patch, planned.mirror_axes
    )

    assert prepared.values.shape == tuple(case["prepared_shape"])
    assert digest(prepared.values) == case["prepared"].tobytes()
    assert digest(logits) == case["answer"].tobytes()


@pytest.mark.parametrize("name", CASES)
def test_no_voxel_of_the_answer_differs(
    stored: dict[str, dict[str, NDArray[Any]]], name: str
) -> None:
    case = stored[name]
    planned = planned_of(case, generation=2)
    model = ImportedModel(
        planned=planned, postprocessing=None, folds=(ramp_network(planned.patch),), effort=EXACT
    )

    labels = model.segment(case["image"].astype(np.float32), spacing_of(case))

    np.testing.assert_array_equal(labels, case["labels"])


@pytest.mark.parametrize("name", ["resampled", "thick slices", "a thick network", "turned"])
def test_a_lesser_effort_answers_nearly_alike(
    stored: dict[str, dict[str, NDArray[Any]]], name: str
) -> None:
    case = stored[name]
    planned = planned_of(case, generation=2)
    model = ImportedModel(
        planned=planned,
        postprocessing=None,
        folds=(ramp_network(planned.patch),),
        effort=BALANCED,
    )
    near = np.ones(case["image"].shape, bool)

    labels = model.segment(case["image"].astype(np.float32), spacing_of(case), near)

    assert (labels == case["labels"]).mean() > 0.97


def test_two_folds_are_averaged_before_the_decision(
    stored: dict[str, dict[str, NDArray[Any]]],
) -> None:
    case = stored["as it is"]
    planned = planned_of(case, generation=2)
    network = ramp_network(planned.patch)
    image = case["image"].astype(np.float32)
    folds = (network, lambda values: -3 * network(values))
    model = ImportedModel(planned=planned, postprocessing=None, folds=folds, effort=EXACT)

    labels = model.segment(image, spacing_of(case))

    assert np.mean(labels == 1 - case["labels"]) > 0.99


def test_an_image_of_zeros_is_held(stored: dict[str, dict[str, NDArray[Any]]]) -> None:
    with pytest.raises(ImplausibleFaceMask):
        prepare_second(
            np.zeros((9, 9, 9), np.float32),
            (1.0, 1.0, 1.0),
            planned_of(stored["as it is"], generation=2),
        )


def imported(name: str, folder: Path) -> Path:
    arguments = ("--name", "m", "--folder", folder, "--accept-licence")
    assert run("weights", "import", MODELS / f"{name}.zip", *arguments) == 0
    return folder / "m"


@pytest.mark.torch
@pytest.mark.parametrize(("name", "folds"), [("v1", 2), ("v2", 1)])
def test_an_export_is_a_model_of_nnunetv2_with_the_same_weights(
    tmp_path: Path, name: str, folds: int
) -> None:
    pytest.importorskip("torch", reason="torch is not installed: `make test-torch` runs this")
    model = imported(name, tmp_path / "one")

    assert (
        run("weights", "export", "m", "--folder", model.parent, "--nnunetv2", tmp_path / "v2") == 0
    )
    arguments = ("--name", "m", "--folder", tmp_path / "two", "--accept-licence")
    assert run("weights", "import", tmp_path / "v2", *arguments) == 0

    before, after = (
        sorted(model.glob("*.safetensors")),
        sorted((tmp_path / "two").rglob("*.safetensors")),
    )
    assert [each.read_bytes() for each in before] == [each.read_bytes() for each in after]
    assert len(before) == folds
    card = json.loads((tmp_path / "two" / "m" / "card.json").read_text())
    assert card["origin"] == "nnunetv2"


@pytest.mark.torch
@pytest.mark.parametrize("name", ["v1", "v2"])
def test_the_checkpoint_of_an_export_holds_every_name_of_the_network_and_no_other(
    tmp_path: Path, name: str
) -> None:
    torch = pytest.importorskip(
        "torch", reason="torch is not installed: `make test-torch` runs this"
    )
    network = pytest.importorskip("face_model.network")
    model = imported(name, tmp_path / "one")
    assert (
        run("weights", "export", "m", "--folder", model.parent, "--nnunetv2", tmp_path / "v2") == 0
    )
    plans = json.loads((tmp_path / "v2" / "plans.json").read_text())
    said = torch.load(tmp_path / "v2" / "fold_0" / "checkpoint_final.pth", weights_only=True)
    described = plans["configurations"]["3d_fullres"]["architecture"]
    kwargs = described["arch_kwargs"] | {
        key: network._locate(described["arch_kwargs"][key])
        for key in described["_kw_requires_import"]
    }
    net = network._locate(described["network_class_name"])(
        input_channels=1, num_classes=2, deep_supervision=False, **kwargs
    )

    net.load_state_dict(said["network_weights"])  # which refuses missing and unknown names

    with np.load(MODELS / f"{name}.npz") as truth, torch.no_grad():
        logits = net.eval()(torch.from_numpy(truth["input"])).numpy()
        assert_same_network(logits, truth["logits"])
    assert "deid_node" not in plans


def test_a_network_that_nnunetv2_cannot_build_is_not_exported(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = imported("v1_thick", tmp_path / "one")

    code = run("weights", "export", "m", "--folder", model.parent, "--nnunetv2", tmp_path / "v2")

    assert code == 69
    assert "PlainConvUNet" in capfd.readouterr().err
    assert not (tmp_path / "v2").exists()


def test_an_export_never_writes_into_a_folder_that_is_there(tmp_path: Path) -> None:
    model = imported("v1", tmp_path / "one")
    (tmp_path / "v2").mkdir()
    (tmp_path / "v2" / "mine").write_text("mine")

    code = run("weights", "export", "m", "--folder", model.parent, "--nnunetv2", tmp_path / "v2")

    assert code == 74
    assert [each.name for each in (tmp_path / "v2").iterdir()] == ["mine"]


def test_a_model_of_nnunetv2_is_loaded_for_its_logits(tmp_path: Path) -> None:
    model = imported("v2", tmp_path)
    with np.load(MODELS / "v2.npz") as truth:
        logits, values = truth["logits"][0], truth["input"][0, 0]
    effort = replace(BALANCED, precision="f32")
    loaded = load_imported(model, effort, threads=1)

    assert loaded.planned.generation == 2
    assert loaded.planned.patch == values.shape
    np.testing.assert_allclose(loaded.folds[0](values), logits, atol=1e-4)
