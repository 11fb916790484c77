"""Keep received instances on disk until they are delivered.

The spool makes one promise: when `Spool.keep` or `Spool.settle` returns, the instance
survives a power failure. File names come from pseudonymous keys and from the digest of the
whole file, never from the dataset; so equal instances share one file, and two that bear one
SOP Instance UID but differ lie side by side.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from deid_node.errors import OriginalsMissing, SpoolFull
from deid_node.node.at_rest.names import KEY_FILE
from deid_node.node.draft import PRIVATE_FILE, Draft
from deid_node.node.durable import (
    DRAFT_SUFFIX,
    DiskFailuresNamed,
    make_private_folder,
    remove_drafts,
    sync_folder,
)
from deid_node.node.kept import Kept, kept_in

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from deid_node.dicom.series import Readable
    from deid_node.headers.pseudonyms import InstanceKey, SeriesKey
    from deid_node.node.at_rest.sealing import Sealing

__all__ = ["Draft", "Spool"]

MOST_FOLDERS_KNOWN: Final = 10_000
"""Folders that are remembered to be durable; a year of series must not pile up in memory."""


class Spool:
    """A folder of Part 10 files, one sub-folder for each series.

    Parameters
    ----------
    root
        Folder on a local, journaling file system; made where it is missing.
    reserve_bytes
        Space to keep free. Below it the spool accepts nothing more.
    sealing
        Encrypts the files; None leaves them in the clear.
    """

    def __init__(self, root: Path, *, reserve_bytes: int, sealing: Sealing | None = None) -> None:
        self._root = root
        self._reserve_bytes = reserve_bytes
        self._failures = DiskFailuresNamed(root, reserve_bytes=reserve_bytes)
        self._sealing = sealing
        self._durable_folders: dict[SeriesKey, Path] = {}
        make_private_folder(root)

    def has_room(self) -> bool:
        """Tell whether anything can be kept now: space above the reserve, names, and writable."""
        disk = os.statvfs(self._root)
        return _free(disk) >= self._reserve_bytes and self._takes_files()

    def draft(self, series: SeriesKey, instance: InstanceKey) -> Draft:
        """Begin the file of an instance, in the folder of its series.

        Raises
        ------
        SpoolFull
            If less than the reserve is free, or the disk is full.
        SpoolUnwritable
            If it is read-only, or fails.
        OSError
            If the file system fails otherwise.
        """
        free = _free(os.statvfs(self._root))
        if free < self._reserve_bytes:
            raise SpoolFull(free_bytes=free, reserve_bytes=self._reserve_bytes)
        with self._failures:
            folder = self._folder(series)
            if self._sealing is None:
                return Draft(folder, series, instance, failures=self._failures)
            with self._sealing.lock:
                # From here on the folder is not empty, so its key stays.
                sealer = self._sealing.sealer(folder, _sealed_name(series, instance))
                return Draft(folder, series, instance, failures=self._failures, sealer=sealer)

    def settle(self, drafts: Sequence[Draft]) -> list[tuple[Kept, bool]]:
        """Give synced drafts their names, and make the names durable.

        Order: every draft was synced; renames; one sync of each folder.

        Returns
        -------
        list of (Kept, bool)
            In the order given; whether no such file was there before.

        Raises
        ------
        SpoolFull, SpoolUnwritable, OSError
            If the file system fails; drafts that have no name yet are still there.
        """
        settled = []
        with self._failures:
            for draft in drafts:
                kept = draft.kept
                path = f"{draft.folder}/{kept.name}"
                settled.append((kept, not os.path.exists(path)))  # noqa: PTH110 - a text
                os.replace(draft.path, path)  # noqa: PTH105 - texts
            for folder in {draft.folder for draft in drafts}:
                sync_folder(folder)
        return settled

    def keep(self, series: SeriesKey, instance: InstanceKey, chunks: Sequence[bytes]) -> Kept:
        """Write one instance and make it durable.

        Raises
        ------
        SpoolFull
            If less than the reserve is free, or the disk fills up meanwhile.
        SpoolUnwritable
            If it is read-only, or fails.
        OSError
            If the file system fails otherwise. In no case a partial file stays.
        """
        draft = self.draft(series, instance)
        try:
            draft.write(chunks)
            draft.sync()
            [(kept, _)] = self.settle([draft])
        except BaseException:
            draft.abandon()
            raise
        return kept

    def paths(self, instances: Iterable[Kept]) -> list[Path]:
        """Where instances lie, in the order given.

        Raises
        ------
        OriginalsMissing
            If some do not.
        """
        paths = [self._path(kept) for kept in instances]
        n_missing = sum(not path.exists() for path in paths)
        if n_missing:
            raise OriginalsMissing(n_instances=n_missing)
        return paths

    def sources(self, instances: Iterable[Kept]) -> list[Readable]:
        """Give instances to read, in the order given; nothing is decrypted yet.

        Raises
        ------
        OriginalsMissing
            If some are not there.
        """
        chosen = list(instances)
        paths, sealing = self.paths(chosen), self._sealing
        if sealing is None:
            return list(paths)
        return [
            sealing.instance(path, _sealed_name(kept.series, kept.instance), kept.digest)
            for path, kept in zip(paths, chosen, strict=True)
        ]

    def discard(self, instances: Iterable[Kept]) -> None:
        """Delete instances; a missing file is no error.

        The folder stays until the next start: another association may be writing to it. With
        the last encrypted instance of a series goes its key, and before it.
        """
        paths = [self._path(kept) for kept in instances]
        if self._sealing is not None:
            with self._sealing.lock:
                for folder in {path.parent for path in paths if path.exists()}:
                    if not _others(folder, {path.name for path in paths}):
                        self._sealing.erase(folder)
        for path in paths:
            path.unlink(missing_ok=True)

    def recover(self) -> list[Kept]:
        """Delete drafts that a crash left and empty folders; list every instance there is.

        What lies there in the clear is encrypted, if that is what the settings want. Only for
        the start of the node, while nothing is being received.
        """
        remove_drafts(self._root)
        for folder in self._root.iterdir():
            if folder.is_dir() and not _others(folder, set()):
                (folder / KEY_FILE).unlink(missing_ok=True)
                folder.rmdir()
        found = {path: kept_in(path) for path in sorted(self._root.glob("*/*.dcm"))}
        if self._sealing is not None:
            for path, kept in found.items():
                self._sealing.seal_in_place(path, _sealed_name(kept.series, kept.instance))
        return list(found.values())

    def _takes_files(self) -> bool:
        """Find out with a file: a disk that is read-only after an error need not say so."""
        probe = self._root / f"probe{DRAFT_SUFFIX}"
        try:
            os.close(os.open(probe, os.O_WRONLY | os.O_CREAT, PRIVATE_FILE))
            probe.unlink(missing_ok=True)  # several associations may ask at one time
        except OSError:
            return False
        return True

    def _folder(self, series: SeriesKey) -> Path:
        """Make the folder of a series; its name is durable before anything lies in it.

        Another thread may have made it and not synced it yet, so each sees to it itself.
        """
        known = self._durable_folders.get(series)
        if known is not None:
            return known
        folder = self._root / series
        make_private_folder(folder)
        sync_folder(self._root)
        if len(self._durable_folders) >= MOST_FOLDERS_KNOWN:
            self._durable_folders.clear()
        self._durable_folders[series] = folder
        return folder

    def _path(self, kept: Kept) -> Path:
        return self._root / kept.series / kept.name


def _sealed_name(series: SeriesKey, instance: InstanceKey) -> str:
    """Say what a file is; its digest is not known when it begins."""
    return f"{series}/{instance}"


def _others(folder: Path, names: set[str]) -> set[str]:
    """List what lies in a folder beside `names` and its key."""
    return {path.name for path in folder.iterdir()} - names - {KEY_FILE}


def _free(disk: os.statvfs_result) -> int:
    """Bytes that this process may still write."""
    return disk.f_bavail * disk.f_frsize
