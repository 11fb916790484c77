"""Dates: the option of PS3.15 that an imported profile takes because of them.

A profile that lets dates pass, moved or not, has to say so by an option: (0028,0303) of each
instance is written from it. The option would let dates pass that no line names, so these
get a rule of their own.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from deid_node.config.importing.attributes import DATES, always_goes, basic, vrs_of
from deid_node.config.importing.statements import Meaning, Remark, Statement
from deid_node.headers.confidentiality import Option, table
from deid_node.headers.profile import Action

if TYPE_CHECKING:
    from collections.abc import Sequence


def dates_option(statements: Sequence[Statement]) -> Option | None:
    """Option that says truly what becomes of dates; none if no line lets one pass."""
    moved = {t for each in statements if each.meaning.action is Action.SHIFT for t in each.tags}
    if moved & _granted(Option.RETAIN_MODIFIED_DATES):
        return Option.RETAIN_MODIFIED_DATES
    return Option.RETAIN_FULL_DATES if _keeping(statements) else None


def times_apart(statement: Statement) -> tuple[Statement, ...]:
    """Say of times of day that stay beside moved dates what PS3.15 calls that: modified."""
    granted = _granted(Option.RETAIN_MODIFIED_DATES)
    times = tuple(tag for tag in statement.tags if tag in granted and vrs_of(tag) == {"TM"})
    if statement.meaning.action is not Action.KEEP or not times:
        return (statement,)
    others = tuple(tag for tag in statement.tags if tag not in times)
    moved = replace(statement, tags=times, meaning=Meaning(action=Action.SHIFT))
    return (replace(statement, tags=others), moved) if others else (moved,)


def unnamed_dates(statements: Sequence[Statement], option: Option | None) -> list[int]:
    """Attributes that the option would let pass though no line names them."""
    if option is None:
        return []
    return sorted(
        tag
        for tag in _granted(option)
        if not any(each.covers(tag) for each in statements)
        and basic().naming_rule(tag) is None
        and not always_goes(tag)
    )


def about_dates(statements: Sequence[Statement], option: Option | None) -> list[Remark]:
    """Name the line because of which the profile claims that dates are unchanged."""
    if option is not Option.RETAIN_FULL_DATES:
        return []
    text = (
        "dates of the examination stay as they are: the profile claims 113106, full dates; "
        "an instance is held if a date that goes is the same day as one that stays"
    )
    return [Remark(line=_keeping(statements)[0].line, text=text)]


def _keeping(statements: Sequence[Statement]) -> list[Statement]:
    """Lines that keep a date of the examination; of a mask only what no line names counts."""
    named = {tag for each in statements for tag in each.tags}
    dates = [tag for tag in _granted(Option.RETAIN_FULL_DATES) if vrs_of(tag) & DATES]
    return [
        each
        for each in statements
        if each.meaning.action is Action.KEEP
        and any(each.covers(tag) and (tag in each.tags or tag not in named) for tag in dates)
    ]


def _granted(option: Option) -> frozenset[int]:
    return frozenset(tag for tag, row in table().rows.items() if option in row.options)
