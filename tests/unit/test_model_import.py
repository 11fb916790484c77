"""What nnU-Net's own software wrote is imported to the bit, and described as it says itself."""

from __future__ import annotations

import json
import pickle
import shutil
import zipfile
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from deid_node.node.durable import write_file
from deid_node.node.models import store as model_store
from tests.fakes.command import run
from tests.fakes.foreign_models import CHECKPOINT, MODELS, packed, unpacked
from tests.fakes.network_answers import assert_same_network

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray


def imported(source: Path, store: Path, *more: object) -> Path:
    """Import a model as `m`; return its folder."""
    arguments = ("weights", "import", source, "--name", "m", "--folder", store, "--accept-licence")
    assert run(*arguments, *more) == 0
    return store / "m"


def refused(capfd: pytest.CaptureFixture[str], source: Path, *more: object) -> str:
    """Import a model that must be refused; return the complaint."""
    store = source.parent / "store"
    arguments = ("weights", "import", source, "--name", "m", "--folder", store, "--accept-licence")
    assert run(*arguments, *more) == 65
    assert not store.exists() or not list(store.iterdir())
    return capfd.readouterr().err


def tensors_of(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read a safetensors file by its specification."""
    raw = path.read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header: dict[str, Any] = json.loads(raw[8 : 8 + length])
    del header["__metadata__"]
    found = {}
    for name, said in header.items():
        begin, end = (8 + length + at for at in said["data_offsets"])
        assert said["dtype"] == "F32"
        found[name] = np.frombuffer(raw[begin:end], "<f4").reshape(said["shape"])
    return found


def truth_of(name: str) -> dict[str, NDArray[np.float32]]:
    """Give what the model's own software says of it."""
    with np.load(MODELS / f"{name}.npz") as stored:
        return dict(stored)


def change_plans(model: Path, **changes: object) -> None:
    for path in [model / "plans.pkl", *model.glob("fold_*/*.pkl")]:
        pickled = pickle.loads(path.read_bytes())  # noqa: S301 - our own file
        pickled.get("plans", pickled).update(changes)
        path.write_bytes(pickle.dumps(pickled))


def change_fold(model: Path, **changes: object) -> None:
    for path in model.glob("fold_*/*.pkl"):
        pickled = pickle.loads(path.read_bytes())  # noqa: S301 - our own file
        path.write_bytes(pickle.dumps(pickled | changes))


def own_name(name: str) -> str:
    """Translate a name of v1 in the smallest U-Net, whose stages have two convolutions each."""
    parts = name.split(".")
    if parts[0] == "tu":
        return f"decoder.transpconvs.{parts[1]}.weight"
    if parts[0] == "seg_outputs":
        return f"decoder.seg_layers.{parts[1]}.weight"
    kind = {"conv": "conv", "instnorm": "norm"}[parts[-2]]
    conv = parts[2] if parts[2] != "blocks" else parts[3]
    if parts[0] == "conv_blocks_context":
        return f"encoder.stages.{parts[1]}.0.convs.{conv}.{kind}.{parts[-1]}"
    return f"decoder.stages.{parts[1]}.convs.{conv}.{kind}.{parts[-1]}"


@pytest.mark.parametrize("name", ["v1", "v1_thick", "v1_legacy"])
def test_every_weight_of_v1_is_there_to_the_bit_and_the_rest_is_zero(
    tmp_path: Path, name: str
) -> None:
    truth = truth_of(name.removesuffix("_legacy"))
    weights = {own_name(n.removeprefix("weights/")): truth[n] for n in truth if "/" in n}

    found = tensors_of(imported(MODELS / f"{name}.zip", tmp_path) / "fold_0.safetensors")

    for key, expected in weights.items():
        assert found[key].tobytes() == expected.tobytes(), key
        assert found[key].shape == expected.shape, key
    for key in found.keys() - weights.keys():
        assert key.endswith(".bias"), key
        assert not found[key].any(), key


def test_every_weight_of_nnunetv2_is_there_once_and_to_the_bit(tmp_path: Path) -> None:
    truth = truth_of("v2")
    weights = {n.removeprefix("weights/"): truth[n] for n in truth if n.startswith("weights/")}

    found = tensors_of(imported(MODELS / "v2.zip", tmp_path) / "fold_0.safetensors")

    assert set(found) == set(weights)
    for key, expected in weights.items():
        assert found[key].tobytes() == expected.tobytes(), key


@pytest.mark.torch
@pytest.mark.parametrize(("name", "folds"), [("v1", 2), ("v2", 1)])
def test_the_network_that_its_plans_describe_gives_the_logits_of_the_original(
    tmp_path: Path, name: str, folds: int
) -> None:
    torch = pytest.importorskip(
        "torch", reason="torch is not installed: `make test-torch` runs this"
    )
    network = pytest.importorskip("face_model.network")
    safetensors = pytest.importorskip("safetensors.torch")
    folder = imported(MODELS / f"{name}.zip", tmp_path)
    plans = json.loads((folder / "plans.json").read_text())
    truth = truth_of(name)
    described = plans["configurations"]["3d_fullres"]["architecture"]
    kwargs = described["arch_kwargs"] | {
        key: network._locate(described["arch_kwargs"][key])
        for key in described["_kw_requires_import"]
    }
    net = network._locate(described["network_class_name"])(
        input_channels=1, num_classes=2, deep_supervision=False, **kwargs
    )
    state = safetensors.load_file(folder / "fold_0.safetensors")
    missing, unexpected = net.load_state_dict(state, strict=False)

    with torch.no_grad():
        logits = net.eval()(torch.from_numpy(truth["input"])).numpy()

    assert not unexpected
    assert all("all_modules" in key or "decoder.encoder" in key for key in missing)
    assert_same_network(logits, truth["logits"])
    assert len(list(folder.glob("*.safetensors"))) == folds


def test_plans_and_card_say_what_the_trainer_was_given(tmp_path: Path) -> None:
    folder = imported(MODELS / "v1_thick.zip", tmp_path)

    plans = json.loads((folder / "plans.json").read_text())
    card = json.loads((folder / "card.json").read_text())
    configuration = plans["configurations"]["3d_fullres"]
    kwargs = configuration["architecture"]["arch_kwargs"]
    assert configuration["patch_size"] == [4, 8, 8]
    assert configuration["spacing"] == [4.0, 1.0, 1.0]
    assert configuration["use_mask_for_norm"] == [False]
    assert (plans["transpose_forward"], plans["transpose_backward"]) == ([2, 0, 1], [1, 2, 0])
    assert kwargs["strides"] == [[1, 1, 1], [1, 2, 2], [2, 2, 2]]
    assert kwargs["kernel_sizes"] == [[1, 3, 3], [3, 3, 3], [3, 3, 3]]
    assert kwargs["features_per_stage"] == [2, 4, 8]
    assert plans["deid_node"]["decoder_kernel_sizes"] == [[3, 3, 3], [3, 3, 3]]
    assert not plans["deid_node"]["is_plain_unet"]
    assert card["trainer"] == "nnUNetTrainerV2"
    assert card["input"]["labels"] == [1]
    assert card["input"]["mirror_axes"] == [0, 1, 2]
    assert card["orientation"] == "dcm2niix"


def test_nothing_of_the_training_cases_is_kept(tmp_path: Path) -> None:
    model = unpacked(tmp_path / "source")
    assert b"secret_case" in (model / "plans.pkl").read_bytes()

    folder = imported(model, tmp_path / "store")

    assert not any(b"secret_case" in path.read_bytes() for path in folder.iterdir())


def test_v1s_postprocessing_is_kept(tmp_path: Path) -> None:
    model = unpacked(tmp_path / "source")
    said = {"for_which_classes": [[1], 1], "min_valid_object_sizes": "{(1,): 2.5, 1: 7}"}
    (model / "postprocessing.json").write_text(json.dumps(said))

    plans = json.loads((imported(model, tmp_path / "store") / "plans.json").read_text())

    assert plans["deid_node"]["postprocessing"] == {
        "largest_piece_of": [[1], [1]],
        "least_mm3": [2.5, 7.0],
    }


def test_a_model_is_listed_shown_verified_and_removed(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = imported(packed(unpacked(tmp_path / "s"), tmp_path / "m.zip"), tmp_path / "store")
    where = ("--folder", tmp_path / "store")
    capfd.readouterr()

    assert run("weights", "list", *where, "--json") == 0
    names = [each["name"] for each in json.loads(capfd.readouterr().out)["models"]]
    assert names == ["default", "m"]
    assert run("weights", "show", "m", *where) == 0
    assert "nnU-Net v1" in capfd.readouterr().out
    assert run("weights", "verify", "m", *where) == 0
    (folder / "plans.json").write_text("{}")
    assert run("weights", "verify", "m", *where) == 69
    assert run("weights", "remove", "m", *where) == 0
    assert not list((tmp_path / "store").iterdir())
    assert run("weights", "remove", "m", *where) == 69
    assert run("weights", "remove", "../s", *where) == 69
    assert (tmp_path / "s").exists()


def test_the_terms_are_shown_and_must_be_accepted(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = unpacked(tmp_path / "source")
    (model / "LICENSE.txt").write_text("For research\x1b[2J only.")
    arguments = ("weights", "import", model, "--name", "m", "--folder", tmp_path / "store")

    assert run(*arguments) == 64
    shown = capfd.readouterr().err
    assert "For research[2J only." in shown
    assert "--accept-licence" in shown
    assert not (tmp_path / "store").exists()

    folder = imported(model, tmp_path / "store")
    assert (folder / "LICENCE").read_text() == "For research[2J only."
    assert json.loads((folder / "card.json").read_text())["licence"]["file"] == "LICENSE.txt"


def test_a_name_that_is_taken_or_is_none_is_refused(tmp_path: Path) -> None:
    imported(MODELS / "v1.zip", tmp_path)
    arguments = ("weights", "import", MODELS / "v2.zip", "--folder", tmp_path, "--accept-licence")

    assert run(*arguments, "--name", "m") == 74
    assert run(*arguments, "--name", "default") == 64
    assert run(*arguments, "--name", "../m") == 64
    assert [each.name for each in tmp_path.iterdir()] == ["m"]


def test_a_model_without_a_name_is_called_as_its_folder_or_archive_is(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    archive = tmp_path / "Our Model_v1.2 (final).zip"
    shutil.copy(MODELS / "v1.zip", archive)
    folder = unpacked(tmp_path / "zip").rename(tmp_path / "nnUNetTrainerV2__nnUNetPlansv2.1")
    nameless = tmp_path / "(...).zip"
    shutil.copy(MODELS / "v1.zip", nameless)
    arguments = ("--folder", tmp_path / "store", "--accept-licence")

    assert run("weights", "import", archive, *arguments) == 0
    assert run("weights", "import", folder, *arguments) == 0
    assert run("weights", "import", nameless, *arguments) == 64
    assert "--name" in capfd.readouterr().err
    assert {each.name for each in (tmp_path / "store").iterdir()} == {
        "our-model_v1.2-final",
        "nnunettrainerv2__nnunetplansv2.1",
    }


def test_nothing_stays_when_the_disk_fails_half_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    written: list[Path] = []

    def failing(path: Path, chunks: Sequence[bytes]) -> None:
        if written:
            raise OSError(28, "full")
        written.append(path)
        write_file(path, chunks)

    monkeypatch.setattr(model_store, "write_file", failing)
    source = ("weights", "import", MODELS / "v1.zip", "--name", "m", "--folder", tmp_path)

    assert run(*source, "--accept-licence") == 74
    assert written
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("trainer", "axes"),
    [
        ("nnUNetTrainerV2_noMirroring", []),
        ("nnUNetTrainerV2_Loss_DiceTopK10", [0, 1, 2]),
        ("nnUNetTrainer", [0, 1, 2]),
    ],
)
def test_a_trainers_name_says_how_its_predictor_mirrors(
    tmp_path: Path, trainer: str, axes: list[int]
) -> None:
    model = unpacked(tmp_path / "source")
    change_fold(model, name=trainer)

    card = json.loads((imported(model, tmp_path / "store") / "card.json").read_text())

    assert card["input"]["mirror_axes"] == axes
    assert card["trainer"] == trainer


@pytest.mark.parametrize(
    "trainer",
    ["nnUNetTrainerV2CascadeFullRes", "nnUNetTrainerV2_ReLU", "nnUNetTrainerV2BraTSRegions"],
)
def test_a_trainer_of_another_network_is_refused_by_name(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], trainer: str
) -> None:
    model = unpacked(tmp_path / "source")
    change_fold(model, name=trainer)

    assert f"trainer {trainer} is not known" in refused(capfd, model)


def test_an_unknown_trainer_is_taken_when_somebody_vouches_for_it(tmp_path: Path) -> None:
    model = unpacked(tmp_path / "source")
    change_fold(model, name="nnUNetTrainerV2_ours")

    folder = imported(model, tmp_path / "store", "--like", "nnUNetTrainerV2_noMirroring")

    card = json.loads((folder / "card.json").read_text())
    assert card["trainer"] == "nnUNetTrainerV2_ours"
    assert card["trainer_vouched_for"] == "nnUNetTrainerV2_noMirroring"
    assert card["input"]["mirror_axes"] == []


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"base_num_features": 3}, "different models"),
        ({"num_classes": 2}, "different models"),
        ({"preprocessor_name": "PreprocessorFor2D"}, "preprocessor PreprocessorFor2D"),
        ({"normalization_schemes": {0: "CT"}}, "does not standardise"),
        ({"plans_per_stage": {}}, "stage of plans"),
    ],
)
def test_plans_that_are_not_of_these_weights_are_refused(
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    changes: dict[str, object],
    complaint: str,
) -> None:
    model = unpacked(tmp_path / "source")
    change_plans(model, **changes)

    assert complaint in refused(capfd, model)


def test_folds_of_different_models_are_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = unpacked(tmp_path / "source")
    other = unpacked(tmp_path / "other", "v1_thick")
    for suffix in ("", ".pkl"):
        path = model / f"fold_1/model_final_checkpoint.model{suffix}"
        path.write_bytes((other / f"{CHECKPOINT}{suffix}").read_bytes())

    assert "different models" in refused(capfd, model)


def test_folds_of_different_trainers_are_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = unpacked(tmp_path / "source")
    (path,) = model.glob("fold_1/*.pkl")
    pickled = pickle.loads(path.read_bytes())  # noqa: S301 - our own file
    path.write_bytes(pickle.dumps(pickled | {"name": "nnUNetTrainerV2_noMirroring"}))

    assert "different models" in refused(capfd, model)


def test_two_models_in_one_archive_are_refused_and_either_alone_is_taken(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    unpacked(tmp_path / "source" / "a")
    unpacked(tmp_path / "source" / "b", "v2")

    assert "2 models are there" in refused(capfd, tmp_path / "source")
    assert imported(tmp_path / "source" / "b", tmp_path / "store").is_dir()


@pytest.mark.parametrize(
    ("file", "old", "new", "complaint"),
    [
        ("plans.json", "LeakyReLU", "ReLU", "another nonlin"),
        ("plans.json", "PlainConvUNet", "ResidualEncoderUNet", "ResidualEncoderUNet is not run"),
        ("plans.json", '"n_stages": 3', '"n_stages": 4', "differ in n_stages"),
        ("plans.json", "NibabelIOWithReorient", "NaturalImage2DIO", "image reader"),
        ("plans.json", "ZScore", "RescaleTo01", "does not standardise"),
        ("dataset.json", '"face": 1', '"face": [1, 2]', "no plain numbers"),
        ("dataset.json", '"face": 1', '"face": 1, "ear": 2', "different models"),
        ("dataset.json", "{", "[", "not JSON"),
    ],
)
def test_an_nnunetv2_model_of_another_kind_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], file: str, old: str, new: str, complaint: str
) -> None:
    model = unpacked(tmp_path / "source", "v2")
    text = (model / file).read_text()
    assert old in text
    (model / file).write_text(text.replace(old, new))

    assert complaint in refused(capfd, model)


def test_the_models_of_the_tests_hold_no_path_of_a_machine() -> None:
    for path in MODELS.glob("*.zip"):
        with zipfile.ZipFile(path) as archive:
            content = b"".join(archive.read(name) for name in archive.namelist())
        assert not any(place in content for place in (b"/tmp/", b"/root/", b"/home/"))
