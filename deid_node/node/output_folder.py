"""A folder that fills with whole files, none of which replaces another.

What is written first lies as a draft in one hidden folder inside, and gets its name by a
rename. A killed run leaves drafts, never half a file under a name; the next run deletes them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import PurePath
from typing import TYPE_CHECKING, Final, Self

from deid_node.errors import OutputUnwritable
from deid_node.node.durable import PRIVATE_FOLDER, sync_folder

if TYPE_CHECKING:
    from pathlib import Path

DRAFTS: Final = ".deid-node.part"


def refuse_inside(private: Path, folder: Path) -> None:
    """Keep what stays on the trusted side out of the folder that is handed on.

    Raises
    ------
    OutputUnwritable
        If `private` is `folder`, or lies in it.
    """
    if folder.resolve() in (private.resolve(), *private.resolve().parents):
        raise OutputUnwritable(f"{private} lies in {folder}, which is handed on")


def write_draft(draft: Path, content: bytes, *, durable: bool) -> None:
    """Write a private file of any name; with `durable`, to the disk itself.

    Raises
    ------
    OSError
        If the file system fails.
    """
    fd = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(fd, "wb", buffering=0) as file:
        view = memoryview(content)
        while view:
            view = view[file.write(view) :]
        if durable:
            os.fsync(fd)


class OutputFolder:
    """One run's hold on an output folder; a context manager.

    Parameters
    ----------
    folder
        Existing or new. One run at a time may write to it.
    durable
        Whether what was published must survive a power failure once the context is left
        without an exception.
    """

    def __init__(self, folder: Path, *, durable: bool = False) -> None:
        self._folder = folder
        self._durable = durable
        self._made: set[PurePath] = {PurePath()}
        self.drafts = folder / DRAFTS

    def __enter__(self) -> Self:
        """Take the folder, and delete the drafts that a killed run left.

        Raises
        ------
        OutputUnwritable
            If it cannot be written, or another run writes to it.
        """
        try:
            self._folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
            self.drafts.mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
            self._lock = os.open(self.drafts, os.O_RDONLY | os.O_DIRECTORY)
        except OSError:
            raise OutputUnwritable(f"{self._folder} cannot be written") from None
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._clear()
        except OSError:
            os.close(self._lock)
            raise OutputUnwritable(f"another run writes to {self._folder}") from None
        return self

    def __exit__(self, kind: type[BaseException] | None, *_rest: object) -> None:
        """Make names durable if that was asked for, and leave no draft."""
        try:
            with contextlib.suppress(OSError):
                self._clear()
                self.drafts.rmdir()
            if self._durable and kind is None:
                for place in self._made:
                    sync_folder(self._folder / place)
        except OSError:
            raise OutputUnwritable(f"{self._folder} cannot be made durable") from None
        finally:
            os.close(self._lock)

    def differs(self, draft: Path, place: PurePath) -> bool:
        """Whether another content has the name that a draft is to have.

        Raises
        ------
        OutputUnwritable
            If that cannot be told.
        """
        target = self._folder / place
        try:
            return target.exists() and target.read_bytes() != draft.read_bytes()
        except OSError:
            raise OutputUnwritable(f"{self._folder} cannot be written") from None

    def publish(self, draft: Path, place: PurePath) -> None:
        """Give a draft its name.

        Raises
        ------
        OutputUnwritable
            If the file system fails.
        """
        try:
            self._make(place.parent)
            draft.rename(self._folder / place)
        except OSError:
            raise OutputUnwritable(f"{self._folder} cannot be written") from None

    def _make(self, place: PurePath) -> None:
        if place in self._made:
            return
        self._make(place.parent)
        (self._folder / place).mkdir(mode=PRIVATE_FOLDER, exist_ok=True)
        self._made.add(place)

    def _clear(self) -> None:
        for draft in self.drafts.iterdir():
            draft.unlink()
