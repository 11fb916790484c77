"""Write what was read as a profile, and check that it says what was read.

The profile extends ``basic``: an attribute that no line names is de-identified as PS3.15
says, though CTP and deid would pass it.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import yaml

from deid_node.config.importing.attributes import (
    PATIENT,
    VITAL,
    always_goes,
    is_written_by_node,
    vrs_of,
)
from deid_node.config.importing.cost import about_names, weakened
from deid_node.config.importing.dates import about_dates, dates_option, times_apart, unnamed_dates
from deid_node.config.importing.statements import Meaning, Reading, Refusal, Remark, Statement
from deid_node.config.profile_file import load_profile
from deid_node.errors import ProfileInvalid
from deid_node.headers.confidentiality import Option, table
from deid_node.headers.plan import name_of
from deid_node.headers.profile import Action

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deid_node.headers.profile import Profile

_MOST_LINES: Final = 12
"""So many lines are joined in one rule; more could not be named in its reason."""
_HOW: Final = {
    Action.UID: "; UIDs are made under the node's key",
    Action.SHIFT: "; the amount becomes the node's keyed shift of the patient",
    Action.PSEUDONYM: "; the pseudonym is made under the node's key",
}
_TIME: Final = "; a time of day stays as it is where dates are moved"
_HEAD: Final = """\
# Written by `deid-node profile import`. What no line of the {noun} names is
# de-identified as the profile it extends says, whatever the source did with it.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A profile that was checked and is not written yet.

    Parameters
    ----------
    text
        The YAML file.
    profile
        What `load_profile` makes of it, parents merged in.
    remarks
        What to know about it, in the order of the lines.
    """

    text: str
    profile: Profile
    remarks: tuple[Remark, ...]


def compose(reading: Reading, *, name: str, lenient: bool = False) -> Draft:
    """Write a profile.

    Parameters
    ----------
    reading
        What the source says.
    name
        Name of the profile.
    lenient
        Whether lines that were refused become rules that remove, instead of nothing.

    Raises
    ------
    ProfileInvalid
        If the profile cannot be loaded again, or does not say what was read.
    """
    statements = _with_removals(reading) if lenient else reading.statements
    strict = bool(reading.unlisted_line) or (lenient and _changes_all(reading))
    option = dates_option(statements)
    if option is Option.RETAIN_MODIFIED_DATES:
        statements = tuple(part for each in statements for part in times_apart(each))
    options = reading.options | ({option} if option else set())
    rules = [_rule(group, reading.noun) for group in _joined(statements)]
    unnamed = unnamed_dates(statements, option)
    if option is not None and unnamed:
        rules.append(_rest_of_dates(unnamed, option, reading.noun))
    content: dict[str, object] = {
        "profile": name,
        "version": 1,
        "extends": "basic",
        "table": table().edition,
        "why": f"Imported from a {reading.noun}; each rule names its lines.",
        "options": sorted(each.value for each in options),
        "unlisted": {"standard": "remove" if strict else "keep-clean"},
        "rules": rules,
    }
    text = _HEAD.format(noun=reading.noun) + _not_imported(reading, lenient=lenient)
    text += yaml.safe_dump(content, sort_keys=False, width=98, default_flow_style=None)
    profile = _loaded(text, name, statements)
    remarks = [
        *reading.remarks,
        *weakened(profile, statements),
        *about_dates(statements, option),
        *about_names(statements),
    ]
    remarks.sort(key=lambda each: each.line)
    return Draft(text=text, profile=profile, remarks=tuple(remarks))


def instead_of(refusal: Refusal) -> tuple[Statement, ...]:
    """Give what ``--lenient`` does where a line is refused; never does it keep a value.

    The patient's name and ID become the pseudonym as in ``basic``: without an ID all
    patients would be one. What no instance can do without is left to PS3.15.
    """
    left = [
        tag
        for tag in refusal.tags
        if tag not in VITAL and not is_written_by_node(tag) and not always_goes(tag)
    ]
    return tuple(
        Statement(
            line=refusal.line,
            said=f"{refusal.said or '(empty)'}, which cannot be expressed: {refusal.reason}",
            tags=(tag,),
            meaning=Meaning(action=Action.PSEUDONYM if tag in PATIENT else Action.REMOVE),
        )
        for tag in left
    )


def _with_removals(reading: Reading) -> tuple[Statement, ...]:
    instead = {tag: each for r in reading.refusals for each in instead_of(r) for tag in each.tags}
    kept = [
        replace(each, tags=tuple(tag for tag in each.tags if tag not in instead))
        for each in reading.statements
    ]
    both = [*(each for each in kept if each.tags or each.mask), *instead.values()]
    return tuple(sorted(both, key=lambda each: each.line))


def _rest_of_dates(tags: Sequence[int], option: Option, noun: str) -> dict[str, object]:
    return {
        "tags": [name_of(tag) for tag in tags],
        "action": Action.REMOVE.value,
        "why": f"No line of the {noun} names these; without this rule they would pass under "
        f"the option {option.value}.",
    }


def _joined(statements: Sequence[Statement]) -> list[list[Statement]]:
    """Join lines that say the same, up to as many as a reason can name."""
    groups: list[list[Statement]] = []
    open_groups: dict[tuple[str, Meaning], list[Statement]] = {}
    for each in statements:
        key = (each.said, replace(each.meaning, remark=""))
        group = open_groups.get(key)
        if group is None or len(group) == _MOST_LINES or len(each.tags) > 1:
            group = []
            groups.append(group)
            if len(each.tags) <= 1:
                open_groups[key] = group
        group.append(each)
    return groups


def _rule(group: Sequence[Statement], noun: str) -> dict[str, object]:
    meaning = group[0].meaning
    tags = [name_of(tag) for each in group for tag in each.tags]
    masks = [f"({each.mask[:4]},{each.mask[4:]})" for each in group if each.mask]
    lines = ", ".join(str(line) for line in dict.fromkeys(each.line for each in group))
    noun = f"{'lines' if ',' in lines else 'line'} {lines} of the {noun}"
    rule: dict[str, object] = {"tags": tags + masks, "action": meaning.action.value}
    if meaning.action is Action.SET:
        rule["value"] = meaning.value
    how = _HOW.get(meaning.action, "")
    if meaning.action is Action.SHIFT and all(vrs_of(t) == {"TM"} for e in group for t in e.tags):
        how = _TIME
    return rule | {"why": f"Imported from {noun}: {group[0].said}{how}."}


def _changes_all(reading: Reading) -> bool:
    return any(each.is_about_all for each in reading.refusals)


def _not_imported(reading: Reading, *, lenient: bool) -> str:
    """Name in comments the refused lines that have become no rule."""
    left = [each for each in reading.refusals if lenient and not instead_of(each)]
    return "".join(
        f"# Not imported: line {r.line}, {r.about or r.said}: {r.reason}."
        f"{' What no line names is removed.' if r.is_about_all else ''}\n"
        for r in left
    )


def _loaded(text: str, name: str, statements: Sequence[Statement]) -> Profile:
    """Load a profile from its text and compare each rule with what was meant."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"{name}.yaml"
        path.write_text(text, encoding="utf-8")
        profile = load_profile(path)
    for each in statements:
        meant = (each.meaning.action, each.meaning.value)
        for tag in each.tags:
            rule = profile.naming_rule(tag)
            if rule is None or (rule.action, rule.value) != meant:
                raise ProfileInvalid(f"line {each.line}: {name_of(tag)} was not written as meant")
    return profile
