"""The action codes D, U, C of PS3.15 Table E.1-1a as functions of one element's values."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from pydicom._uid_dict import UID_dictionary

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deid_node.headers.pseudonyms import Pseudonyms

_DUMMIES: Final[dict[str, object]] = {
    "AE": "REMOVED",
    "AS": "000Y",
    "CS": "REMOVED",
    "DA": "19000101",
    "DS": "0",
    "DT": "19000101000000",
    "IS": "0",
    "LO": "REMOVED",
    "LT": "REMOVED",
    "PN": "REMOVED",
    "SH": "REMOVED",
    "ST": "REMOVED",
    "TM": "000000",
    "UC": "REMOVED",
    "UR": "urn:removed",
    "UT": "REMOVED",
    "OB": b"\0\0",
    "OW": b"\0\0",
    "OF": b"\0\0\0\0",
    "OL": b"\0\0\0\0",
    "OD": b"\0\0\0\0\0\0\0\0",
    "OV": b"\0\0\0\0\0\0\0\0",
    "UN": b"\0\0",
}
"""One for all instances: the same at every level above the instance, as E.1.1 asks."""

_STANDARD_UID: Final = re.compile(r"1\.2\.840\.10008(\.(0|[1-9]\d{0,2})){1,10}")
"""Arcs of the standard have at most three digits, so nothing personal fits in one."""

_MONTH_DAYS: Final = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)
_FEBRUARY: Final = 2
_CENTURIES: Final = (1800, 2200)
"""Years in which a date of an MR instance, or of a patient's life, can lie."""


def dummy(vr: str) -> object:
    """Make a value that is valid and means nothing; for every VR but UI and SQ."""
    return _DUMMIES.get(vr, 0)


def keyed_uid(original: str, pseudonyms: Pseudonyms) -> str:
    """Replace a UID, unless the standard itself defines it.

    References
    ----------
    PS3.15 E.1.1: "UIDs of dictionary entities … shall not be replaced".
    """
    return original if is_standard_uid(original) else pseudonyms.uid(original)


@lru_cache(maxsize=1024)
def is_standard_uid(uid: str) -> bool:
    """Whether DICOM defines a UID: SOP Classes, Transfer Syntaxes, coding schemes."""
    return uid in UID_dictionary or _STANDARD_UID.fullmatch(uid) is not None


def shifted_date(date: str, days: int) -> str | None:
    """Move a DA value by whole days; None if it is no date of the last centuries.

    Examples
    --------
    >>> shifted_date("20240301", -1), shifted_date("20230229", -1)
    ('20240229', None)
    """
    if len(date) != len("YYYYMMDD") or not date.isdecimal():
        return None
    year, month, day = int(date[:4]), int(date[4:6]), int(date[6:])
    if not _CENTURIES[0] <= year < _CENTURIES[1] or not 1 <= month <= len(_MONTH_DAYS):
        return None
    if not 1 <= day <= _days_in(year, month):
        return None
    year, month, day = _from_number(_to_number(year, month, day) + days)
    return f"{year:04}{month:02}{day:02}"


def shifted_date_time(date_time: str, days: int) -> str | None:
    """Move the date of a DT value by whole days; time of day and offset stay.

    None for a value without a day: a month cannot be moved by days.
    """
    date = shifted_date(date_time[:8], days)
    return None if date is None else date + date_time[8:]


def capped_age(age: str, cap: int) -> str:
    """Join all ages in years beyond a cap into one class, one year above the cap.

    Examples
    --------
    >>> capped_age("089Y", 89), capped_age("097Y", 89), capped_age("018M", 89)
    ('089Y', '090Y', '018M')
    """
    years = int(age[:3]) if age.endswith("Y") else 0
    return f"{cap + 1:03}Y" if years > cap else age


def each(values: Sequence[str], change: Callable[[str], str | None]) -> tuple[str, ...] | None:
    """Change every value; None if one of them cannot be changed."""
    changed = [change(value) if value else value for value in values]
    return None if None in changed else tuple(value for value in changed if value is not None)


def _days_in(year: int, month: int) -> int:
    leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return _MONTH_DAYS[month - 1] + (month == _FEBRUARY and leap)


def _to_number(year: int, month: int, day: int) -> int:
    """Count days from 1 March of year 0 in the Gregorian calendar.

    The year starts in March, so that a leap day is the last day of a year.
    """
    year -= month <= _FEBRUARY
    month = (month + 9) % 12
    return year * 365 + year // 4 - year // 100 + year // 400 + (month * 306 + 5) // 10 + day - 1


def _from_number(number: int) -> tuple[int, int, int]:
    year = (10000 * number + 14780) // 3652425
    rest = number - (year * 365 + year // 4 - year // 100 + year // 400)
    if rest < 0:
        year -= 1
        rest = number - (year * 365 + year // 4 - year // 100 + year // 400)
    month = (100 * rest + 52) // 3060
    day = rest - (month * 306 + 5) // 10 + 1
    return year + (month + 2) // 12, (month + 2) % 12 + 1, day
