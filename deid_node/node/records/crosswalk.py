"""Append old and new identifiers to a file that this node itself cannot read back.

`deid_node.node.records.crosswalk_file` has the layout. No identifier touches the disk in clear.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, Self

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from deid_node.errors import CrosswalkUnusable
from deid_node.node.durable import make_private_folder, sync_folder
from deid_node.node.records.broker_key import read_recipient
from deid_node.node.records.crosswalk_file import (
    HEAD_LENGTH,
    RECORD,
    SESSION,
    START,
    Chain,
    Frame,
    frames,
    nonce,
    session_cipher,
    start_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from deid_node.pipeline.linkage import Linkage

TAG_LENGTH: Final = 16
"""What ChaCha20-Poly1305 adds, RFC 8439 section 2.8."""


class Crosswalk:
    """One run's part of a crosswalk; a context manager. Several runs may append at a time.

    Parameters
    ----------
    path
        Existing or new.
    recipient
        File of the broker's public key.
    fingerprint
        That of the pseudonym key, so that the broker can tell keys apart.
    durable
        Whether links must be on the disk before `append` returns.
    """

    def __init__(
        self, path: Path, recipient: Path, *, fingerprint: str, durable: bool = False
    ) -> None:
        self._path = path
        self._recipient = read_recipient(recipient)
        self._fingerprint = fingerprint
        self._durable = durable
        self._noted: set[tuple[object, ...]] = set()
        self._n_records = 0
        self._is_whole = True
        self._n_sessions = 0
        self._end = 0
        self._chain = Chain(b"")

    def __enter__(self) -> Self:
        """Open the file and begin a session; a record that broke off in a crash is dropped.

        Raises
        ------
        CrosswalkUnusable
            If it cannot be written, is damaged, or is another broker's.
        """
        ephemeral = X25519PrivateKey.generate()
        public = ephemeral.public_key().public_bytes_raw()
        self._cipher = session_cipher(
            ephemeral,
            self._recipient,
            ephemeral=public,
            recipient=self._recipient.public_bytes_raw(),
        )
        with self._failures():
            make_private_folder(self._path.parent)
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
            sync_folder(self._path.parent)
            with self._alone():
                self._session = self._n_sessions
                self._write(Frame(kind=SESSION, session=self._session, body=public))
        return self

    def __exit__(self, *_exception: object) -> None:
        """End the session: what follows its last record was cut off, if no end does."""
        try:
            with self._failures():
                if self._is_whole:  # else the number of the next record is in doubt
                    self._record({"end": self._n_records})
                os.fsync(self._file)
        finally:
            os.close(self._file)

    def append(self, linkages: Iterable[Linkage]) -> None:
        """Write links; those of a patient, study or series once in a session.

        Raises
        ------
        CrosswalkUnusable
            If they cannot be written.
        """
        links: list[tuple[str, str, str]] = []
        days: list[tuple[str, int]] = []
        for linkage in linkages:
            found = [(each.kind, each.old, each.new) for each in linkage.links]
            links += [each for each in found if all(each) and self._is_new(*each)]
            shift = (linkage.of("patient").new, linkage.days)
            if shift[0] and self._is_new("days", *shift):
                days.append(shift)
        if links or days:
            with self._failures():
                self._record({"key": self._fingerprint, "links": links, "days": days})

    def _is_new(self, kind: str, *what: object) -> bool:
        """Whether something must be written; an instance comes once anyway."""
        if kind == "instance":
            return True
        if (kind, *what) in self._noted:
            return False
        self._noted.add((kind, *what))
        return True

    def _record(self, content: dict[str, object]) -> None:
        plain = json.dumps(content, separators=(",", ":")).encode("ascii")
        blank = Frame(kind=RECORD, session=self._session, body=bytes(len(plain) + TAG_LENGTH))
        with self._alone():
            bound = self._chain.bound(blank.head())
            body = self._cipher.encrypt(nonce(self._n_records), plain, bound)
            self._is_whole = False
            self._write(Frame(kind=RECORD, session=self._session, body=body))
            if self._durable:
                os.fsync(self._file)
            self._is_whole = True
            self._n_records += 1

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Lock the file, and learn what other runs wrote meanwhile."""
        fcntl.flock(self._file, fcntl.LOCK_EX)
        try:
            self._catch_up(os.fstat(self._file).st_size)
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def _catch_up(self, size: int) -> None:
        if size < self._end:
            raise CrosswalkUnusable(f"crosswalk {self._path} became shorter under our hands")
        with os.fdopen(os.dup(self._file), "rb") as file:
            if self._end == 0:
                self._begin(file.read(START))
            file.seek(self._end)
            for frame in frames(file):
                self._chain.add(frame.head() + frame.body)
                self._end += HEAD_LENGTH + len(frame.body)
                self._n_sessions += frame.kind == SESSION
        if self._end < size:
            os.ftruncate(self._file, self._end)

    def _begin(self, found: bytes) -> None:
        """Check what the file begins with, or begin it; that may have broken off too."""
        start = start_of(self._recipient)
        if not start.startswith(found):
            raise CrosswalkUnusable(
                f"crosswalk {self._path} is another broker's, or is no crosswalk"
            )
        if found != start:
            os.pwrite(self._file, start, 0)
        self._chain = Chain(start)
        self._end = START

    def _write(self, frame: Frame) -> None:
        content = frame.head() + frame.body
        if os.pwrite(self._file, content, self._end) < len(content):
            raise OSError
        self._chain.add(content)
        self._end += len(content)
        self._n_sessions += frame.kind == SESSION

    @contextmanager
    def _failures(self) -> Iterator[None]:
        try:
            yield
        except OSError:
            raise CrosswalkUnusable(f"crosswalk {self._path} cannot be written") from None
