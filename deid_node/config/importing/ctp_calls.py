"""Take the replacement text of a CTP script apart, without running any of it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

_NAME: Final = re.compile(r"\s*([A-Za-z]+)\s*(?=\()|([A-Za-z]+)")
_CLOSING: Final = {"(": ")", "{": "}"}
_WITH_CLAUSES: Final = {"if": 2, "select": 2, "append": 1}
"""Functions that are followed by text in braces, and by how many."""


class Unparsable(ValueError):
    """A bracket is not closed, or an @ is not followed by a name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One call of a function.

    Parameters
    ----------
    name
        In lower case, without the @.
    arguments
        As written, without white space at the ends.
    clauses
        What follows in braces.
    is_bare
        Whether it is written without brackets, as the RSNA Anonymizer does.
    """

    name: str
    arguments: tuple[str, ...] = ()
    clauses: tuple[str, ...] = ()
    is_bare: bool = False


def parts_of(text: str) -> tuple[str | Call, ...]:
    """Split a replacement into literal text and calls, in order.

    Raises
    ------
    Unparsable
        If it cannot be split.

    Examples
    --------
    >>> parts_of("S-@hash(this, 4)")
    ('S-', Call(name='hash', arguments=('this', '4'), clauses=(), is_bare=False))
    """
    parts: list[str | Call] = []
    literal: list[str] = []
    at = 0
    while at < len(text):
        if text[at] == "@":
            if literal:
                parts.append("".join(literal))
                literal.clear()
            call, at = _call(text, at + 1)
            parts.append(call)
            continue
        if text[at] == "\\":  # the next character stands for itself
            at += 1
        literal.append(text[at : at + 1])
        at += 1
    text_left = "".join(literal)
    return (*parts, text_left) if text_left else tuple(parts)


def _call(text: str, at: int) -> tuple[Call, int]:
    found = _NAME.match(text, at)
    if found is None:
        raise Unparsable("an @ is not followed by the name of a function")
    name, at = (found[1] or found[2]).lower(), found.end()
    if found[1] is None:
        return Call(name=name, is_bare=True), at
    inside, at = _bracketed(text, at)
    clauses: list[str] = []
    for _ in range(_WITH_CLAUSES.get(name, 0)):
        at = _end_of_space(text, at)
        if text[at : at + 1] != "{":
            raise Unparsable(f"@{name} lacks a part in braces")
        clause, at = _bracketed(text, at)
        clauses.append(clause)
    return Call(name=name, arguments=_arguments(inside), clauses=tuple(clauses)), at


def _end_of_space(text: str, at: int) -> int:
    while text[at : at + 1].isspace():
        at += 1
    return at


def _bracketed(text: str, at: int) -> tuple[str, int]:
    """Text between the bracket at a place and the one that closes it, and the place after."""
    opening, closing, depth, quoted, start = text[at], _CLOSING[text[at]], 0, False, at + 1
    while at < len(text):
        character = text[at]
        if character == "\\":
            at += 1
        elif character == '"':
            quoted = not quoted
        elif not quoted and character == opening:
            depth += 1
        elif not quoted and character == closing:
            depth -= 1
            if depth == 0:
                return text[start:at], at + 1
        at += 1
    raise Unparsable(f"a {opening} is not closed")


def _arguments(inside: str) -> tuple[str, ...]:
    """Split at commas that stand in no quotes and no brackets."""
    if not inside.strip():
        return ()
    found, depth, quoted = [""], 0, False
    for character in inside:
        quoted ^= character == '"'
        depth += 0 if quoted else (character == "(") - (character == ")")
        if character == "," and not quoted and depth == 0:
            found.append("")
        else:
            found[-1] += character
    return tuple(argument.strip() for argument in found)
