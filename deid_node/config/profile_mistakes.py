"""Read a profile file and name every mistake by its line."""

from __future__ import annotations

import difflib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import yaml
from pydantic import BaseModel, ValidationError

from deid_node.config.profile_schema import ProfileFile
from deid_node.errors import ProfileInvalid

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from pydantic_core import ErrorDetails

Place = tuple[str | int, ...]
"""Keys and list positions that lead to a value of the file."""


_LOADER: Final = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's where PyYAML was built with it: ten times as fast."""


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Mistake:
    """One thing that is wrong in a profile file.

    Parameters
    ----------
    line
        Line of the file, 1 for the first; 0 where none can be told.
    place
        The value, such as ``rules.0.action``.
    message
        What is wrong with it.
    """

    line: int
    place: str
    message: str

    def in_file(self, name: str) -> str:
        """Write it in one line after the name of its file."""
        where = f"{name}, line {self.line}" if self.line else name
        return (
            f"{where}: {self.place}: {self.message}" if self.place else f"{where}: {self.message}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """A profile file with the line of each of its values.

    Parameters
    ----------
    content
        The file's content; None where there are mistakes.
    lines
        Line of each value.
    mistakes
        All of them, in the order of the file.
    """

    content: ProfileFile | None
    lines: dict[Place, int]
    mistakes: tuple[Mistake, ...]

    def line(self, place: Sequence[str | int]) -> int:
        """Line of a value, or of the nearest one that it lies in."""
        for length in range(len(place), -1, -1):
            if tuple(place[:length]) in self.lines:
                return self.lines[tuple(place[:length])]
        return 0


def read_profile(path: Path) -> ProfileFile:
    """Read a profile file that has no mistake.

    Raises
    ------
    ProfileInvalid
        With the first mistake, in one line.
    """
    checked = check_profile(path)
    if checked.content is None:
        raise ProfileInvalid(checked.mistakes[0].in_file(path.name))
    return checked.content


def check_profile(path: Path) -> Checked:
    """Read a profile file and find all its mistakes."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return _hopeless("cannot be read as UTF-8 text")
    try:
        root = yaml.compose(text, Loader=_LOADER)
        raw = yaml.load(text, Loader=_LOADER)  # noqa: S506 - both are safe loaders
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        return _hopeless("not valid YAML", 0 if mark is None else mark.line + 1)
    except (ValueError, RecursionError):  # a date that is none; brackets without end
        return _hopeless("not valid YAML")
    lines: dict[Place, int] = {}
    mistakes = [] if root is None else list(_walk(root, (), lines, set()))
    content = None
    try:
        content = ProfileFile.model_validate(raw)
    except ValidationError as error:
        whole = Checked(content=None, lines=lines, mistakes=())
        mistakes += [_mistake(each, raw, whole) for each in error.errors(include_url=False)]
    found = tuple(sorted(set(mistakes)))
    return Checked(content=None if found else content, lines=lines, mistakes=found)


def _hopeless(message: str, line: int = 0) -> Checked:
    mistake = Mistake(line=line, place="", message=message)
    return Checked(content=None, lines={}, mistakes=(mistake,))


def _walk(
    node: yaml.Node, place: Place, lines: dict[Place, int], seen: set[int]
) -> Iterator[Mistake]:
    """Note the line of each value, and find keys that are there twice.

    A node that aliases repeat, or that holds itself, is walked once.
    """
    lines.setdefault(place, node.start_mark.line + 1)
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for position, entry in enumerate(node.value):
            yield from _walk(entry, (*place, position), lines, seen)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inside = (*place, str(key.value))
            if inside in lines:
                message = "the key is there twice"
                yield Mistake(line=key.start_mark.line + 1, place=_dotted(inside), message=message)
            lines[inside] = key.start_mark.line + 1
            yield from _walk(value, inside, lines, seen)


def _mistake(error: ErrorDetails, raw: object, checked: Checked) -> Mistake:
    place = _within(error["loc"], raw)
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = f"unknown key{_offer(place)}"
    elif error["type"] == "missing":
        message = "the key is missing"
    return Mistake(
        line=checked.line(place), place=_dotted(place), message=" ".join(message.split())
    )


def _within(loc: Sequence[str | int], raw: object) -> Place:
    """Keep the parts of pydantic's place that the file has; unions add parts of their own."""
    place: list[str | int] = []
    for position, part in enumerate(loc):
        if isinstance(raw, dict):
            place.append(part)
            raw = raw.get(part)
        elif isinstance(raw, list) and isinstance(part, int) and part < len(raw):
            place.append(part)
            raw = raw[part]
        elif position == len(loc) - 1 and raw is None:
            place.append(part)
    return tuple(place)


def _dotted(place: Place) -> str:
    return " ".join(".".join(map(str, place)).split())[:120]


def _offer(place: Place) -> str:
    """Offer the most similar key of the same part of the file."""
    close = difflib.get_close_matches(str(place[-1]), _keys_at(place[:-1]), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _keys_at(place: Place) -> list[str]:
    model: Any = ProfileFile
    for part in place:
        if isinstance(part, int):
            continue
        annotation = model.model_fields[part].annotation if part in model.model_fields else None
        inner = (annotation, *getattr(annotation, "__args__", ()))
        models = [each for each in inner if isinstance(each, type) and issubclass(each, BaseModel)]
        if not models:
            return []
        model = models[0]
    return list(model.model_fields)
