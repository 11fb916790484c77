"""Read a site's own table of patients: which pseudonym belongs to which Patient ID."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deid_node.errors import PatientNotInTable, ProfileInvalid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deid_node.headers.profile import Patients

HEADER: Final = ["PatientID", "pseudonym"]
_PADDING: Final = " \0"
_LONGEST: Final = 64
"""Characters of a value of VR LO, PS3.5 6.2."""
_FORBIDDEN: Final = frozenset("\\^=")
"""Backslash parts values of LO; the others part the components of a name (PN)."""


class PatientTable:
    """Names patients by a table; who is not in it is held.

    Parameters
    ----------
    by_id
        Pseudonym by original Patient ID, without padding.
    """

    def __init__(self, by_id: dict[str, str]) -> None:
        self._by_id = by_id

    def __repr__(self) -> str:
        """Never show an ID."""
        return f"PatientTable({len(self._by_id)} patients)"

    def __call__(self, patient_id: str) -> str:
        """Give the pseudonym of a patient.

        Raises
        ------
        PatientNotInTable
            If the table does not have the ID.
        """
        found = self._by_id.get(patient_id.strip(_PADDING))
        if found is None:
            raise PatientNotInTable
        return found


def read_patient_table(patients: Patients) -> PatientTable:
    """Read the CSV file that a profile names.

    Raises
    ------
    ProfileInvalid
        With the line that is wrong, and nothing of what stands in it.
    """
    path = Path(patients.folder) / patients.file
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(_rows(csv.reader(file, strict=True), path.name))
    except (OSError, UnicodeDecodeError):
        raise ProfileInvalid(f"table of patients {path.name} cannot be read") from None
    except csv.Error:
        raise ProfileInvalid(f"table of patients {path.name} is no CSV file") from None
    originals = {patient_id.casefold() for _, patient_id, _ in rows}
    by_id: dict[str, str] = {}
    named: set[str] = set()
    for line, patient_id, pseudonym in rows:
        if patient_id in by_id:
            raise _wrong(path.name, line, "the Patient ID is there twice")
        if pseudonym in named:
            raise _wrong(path.name, line, "the pseudonym belongs to another patient already")
        if pseudonym.casefold() in originals:
            raise _wrong(path.name, line, "the pseudonym is an original Patient ID")
        by_id[patient_id] = pseudonym
        named.add(pseudonym)
    return PatientTable(by_id)


def _rows(lines: Iterator[list[str]], name: str) -> Iterator[tuple[int, str, str]]:
    """Check each row by itself; give its line, Patient ID and pseudonym."""
    if next(lines, None) != HEADER:
        raise _wrong(name, 1, f"the header is not {','.join(HEADER)}")
    for line, row in enumerate(lines, start=2):
        if not row:
            continue
        if len(row) != len(HEADER):
            raise _wrong(name, line, "not two columns")
        patient_id, pseudonym = row[0].strip(_PADDING), row[1].strip(_PADDING)
        if not patient_id or not pseudonym:
            raise _wrong(name, line, "a column is empty")
        if len(pseudonym) > _LONGEST:
            raise _wrong(name, line, f"the pseudonym has more than {_LONGEST} characters")
        if not pseudonym.isascii() or not pseudonym.isprintable() or _FORBIDDEN & set(pseudonym):
            raise _wrong(name, line, "the pseudonym is not valid as Patient ID and as name")
        yield line, patient_id, pseudonym


def _wrong(name: str, line: int, what: str) -> ProfileInvalid:
    return ProfileInvalid(f"{name}, line {line}: {what}")
