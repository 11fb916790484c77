"""Compare what two profiles do to the attributes of one IOD, at every depth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydicom.datadict import dictionary_has_tag, dictionary_VR

from deid_node.headers.iod import section_of
from deid_node.headers.plan import explain
from deid_node.headers.profile import Action

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deid_node.headers.iod import Section
    from deid_node.headers.plan import Decision
    from deid_node.headers.profile import Profile

_TAKES_ALL: Final = frozenset({Action.REMOVE, Action.EMPTY})
"""Actions that take along what is inside a sequence."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """An attribute that two profiles treat differently.

    Parameters
    ----------
    path
        Tags from the top level down to the attribute.
    first, second
        What each profile does.
    """

    path: tuple[int, ...]
    first: Decision
    second: Decision


def differences(first: Profile, second: Profile, sop_class_uid: str) -> list[Difference]:
    """List every attribute that two profiles treat differently.

    Parameters
    ----------
    first, second
        The profiles.
    sop_class_uid
        Whose attributes are compared, and with them what rules name besides. What lies in
        a sequence that one of the two removes is not listed again.

    Returns
    -------
    list of Difference
        In order of the paths.
    """
    named = {tag for each in (first, second) for rule in each.rules for tag in rule.tags}
    section = section_of(sop_class_uid)
    top = sorted({*section.types, *(tag for tag in named if not tag >> 16 & 1)})
    found = _level(first, second, sop_class_uid, section, (), top)
    return list(found)


def _level(
    first: Profile,
    second: Profile,
    sop_class_uid: str,
    section: Section,
    above: tuple[int, ...],
    tags: list[int],
) -> Iterator[Difference]:
    for tag in tags:
        path = (*above, tag)
        ours, theirs = (explain(each, path, sop_class_uid) for each in (first, second))
        if ours.action is not theirs.action or ours.value != theirs.value:
            yield Difference(path=path, first=ours, second=theirs)
        if _is_sequence(tag) and not {ours.action, theirs.action} & _TAKES_ALL:
            inside = section.below(tag)
            yield from _level(first, second, sop_class_uid, inside, path, sorted(inside.types))


def _is_sequence(tag: int) -> bool:
    return dictionary_has_tag(tag) and dictionary_VR(tag) == "SQ"
