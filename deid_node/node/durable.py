"""Write files so that they survive a power failure, or are not there at all."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deid_node.errors import SpoolFull, SpoolUnwritable

if TYPE_CHECKING:
    from collections.abc import Iterable

DRAFT_SUFFIX: Final = ".part"
PRIVATE_FOLDER: Final = 0o700


def make_private_folder(folder: Path) -> None:
    """Create a folder, and those above it, that its owner alone may enter; make it durable."""
    if folder.is_dir():
        return
    make_private_folder(folder.parent)
    folder.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
    sync_folder(folder.parent)


def write_file(path: Path, chunks: Iterable[bytes | memoryview]) -> None:
    """Write a file as a whole under its final name.

    Order: draft in the same folder, write, fsync, rename, fsync of the folder. The file
    is private to its owner (mode 0600).

    Raises
    ------
    OSError
        If the file system fails. Neither a draft nor a partial file stays.
    """
    fd, draft = tempfile.mkstemp(dir=path.parent, suffix=DRAFT_SUFFIX)
    try:
        with os.fdopen(fd, "wb") as file:
            file.writelines(chunks)
            file.flush()
            os.fsync(file.fileno())
        Path(draft).replace(path)
    except BaseException:
        Path(draft).unlink(missing_ok=True)
        raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Make the names in `folder` durable, which fsync of a file alone does not."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def remove_drafts(folder: Path) -> int:
    """Delete what an interrupted `write_file` left behind; return how many there were."""
    drafts = list(folder.rglob(f"*{DRAFT_SUFFIX}"))
    for draft in drafts:
        draft.unlink(missing_ok=True)
    return len(drafts)


class DiskFailuresNamed:
    """Gives a full disk, and one that cannot be written, names; other failures stay what they are.

    Parameters
    ----------
    folder
        On the disk.
    reserve_bytes
        For the message.

    Raises
    ------
    SpoolFull
        If the disk or the quota that holds `folder` is used up.
    SpoolUnwritable
        If the disk is read-only, or fails.
    """

    __slots__ = ("_folder", "_reserve_bytes")

    def __init__(self, folder: Path, *, reserve_bytes: int = 0) -> None:
        self._folder = folder
        self._reserve_bytes = reserve_bytes

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: object, _traceback: object) -> None:
        if not isinstance(error, OSError):
            return
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            free = shutil.disk_usage(self._folder).free
            raise SpoolFull(free_bytes=free, reserve_bytes=self._reserve_bytes) from None
        if error.errno in {errno.EROFS, errno.EIO}:
            raise SpoolUnwritable(code=errno.errorcode[error.errno]) from None
