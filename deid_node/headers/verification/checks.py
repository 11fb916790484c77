"""What is checked, how grave it is, and what is remarked."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final


class Severity(enum.Enum):
    """How grave a remark is; the order is that of reports."""

    LEAK = "leak"
    DOUBT = "doubt"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One thing that is checked.

    Parameters
    ----------
    severity
        Of each remark.
    says
        What a remark means, in one line.
    """

    severity: Severity
    says: str


@dataclass(frozen=True, slots=True, order=True)
class Remark:
    """Something that should not be so in one file. Holds no value of an element.

    Parameters
    ----------
    check
        Name in `CHECKS`.
    where
        Path of the attribute, by keywords or numbers and item numbers from 1; empty if it
        is about the file.
    """

    check: str
    where: str = ""

    @property
    def severity(self) -> Severity:
        """How grave it is."""
        return CHECKS[self.check].severity


def _check(severity: Severity, says: str) -> Check:
    return Check(severity=severity, says=says)


CHECKS: Final = {
    "original": _check(Severity.LEAK, "an identifier of the originals is in the file or its name"),
    "removed-attribute": _check(
        Severity.LEAK, "PS3.15 Table E.1-1 removes it, and no option that is claimed keeps it"
    ),
    "person-name": _check(Severity.LEAK, "a person name is no placeholder and no pseudonym"),
    "name-elsewhere": _check(Severity.LEAK, "a word of a person name is in another attribute too"),
    "text-name": _check(Severity.LEAK, "text looks like FAMILY^GIVEN or like a title with a name"),
    "text-email": _check(Severity.LEAK, "text looks like an e-mail address"),
    "private": _check(
        Severity.LEAK, "a private element, and Retain Safe Private (113111) is not claimed"
    ),
    "hidden-content": _check(
        Severity.LEAK, "overlay, curve, icon, signature, document, old attributes or padding"
    ),
    "meta-source": _check(
        Severity.LEAK, "file meta information names a sender or holds private information"
    ),
    "burned-in": _check(Severity.LEAK, "Burned In Annotation is YES"),
    "dates-remain": _check(
        Severity.LEAK, "(0028,0303) says that dates were REMOVED, and a date is there"
    ),
    "not-dicom": _check(Severity.DOUBT, "no DICOM Part 10 file: nothing in it can be checked"),
    "undecodable": _check(Severity.DOUBT, "it breaks off or cannot be parsed: not all was checked"),
    "not-declared": _check(Severity.DOUBT, "Patient Identity Removed is not YES"),
    "method-codes": _check(
        Severity.DOUBT, "no method of CID 7050, an unknown code, or codes that exclude each other"
    ),
    "dates-claim": _check(
        Severity.DOUBT, "(0028,0303) is missing or contradicts the codes of the method"
    ),
    "pixels-claim": _check(Severity.DOUBT, "113101 is claimed, and (0028,0301) is not NO"),
    "face-claim": _check(Severity.DOUBT, "113102 and (0028,0302) contradict each other"),
    "original-value": _check(
        Severity.DOUBT, "Table E.1-1 replaces or empties it; its value looks like an original"
    ),
    "private-text": _check(Severity.DOUBT, "a private element that holds text or unknown bytes"),
    "text-date": _check(Severity.DOUBT, "text looks like a date"),
    "text-telephone": _check(Severity.DOUBT, "text looks like a telephone number"),
    "text-address": _check(Severity.DOUBT, "text looks like a postal or web address"),
    "text-number": _check(Severity.DOUBT, "text holds a number of six digits or more"),
    "preamble": _check(Severity.DOUBT, "the 128 bytes before DICM are not zeros"),
    "meta-unknown": _check(Severity.DOUBT, "file meta information holds an unknown element"),
    "meta-uid": _check(Severity.DOUBT, "file meta information names another SOP Instance or Class"),
    "same-uid": _check(Severity.DOUBT, "two files bear one SOP Instance UID"),
    "patient-split": _check(
        Severity.DOUBT, "one patient, study or series with two birth dates, patients or the like"
    ),
    "file-name": _check(
        Severity.DOUBT, "the name of the file or folder holds a date, a long number or a person"
    ),
    "file-words": _check(Severity.NOTE, "the name of the file or folder is not neutral"),
    "face": _check(Severity.NOTE, "an MR that may show a face, and no claim that it was removed"),
    "kept-words": _check(
        Severity.NOTE, "Table E.1-1 removes it; what is in it are words of MR and nothing else"
    ),
    "patient-id": _check(Severity.NOTE, "a Patient ID that may be a pseudonym or not"),
    "vendor-uid": _check(Severity.NOTE, "a UID under the root of a vendor or an organisation"),
    "age": _check(Severity.NOTE, "an age over 89 years"),
    "leftover": _check(Severity.NOTE, "group lengths or trailing padding of the original"),
    "reference": _check(Severity.NOTE, "it refers to an instance that is not in the folder"),
    "original-date": _check(
        Severity.NOTE, "a date of the originals; a shifted date can equal another by chance"
    ),
}
