"""One spool, one process: a lock that ends with its holder, however that ends."""

from __future__ import annotations

import fcntl
import os
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from deid_node.errors import SpoolError
from deid_node.node.durable import DiskFailuresNamed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK: Final = "lock"
"""Name of the file in the spool folder."""
WORK_LOCK: Final = "work.lock"
"""The same for the process that works on series: it may outlive its node by a moment."""
POLL_SECONDS: Final = 0.05


def exclusive(folder: Path, name: str = LOCK, *, patience_seconds: float = 0) -> int:
    """Lock the spool folder for this process.

    Parameters
    ----------
    folder, name
        The folder, and the file in it by which it is locked.
    patience_seconds
        How long another process is waited for.

    Returns
    -------
    int
        A descriptor; closing it gives the folder free.

    Raises
    ------
    SpoolError
        If another process has it.
    SpoolUnwritable
        If the disk is read-only, or fails.
    """
    with DiskFailuresNamed(folder):
        fd = os.open(folder / name, os.O_RDWR | os.O_CREAT, 0o600)
    end = time.monotonic() + patience_seconds
    while not _taken(fd):
        if time.monotonic() >= end:
            os.close(fd)
            raise SpoolError(f"another node uses the spool folder {folder}")
        time.sleep(POLL_SECONDS)
    return fd


def _taken(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock the spool folder for a while.

    Raises
    ------
    SpoolError
        If another process has it, or there is no such folder.
    """
    if not folder.is_dir():
        raise SpoolError(f"there is no spool folder {folder}")
    fd = exclusive(folder)
    try:
        yield
    finally:
        os.close(fd)


def is_in_use(folder: Path) -> bool:
    """Tell whether a process has the spool folder; nothing is made or changed."""
    try:
        fd = os.open(folder / LOCK, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(fd)
    return False
