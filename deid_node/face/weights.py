"""Find a model folder, and prove that its files are the ones its card names.

A model folder holds `card.json` and the files listed there. No inference engine is known here.
"""

from __future__ import annotations

import hashlib
import json
import sysconfig
from pathlib import Path
from typing import Any

from deid_node.errors import WeightsUnusable
from deid_node.face.model import ModelCard

CARD = "card.json"

INSTALLED = Path("share", "deid-node", "weights", "default")
"""Where a wheel puts the default model, below the data folder of the installation scheme."""


def default_weights() -> Path:
    """Locate the model folder that comes with the project.

    It lies beside the package in a source tree (editable installs run from there), and in
    the installation's data folder after a wheel was installed: setuptools copies the
    top-level `weights/` there by `[tool.setuptools.data-files]`.

    Returns
    -------
    Path
        Folder with a card; its files are not verified yet.

    Raises
    ------
    WeightsUnusable
        If it is in none of these places.
    """
    package = Path(__file__).resolve().parents[1]
    places = [
        package.parent / "weights" / "default",
        Path(sysconfig.get_path("data")) / INSTALLED,
        package.parent / INSTALLED,  # pip install --target
        Path(sysconfig.get_path("data", sysconfig.get_preferred_scheme("user"))) / INSTALLED,
    ]
    for folder in places:
        if (folder / CARD).is_file():
            return folder
    raise WeightsUnusable("the default model is not installed")


def read_card(folder: Path) -> ModelCard:
    """Read a model's card and verify every file it names.

    Parameters
    ----------
    folder
        The model folder.

    Returns
    -------
    ModelCard
        With a digest over the names and digests of all files of the card.

    Raises
    ------
    WeightsUnusable
        If the card is missing or malformed, or if a file is missing or not what the card says.
    """
    card = _parse(folder / CARD)
    files: dict[str, str] = card["sha256"]
    for name, expected in files.items():
        _verify(folder / name, expected)
    whole = hashlib.sha256()
    for name in sorted(files):
        whole.update(f"{files[name]}  {name}\n".encode())
    return ModelCard(name=card["name"], version=card["version"], sha256=whole.hexdigest())


def card_of(folder: Path) -> dict[str, Any]:
    """Read a model's card as it is written, without verifying any file.

    Raises
    ------
    WeightsUnusable
        If it is missing or malformed.
    """
    return _parse(folder / CARD)


def _parse(path: Path) -> dict[str, Any]:
    try:
        card: Any = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise WeightsUnusable(f"no {CARD} in model folder {path.parent}") from None
    except (OSError, ValueError):
        raise WeightsUnusable(f"{path} cannot be read") from None
    if not _is_card(card):
        raise WeightsUnusable(f"{path} lacks name, version or sha256 of its files")
    return dict(card)


def _is_card(card: object) -> bool:
    if not isinstance(card, dict):
        return False
    files = card.get("sha256")
    return (
        isinstance(card.get("name"), str)
        and isinstance(card.get("version"), str)
        and isinstance(files, dict)
        and bool(files)
        # a name is a plain file name: nothing outside the folder is ever opened
        and all(isinstance(n, str) and Path(n).name == n for n in files)
        and all(isinstance(digest, str) for digest in files.values())
    )


def _verify(path: Path, expected: str) -> None:
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise WeightsUnusable(f"model file {path} is missing") from None
    except OSError:
        raise WeightsUnusable(f"model file {path} cannot be read") from None
    if found != expected:
        raise WeightsUnusable(f"model file {path} is damaged: its SHA-256 differs from the card")
