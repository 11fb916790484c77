"""Folders of encrypted files, each with the wrapped key of its series in it.

To erase a series is to delete that one small file: from then on nobody can read the others,
wherever the disk still has them.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deid_node.errors import SpooledFileDamaged, SpoolKeyUnusable
from deid_node.node.at_rest.names import KEY_FILE, MAGIC, is_sealed, wrapped_keys
from deid_node.node.at_rest.series_keys import MasterKey
from deid_node.node.at_rest.stream import Sealer, Unsealable, unseal
from deid_node.node.durable import sync_folder, write_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PIECE: Final = 2**20
MOST_KEYS_KNOWN: Final = 10_000


class Sealing:
    """Keeps the keys of series, and encrypts under them.

    `lock` is for whoever must not have a key erased while a file under it begins.
    """

    def __init__(self, master: MasterKey) -> None:
        self._master = master
        self._keys: dict[Path, bytes] = {}
        self.lock = threading.RLock()

    def sealer(self, folder: Path, name: str) -> Sealer:
        """Begin a file in `folder`; the key of its series is durable before that.

        Raises
        ------
        SpoolKeyUnusable
            If there is a key, and another master key wrapped it.
        OSError
            If a new key cannot be written.
        """
        with self.lock:
            key = self.key_of(folder)
            if key is None or not (folder / KEY_FILE).exists():
                key, kept = self._master.new_key()
                write_file(folder / KEY_FILE, [kept])
                self._remember(folder, key)
        return Sealer(key, name)

    def key_of(self, folder: Path) -> bytes | None:
        """Give the key of the files in `folder`; None if there is none, or it was erased.

        Raises
        ------
        SpoolKeyUnusable
            If another master key wrapped it.
        """
        with self.lock:
            key = self._keys.get(folder)
            if key is None:
                try:
                    kept = (folder / KEY_FILE).read_bytes()
                except FileNotFoundError:
                    return None
                key = self._master.unwrap(kept)
                if key is None:
                    raise SpoolKeyUnusable("the key of a series was wrapped by another spool key")
                self._remember(folder, key)
            return key

    def erase(self, folder: Path) -> None:
        """Make what lies in `folder` unreadable for good; durable when this returns."""
        with self.lock:
            self._keys.pop(folder, None)
            (folder / KEY_FILE).unlink(missing_ok=True)
            sync_folder(folder)

    def seal_in_place(self, path: Path, name: str) -> None:
        """Encrypt a file that lies there in the clear; a file that is encrypted stays as it is."""
        with path.open("rb") as file:
            if not is_sealed(file.read(len(MAGIC))):
                file.seek(0)
                sealer = self.sealer(path.parent, name)
                write_file(path, _sealed(iter(lambda: file.read(PIECE), b""), sealer))

    def unseal(self, path: Path, name: str) -> bytes:
        """Read an encrypted file.

        Raises
        ------
        SpooledFileDamaged
            If it is not as it was written, or its key was erased.
        OSError
            If it cannot be read.
        """
        try:
            key = self.key_of(path.parent)
            if key is None:
                raise SpooledFileDamaged
            return unseal(path.read_bytes(), key, name)
        except (Unsealable, SpoolKeyUnusable):
            raise SpooledFileDamaged from None

    def instance(self, path: Path, name: str, digest: str) -> SealedInstance:
        """Give an encrypted instance to read; nothing is decrypted yet."""
        return SealedInstance(sealing=self, path=path, name=name, digest=digest)

    def _remember(self, folder: Path, key: bytes) -> None:
        if len(self._keys) >= MOST_KEYS_KNOWN:
            self._keys.clear()
        self._keys[folder] = key


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedInstance:
    """An encrypted instance, read as `pathlib.Path` reads one in the clear.

    Parameters
    ----------
    sealing
        Has the key.
    path, name
        Where it lies, and what it is.
    digest
        The first hexadecimal digits of SHA-256 over its contents.
    """

    sealing: Sealing
    path: Path
    name: str
    digest: str

    def read_bytes(self) -> bytes:
        """Decrypt it in memory.

        Raises
        ------
        SpooledFileDamaged
            If it is not what was received.
        OSError
            If it cannot be read.
        """
        content = self.sealing.unseal(self.path, self.name)
        if not hashlib.sha256(content).hexdigest().startswith(self.digest):
            raise SpooledFileDamaged
        return content


def rotate(spool: Path, old: Path, new: Path) -> int:
    """Wrap the keys of all series by another master key; no data is written again.

    May be repeated where it was broken off. Only while no node uses the spool.

    Returns
    -------
    int
        How many keys there are.

    Raises
    ------
    KeyUnusable
        If a file cannot be used.
    SpoolKeyUnusable
        If neither of the two wrapped a key; those before it are under the new one.
    """
    masters = [MasterKey.from_file(path) for path in (new, old)]
    n_keys = 0
    for path in wrapped_keys(spool):
        kept = path.read_bytes()
        known = [key for key in (master.unwrap(kept) for master in masters) if key is not None]
        if not known:
            raise SpoolKeyUnusable(f"a key in the spool was wrapped by neither {old} nor {new}")
        write_file(path, [masters[0].wrap(known[0])])
        n_keys += 1
    return n_keys


def _sealed(pieces: Iterator[bytes], sealer: Sealer) -> Iterator[bytes]:
    for piece in pieces:
        yield from sealer.seal([piece])
    yield from sealer.end()
