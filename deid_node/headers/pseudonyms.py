"""Keyed pseudonyms: equal wherever the key is, unlinkable under any other key.

HMAC-SHA-256 under one secret. Nothing is stored, so a restart, a second node or another
day gives the same pseudonym, and nobody without the key can test a guess: an unkeyed hash
of a UID or patient ID is undone by enumeration (PS3.15 E.1.1 warns of it).

Every use has its own domain: the pseudonym of a value for one purpose says nothing about
its pseudonym for another.
"""

from __future__ import annotations

import base64
import hmac
from typing import Final, NewType

from deid_node.errors import KeyUnusable

SeriesKey = NewType("SeriesKey", str)
"""Pseudonym of a Series Instance UID; safe in logs, file names and tables."""

InstanceKey = NewType("InstanceKey", str)
"""Pseudonym of a SOP Instance UID; safe in logs, file names and tables."""

KEY_BYTES: Final = 32
"""Least length of a key: as long as the digest, RFC 2104 section 3."""

SHIFT_DAYS: Final = (-3650, -365)
"""Least and greatest day shift. Always back in time and at least a year, so that no output
lies in the future and no date is close to the real one."""

_PADDING: Final = " \0"
"""What DICOM pads values with (PS3.5 6.2); it is not part of an identifier."""


class Pseudonyms:
    """Pseudonyms under one secret key.

    Parameters
    ----------
    key
        At least `KEY_BYTES` secret bytes.

    Raises
    ------
    KeyUnusable
        If the key is shorter than `KEY_BYTES`, or one byte over and over.

    Examples
    --------
    >>> ours, theirs = Pseudonyms(bytes(range(32))), Pseudonyms(bytes(range(1, 33)))
    >>> ours.uid("1.2.3") == Pseudonyms(bytes(range(32))).uid("1.2.3")
    True
    >>> ours.uid("1.2.3") == theirs.uid("1.2.3")
    False
    """

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        if len(key) < KEY_BYTES:
            raise KeyUnusable(f"the pseudonym key has {len(key)} bytes, {KEY_BYTES} are needed")
        if len(set(key)) == 1:
            raise KeyUnusable("the pseudonym key is one byte repeated, not a random secret")
        self._key = bytes(key)

    def __repr__(self) -> str:
        """Never show the key."""
        return f"Pseudonyms({self.fingerprint()})"

    def series_key(self, series_instance_uid: str) -> SeriesKey:
        """Name a series without its UID: 24 characters a-z, 2-7."""
        return SeriesKey(self._name("series", series_instance_uid))

    def instance_key(self, sop_instance_uid: str) -> InstanceKey:
        """Name an instance without its UID: 24 characters a-z, 2-7."""
        return InstanceKey(self._name("instance", sop_instance_uid))

    def uid(self, original: str) -> str:
        """Replace a UID.

        Returns
        -------
        str
            ``2.25.`` and the decimal of a UUID of version 8 (RFC 9562), at most 44
            characters. One arc for all kinds of UID, so that references still resolve.

        References
        ----------
        PS3.5 B.2, UUID derived UID.
        """
        number = int.from_bytes(self._digest("uid", original)[:16], "big")
        number = (number & ~(0xF << 76)) | (0x8 << 76)
        number = (number & ~(0x3 << 62)) | (0x2 << 62)
        return f"2.25.{number}"

    def patient(self, patient_id: str) -> str:
        """Name a patient: 17 characters, valid as Patient ID (LO) and Patient's Name (PN)."""
        return "P" + _base32(self._digest("patient", patient_id)[:10]).upper()

    def day_shift(self, patient_id: str) -> int:
        """Whole days to add to each date of one patient, within `SHIFT_DAYS`; never 0.

        One shift for one patient: intervals between visits and times of day survive.
        """
        least, greatest = SHIFT_DAYS
        number = int.from_bytes(self._digest("day-shift", patient_id)[:8], "big")
        return least + number % (greatest - least + 1)

    def seed(self, purpose: str, value: str) -> int:
        """Seed of a random generator: the same noise for the same series, ``0 <= n < 2**64``.

        Parameters
        ----------
        purpose
            What the numbers are for; a domain of its own.
        value
            Identifier of what they are drawn for, such as a Series Instance UID.
        """
        return int.from_bytes(self._digest(f"seed/{purpose}", value)[:8], "big")

    def key_for(self, purpose: str) -> bytes:
        """Derive a key of 32 bytes for one purpose; it gives neither this key nor another."""
        return self._digest(f"key/{purpose}", "")

    def fingerprint(self) -> str:
        """Tell two keys apart without showing either: 12 characters a-z, 2-7."""
        return _base32(self._digest("fingerprint", ""))[:12]

    def _name(self, purpose: str, value: str) -> str:
        return _base32(self._digest(purpose, value)[:15])

    def _digest(self, purpose: str, value: str) -> bytes:
        # The length in front keeps ("a", "b c") and ("a b", "c") apart.
        message = f"{len(purpose)}:{purpose}:{value.strip(_PADDING)}"
        return hmac.digest(self._key, message.encode("utf-8", "surrogatepass"), "sha256")


def _base32(digest: bytes) -> str:
    return base64.b32encode(digest).decode("ascii").rstrip("=").lower()
