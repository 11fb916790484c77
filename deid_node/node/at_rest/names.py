"""What encrypted files and the files of their keys are called, and how both are told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY_FILE: Final = "series.key"
"""Name of the wrapped key in the folder whose files it opens."""

MAGIC: Final = b"deid-node/sealed"
"""What an encrypted file begins with; a Part 10 file and a picture begin otherwise."""

RECEIVED: Final = ("received",)
IDENTIFIED: Final = (*RECEIVED, "work")
"""Folders of the spool that hold what identifies a person, a sub-folder for each series."""


def wrapped_keys(spool: Path, *, places: tuple[str, ...] = IDENTIFIED) -> Iterator[Path]:
    """List the files that hold keys of series."""
    for place in places:
        yield from sorted((spool / place).glob(f"*/{KEY_FILE}"))


def is_sealed(head: bytes) -> bool:
    """Tell from its first octets whether a file is encrypted."""
    return head.startswith(MAGIC)
