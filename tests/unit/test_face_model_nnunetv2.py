"""To nnunetv2 and back: what it is handed, and which results the runtime can take."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from pathlib import Path

    import torch
else:
    torch = pytest.importorskip(
        "torch", reason="torch is not installed: `make test-torch` runs this"
    )
from face_model import export, from_nnunetv2, network, to_nnunetv2

pytest.importorskip("dynamic_network_architectures", reason="only training needs it")
safetensors = pytest.importorskip("safetensors.torch", reason="only training needs it")

pytestmark = pytest.mark.torch

PLAN = network.plans(patch=48, spacing_mm=4.0)
LABELS = {name: number for number, name in enumerate(network.CLASSES)}


def fill(net: Any) -> Any:  # noqa: ANN401 - torch is skipped by the type check
    """Give each parameter values of its own."""
    torch.manual_seed(3)
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.normal_()
    return net.half().float()


def result(folder: Path, plan: dict[str, Any], labels: dict[str, int]) -> Path:
    """Write what nnunetv2 leaves beside its folds."""
    (folder / "plans.json").write_text(json.dumps(plan))
    (folder / "dataset.json").write_text(json.dumps({"labels": labels}))
    return folder


def test_nnunetv2_is_handed_every_tensor_under_all_its_names(tmp_path: Path) -> None:
    net = fill(network.build(PLAN))
    stored = {n: p.detach().half() for n, p in net.named_parameters()}
    safetensors.save_file(stored, tmp_path / "face.safetensors")

    handed = to_nnunetv2.checkpoint(PLAN, tmp_path / "face.safetensors")["network_weights"]

    assert handed.keys() == net.state_dict().keys()
    assert len(handed) > len(stored)
    for name, tensor in net.state_dict().items():
        assert torch.equal(handed[name], tensor)


def test_weights_that_lack_a_tensor_are_not_handed_on(tmp_path: Path) -> None:
    stored = {n: p.detach().half() for n, p in network.build(PLAN).named_parameters()}
    stored.popitem()
    safetensors.save_file(stored, tmp_path / "face.safetensors")

    with pytest.raises(ValueError, match="not the network"):
        to_nnunetv2.checkpoint(PLAN, tmp_path / "face.safetensors")


def test_plans_for_a_dataset_change_names_and_nothing_else() -> None:
    named = to_nnunetv2.named_for(PLAN, "Dataset501_Toy")
    before, after = (json.dumps(plan, sort_keys=True) for plan in (PLAN, named))

    assert named["dataset_name"] == "Dataset501_Toy"
    assert after.replace("FacePlans", "nnUNetPlans").replace("501_Toy", "001_Face") == before


def test_weights_come_back_from_a_checkpoint_of_nnunetv2(tmp_path: Path) -> None:
    net = fill(network.build(PLAN))
    path = tmp_path / "checkpoint_final.pth"
    log = {"mean_fg_dice": [np.float64(0.5)], "dice_per_class": [[np.float32(0.5)]]}
    torch.save({"network_weights": net.state_dict(), "logging": log}, path)

    state = export.load_state(path)

    assert state.keys() == net.state_dict().keys()
    assert all(torch.equal(state[name], tensor) for name, tensor in net.state_dict().items())


def test_several_states_ship_as_their_mean(tmp_path: Path) -> None:
    first, second = ({"w": torch.full((2,), value), "b": torch.ones(1)} for value in (1.0, 4.0))
    torch.save({"network": second, "average": first}, tmp_path / "one.pt")
    torch.save(second, tmp_path / "other.pt")

    mean = export.mean_state([tmp_path / "one.pt", tmp_path / "other.pt"])

    assert torch.equal(mean["w"], torch.full((2,), 2.5))
    assert torch.equal(mean["b"], torch.ones(1))


def test_a_result_with_our_plans_and_classes_is_taken(tmp_path: Path) -> None:
    named = to_nnunetv2.named_for(PLAN, "Dataset501_Toy")

    assert from_nnunetv2.read_plans(result(tmp_path, named, LABELS)) == named


@pytest.mark.parametrize(
    ("key", "value"), [("transpose_forward", [0, 1, 2]), ("image_reader_writer", "SimpleITKIO")]
)
def test_a_result_with_other_axes_is_refused(tmp_path: Path, key: str, value: object) -> None:
    with pytest.raises(ValueError, match="not those of this version"):
        from_nnunetv2.read_plans(result(tmp_path, {**PLAN, key: value}, LABELS))


def test_a_result_on_another_grid_is_refused(tmp_path: Path) -> None:
    other = network.plans(patch=48, spacing_mm=3.0)["configurations"]

    with pytest.raises(ValueError, match="not those of this version"):
        from_nnunetv2.read_plans(result(tmp_path, {**PLAN, "configurations": other}, LABELS))


def test_a_result_with_classes_in_another_order_is_refused(tmp_path: Path) -> None:
    swapped = {**LABELS, "face": LABELS["ears"], "ears": LABELS["face"]}

    with pytest.raises(ValueError, match="labels are not"):
        from_nnunetv2.read_plans(result(tmp_path, PLAN, swapped))


def test_a_result_of_plans_that_nnunetv2_made_itself_is_refused(tmp_path: Path) -> None:
    foreign = {key: value for key, value in PLAN.items() if key != "deid_node"}

    with pytest.raises(ValueError, match="not trained with the plans"):
        from_nnunetv2.read_plans(result(tmp_path, foreign, LABELS))
