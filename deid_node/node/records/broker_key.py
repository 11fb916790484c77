"""Keys of an honest broker: X25519, as PEM files that other programs read too."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_pem_private_key,
    load_pem_public_key,
)

from deid_node.errors import CrosswalkUnusable, OutputUnwritable

if TYPE_CHECKING:
    from pathlib import Path


def public_path(private: Path) -> Path:
    """Name the file of the public key that belongs to a private one."""
    return private.with_name(f"{private.name}.pub")


def create_broker_key(private: Path) -> None:
    """Write a new private key (mode 0600) and, beside it, the public one.

    Raises
    ------
    OutputUnwritable
        If one of the files exists, which is left as it is, or cannot be written.
    """
    key = X25519PrivateKey.generate()
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    if public_path(private).exists():
        raise OutputUnwritable(f"{public_path(private)} exists and is never overwritten")
    _create(private, secret, mode=0o600)
    _create(public_path(private), public, mode=0o644)


def read_recipient(path: Path) -> X25519PublicKey:
    """Read the broker's public key.

    Raises
    ------
    CrosswalkUnusable
        If it is missing, is a private key, or is of another kind.
    """
    content = _read(path)
    if b"PRIVATE KEY" in content:
        raise CrosswalkUnusable(f"{path} is a private key; the node takes the public one only")
    try:
        key = load_pem_public_key(content)
    except ValueError:
        raise CrosswalkUnusable(f"{path} is no public key in PEM") from None
    if not isinstance(key, X25519PublicKey):
        raise CrosswalkUnusable(f"{path} is no X25519 key")
    return key


def read_broker_key(path: Path) -> X25519PrivateKey:
    """Read the broker's private key.

    Raises
    ------
    CrosswalkUnusable
        If it is missing, open to others, encrypted, or of another kind.
    """
    content = _read(path)
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        raise CrosswalkUnusable(f"{path} may be read or written by others")
    try:
        key = load_pem_private_key(content, password=None)
    except (ValueError, TypeError):
        raise CrosswalkUnusable(f"{path} is no unencrypted private key in PEM") from None
    if not isinstance(key, X25519PrivateKey):
        raise CrosswalkUnusable(f"{path} is no X25519 key")
    return key


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        raise CrosswalkUnusable(f"{path} cannot be read") from None


def _create(path: Path, content: bytes, *, mode: int) -> None:
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError:
        raise OutputUnwritable(f"{path} exists and is never overwritten") from None
    except OSError:
        raise OutputUnwritable(f"{path} cannot be written") from None
    with os.fdopen(fd, "wb") as file:
        os.fchmod(fd, mode)
        file.write(content)
        file.flush()
        os.fsync(fd)
