"""Keep the before/after pictures of series on the trusted side, and delete them again."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final

from deid_node.errors import NoSuchSeries, SpoolKeyUnusable
from deid_node.node.at_rest.names import is_sealed
from deid_node.node.at_rest.opening import open_sealing
from deid_node.node.durable import DiskFailuresNamed, make_private_folder, write_file

if TYPE_CHECKING:
    from collections.abc import Container
    from pathlib import Path

    from deid_node.config.schema import Settings
    from deid_node.node.at_rest.sealing import Sealing
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
    sealing
        Encrypts pictures, each under a key of its own: one may stay longer than its series.
    """

    def __init__(self, spool: Path, sealing: Sealing | None = None) -> None:
        self._root = spool / FOLDER
        self._sealing = sealing

    def keep(self, name: str, evidence: Evidence) -> str:
        """Draw before, after and mask; an earlier picture is replaced.

        Returns
        -------
        str
            What a person accepts who accepts it: the digest of the evidence, or
            `NOTHING_REMOVED`.

        Raises
        ------
        SpoolFull, SpoolUnwritable
            If the disk is full, or cannot be written.
        """
        # Loading what draws is for the process that works on series.
        from deid_node.pipeline.picture import draw  # noqa: PLC0415 - see above

        folder = self._root / name
        picture = [draw(evidence)]
        with DiskFailuresNamed(self._root.parent):
            make_private_folder(folder)
            if self._sealing is not None:
                sealer = self._sealing.sealer(folder, _inner_name(name))
                picture = [*sealer.seal(picture), *sealer.end()]
            write_file(folder / PICTURE, picture)
        return evidence.digest() if evidence.mask.any() else NOTHING_REMOVED

    def place(self, name: str) -> Path:
        """Tell where a picture lies, if there is one."""
        return self._root / name / PICTURE

    def discard(self, name: str) -> None:
        """Delete a picture, its key first; it is no error if there is none."""
        folder = self._root / name
        if folder.is_dir():
            if self._sealing is not None:
                self._sealing.erase(folder)
            shutil.rmtree(folder)

    def recover(self, kept: Container[str]) -> None:
        """Delete the pictures of all that is not to be `kept`; only for the start of the node."""
        if self._root.is_dir():
            for folder in self._root.iterdir():
                if folder.name not in kept:
                    self.discard(folder.name)


def picture_of(settings: Settings, series: str) -> tuple[str, bytes]:
    """Find the latest picture of a series by the beginning of its key; decrypt it if need be.

    Parameters
    ----------
    settings
        Of the node.
    series
        Key of the series or its beginning, or the whole name of a later generation.

    Returns
    -------
    str, bytes
        Name of the generation, and the picture as PNG.

    Raises
    ------
    NoSuchSeries
        If none or several series with a picture have such a key.
    KeyUnusable, SpooledFileDamaged
        If it cannot be decrypted.
    """
    folder = settings.spool.folder
    found = [each.parent for each in (folder / FOLDER).glob(f"*/{PICTURE}")]
    matching = [each for each in found if each.name.startswith(series)]
    if len({_series_of(each.name) for each in matching}) != 1:
        raise NoSuchSeries(n_found=len(matching))
    chosen = max(matching, key=lambda each: (each.name == series, _generation_of(each.name)))
    content = (chosen / PICTURE).read_bytes()
    if is_sealed(content):
        sealing = open_sealing(folder, settings.spool.encrypt_key)
        if sealing is None:
            raise SpoolKeyUnusable("the picture is encrypted, and [spool] encrypt_key names no key")
        content = sealing.unseal(chosen / PICTURE, _inner_name(chosen.name))
    return chosen.name, content


def _series_of(name: str) -> str:
    return name.partition(".")[0]


def _generation_of(name: str) -> int:
    return int(name.partition(".")[2] or 1)


def _inner_name(name: str) -> str:
    """Say what the file is to whoever decrypts it."""
    return f"{name}/{PICTURE}"
