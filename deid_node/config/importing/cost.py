"""What an imported profile costs: every line that is weaker than PS3.15, by the node's own word."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydicom.uid import MRImageStorage

from deid_node.config.importing.attributes import vrs_of
from deid_node.config.importing.statements import Remark, Statement
from deid_node.headers.confidentiality import table
from deid_node.headers.plan import explain, name_of
from deid_node.headers.profile import Action

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deid_node.headers.profile import Profile

_NAMED: Final = 6
_VERB: Final = {Action.KEEP: "keeps", Action.SHIFT: "moves"}


def weakened(profile: Profile, statements: Sequence[Statement]) -> list[Remark]:
    """Name every line that lets more pass than PS3.15 allows, and what that costs."""
    by_tag = {tag: each for each in statements for tag in each.tags}
    weak: dict[Statement, list[int]] = {}
    for tag in sorted({*table().rows, *by_tag}):
        if explain(profile, tag, MRImageStorage).departs:
            covering = [each for each in statements if each.covers(tag)]
            source = by_tag.get(tag) or next(reversed(covering), None)
            if source is not None:
                weak.setdefault(source, []).append(tag)
    return [_weak_line(each, tags) for each, tags in weak.items()]


def _weak_line(statement: Statement, tags: Sequence[int]) -> Remark:
    names = ", ".join(name_of(tag) for tag in tags[:_NAMED])
    if len(tags) > _NAMED:
        names += f" and {len(tags) - _NAMED} more"
    verb = _VERB.get(statement.meaning.action, "lets pass a part of")
    text = f"{verb} {names}, which PS3.15 removes or replaces: drops the claim 113100"
    return Remark(line=statement.line, text=text)


def about_names(statements: Sequence[Statement]) -> list[Remark]:
    """Name every line that keeps names of people, which the node does not let pass."""
    text = "is kept, but for the names of the patient and of those around, which never pass"
    return [
        Remark(line=each.line, text=f"{name_of(tag)}: {text}")
        for each in statements
        for tag in each.tags
        if each.meaning.action is Action.KEEP and "PN" in vrs_of(tag)
    ]
