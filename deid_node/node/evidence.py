"""Keep the before/after pictures of series on the trusted side, and delete them again."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from deid_node.node.durable import full_disk_named, make_private_folder, write_file
from deid_node.pipeline.picture import draw

if TYPE_CHECKING:
    from collections.abc import Container
    from pathlib import Path

    from deid_node.pipeline.review import Evidence

FOLDER: Final = "work"
PICTURE: Final = "before-after.png"
NOTHING_REMOVED: Final = "nothing"
"""Stands for the digest of a result that nobody can accept: the face would leave as it came."""


class Pictures:
    """One picture for each generation of a series; it shows the face and is never sent.

    Parameters
    ----------
    spool
        The spool folder; a picture is ``work/<name>/before-after.png`` in it, mode 0600.
    """

    def __init__(self, spool: Path) -> None:
        self._root = spool / FOLDER

    def keep(self, name: str, evidence: Evidence) -> str:
        """Draw before, after and mask; an earlier picture is replaced.

        Returns
        -------
        str
            What a person accepts who accepts it: the digest of the evidence, or
            `NOTHING_REMOVED`.

        Raises
        ------
        SpoolFull
            If the disk is full.
        """
        with full_disk_named(self._root.parent):
            keep_picture(self._root.parent, name, evidence)
        return evidence.digest() if evidence.mask.any() else NOTHING_REMOVED

    def place(self, name: str) -> Path:
        """Tell where a picture lies, if there is one."""
        return self._root / name / PICTURE

    def discard(self, name: str) -> None:
        """Delete a picture; it is no error if there is none."""
        folder = self._root / name
        if folder.is_dir():
            shutil.rmtree(folder)

    def recover(self, kept: Container[str]) -> None:
        """Delete the pictures of all that is not to be `kept`; only for the start of the node."""
        if self._root.is_dir():
            for folder in self._root.iterdir():
                if folder.name not in kept:
                    shutil.rmtree(folder)


def keep_picture(folder: Path, series: str, evidence: Evidence) -> Path:
    """Draw the evidence into the private work folder.

    Parameters
    ----------
    folder : Path
        The spool folder; the picture goes to ``work/<series>/`` in it.
    series : str
        Pseudonym of the source series.
    evidence : Evidence
        Before, after and mask.

    Returns
    -------
    Path
        The picture, mode 0600.
    """
    private = folder / FOLDER / series
    make_private_folder(private)
    write_file(private / PICTURE, [draw(evidence)])
    return private / PICTURE
