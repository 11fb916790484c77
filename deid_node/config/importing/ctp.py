"""What each line of a CTP anonymizer script means to this node.

Two programs read such scripts and differ. CTP passes what no line names, unless
``unspecifiedelements`` is switched on; the RSNA Anonymizer writes ``@uid`` without brackets,
takes an empty line for "keep" and removes what no line names. A script that holds one of
its bare words, and none of the functions that only CTP knows, is read its way.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from deid_node.config.importing.attributes import (
    always_goes,
    hindrance,
    is_private,
    is_written_by_node,
    tag_named,
)
from deid_node.config.importing.ctp_calls import Call, Unparsable, parts_of
from deid_node.config.importing.ctp_functions import meaning_of
from deid_node.config.importing.ctp_xml import Entry, read_entries
from deid_node.config.importing.statements import (
    Meaning,
    Reading,
    Refusal,
    Remark,
    Statement,
    shown,
)
from deid_node.headers.confidentiality import Option
from deid_node.headers.plan import name_of
from deid_node.headers.profile import Action

if TYPE_CHECKING:
    from collections.abc import Sequence

_LONGEST_TEXT: Final = 4096
_RSNA_ONLY: Final = frozenset({"uid", "ptid", "acc"})
_BARE: Final = _RSNA_ONLY | {"hashdate", "keep", "empty"}
"""What the RSNA Anonymizer writes without brackets; CTP would empty the attribute."""
_IN_BOTH: Final = frozenset({"remove", "empty", "keep", "round"})
"""What both write with brackets."""
_GROUP: Final = re.compile(r"[0-9a-fA-F]{4}")
_PRIVATE_BLOCK: Final = re.compile(r"([0-9a-fA-F]{3}[13579bdfBDF])\W*\[.+")
"""A private attribute by its creator, as in ``0029[SIEMENS CSA HEADER]10``."""
_DONE_ANYWAY: Final = frozenset({"curves", "overlays", "privategroups"})
_GOING: Final = frozenset({Action.REMOVE, Action.EMPTY})


def read_ctp(content: bytes) -> Reading:
    """Read a script.

    Raises
    ------
    ForeignProfileUnreadable
        If it is none.
    """
    entries = read_entries(content)
    return _Script(entries).reading()


@dataclass(slots=True)
class _Script:
    """The lines of one script, and what they have come to so far."""

    entries: Sequence[Entry]
    parameters: dict[str, str] = field(default_factory=dict)
    is_rsna: bool = False
    statements: list[Statement] = field(default_factory=list)
    refusals: list[Refusal] = field(default_factory=list)
    remarks: list[Remark] = field(default_factory=list)
    by_node: list[int] = field(default_factory=list)
    disabled: int = 0
    unlisted_line: int | None = None
    options: set[Option] = field(default_factory=set)
    first: dict[int, Entry] = field(default_factory=dict)

    def reading(self) -> Reading:
        """Go through all lines."""
        self.parameters = {e.target: e.text for e in self.entries if e.kind == "p"}
        self.is_rsna = _is_rsna([e for e in self.entries if e.kind == "e" and e.is_enabled])
        for entry in self.entries:
            self._entry(entry)
        if self.is_rsna and self.unlisted_line is None and self.entries:
            self.unlisted_line = self.entries[0].line
            text = "a script of the RSNA Anonymizer: what no line names is removed"
            self.remarks.append(Remark(line=self.unlisted_line, text=text))
        return Reading(
            format="ctp",
            statements=tuple(self.statements),
            refusals=tuple(self.refusals),
            remarks=tuple(self.remarks),
            by_node=tuple(self.by_node),
            disabled=self.disabled,
            unlisted_line=self.unlisted_line,
            options=frozenset(self.options),
        )

    def _entry(self, entry: Entry) -> None:
        read = {"e": self._element, "k": self._kept_group, "r": self._removal}.get(entry.kind)
        if entry.kind == "p":
            return
        if read is None:
            self._refuse(entry, "not an element of a CTP script")
        elif entry.is_enabled:
            read(entry)
        else:
            self.disabled += 1

    def _element(self, entry: Entry) -> None:
        block = _PRIVATE_BLOCK.match(entry.target)
        tag = int(block[1], 16) << 16 if block else tag_named(entry.target)
        if tag is None:
            self._refuse(entry, "the tag is not eight hexadecimal digits")
            return
        if is_written_by_node(tag):
            self.by_node.append(entry.line)
            return
        meaning = self._meaning(entry, tag)
        if isinstance(meaning, str):
            self._refuse(entry, meaning, tag)
        elif always_goes(tag) and meaning.action in _GOING:
            self.by_node.append(entry.line)
        elif tag in self.first and self.first[tag].text != entry.text:
            line = self.first[tag].line
            self._refuse(entry, f"line {line} says something else about the same attribute", tag)
        elif reason := hindrance(tag, meaning):
            self._refuse(entry, reason, tag)
        elif tag not in self.first:
            self.first[tag] = entry
            self._express(entry, tag, meaning)

    def _meaning(self, entry: Entry, tag: int) -> Meaning | str:
        if len(entry.text) > _LONGEST_TEXT:
            return f"longer than {_LONGEST_TEXT} characters"
        try:
            parts = parts_of(entry.text)
        except Unparsable as error:
            return str(error)
        if not parts:
            return Meaning(action=Action.KEEP if self.is_rsna else Action.EMPTY)
        bare = [part.name for part in parts if isinstance(part, Call) and part.is_bare]
        if bare and not (self.is_rsna and _BARE.issuperset(bare)):
            return "a function is written with brackets, as in @remove()"
        return meaning_of(parts, tag, self.parameters)

    def _express(self, entry: Entry, tag: int, meaning: Meaning) -> None:
        said = shown(entry.text) or "(empty)"
        self.statements.append(Statement(line=entry.line, said=said, tags=(tag,), meaning=meaning))
        if meaning.remark:
            self.remarks.append(Remark(line=entry.line, text=f"{name_of(tag)}: {meaning.remark}"))

    def _kept_group(self, entry: Entry) -> None:
        if entry.target.startswith("safe"):
            self.options.add(Option.RETAIN_SAFE_PRIVATE)
            text = (
                "safe private elements: the numbers that PS3.15 E.3.10 lists stay, "
                "which is not the list of CTP"
            )
            self.remarks.append(Remark(line=entry.line, text=text))
            return
        if _GROUP.fullmatch(entry.target) is None:
            self._refuse(entry, "the group is not four hexadecimal digits")
            return
        if is_private(int(entry.target, 16) << 16):
            self._refuse(entry, "a private group never stays as a whole")
            return
        self.statements.append(
            Statement(
                line=entry.line,
                said=f"keep group {entry.target}",
                mask=f"{entry.target.upper()}xxxx",
                meaning=Meaning(action=Action.KEEP),
            )
        )

    def _removal(self, entry: Entry) -> None:
        if entry.target == "unspecifiedelements":
            self.unlisted_line = entry.line
        elif entry.target in _DONE_ANYWAY:
            self.by_node.append(entry.line)
        else:
            self._refuse(entry, "not a removal that CTP knows")

    def _refuse(self, entry: Entry, reason: str, tag: int | None = None) -> None:
        about = f"<{entry.kind}> {entry.target}" if tag is None else name_of(tag)
        self.refusals.append(
            Refusal(
                line=entry.line,
                about=shown(about),
                said=shown(entry.text),
                reason=reason,
                tags=() if tag is None else (tag,),
            )
        )


def _is_rsna(elements: Sequence[Entry]) -> bool:
    """Whether a script is one that only the RSNA Anonymizer understands."""
    calls = [call for entry in elements for call in _calls(entry)]
    bare = {call.name for call in calls if call.is_bare}
    bracketed = {call.name for call in calls if not call.is_bare}
    return not bare.isdisjoint(_RSNA_ONLY) and bracketed <= _IN_BOTH


def _calls(entry: Entry) -> list[Call]:
    try:
        parts = parts_of(entry.text[:_LONGEST_TEXT])
    except Unparsable:
        return []
    return [part for part in parts if isinstance(part, Call)]
