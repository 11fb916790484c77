"""Short ways for values that differ from instance to instance.

A short way takes a value that is written just as PS3.5 6.2 says and gives what the long way
(`headers.values`) would; on everything else it passes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, TypeAlias

from deid_node.headers import reading
from deid_node.headers.values import BLIND, change_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from deid_node.headers.plan import Decision
    from deid_node.headers.values import Subject

Quick: TypeAlias = "Callable[[bytes], bytes | None]"
"""From the bytes of a value to those of the new one; None if the long way must be taken."""

_DECIMAL: Final = rb"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,2})?"
_INTEGER: Final = rb"[+-]?\d{1,10}"
_PLAIN: Final = {
    "DS": re.compile(rb"%b(?:\\%b)* ?" % (_DECIMAL, _DECIMAL)),
    "IS": re.compile(rb"%b(?:\\%b)* ?" % (_INTEGER, _INTEGER)),
    "TM": re.compile(rb"(?:[01]\d|2[0-3])(?:[0-5]\d(?:[0-5]\d)?)?(?:\.\d{1,6})? ?"),
    "DA": re.compile(rb"\d{8}"),
    "UI": re.compile(rb"[0-9.]{1,64}\0?"),
}
"""Padded with one space or NUL at most: stripped and padded again it is the same."""
_SIZES: Final = {"US": 2, "SS": 2, "UL": 4, "SL": 4, "FD": 8}
_SHORTEST_TEXT: Final = 8
"""Below this many bytes a number is not taken for text, `reading.numbers`."""


def quick_way(tag: int, vr: str, decision: Decision, subject: Subject) -> Quick | None:
    """Find the short way for an attribute; None if it has none."""
    if decision.action in BLIND:
        return None
    if vr in _SIZES:
        return _numbers(tag, _SIZES[vr])
    if vr in {"DS", "IS", "TM"}:
        return _unchanged(_PLAIN[vr])
    if vr in {"DA", "UI"}:
        return _changed(vr, change_of(vr, decision.action, subject))
    return None


def _unchanged(plain: re.Pattern[bytes]) -> Quick:
    match = plain.fullmatch

    def way(value: bytes) -> bytes | None:
        return value if match(value) else None

    return way


def _changed(vr: str, change: Callable[[str], str | None]) -> Quick:
    match = _PLAIN[vr].fullmatch
    padding = b"\0" if vr == "UI" else b" "

    def way(value: bytes) -> bytes | None:
        if not match(value):
            return None
        new = change(value.rstrip(b"\0").decode("ascii"))
        if new is None:
            return None
        written = new.encode("ascii")
        return written + padding if len(written) % 2 else written

    return way


def _numbers(tag: int, size: int) -> Quick:
    single = reading.single(tag)

    def way(value: bytes) -> bytes | None:
        count, rest = divmod(len(value), size)
        plain = not rest and count and len(value) < _SHORTEST_TEXT and (count == 1 or not single)
        return value if plain or _is_one_number(value, size) else None

    return way


def _is_one_number(value: bytes, size: int) -> bool:
    return len(value) == size == _SHORTEST_TEXT and not reading.looks_like_text(value)
