"""Faults of the machine: a locked database, a disk that is full, read-only or broken."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.fakes.node import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep everybody else from writing to a database for a while."""
    with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def disk(folder: Path, options: str) -> Iterator[Path]:
    """Mount a small disk of its own; skip where that is not allowed."""
    folder.mkdir(parents=True)
    _mount("-t", "tmpfs", "-o", f"mode=700,{options}", "tmpfs", folder)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


class BreakingDisk:
    """A disk with ext4 on it, which Linux makes read-only once it finds an error there.

    What ``mount -o remount,ro`` cannot do: files that are open for writing fail too. Nothing
    but unmounting it makes it writable again.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._image = folder.with_suffix(".ext4")

    def make(self) -> None:
        """Format it, and mount it."""
        self.folder.mkdir(parents=True)
        with self._image.open("wb") as image:
            image.truncate(64 * 2**20)
        subprocess.run(["mkfs.ext4", "-q", self._image], check=True)
        self._mount()

    def fail(self) -> None:
        """Have Linux find an error."""
        device = self.folder.stat().st_dev
        name = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}").resolve().name
        Path(f"/sys/fs/ext4/{name}/trigger_fs_error").write_text("1")

    def repair(self) -> None:
        """Do what a person does once no process has a file open there."""
        subprocess.run(["umount", self.folder], check=True)
        subprocess.run(["e2fsck", "-fy", self._image], capture_output=True, check=False)
        self._mount()

    def _mount(self) -> None:
        _mount("-o", "loop,errors=remount-ro", self._image, self.folder)
        self.folder.chmod(0o700)


@contextmanager
def breaking_disk(folder: Path) -> Iterator[BreakingDisk]:
    """Mount a disk that can break; skip where that is not allowed."""
    chosen = BreakingDisk(folder)
    chosen.make()
    try:
        yield chosen
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def _mount(*arguments: str | Path) -> None:
    mounted = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if mounted.returncode != 0 and os.environ.get("CI"):
        pytest.fail(f"a disk must be mounted in CI: {mounted.stderr.strip()}")
    if mounted.returncode != 0:
        pytest.skip(f"mounting is not allowed here: {mounted.stderr.strip()}")


def remounted(folder: Path, how: str) -> None:
    """Make a disk read-only (``ro``) as soon as no file is open for writing, or writable."""

    def has_worked() -> bool:
        command = ["mount", "-o", f"remount,{how}", str(folder)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    eventually(has_worked)
