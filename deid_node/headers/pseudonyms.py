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
from typing import TYPE_CHECKING, Final, NewType

from deid_node.errors import KeyUnusable, ProfileInvalid
from deid_node.headers.profile import SHIFT_DAYS, Patients

if TYPE_CHECKING:
    from collections.abc import Callable

SeriesKey = NewType("SeriesKey", str)
"""Pseudonym of a Series Instance UID; safe in logs, file names and tables."""

InstanceKey = NewType("InstanceKey", str)
"""Pseudonym of a SOP Instance UID; safe in logs, file names and tables."""

KEY_BYTES: Final = 32
"""Least length of a key: as long as the digest, RFC 2104 section 3."""

KEYED: Final = Patients()
"""Patients are named by the key alone, unless a profile says otherwise."""

_PADDING: Final = " \0"
"""What DICOM pads values with (PS3.5 6.2); it is not part of an identifier."""


class Pseudonyms:
    """Pseudonyms under one secret key.

    Parameters
    ----------
    key
        At least `KEY_BYTES` secret bytes.
    names
        Gives a patient's name by Patient ID where a profile does not name patients by the
        key: a table or a sequence of the site. It may hold the patient by raising.

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

    __slots__ = ("_key", "_names")

    def __init__(self, key: bytes, names: Callable[[str], str] | None = None) -> None:
        if len(key) < KEY_BYTES:
            raise KeyUnusable(f"the pseudonym key has {len(key)} bytes, {KEY_BYTES} are needed")
        if len(set(key)) == 1:
            raise KeyUnusable("the pseudonym key is one byte repeated, not a random secret")
        self._key = bytes(key)
        self._names = names

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

    def naming(self, names: Callable[[str], str]) -> Pseudonyms:
        """Give the same key with a table or sequence of the site's own names."""
        return Pseudonyms(self._key, names)

    def patient(self, patient_id: str, patients: Patients = KEYED) -> str:
        """Name a patient: valid as Patient ID (LO) and as Patient's Name (PN).

        Parameters
        ----------
        patient_id
            The original Patient ID.
        patients
            How the profile names patients; by the key it is the prefix and 16 characters.

        Raises
        ------
        PatientNotInTable
            If the site's table does not have the patient.
        ProfileInvalid
            If the profile asks for a table or sequence and none was given: no patient
            gets a name of another kind than the profile says.
        """
        if patients.method == "hmac":
            return patients.prefix + _base32(self._digest("patient", patient_id)[:10]).upper()
        if self._names is None:
            raise ProfileInvalid(f"the profile names patients by {patients.method}, none is open")
        return self._names(patient_id.strip(_PADDING))

    def patient_key(self, patient_id: str) -> str:
        """Recognise a patient without the Patient ID: 24 characters a-z, 2-7."""
        return self._name("patient-sequence", patient_id)

    def day_shift(self, patient_id: str, days: tuple[int, int] = SHIFT_DAYS) -> int:
        """Whole days to add to each date of one patient; never 0.

        One shift for one patient: intervals between visits and times of day survive. It
        comes from the key whatever names the patient.

        Parameters
        ----------
        patient_id
            The original Patient ID.
        days
            Least and greatest shift, without 0 between them.
        """
        least, greatest = days
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
