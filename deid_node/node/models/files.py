"""Files of a stranger's model, in a folder or a zip archive, within bounds.

Nothing is unpacked to a place that an archive names: a part that must be read from any place
goes into a file without a name, which is gone when it is closed.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import zipfile
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Final

from deid_node.errors import ForeignModelRefused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from deid_node.face.nnunet.model import ModelFiles

MOST_FILES: Final = 5000
MOST_BYTES: Final = 16 << 30
"""All files together; five folds of the standard network with optimizer states are 1.3 GB."""
MOST_RATIO: Final = 100
"""Weights hardly shrink, and pickles of plans by ten."""
SMALL_BYTES: Final = 1 << 20
"""Up to here a part may shrink as far as it likes."""

_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_BROKEN: Final = (zipfile.BadZipFile, EOFError, ValueError, NotImplementedError, RuntimeError)


@contextmanager
def model_files(path: Path) -> Iterator[ModelFiles]:
    """Open a model's folder or zip archive.

    Parameters
    ----------
    path
        Of the folder or the archive.

    Yields
    ------
    ModelFiles

    Raises
    ------
    ForeignModelRefused
        If it is neither, or passes a bound, or holds links or names that lead elsewhere.
    """
    if path.is_dir():
        yield _Folder(path)
        return
    try:
        archive = zipfile.ZipFile(path)
    except OSError:
        raise ForeignModelRefused(f"{path} cannot be read") from None
    except _BROKEN:
        raise ForeignModelRefused(f"{path} is neither a folder nor a zip archive") from None
    with archive:
        yield _Archive(archive, path)


class _Folder:
    """Files below a folder; links are not followed."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        found = []
        for here, folders, files in os.walk(folder, followlinks=False):
            for name in (*folders, *files):
                path = Path(here, name)
                if path.is_symlink():
                    raise ForeignModelRefused(f"{folder} holds links: copy it with `cp -rL` first")
            found += [Path(here, name).relative_to(folder).as_posix() for name in files]
            if len(found) > MOST_FILES:
                raise ForeignModelRefused(f"{folder} holds more than {MOST_FILES} files")
        self.names = frozenset(found)

    def read(self, name: str, most_bytes: int) -> bytes:
        with self.open(name) as file:
            content = file.read(most_bytes + 1)
        if len(content) > most_bytes:
            raise ForeignModelRefused(f"{_last(name)} is larger than {most_bytes} bytes")
        return content

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """Open a plain file: neither a link nor a pipe, which would never end."""
        path = self._folder / name
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        except OSError:
            raise ForeignModelRefused(f"{path} cannot be read") from None
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ForeignModelRefused(f"{path} is no plain file")
            yield file


class _Archive:
    """Parts of a zip archive."""

    def __init__(self, archive: zipfile.ZipFile, path: Path) -> None:
        self._archive = archive
        self._path = path
        members = archive.infolist()
        if len(members) > MOST_FILES or sum(m.file_size for m in members) > MOST_BYTES:
            raise ForeignModelRefused(f"{path} holds too many files or too large ones")
        for member in members:
            reason = _refused(member)
            if reason:
                raise ForeignModelRefused(f"{path} holds {reason}")
        plain = [m.filename for m in members if not m.is_dir()]
        if len(set(plain)) != len(plain):
            raise ForeignModelRefused(f"{path} holds two files of one name")
        self.names = frozenset(plain)

    def read(self, name: str, most_bytes: int) -> bytes:
        if self._archive.getinfo(name).file_size > most_bytes:
            raise ForeignModelRefused(f"{_last(name)} is larger than {most_bytes} bytes")
        try:
            return self._archive.read(name)
        except _BROKEN:
            raise ForeignModelRefused(f"{self._path} is damaged") from None

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        """Unpack a part into a file without a name; the archive checks its length and sum."""
        with tempfile.TemporaryFile() as file:
            try:
                with self._archive.open(name) as part:
                    shutil.copyfileobj(part, file, SMALL_BYTES)
            except _BROKEN:
                raise ForeignModelRefused(f"{self._path} is damaged") from None
            yield file


def _refused(member: zipfile.ZipInfo) -> str:
    """Say why a part of an archive is refused; empty if it is not."""
    name = PurePosixPath(member.filename)
    if (
        name.is_absolute()
        or ".." in name.parts
        or "\\" in member.filename
        or ":" in member.filename
    ):
        return "a name that leads out of its folder"
    if stat.S_ISLNK(member.external_attr >> 16):
        return "a link"
    if member.flag_bits & 1:
        return "encrypted files: unpack it first"
    if member.compress_type not in _METHODS:
        return "files compressed in a way that is not read: unpack it first"
    if member.file_size > SMALL_BYTES + MOST_RATIO * member.compress_size:
        return "a file that would unpack to more than a hundred times its size"
    return ""


def _last(name: str) -> str:
    return name.rpartition("/")[2]
