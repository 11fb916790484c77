"""Name patients as their profile says: by the key, by a table, or in order of arrival."""

from __future__ import annotations

import fcntl
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deid_node.config.patient_table import read_patient_table
from deid_node.errors import KeyUnusable, SettingsInvalid, SpoolError
from deid_node.node.durable import sync_folder

if TYPE_CHECKING:
    from deid_node.headers.profile import Patients, Profile
    from deid_node.headers.pseudonyms import Pseudonyms
    from deid_node.pipeline.recipe import Recipe

_HEAD: Final = "deid-node patient sequence 1 key"
_KEY_LENGTH: Final = 24


def named_as(profile: Profile, pseudonyms: Pseudonyms) -> Pseudonyms:
    """Give pseudonyms that name patients as a profile says.

    Raises
    ------
    ProfileInvalid
        If the table of patients cannot be used.
    """
    patients = profile.patients
    if patients.method == "table":
        return pseudonyms.naming(read_patient_table(patients))
    if patients.method == "sequence":
        return pseudonyms.naming(PatientSequence(patients, pseudonyms))
    return pseudonyms


def with_patients_named(recipe: Recipe) -> Recipe:
    """Give a recipe that names patients as its profile says."""
    return replace(recipe, pseudonyms=named_as(recipe.profile, recipe.pseudonyms))


class PatientSequence:
    """Numbers patients in order of arrival, and remembers who was which.

    The file has one line for each patient: the keyed hash of the Patient ID, never the ID.
    Its number is that of its line. A name is given only after its line is durable, under a
    lock, so two processes agree and no number is given twice.

    Parameters
    ----------
    patients
        Names the file and the prefix of the names.
    pseudonyms
        The key, under which the file was begun.
    """

    def __init__(self, patients: Patients, pseudonyms: Pseudonyms) -> None:
        self._path = Path(patients.folder) / patients.file
        self._prefix = patients.prefix
        self._pseudonyms = pseudonyms
        self._known: dict[str, int] = {}

    def __call__(self, patient_id: str) -> str:
        """Give a patient's name, a new one at the first arrival.

        Raises
        ------
        KeyUnusable
            If the file was begun under another key.
        SettingsInvalid
            If the file is damaged.
        SpoolError
            If it cannot be written.
        """
        key = self._pseudonyms.patient_key(patient_id)
        if key not in self._known:
            try:
                self._known = self._remember(key)
            except OSError:
                raise SpoolError(f"patient sequence {self._path.name} cannot be written") from None
        return f"{self._prefix}{self._known[key]:03}"

    def _remember(self, key: str) -> dict[str, int]:
        """Read all lines under the lock, and add one for a new patient."""
        fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "r+b") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            text = file.read()
            whole = text[: text.rfind(b"\n") + 1]  # no name was given for a line that broke off
            known = self._numbers(whole)
            added = b"" if whole else f"{_HEAD} {self._pseudonyms.fingerprint()}\n".encode()
            if key not in known:
                added += f"{key}\n".encode()
                known[key] = len(known) + 1
            if added:
                file.seek(len(whole))
                file.truncate()
                file.write(added)
                file.flush()
                os.fsync(file.fileno())
                sync_folder(self._path.parent)
        return known

    def _numbers(self, whole: bytes) -> dict[str, int]:
        if not whole:
            return {}
        head, *keys = whole.decode("ascii", "replace").splitlines()
        if not head.startswith(_HEAD):
            raise SettingsInvalid(f"{self._path.name} is no patient sequence")
        if head != f"{_HEAD} {self._pseudonyms.fingerprint()}":
            raise KeyUnusable(f"patient sequence {self._path.name} was begun under another key")
        known = {key: number for number, key in enumerate(keys, start=1)}
        if len(known) < len(keys) or any(len(key) != _KEY_LENGTH for key in keys):
            raise SettingsInvalid(f"patient sequence {self._path.name} is damaged")
        return known
