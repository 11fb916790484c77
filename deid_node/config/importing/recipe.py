"""Read the text of a deid recipe into its lines."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from deid_node.config.importing.statements import MOST_BYTES, Refusal, shown
from deid_node.errors import ForeignProfileUnreadable

ACTIONS: Final = frozenset({"ADD", "BLANK", "JITTER", "KEEP", "REMOVE", "REPLACE"})
_SECTIONS: Final = frozenset({"header", "labels", "filter", "values", "fields"})
_FORMAT: Final = re.compile(r"format\b(.*)", re.IGNORECASE)
_PIXELS: Final = "filters are not taken over; write the regions that must be black as pixel_regions"
_SILENT: Final = "deid passes over a line that does not begin with an action in capital letters"


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One line of a ``%header`` section.

    Parameters
    ----------
    line
        Where it stands, from 1.
    action
        One of `ACTIONS`.
    target
        An attribute, or an expander for several.
    value
        What follows, without comment.
    said
        The line, cut to printable ASCII.
    """

    line: int
    action: str
    target: str
    value: str
    said: str


@dataclass(slots=True, kw_only=True)
class Recipe:
    """The lines of a recipe.

    Parameters
    ----------
    commands
        What is done to headers, in order.
    groups
        Targets that a ``%fields`` section gives a name.
    refusals
        Lines that are no line of a recipe, or rules about pixels.
    without_effect
        Lines that do nothing to an instance: those of ``%labels``.
    """

    commands: list[Command] = field(default_factory=list)
    groups: dict[str, list[str]] = field(default_factory=dict)
    refusals: list[Refusal] = field(default_factory=list)
    without_effect: int = 0


def read_lines(content: bytes) -> Recipe:
    """Read a recipe.

    Raises
    ------
    ForeignProfileUnreadable
        If it is no text, too long, or of a format other than ``dicom``.
    """
    if len(content) > MOST_BYTES:
        raise ForeignProfileUnreadable(f"longer than {MOST_BYTES} bytes")
    if b"\0" in content:
        raise ForeignProfileUnreadable("not text in UTF-8 or ISO 8859-1")
    recipe, section, name = Recipe(), "", ""
    for number, raw in enumerate(_text(content).split("\n"), start=1):
        line = raw.strip()
        declared = _FORMAT.match(line)
        if not line or line.startswith("#"):
            continue
        if declared is not None:
            _check_format(declared[1], number)
        elif line.startswith("%"):
            section, name = _section(line, number, recipe)
        else:
            _line(recipe, section, name, (number, line))
    if not section:
        raise ForeignProfileUnreadable("no section of a deid recipe in it")
    return recipe


def _text(content: bytes) -> str:
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError:
        return content.decode("iso-8859-1")


def _check_format(written: str, number: int) -> None:
    name = written.partition("#")[0].strip().lower()
    if name != "dicom":
        raise ForeignProfileUnreadable(f"line {number}: the format is {shown(name)!r}, not 'dicom'")


def _section(line: str, number: int, recipe: Recipe) -> tuple[str, str]:
    kind, _, name = line.partition("#")[0].strip("% \t").partition(" ")
    if kind.lower() not in _SECTIONS:
        recipe.refusals.append(_refusal(number, line, "not a section of a recipe"))
        return "unknown", ""
    return kind.lower(), name.strip()


def _line(recipe: Recipe, section: str, name: str, numbered: tuple[int, str]) -> None:
    number, line = numbered
    if section == "header":
        _header_line(recipe, number, line)
    elif section == "fields":
        word, target, _ = words_of(line)
        if word == "FIELD" and target:
            recipe.groups.setdefault(name, []).append(target)
        else:
            recipe.refusals.append(_refusal(number, line, "a %fields section has FIELD lines only"))
    elif section == "filter":
        if line.upper().startswith("LABEL"):
            recipe.refusals.append(_refusal(number, line, _PIXELS, about=f"%filter {name}"))
    elif section == "labels":
        recipe.without_effect += 1
    elif section == "":
        recipe.refusals.append(_refusal(number, line, "it stands before the first section"))


def _header_line(recipe: Recipe, number: int, line: str) -> None:
    action, target, rest = words_of(line)
    if action not in ACTIONS:
        recipe.refusals.append(_refusal(number, line, _SILENT))
    elif not target:
        recipe.refusals.append(_refusal(number, line, "it names no attribute"))
    else:
        value = rest.partition("#")[0].strip()
        recipe.commands.append(
            Command(line=number, action=action, target=target, value=value, said=shown(line))
        )


def words_of(line: str) -> tuple[str, str, str]:
    """Split off two words at white space that stands in no quotes.

    Examples
    --------
    >>> words_of('KEEP (0033,"A B",1E)  and more')
    ('KEEP', '(0033,"A B",1E)', 'and more')
    """
    first, rest = _word(line)
    second, rest = _word(rest)
    return first, second, rest


def _word(text: str) -> tuple[str, str]:
    quote = ""
    for at, character in enumerate(text):
        if character == quote:
            quote = ""
        elif character in "\"'" and not quote:
            quote = character
        elif character.isspace() and not quote:
            return text[:at], text[at:].strip()
    return text, ""


def _refusal(number: int, line: str, reason: str, *, about: str = "") -> Refusal:
    return Refusal(line=number, about=shown(about), said=shown(line), reason=reason)
