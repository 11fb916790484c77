"""The settings choose a face model by name or folder, and every verb runs an imported one apart."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from deid_node.cli.offline import Offline
from deid_node.config.face_models import face_models, model_folder
from deid_node.config.load import create_key, load_settings
from deid_node.config.recipes import recipe_from
from deid_node.errors import ModelUnknown, SettingsInvalid, WeightsUnusable
from deid_node.face.openvino_model import OpenVinoModel
from deid_node.face.paired import PairedModel
from deid_node.node.models.inference import InferenceProcess
from deid_node.node.send.folder import FolderDestination
from deid_node.node.work.making import loaded_recipes
from tests.fakes.command import run
from tests.fakes.foreign_models import MODELS

if TYPE_CHECKING:
    from pathlib import Path

    from deid_node.config.faces import Face
    from deid_node.config.schema import Settings
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
    assert model_folder(settings_of(tmp_path, 'model = "paper"').face) == imported
    assert model_folder(settings_of(tmp_path, 'model = "data/x"').face) == tmp_path / "data" / "x"
    with pytest.raises(ModelUnknown, match="no imported model is called other"):
        model_folder(settings_of(tmp_path, 'model = "other"').face)


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
def test_callers_have_a_model_of_their_own_beside_the_default_one(tmp_path: Path) -> None:
    routes = (
        '[node]\ncallers = ["PACS", "CHILDREN", "NEWBORN"]\n'
        '[[routes]]\ncallers = ["CHILDREN"]\nface.model = "paper"\n'
        '[[routes]]\ncallers = ["NEWBORN"]\nface.model = "paper"\nface.accuracy = "fast"\n'
    )
    settings = settings_of(tmp_path, f"margin_mm = 4\n{routes}")
    recipes = loaded_recipes(settings)
    default, children, newborn = (
        recipes[settings.face_of(caller)] for caller in ("PACS", "CHILDREN", "NEWBORN")
    )

    assert isinstance(children.model, PairedModel)
    assert isinstance(newborn.model, PairedModel)
    assert default.model is children.model.first is newborn.model.first
    assert " balanced, with " in children.model.card.version
    assert " fast, with " in newborn.model.card.version
    assert {each.mask.margin_mm for each in recipes.values()} == {4}
    assert len({each.digest for each in recipes.values()}) == 3
    for model in (children.model, newborn.model):
        assert isinstance(model.second, InferenceProcess)
        model.second.close()


@pytest.mark.usefixtures("imported")
def test_folders_and_the_node_run_an_imported_model_in_a_process_of_its_own(
    tmp_path: Path,
) -> None:
    limits = "folds = 2\nseconds = 7\nmemory_gib = 3"
    settings = settings_of(tmp_path, f'model = "paper"\naccuracy = "fast"\n{limits}')
    destination = FolderDestination(name="out", folder=tmp_path / "out")

    for model in (
        Offline(settings, destination, verb="deface")._recipe.model,
        loaded_recipes(settings)[settings.face].model,
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
        loaded_recipes(settings_of(tmp_path, 'model = "paper"\ndevice = "cuda:31"'))


@pytest.mark.usefixtures("imported")
def test_the_card_tells_of_a_gpu_whose_answer_is_another(tmp_path: Path) -> None:
    """The same series asked on another device is another recipe; which GPU is no matter."""
    asked: list[tuple[str, ...]] = []

    def segmenter(_: Path, face: Face) -> Segmenter:
        asked.append(face.device)
        return cast("Segmenter", None)

    devices = ("cpu", "cuda", "cuda:1")
    faces = [settings_of(tmp_path, f'model = "paper"\ndevice = "{each}"').face for each in devices]
    plain, first, second = (model.card for model in face_models(faces, segmenter).values())

    assert asked == [("cpu",), ("cuda",), ("cuda:1",)]
    assert "GPU" not in plain.version
    assert " balanced, on a GPU, with " in first.version
    assert first == second
    assert first.sha256 != plain.sha256


@pytest.mark.parametrize("device", ["gpu", "cuda:", "cuda:x", "cuda:123", "cpu:0", ""])
def test_a_device_that_is_none_is_refused(tmp_path: Path, device: str) -> None:
    with pytest.raises(SettingsInvalid, match=r"face\.device"):
        settings_of(tmp_path, f'device = "{device}"')
    with pytest.raises(SettingsInvalid, match=r"face\.device\.1"):
        settings_of(tmp_path, f'device = ["cuda", "{device}"]')


@pytest.mark.parametrize("devices", ["[]", "3", '["cpu", "cuda"]'])
def test_a_list_that_names_no_one_kind_of_device_is_refused(tmp_path: Path, devices: str) -> None:
    """By the kind of a device the masks differ, and one series would get either."""
    with pytest.raises(SettingsInvalid, match=r"face\.device"):
        settings_of(tmp_path, f"device = {devices}")


@pytest.mark.parametrize("verb", [("show",), ("remove",), ("verify",)])
def test_a_name_that_is_none_is_answered_with_where_names_are(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], verb: tuple[str, ...]
) -> None:
    assert run("weights", *verb, "absent", "--folder", tmp_path) == 69

    told = capfd.readouterr().err
    assert "no imported model is called absent" in told
    assert "`deid-node weights list`" in told
    assert "reinstall" not in told
