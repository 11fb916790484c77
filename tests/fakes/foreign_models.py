"""Models of nnU-Net to import, and ways to spoil them."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MODELS = Path(__file__).parents[1] / "nnunet"
CHECKPOINT = "fold_0/model_final_checkpoint.model"


def unpacked(folder: Path, name: str = "v1") -> Path:
    """Unpack one of the models of `tests/nnunet`; return its model folder."""
    with zipfile.ZipFile(MODELS / f"{name}.zip") as archive:
        archive.extractall(folder)
    (model,) = (each for each in folder.iterdir() if each.is_dir())
    return model


def packed(model: Path, archive: Path) -> Path:
    """Pack a model folder as people do."""
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for path in sorted(model.rglob("*")):
            if path.is_file():
                opened.write(path, path.relative_to(model.parent))
    return archive


def rewrite(
    checkpoint: Path,
    change: Callable[[str, bytes], bytes],
    *,
    compression: int = zipfile.ZIP_STORED,
) -> None:
    """Write a torch checkpoint again, each part as `change` gives it."""
    with zipfile.ZipFile(checkpoint) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(checkpoint, "w", compression) as archive:
        for name, content in parts.items():
            archive.writestr(name, change(name, content))


def pickle_of(checkpoint: Path) -> bytes:
    """Give the pickle inside a torch checkpoint."""
    with zipfile.ZipFile(checkpoint) as archive:
        (name,) = (each for each in archive.namelist() if each.endswith("data.pkl"))
        return archive.read(name)
