"""What the answer to a C-STORE request means for the instance: one table.

PS3.4 Table B.2-1 and PS3.7 Annex C. The same codes are the Failure Reasons of a STOW-RS
response (PS3.18 section 10.5.3, Table I.2-2) and of a storage commitment (PS3.3 C.14).
"""

from __future__ import annotations

import enum
from dataclasses import dataclass
from typing import Final


class Verdict(enum.Enum):
    """What is done with an instance after an answer."""

    STORED = "stored"
    LATER = "later"
    """Try again."""
    NEVER = "never"
    """The same bytes would be refused again: a person must look."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table: statuses from `first` to `last`, both included."""

    first: int
    last: int
    verdict: Verdict
    meaning: str


def _row(first: int, verdict: Verdict, meaning: str, *, last: int | None = None) -> Row:
    return Row(first=first, last=first if last is None else last, verdict=verdict, meaning=meaning)


DUPLICATE: Final = 0x0111
SOP_CLASS_NOT_SUPPORTED: Final = 0x0122

TABLE: Final = (
    _row(0x0000, Verdict.STORED, "success"),
    _row(0x0001, Verdict.STORED, "warning"),
    _row(0x0105, Verdict.NEVER, "no such attribute"),
    _row(0x0106, Verdict.NEVER, "invalid attribute value"),
    _row(0x0107, Verdict.STORED, "warning: attribute list error"),
    _row(0x0110, Verdict.LATER, "processing failure"),
    _row(DUPLICATE, Verdict.NEVER, "it has an instance of this UID already"),
    _row(0x0112, Verdict.NEVER, "no such SOP Instance"),
    _row(0x0116, Verdict.STORED, "warning: attribute value out of range"),
    _row(0x0117, Verdict.NEVER, "invalid SOP Instance UID"),
    _row(0x0118, Verdict.NEVER, "no such SOP Class"),
    _row(0x0119, Verdict.NEVER, "SOP Class does not fit the instance"),
    _row(0x0120, Verdict.NEVER, "missing attribute"),
    _row(0x0121, Verdict.NEVER, "missing attribute value"),
    _row(SOP_CLASS_NOT_SUPPORTED, Verdict.NEVER, "SOP Class not supported"),
    _row(0x0124, Verdict.NEVER, "not authorized"),
    _row(0x0210, Verdict.LATER, "duplicate invocation"),
    _row(0x0211, Verdict.NEVER, "unrecognized operation"),
    _row(0x0212, Verdict.NEVER, "mistyped argument"),
    _row(0x0213, Verdict.LATER, "resource limitation"),
    _row(0xA700, Verdict.LATER, "out of resources", last=0xA7FF),
    _row(0xA900, Verdict.NEVER, "dataset does not match SOP Class", last=0xA9FF),
    _row(0xB000, Verdict.STORED, "warning", last=0xBFFF),
    _row(0xC000, Verdict.NEVER, "cannot understand", last=0xCFFF),
)
"""In the order of the codes; none overlaps another."""

UNKNOWN: Final = Row(first=0, last=0xFFFF, verdict=Verdict.NEVER, meaning="unknown status")
"""What the standard does not name is not guessed at."""


def row_of(status: int) -> Row:
    """Find the line of a status."""
    return next((row for row in TABLE if row.first <= status <= row.last), UNKNOWN)


def meaning_of(status: int) -> str:
    """Put a status into words.

    Examples
    --------
    >>> meaning_of(0xA701)
    'out of resources, status 0xA701'
    """
    return f"{row_of(status).meaning}, status 0x{status:04X}"


def verdict_on(status: int, *, is_repeat: bool = False) -> Verdict:
    """Judge a status.

    Parameters
    ----------
    status
        Of a C-STORE response, or a Failure Reason.
    is_repeat
        The instance was under way when an attempt broke off, so the peer may have it from
        that: then Duplicate SOP Instance is good news.
    """
    if status == DUPLICATE and is_repeat:
        return Verdict.STORED
    return row_of(status).verdict
