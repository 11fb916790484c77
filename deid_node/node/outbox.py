"""Keep results on disk from the moment they are made until every destination has them."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

from deid_node.node.durable import (
    DiskFailuresNamed,
    make_private_folder,
    remove_drafts,
    write_file,
)
from deid_node.node.outgoing import Outgoing, from_file

if TYPE_CHECKING:
    from collections.abc import Container, Sequence
    from pathlib import Path

    from deid_node.dicom.part10 import EncodedInstance


class Outbox:
    """A folder of results, one sub-folder for each generation of a series, under its name.

    Parameters
    ----------
    root
        Folder on a local, journaling file system; made where it is missing.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        make_private_folder(root)

    def keep(self, name: str, instances: Sequence[EncodedInstance]) -> None:
        """Write a result and make it durable; an earlier, unfinished one is replaced.

        Raises
        ------
        SpoolFull, SpoolUnwritable
            If the disk is full, or cannot be written.
        """
        folder = self._root / name
        with DiskFailuresNamed(self._root):
            self.discard(name)
            make_private_folder(folder)
            for number, instance in enumerate(instances, start=1):
                write_file(folder / f"{number:05d}.dcm", [instance.part10])

    def instances(self, name: str) -> list[Outgoing]:
        """Describe a result, in the order in which it was kept."""
        paths = sorted((self._root / name).glob("*.dcm"))
        return [from_file(path, number=int(path.stem)) for path in paths]

    def discard(self, name: str) -> None:
        """Delete a result; it is no error if there is none."""
        folder = self._root / name
        if folder.is_dir():
            shutil.rmtree(folder)

    def recover(self, owed: Container[str]) -> None:
        """Delete drafts, and results that are not `owed` to anyone.

        Only for the start of the node, before the worker runs.
        """
        remove_drafts(self._root)
        for folder in self._root.iterdir():
            if folder.name not in owed:
                shutil.rmtree(folder)
