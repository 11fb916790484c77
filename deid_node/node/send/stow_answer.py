"""What a DICOMweb server says about the instances of one store request (PS3.18 section 10.5.3)."""

from __future__ import annotations

import enum
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

FAILED, REFERENCED = "00081198", "00081199"
FAILURE_REASON, INSTANCE_UID = "00081197", "00081155"
"""Failed and Referenced SOP Sequence, Failure Reason, Referenced SOP Instance UID."""
SUCCESS: Final = 0x0000


class Kind(enum.Enum):
    """What an HTTP status means for the request."""

    NAMED = "named"
    """What became of each instance stands in the body."""
    ABSENT = "absent"
    """The server, or who guards it, takes nothing now."""
    BUSY = "busy"
    """The server failed on this request."""
    NEVER = "never"
    """The same request would be refused again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One line of the table: HTTP statuses from `first` to `last`, both included."""

    first: int
    last: int
    kind: Kind


TABLE: Final = (
    Row(first=200, last=200, kind=Kind.NAMED),
    Row(first=202, last=202, kind=Kind.NAMED),
    Row(first=400, last=400, kind=Kind.NEVER),
    Row(first=401, last=405, kind=Kind.ABSENT),  # who we are, and where we knock, is ours to mend
    Row(first=406, last=406, kind=Kind.NEVER),
    Row(first=407, last=408, kind=Kind.ABSENT),
    Row(first=409, last=409, kind=Kind.NAMED),
    Row(first=410, last=410, kind=Kind.ABSENT),
    Row(first=411, last=411, kind=Kind.NEVER),
    Row(first=413, last=415, kind=Kind.NEVER),
    Row(first=422, last=422, kind=Kind.NEVER),
    Row(first=425, last=429, kind=Kind.ABSENT),
    Row(first=500, last=500, kind=Kind.BUSY),
    Row(first=501, last=599, kind=Kind.ABSENT),
)
"""In the order of the statuses; any other, a redirection too, is `Kind.ABSENT`."""


def kind_of(http_status: int) -> Kind:
    """Judge an HTTP status.

    Examples
    --------
    >>> kind_of(503).value, kind_of(302).value, kind_of(415).value
    ('absent', 'absent', 'never')
    """
    found = (row.kind for row in TABLE if row.first <= http_status <= row.last)
    return next(found, Kind.ABSENT)


def statuses(body: bytes) -> dict[str, int]:
    """Tell what became of each instance that an answer names.

    Only a name is believed, not the HTTP status: Orthanc 1.10 answers 200 and names nothing
    where it could not read a request.

    Parameters
    ----------
    body
        Response in the DICOM JSON Model, PS3.18 Annex F.

    Returns
    -------
    dict of str to int
        Status or Failure Reason by SOP Instance UID.
    """
    answer = _decoded(body)
    stored = {uid: SUCCESS for uid, _ in _references(answer, REFERENCED)}
    return stored | dict(_references(answer, FAILED))


def _decoded(body: bytes) -> dict[str, Any]:
    try:
        answer = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return answer if isinstance(answer, dict) else {}


def _references(answer: dict[str, Any], sequence: str) -> Iterator[tuple[str, int]]:
    """Go through a sequence of references; what is no reference is passed over."""
    for each in _values(answer, sequence):
        if not isinstance(each, dict):
            continue
        uid, reason = _first(each, INSTANCE_UID), _first(each, FAILURE_REASON)
        if isinstance(uid, str):
            yield uid, reason if isinstance(reason, int) else _UNEXPLAINED


_UNEXPLAINED: Final = 0x0110
"""Processing failure: a server that fails without a reason is asked again."""


def _values(dataset: dict[str, Any], tag: str) -> list[Any]:
    element = dataset.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return values if isinstance(values, list) else []


def _first(dataset: dict[str, Any], tag: str) -> object:
    return next(iter(_values(dataset, tag)), None)
