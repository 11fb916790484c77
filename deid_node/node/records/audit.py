"""The audit log: one sealed line of JSON for each instance or series, without a value of it.

Lines hold keyed names, new UIDs, codes, counts and class names. Two processes may append
to one file. Beside it, ``FILE.head`` holds the number of the last line under the same
seal, so that a tail that was cut off shows; who also puts back an older head is not seen
(note what ``audit verify`` prints somewhere else).
"""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, Self

from deid_node import __version__
from deid_node.errors import AuditUnusable
from deid_node.node.durable import make_private_folder
from deid_node.node.records.audit_chain import (
    HEAD_MISSING,
    TAIL_MISSING,
    TORN,
    Fields,
    Seal,
    digest,
    head_of,
    is_torn_first,
    read_head,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from deid_node.headers.profile import Profile
    from deid_node.headers.pseudonyms import Pseudonyms
    from deid_node.node.records.audit_entry import Entry

HEAD_LENGTH: Final = 128
_READ_BACK: Final = 1 << 16


class AuditLog:
    """Appends to one log; a context manager.

    Parameters
    ----------
    path
        Existing or new.
    profile, pseudonyms
        What is done, and the key: of both the digest goes into each line.
    verb
        Which command it is.
    durable
        Whether lines must be on the disk before `append` returns.
    """

    def __init__(
        self,
        path: Path,
        profile: Profile,
        pseudonyms: Pseudonyms,
        *,
        verb: str,
        durable: bool = False,
    ) -> None:
        self._path = path
        self._seal = Seal(pseudonyms)
        self._durable = durable
        self._origin: Fields = {
            "verb": verb,
            "version": __version__,
            "profile": f"{profile.name} {profile.version}",
            "profile_digest": profile.digest(),
            "key": pseudonyms.fingerprint(),
        }
        self._end = -1
        self._seq = 0
        self._last = b""

    def __enter__(self) -> Self:
        """Open the log, and record what the last run left undone.

        Raises
        ------
        AuditUnusable
            If it cannot be written, or its last line is not sealed under this key.
        """
        with self._failures():
            make_private_folder(self._path.parent)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            self._head = os.open(head_of(self._path), os.O_RDWR | os.O_CREAT, 0o600)
            self.append([])
        return self

    def __exit__(self, *_exception: object) -> None:
        """Sync and close."""
        try:
            with self._failures():
                os.fsync(self._file)
        finally:
            os.close(self._file)
            os.close(self._head)

    def append(self, entries: Sequence[Entry]) -> None:
        """Write one line for each entry, all in one go.

        Raises
        ------
        AuditUnusable
            If they cannot be written.
        """
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        with self._failures(), self._alone():
            lines = self._catch_up(at)
            lines += [self._next({"at": at, **self._origin, **each.told()}) for each in entries]
            self._write(b"".join(lines))

    def _next(self, fields: Fields) -> bytes:
        """Make the line after the last one."""
        self._seq += 1
        line = self._seal.sealed({"seq": self._seq, **fields, "prev": digest(self._last)})
        self._last = line
        return line + b"\n"

    def _catch_up(self, at: str) -> list[bytes]:
        """Learn what other processes wrote; say so where a crash or a hand left a gap."""
        size = os.fstat(self._file).st_size
        if size == self._end:
            return []
        head = read_head(os.pread(self._head, HEAD_LENGTH, 0), self._seal)
        sealed, loose = self._tail(size)
        fields = self._seal.read(sealed) if sealed else {"seq": 0}
        if fields is None:
            raise AuditUnusable(f"audit log {self._path} is not sealed under this key")
        self._seq = int(str(fields["seq"]))
        self._last = sealed + loose
        told: Fields = {"at": at, **self._origin}
        if head is not None and head > self._seq:
            return [self._closing(loose), self._next({**told, "event": TAIL_MISSING, "head": head})]
        if loose:
            return [self._closing(loose), self._next({**told, "event": TORN, "bytes": len(loose)})]
        if head is None and size:
            return [self._next({**told, "event": HEAD_MISSING})]
        return []

    def _closing(self, loose: bytes) -> bytes:
        """End a line that broke off; what follows it counts it in as it stands."""
        return b"\n" if loose else b""

    def _tail(self, size: int) -> tuple[bytes, bytes]:
        """Find the last sealed line, and what stands behind it; its own line feed not counted."""
        length = _READ_BACK
        while True:
            start = max(0, size - length)
            lines = os.pread(self._file, size - start, start).split(b"\n")
            if start:
                lines = lines[1:]
            for k in range(len(lines) - 2, -1, -1):
                if self._seal.read(lines[k]) is not None:
                    loose = b"\n".join(lines[k + 1 :])
                    return lines[k], b"\n" + loose if loose else b""
            if not start:
                whole = b"\n".join(lines)
                if is_torn_first(whole):
                    return b"", b"\n" + whole if whole else b""
                return whole, b""
            length *= 4

    def _write(self, content: bytes) -> None:
        rest = memoryview(content)
        while rest:
            rest = rest[os.write(self._file, rest) :]
        head = self._seal.sealed({"head": self._seq}).ljust(HEAD_LENGTH)
        os.pwrite(self._head, head, 0)
        if self._durable:
            os.fsync(self._file)
        self._end = os.fstat(self._file).st_size

    @contextmanager
    def _alone(self) -> Iterator[None]:
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            raise AuditUnusable(f"audit log {self._path} cannot be written") from None
