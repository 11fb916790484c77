"""Find the files that an operator means by naming a folder."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NoReturn

from deid_node.errors import NotDicom

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def files_below(folder: Path) -> Iterator[Path]:
    """List every regular file below a folder, in a stable order; links are not followed.

    Raises
    ------
    NotDicom
        If the folder does not exist, or it or one below it cannot be read: what is in there
        must not be passed over in silence.
    """
    if not folder.is_dir():
        raise NotDicom(f"{folder} is not a folder")
    for root, folders, names in os.walk(folder, onerror=_unreadable):
        folders.sort()
        for name in sorted(names):
            path = folder.__class__(root) / name
            if path.is_file() and not path.is_symlink():
                yield path


def _unreadable(error: OSError) -> NoReturn:
    raise NotDicom(f"folder {error.filename} cannot be read") from None
