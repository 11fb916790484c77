"""What the spool calls an instance: names from keys and a digest, never from the dataset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deid_node.headers.pseudonyms import InstanceKey, SeriesKey

if TYPE_CHECKING:
    from pathlib import Path

DIGEST_DIGITS: Final = 32
"""Hexadecimal digits of SHA-256 that tell two contents of one instance apart: 128 bits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """One instance in the spool.

    Parameters
    ----------
    series, instance
        Keys made from its UIDs.
    digest
        Of the whole Part 10 file. It names no one: whoever can compute it holds the file.
    """

    series: SeriesKey
    instance: InstanceKey
    digest: str

    @property
    def name(self) -> str:
        """File name in the folder of its series."""
        return f"{self.instance}-{self.digest}.dcm"


def kept_in(path: Path) -> Kept:
    """Read the keys back from a file's name."""
    instance, _, digest = path.stem.rpartition("-")
    return Kept(series=SeriesKey(path.parent.name), instance=InstanceKey(instance), digest=digest)
