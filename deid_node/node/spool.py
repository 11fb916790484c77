"""Keep received instances on disk until they are delivered.

The spool makes one promise: when `Spool.keep` returns, the instance survives a power
failure. File names come from pseudonymous keys and from the digest of the whole file,
never from the dataset; so equal instances share one file, and two that bear one SOP
Instance UID but differ lie side by side.
"""

from __future__ import annotations

import hashlib
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deid_node.errors import SpoolFull
from deid_node.headers.pseudonyms import InstanceKey, SeriesKey
from deid_node.node.durable import (
    full_disk_named,
    make_private_folder,
    remove_drafts,
    sync_folder,
    write_file,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

DIGEST_DIGITS: Final = 32
"""Hexadecimal digits of SHA-256 that tell two contents of one instance apart: 128 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One instance in the spool.

    Parameters
    ----------
    series, instance
        Keys made from its UIDs.
    digest
        Of the whole Part 10 file. It names no one: whoever can compute it holds the file.
    """

    series: SeriesKey
    instance: InstanceKey
    digest: str

    @property
    def name(self) -> str:
        """File name in the folder of its series."""
        return f"{self.instance}-{self.digest}.dcm"


class Spool:
    """A folder of Part 10 files, one sub-folder for each series.

    Parameters
    ----------
    root
        Folder on a local, journaling file system; made where it is missing.
    reserve_bytes
        Space to keep free. Below it the spool accepts nothing more.
    """

    def __init__(self, root: Path, *, reserve_bytes: int) -> None:
        self._root = root
        self._reserve_bytes = reserve_bytes
        self._durable_folders: set[SeriesKey] = set()
        make_private_folder(root)

    def keep(self, series: SeriesKey, instance: InstanceKey, chunks: Sequence[bytes]) -> Kept:
        """Write one instance and make it durable.

        Raises
        ------
        SpoolFull
            If less than the reserve is free, or the disk fills up meanwhile.
        OSError
            If the file system fails. No partial file stays.
        """
        free = shutil.disk_usage(self._root).free
        if free < self._reserve_bytes:
            raise SpoolFull(free_bytes=free, reserve_bytes=self._reserve_bytes)

        digest = hashlib.sha256()
        for chunk in chunks:
            digest.update(chunk)
        kept = Kept(series=series, instance=instance, digest=digest.hexdigest()[:DIGEST_DIGITS])
        with full_disk_named(self._root, reserve_bytes=self._reserve_bytes):
            self._make_folder(series)
            write_file(self._path(kept), chunks)
        return kept

    def paths(self, instances: Iterable[Kept]) -> list[Path]:
        """Where instances lie, in the order given."""
        return [self._path(kept) for kept in instances]

    def discard(self, instances: Iterable[Kept]) -> None:
        """Delete instances; a missing file is no error.

        The folder stays until the next start: another association may be writing to it.
        """
        for kept in instances:
            self._path(kept).unlink(missing_ok=True)

    def recover(self) -> list[Kept]:
        """Delete drafts that a crash left and empty folders; list every instance there is.

        Only for the start of the node, while nothing is being received.
        """
        remove_drafts(self._root)
        for folder in self._root.iterdir():
            if folder.is_dir() and not any(folder.iterdir()):
                folder.rmdir()
        return [_kept(path) for path in sorted(self._root.glob("*/*.dcm"))]

    def _make_folder(self, series: SeriesKey) -> None:
        """Make the folder of a series; its name is durable before anything lies in it.

        Another thread may have made it and not synced it yet, so each sees to it itself.
        """
        if series not in self._durable_folders:
            make_private_folder(self._root / series)
            sync_folder(self._root)
            self._durable_folders.add(series)

    def _path(self, kept: Kept) -> Path:
        return self._root / kept.series / kept.name


def _kept(path: Path) -> Kept:
    """Read the keys back from a file's name."""
    instance, _, digest = path.stem.rpartition("-")
    return Kept(series=SeriesKey(path.parent.name), instance=InstanceKey(instance), digest=digest)
