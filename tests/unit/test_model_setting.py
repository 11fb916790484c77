"""The settings choose a face model by name or folder, and every verb runs an imported one apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from deid_node.cli.offline import Offline
from deid_node.config.load import create_key, face_model, load_settings, model_folder, recipe_from
from deid_node.errors import ModelUnknown, SettingsInvalid, WeightsUnusable
from deid_node.face.openvino_model import OpenVinoModel
from deid_node.face.paired import PairedModel
from deid_node.node.models.inference import InferenceProcess
from deid_node.node.send.folder import FolderDestination
from deid_node.node.work.making import loaded_recipe
from tests.fakes.command import run
from tests.fakes.foreign_models import MODELS

if TYPE_CHECKING:
    from pathlib import Path

    from deid_node.config.schema import Face, Settings
    from deid_node.face.paired import Segmenter


@pytest.fixture
def imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Import a model of random weights as `paper` into the user's data folder."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    arguments = ("weights", "import", MODELS / "v1.zip", "--name", "paper", "--accept-licence")
    assert run(*arguments) == 0
    return tmp_path / "data" / "deid-node" / "models" / "paper"


def settings_of(tmp_path: Path, face: str) -> Settings:
    path = tmp_path / "deid-node.toml"
    if not (tmp_path / "key").exists():
        create_key(tmp_path / "key")
    path.write_text(
        'schema_version = 1\npseudonym_key = "key"\n[spool]\nfolder = "spool"\n'
        f'[[destinations]]\nkind = "folder"\nname = "out"\nfolder = "out"\n[face]\nthreads = 1\n{face}\n'
    )
    return load_settings(path, {})


def test_the_default_model_looks_alone(tmp_path: Path) -> None:
    assert isinstance(recipe_from(settings_of(tmp_path, "")).model, OpenVinoModel)


def test_a_name_is_looked_up_among_imported_models_and_a_path_is_taken_as_it_is(
    tmp_path: Path, imported: Path
) -> None:
    assert model_folder(settings_of(tmp_path, 'model = "paper"')) == imported
    assert model_folder(settings_of(tmp_path, 'model = "data/x"')) == tmp_path / "data" / "x"
    with pytest.raises(ModelUnknown, match="no imported model is called other"):
        model_folder(settings_of(tmp_path, 'model = "other"'))


def test_an_accuracy_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"face\.accuracy"):
        settings_of(tmp_path, 'accuracy = "sloppy"')


def test_a_damaged_model_stops_the_start(tmp_path: Path, imported: Path) -> None:
    (imported / "fold_0.safetensors").write_bytes(b"damaged")

    with pytest.raises(WeightsUnusable, match="damaged"):
        recipe_from(settings_of(tmp_path, 'model = "paper"'))


@pytest.mark.usefixtures("imported")
def test_an_imported_model_looks_beside_the_default_one(tmp_path: Path) -> None:
    model = recipe_from(settings_of(tmp_path, 'model = "paper"\naccuracy = "fast"')).model

    assert isinstance(model, PairedModel)
    assert isinstance(model.first, OpenVinoModel)
    assert model.card.name == "paper"
    assert " fast, with " in model.card.version


@pytest.mark.usefixtures("imported")
def test_folders_and_the_node_run_an_imported_model_in_a_process_of_its_own(
    tmp_path: Path,
) -> None:
    limits = "folds = 2\nseconds = 7\nmemory_gib = 3"
    settings = settings_of(tmp_path, f'model = "paper"\naccuracy = "fast"\n{limits}')
    destination = FolderDestination(name="out", folder=tmp_path / "out")

    for model in (
        Offline(settings, destination, verb="deface")._recipe.model,
        loaded_recipe(settings).model,
    ):
        assert isinstance(model, PairedModel)
        assert " fast, folds: 2, with " in model.card.version
        process = model.second
        assert isinstance(process, InferenceProcess)
        assert process._seconds == 7
        assert process._arguments[1:] == ["fast", "cpu", "2", "1", str(3 << 30)]
        process.close()


@pytest.mark.usefixtures("imported")
def test_a_node_whose_gpu_is_not_there_does_not_start(tmp_path: Path) -> None:
    with pytest.raises(WeightsUnusable, match="torch"):
        loaded_recipe(settings_of(tmp_path, 'model = "paper"\ndevice = "cuda:31"'))


@pytest.mark.usefixtures("imported")
def test_the_card_tells_of_a_gpu_whose_answer_is_another(tmp_path: Path) -> None:
    """The same series asked on another device is another recipe; which GPU is no matter."""
    asked: list[str] = []

    def segmenter(_: Path, face: Face) -> Segmenter:
        asked.append(face.device)
        return cast("Segmenter", None)

    plain, first, second = (
        face_model(settings_of(tmp_path, f'model = "paper"\ndevice = "{each}"'), segmenter).card
        for each in ("cpu", "cuda", "cuda:1")
    )

    assert asked == ["cpu", "cuda", "cuda:1"]
    assert "GPU" not in plain.version
    assert " balanced, on a GPU, with " in first.version
    assert first == second
    assert first.sha256 != plain.sha256


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "cuda:123", "cpu:0", ""])
def test_a_device_that_is_none_is_refused(tmp_path: Path, device: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"face\.device"):
        settings_of(tmp_path, f'device = "{device}"')


@pytest.mark.parametrize("verb", [("show",), ("remove",), ("verify",)])
def test_a_name_that_is_none_is_answered_with_where_names_are(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], verb: tuple[str, ...]
) -> None:
    assert run("weights", *verb, "absent", "--folder", tmp_path) == 69

    told = capfd.readouterr().err
    assert "no imported model is called absent" in told
    assert "`deid-node weights list`" in told
    assert "reinstall" not in told
