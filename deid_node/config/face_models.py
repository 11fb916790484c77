"""Load the face models that the settings choose."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deid_node.config.models import models_folder
from deid_node.errors import ModelUnknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from deid_node.config.faces import Face
    from deid_node.face.model import FaceModel
    from deid_node.face.paired import Segmenter

DEFAULT_MODEL: Final = "default"


def model_folder(face: Face) -> Path:
    """Name the folder of the chosen model.

    Raises
    ------
    ModelUnknown
        If no model of that name was imported.
    """
    # Reading settings must not cost the loading of models.
    from deid_node.face.weights import default_weights  # noqa: PLC0415 - see above

    if face.model == DEFAULT_MODEL:
        return default_weights()
    if "/" in face.model:
        return Path(face.model)
    folder = models_folder() / face.model
    if not folder.is_dir():
        raise ModelUnknown(name=face.model)
    return folder


def face_models(
    faces: Iterable[Face], segmenter: Callable[[Path, Face], Segmenter] | None = None
) -> dict[Face, FaceModel]:
    """Load the default model once, and pair it with each imported one.

    Parameters
    ----------
    faces
        Of the settings.
    segmenter
        Makes what runs an imported model, from its folder; by default it runs in this process.

    Raises
    ------
    WeightsUnusable
        If a model cannot be loaded.
    """
    from deid_node.face.nnunet.imported import is_imported, meaning_of  # noqa: PLC0415 - see above
    from deid_node.face.openvino_model import load_model  # noqa: PLC0415 - see above
    from deid_node.face.paired import PairedModel  # noqa: PLC0415 - see above
    from deid_node.face.weights import default_weights  # noqa: PLC0415 - see above

    loaded = cache(load_model)

    def chosen(face: Face) -> FaceModel:
        folder = model_folder(face)
        if not is_imported(folder):
            return loaded(folder, threads=face.threads)
        return PairedModel(
            first=loaded(default_weights(), threads=face.threads),
            second=(segmenter or _in_this_process)(folder, face),
            meaning=meaning_of(folder),
            accuracy=_told(face),
        )

    return {face: chosen(face) for face in faces}


def _told(face: Face) -> str:
    """Say in few words how an imported model is asked; the answer depends on each of them."""
    folds = f", folds: {face.folds}" if face.folds else ""
    return f"{face.accuracy}{folds}" + ("" if face.device[0] == "cpu" else ", on a GPU")


def _in_this_process(folder: Path, face: Face) -> Segmenter:
    from deid_node.face.nnunet.effort import effort_of  # noqa: PLC0415 - as in `model_folder`
    from deid_node.face.nnunet.imported import load_imported  # noqa: PLC0415 - as above

    effort = effort_of(face.accuracy, face.folds, face.device[0])
    return load_imported(folder, effort, threads=face.threads)
