"""A received instance on its way into the spool: written, encrypted, digested and synced."""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from deid_node.node.durable import DRAFT_SUFFIX, DiskFailuresNamed
from deid_node.node.kept import DIGEST_DIGITS, Kept

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from deid_node.headers.pseudonyms import InstanceKey, SeriesKey
    from deid_node.node.at_rest.stream import Sealer

SYNC_EVERY: Final = 64 * 2**20
"""A long file is synced on the way, in bytes, so that its end does not keep the sender waiting."""

PRIVATE_FILE: Final = 0o600

MOST_AT_ONCE: Final = 512
"""Pieces that one system call writes; Linux takes 1024."""


class Draft:
    """A file that is being written; it has no name yet that anybody looks for.

    Parameters
    ----------
    folder
        Of the series; the file gets its name there.
    series, instance
        Keys made from the UIDs.
    failures
        Names those of the disk.
    sealer
        Encrypts what is written; None leaves it in the clear.
    """

    def __init__(
        self,
        folder: Path,
        series: SeriesKey,
        instance: InstanceKey,
        *,
        failures: DiskFailuresNamed,
        sealer: Sealer | None = None,
    ) -> None:
        self.folder = folder
        self._failures = failures
        self._sealer = sealer
        self._series = series
        self._instance = instance
        self._digest = hashlib.sha256()
        self._unsynced = 0
        # Texts, not paths: there are several of them for each instance.
        self.path = f"{folder}/{instance}-{os.urandom(8).hex()}{DRAFT_SUFFIX}"
        self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE)

    @property
    def kept(self) -> Kept:
        """What the file is called once it is whole."""
        return Kept(
            series=self._series,
            instance=self._instance,
            digest=self._digest.hexdigest()[:DIGEST_DIGITS],
        )

    def write(self, pieces: Sequence[bytes | bytearray | memoryview]) -> None:
        """Append.

        Raises
        ------
        SpoolFull
            If the disk fills up.
        SpoolUnwritable
            If it is read-only, or fails.
        OSError
            If the file system fails otherwise.
        """
        for piece in pieces:
            self._digest.update(piece)
        self._put(pieces if self._sealer is None else self._sealer.seal(pieces))

    def sync(self) -> None:
        """Make the contents durable; nothing can be written after that.

        Raises
        ------
        SpoolFull, SpoolUnwritable, OSError
            As `write` does.
        """
        if self._sealer is not None:
            self._put(self._sealer.end())
        with self._failures:
            os.fdatasync(self._file)
        self._close()

    def abandon(self) -> None:
        """Delete the file; after it got its name this does nothing."""
        self._close()
        with suppress(OSError):
            os.unlink(self.path)  # noqa: PTH108 - a text

    def _put(self, pieces: Sequence[bytes | bytearray | memoryview]) -> None:
        with self._failures:
            for at in range(0, len(pieces), MOST_AT_ONCE):
                self._unsynced += _write_all(self._file, pieces[at : at + MOST_AT_ONCE])
            if self._unsynced >= SYNC_EVERY:
                os.fdatasync(self._file)
                self._unsynced = 0

    def _close(self) -> None:
        file, self._file = self._file, -1
        if file >= 0:
            os.close(file)


def _write_all(file: int, pieces: Sequence[bytes | bytearray | memoryview]) -> int:
    """Write pieces one behind the other; return how many bytes."""
    whole = sum(len(piece) for piece in pieces)
    written = os.writev(file, pieces) if pieces else 0
    if written < whole:
        rest = memoryview(b"".join(pieces))[written:]
        while rest:
            rest = rest[os.write(file, rest) :]
    return whole
