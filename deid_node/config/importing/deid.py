"""What each line of a deid recipe means to this node.

Lines about one attribute are settled as deid does it: KEEP beats all but ADD, an attribute
that is replaced or jittered is not removed, and of the rest the later line wins.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from deid_node.config.importing.attributes import (
    DATES,
    PATIENT,
    VITAL,
    always_goes,
    hindrance,
    is_acquisition_number,
    is_written_by_node,
    vrs_of,
)
from deid_node.config.importing.expanders import EVERYTHING, tags_of
from deid_node.config.importing.recipe import Command, Recipe, read_lines
from deid_node.config.importing.statements import Meaning, Reading, Refusal, Remark, Statement
from deid_node.headers.plan import name_of
from deid_node.headers.profile import Action

_DYNAMIC: Final = ("var:", "func:", "deid_func:")
_GOING: Final = frozenset({Action.REMOVE, Action.EMPTY})
_MOST_NAMES: Final = 8
_PLAIN: Final = {
    "BLANK": Action.EMPTY,
    "JITTER": Action.SHIFT,
    "KEEP": Action.KEEP,
    "REMOVE": Action.REMOVE,
}
_EXCEPT: Final = "except:"
_ADDS: Final = "a profile adds no attribute where it is absent"
_OUTSIDE: Final = "the value comes from outside the recipe; give a fixed value, or remove it"

_Said = tuple[Command, Meaning]


def read_deid(content: bytes) -> Reading:
    """Read a recipe.

    Raises
    ------
    ForeignProfileUnreadable
        If it is none.
    """
    return _Headers(read_lines(content)).reading()


@dataclass(slots=True)
class _Headers:
    """The header lines of one recipe, and what they have come to so far."""

    recipe: Recipe
    refusals: list[Refusal] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    by_node: list[int] = field(default_factory=list)
    unlisted_line: int | None = None
    history: dict[int, list[_Said]] = field(default_factory=dict)
    excepted: dict[int, _Said] = field(default_factory=dict)

    def reading(self) -> Reading:
        """Go through all lines, then settle each attribute."""
        for command in self.recipe.commands:
            self._command(command)
        settled = {tag: said for tag in self.history if (said := self._settled(tag))}
        settled = self.excepted | settled
        refusals = sorted([*self.recipe.refusals, *self.refusals], key=lambda each: each.line)
        return Reading(
            format="deid",
            statements=tuple(_statements(settled)),
            refusals=tuple(refusals),
            remarks=tuple(self.remarks),
            by_node=tuple(self.by_node),
            disabled=self.recipe.without_effect,
            unlisted_line=self.unlisted_line,
        )

    def _command(self, command: Command) -> None:
        target = command.target.lower()
        if target == EVERYTHING or target.startswith(_EXCEPT):
            self._everything(command)
            return
        tags = self._tags(command.target)
        if isinstance(tags, str):
            self._refuse(command, tags)
        elif command.action == "REMOVE" and command.value:
            self._refuse(command, "it removes under a condition; remove it always", tags)
        elif len(tags) == 1 and ":" not in target.split('"')[0]:
            self._one(command, tags[0])
        else:
            self._several(command, tags)

    def _tags(self, target: str) -> tuple[int, ...] | str:
        kind, _, name = target.partition(":")
        if kind.lower() != "fields":
            return tags_of(target)
        found: set[int] = set()
        for each in self.recipe.groups.get(name, []):
            tags = tags_of(each)
            if isinstance(tags, str) or each.lower().startswith(_EXCEPT):
                return f"a line of %fields {name[:20]} cannot be expanded"
            found.update(tags)
        return tuple(sorted(found)) or "the recipe has no such %fields section"

    def _everything(self, command: Command) -> None:
        """Take REMOVE ALL, and REMOVE except:, for the word on what no line names."""
        if command.action != "REMOVE" or command.value:
            reason = "of all attributes only REMOVE can be said, without condition"
            self._refuse(command, reason, is_about_all=command.action != "KEEP")
            return
        if command.target.lower() != EVERYTHING:
            tags = tags_of(command.target)
            if isinstance(tags, str):
                self._refuse(command, tags, is_about_all=True)
                return
            said = (command, Meaning(action=Action.KEEP))
            self.excepted |= {tag: said for tag in tags if not hindrance(tag, said[1])}
        self.unlisted_line = command.line

    def _one(self, command: Command, tag: int) -> None:
        if is_written_by_node(tag):
            self.by_node.append(command.line)
            return
        meaning = _meaning(command, tag)
        if isinstance(meaning, str):
            self._refuse(command, meaning, (tag,))
        elif always_goes(tag) and meaning.action in _GOING:
            self.by_node.append(command.line)
        elif reason := hindrance(tag, meaning):
            self._refuse(command, reason, (tag,))
        else:
            self._note(command, tag, meaning)
            self._remark(command, name_of(tag), meaning.remark)

    def _several(self, command: Command, tags: tuple[int, ...]) -> None:
        """Say the same of several attributes, but of those it makes no sense for."""
        able = [tag for tag in tags if not is_written_by_node(tag) and not always_goes(tag)]
        if command.action == "JITTER":
            able = [tag for tag in able if vrs_of(tag) & DATES]
        left = [] if command.action == "KEEP" else [tag for tag in able if tag in VITAL]
        meanings = {tag: _meaning(command, tag) for tag in able if tag not in left}
        reasons = [
            each if isinstance(each, str) else hindrance(tag, each)
            for tag, each in meanings.items()
        ]
        if reason := next(filter(None, reasons), ""):
            self._refuse(command, reason, tuple(meanings))
            return
        for tag, meaning in meanings.items():
            if not isinstance(meaning, str):
                self._note(command, tag, meaning)
        if not meanings:
            self.by_node.append(command.line)
        self._about_several(command, tuple(meanings), left)

    def _about_several(self, command: Command, tags: tuple[int, ...], left: list[int]) -> None:
        lost = [tag for tag in tags if is_acquisition_number(tag)]
        if command.action in {"REMOVE", "BLANK"} and lost:
            self._remark(command, _listed(lost), "parameters of the acquisition go as well")
        if left:
            self._remark(command, _listed(left), "left to PS3.15: no instance can do without")

    def _note(self, command: Command, tag: int, meaning: Meaning) -> None:
        self.history.setdefault(tag, []).append((command, meaning))

    def _settled(self, tag: int) -> _Said | None:
        """Decide between all lines about one attribute."""
        history = self.history[tag]
        kept = next((each for each in history if each[0].action == "KEEP"), None)
        changed = any(command.action in {"REPLACE", "JITTER"} for command, _ in history)
        last: _Said | None = None
        for command, meaning in history:
            action, before = command.action, last[0].action if last else ""
            if action == "KEEP" or (kept and action != "ADD"):
                continue
            if (action == "REMOVE" and changed) or (before == "REMOVE" and action != "ADD"):
                continue
            if action == "JITTER" and before == "BLANK":
                continue
            if action == "JITTER" and before in {"ADD", "REPLACE"}:
                self._refuse(command, "a value that another line sets is not moved", (tag,))
                continue
            last = (command, meaning)
        return last or kept

    def _refuse(
        self,
        command: Command,
        reason: str,
        tags: tuple[int, ...] = (),
        *,
        is_about_all: bool = False,
    ) -> None:
        self.refusals.append(
            Refusal(
                line=command.line,
                about=name_of(tags[0]) if len(tags) == 1 else "",
                said=command.said,
                reason=reason,
                tags=tags,
                is_about_all=is_about_all,
            )
        )

    def _remark(self, command: Command, about: str, text: str) -> None:
        if text:
            self.remarks.append(Remark(line=command.line, text=f"{about}: {text}"))


def _meaning(command: Command, tag: int) -> Meaning | str:
    plain = _PLAIN.get(command.action)
    if plain is not None:
        return Meaning(action=plain)
    if command.value.startswith(_DYNAMIC):
        return _computed(command, tag)
    if command.action == "ADD":
        return _ADDS
    return Meaning(action=Action.SET, value=command.value)


def _computed(command: Command, tag: int) -> Meaning | str:
    """Replace by what only the caller of deid knows: for a UID that can be but a UID."""
    if tag in PATIENT:
        return Meaning(action=Action.PSEUDONYM, remark="the pseudonym is the node's own")
    if command.action == "ADD":
        return _ADDS
    if "UI" in vrs_of(tag):
        return Meaning(action=Action.UID, remark="the new UID is the node's own")
    if command.value.startswith("deid_func:jitter") and vrs_of(tag) & DATES:
        return Meaning(action=Action.SHIFT)
    return _OUTSIDE


def _statements(settled: dict[int, _Said]) -> list[Statement]:
    """Turn the decisions around: which attributes each line decides about."""
    by_line: dict[tuple[int, Meaning], tuple[str, list[int]]] = {}
    for tag, (command, meaning) in settled.items():
        by_line.setdefault((command.line, meaning), (command.said, []))[1].append(tag)
    return [
        Statement(line=line, said=said, tags=tuple(sorted(tags)), meaning=meaning)
        for (line, meaning), (said, tags) in sorted(by_line.items(), key=lambda each: each[0][0])
    ]


def _listed(tags: list[int]) -> str:
    names = ", ".join(map(name_of, tags[:_MOST_NAMES]))
    more = len(tags) - _MOST_NAMES
    return f"{names} and {more} more" if more > 0 else names
