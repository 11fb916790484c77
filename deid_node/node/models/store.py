"""Imported face models on disk: each a folder with a card, there as a whole or not at all."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from deid_node import __version__
from deid_node.errors import ForeignModelRefused, ModelUnknown, OutputUnwritable
from deid_node.face.nnunet.read import read_model
from deid_node.face.nnunet.safetensors import encode
from deid_node.face.weights import CARD
from deid_node.node.durable import DRAFT_SUFFIX, sync_folder, write_file
from deid_node.node.models.files import model_files

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deid_node.face.nnunet.model import ForeignModel, ModelFiles

NAME: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,39}")
DEFAULT: Final = "default"
"""The name of the model that comes with the project; none imported may bear it."""
MOST_LICENCE_BYTES: Final = 1 << 18
PLANS: Final = "plans.json"
LICENCE: Final = "LICENCE"
CHUNK: Final = 1 << 20

_LICENCE_NAME: Final = re.compile(r"(?:.*/)?(?:licen[cs]e|copying)(?:\.txt|\.md)?", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What no file of a model says, and whoever imports it must.

    Parameters
    ----------
    like
        A known trainer, if somebody vouches that the model's own answers like that one.
    face, ears
        Which labels are faces and which are ears; empty: all labels are both.
    orientation
        Array order of the training images; None takes what such models mostly have.
    """

    like: str | None = None
    face: tuple[int, ...] = ()
    ears: tuple[int, ...] = ()
    orientation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """The terms of a model.

    Parameters
    ----------
    file
        Name of the file that holds them, None where there is none.
    text
        What they are.
    """

    file: str | None
    text: str


def is_name(name: str) -> bool:
    """Tell whether an imported model may bear a name."""
    return NAME.fullmatch(name) is not None and name != DEFAULT


def name_of(path: Path) -> str:
    """Name a model as its folder or archive is; what no name may hold becomes a dash."""
    own = path.resolve()
    plain = own.name if own.is_dir() else own.stem
    return re.sub(r"[^a-z0-9._-]+", "-", plain.lower()).strip("-._")[:40]


def find_licence(path: Path, given: Path | None = None) -> Licence:
    """Find the terms of a model: in a file that somebody names, or among the model's own.

    Parameters
    ----------
    path
        The model's folder or zip archive.
    given
        File with the terms, which are often published beside the weights.

    Raises
    ------
    ForeignModelRefused
        If a file cannot be read.
    """
    if given is not None:
        try:
            with given.open("rb") as file:
                return Licence(file=given.name, text=_text(file.read(MOST_LICENCE_BYTES)))
        except OSError:
            raise ForeignModelRefused(f"{given} cannot be read") from None
    with model_files(path) as files:
        names = sorted((n for n in files.names if _LICENCE_NAME.fullmatch(n)), key=len)
        if not names:
            return Licence(file=None, text="")
        found = files.read(names[0], MOST_LICENCE_BYTES)
        return Licence(file=names[0].rpartition("/")[2], text=_text(found))


def import_model(
    path: Path, *, name: str, folder: Path, licence: Licence, told: Told | None = None
) -> dict[str, Any]:
    """Read a stranger's model and keep it in the node's own form.

    Parameters
    ----------
    path
        The model's folder or zip archive, of nnU-Net v1 or nnunetv2.
    name
        What it is called from now on.
    folder
        Where imported models are kept.
    licence
        The terms that somebody accepted.
    told
        What the files do not say.

    Returns
    -------
    dict
        The model's card.

    Raises
    ------
    ForeignModelRefused
        If it is broken, hostile, or of a kind that is not run here.
    OutputUnwritable
        If a model of this name is there, or the folder cannot be written. Nothing stays.
    """
    if (folder / name).exists():
        raise OutputUnwritable(
            f"model {name} is there already: `deid-node weights remove {name}`, or another --name"
        )
    told = told or Told()
    with model_files(path) as files:
        model = read_model(files, like=told.like)
        removes = _removes(model, told)
        with _draft(folder, name) as draft:
            written = _write_files(draft, model, licence)
            card = {
                "name": name,
                "version": _version(written),
                "sha256": written,
                "licence": {"file": licence.file, "accepted": True},
                **model.facts,
                "orientation": told.orientation or model.facts["orientation"],
                "removes": removes,
                "input": _input(model),
                "source": {"path": path.name, "sha256": _digests(files, model)},
                "imported": {
                    "on": datetime.now(UTC).date().isoformat(),
                    "by": f"deid-node {__version__}",
                },
            }
            # the card comes last: a folder without one is no model
            write_file(draft / CARD, [_json(card)])
    return card


def remove_model(name: str, folder: Path) -> None:
    """Delete an imported model; it is gone as a whole before its files are.

    Raises
    ------
    ModelUnknown
        If there is no such model.
    OutputUnwritable
        If it cannot be deleted.
    """
    if not is_name(name) or not (folder / name).is_dir():
        raise ModelUnknown(name=name)
    try:
        doomed = Path(tempfile.mkdtemp(dir=folder, prefix=f".{name}-", suffix=DRAFT_SUFFIX))
        (folder / name).replace(doomed)
        sync_folder(folder)
        shutil.rmtree(doomed)
    except OSError:
        raise OutputUnwritable(f"{folder / name} cannot be deleted") from None


def imported_models(folder: Path) -> list[str]:
    """List the names of imported models."""
    if not folder.is_dir():
        return []
    return sorted(
        each.parent.name for each in folder.glob(f"*/{CARD}") if is_name(each.parent.name)
    )


@contextmanager
def _draft(folder: Path, name: str) -> Iterator[Path]:
    """Give a folder that gets its name when all is in it, and is deleted when anything fails."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = Path(tempfile.mkdtemp(dir=folder, prefix=f".{name}-", suffix=DRAFT_SUFFIX))
    except OSError:
        raise OutputUnwritable(f"{folder} cannot be written") from None
    try:
        yield draft
        draft.rename(folder / name)
        sync_folder(folder)
    except OSError:
        raise OutputUnwritable(f"{folder} cannot be written") from None
    finally:
        shutil.rmtree(draft, ignore_errors=True)


def _write_files(draft: Path, model: ForeignModel, licence: Licence) -> dict[str, str]:
    """Write all but the card; return the digest of each file."""
    for fold in model.folds:
        write_file(draft / f"{fold}.safetensors", list(encode(model.tensors(fold))))
    write_file(draft / PLANS, [_json(model.plans)])
    if licence.text:
        write_file(draft / LICENCE, [licence.text.encode()])
    digests = {}
    for path in sorted(draft.iterdir()):
        with path.open("rb") as file:
            digests[path.name] = hashlib.file_digest(file, "sha256").hexdigest()
    return digests


def _removes(model: ForeignModel, told: Told) -> dict[str, list[int]]:
    """Say which labels are removed as face and as ears."""
    known = [int(label) for label in model.plans["deid_node"]["labels"]]
    named = [*told.face, *told.ears]
    if not named:
        return {"face": known, "ears": known}
    if not told.face or not set(named) <= set(known):
        raise ForeignModelRefused(
            f"its labels are {', '.join(map(str, known))}: name those of the face among them"
        )
    return {"face": sorted(told.face), "ears": sorted(told.ears)}


def _input(model: ForeignModel) -> dict[str, Any]:
    """Say in the card what the network is given."""
    configuration = model.plans["configurations"]["3d_fullres"]
    own = model.plans["deid_node"]
    return {
        "spacing_mm": configuration["spacing"],
        "patch": configuration["patch_size"],
        "transpose_forward": model.plans["transpose_forward"],
        "use_mask_for_norm": configuration["use_mask_for_norm"][0],
        "mirror_axes": own["mirror_axes"],
        "labels": own["labels"],
        "folds": list(model.folds),
    }


def _digests(files: ModelFiles, model: ForeignModel) -> dict[str, str]:
    digests = {}
    for name in model.used:
        with files.open(name) as file:
            file.seek(0)
            digest = hashlib.sha256()
            while chunk := file.read(CHUNK):
                digest.update(chunk)
        digests[name] = digest.hexdigest()
    return digests


def _version(written: dict[str, str]) -> str:
    """Make a version of the digests: equal weights and plans have equal versions."""
    whole = "".join(f"{written[n]}  {n}\n" for n in sorted(written) if n != LICENCE)
    return hashlib.sha256(whole.encode()).hexdigest()[:12]


def _text(raw: bytes) -> str:
    """Decode a text of a stranger; control characters, which a terminal obeys, go."""
    text = raw.decode(errors="replace")
    return "".join(c for c in text if c.isprintable() or c in "\n\t").strip()


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()
