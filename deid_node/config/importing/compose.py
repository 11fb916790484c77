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
from pydicom.uid import MRImageStorage

from deid_node.config.importing.attributes import (
    DATES,
    PATIENT,
    VITAL,
    always_goes,
    basic,
    is_written_by_node,
    vrs_of,
)
from deid_node.config.importing.statements import Meaning, Reading, Refusal, Remark, Statement
from deid_node.config.profile_file import load_profile
from deid_node.errors import ProfileInvalid
from deid_node.headers.confidentiality import Option, matches, table
from deid_node.headers.plan import explain, name_of
from deid_node.headers.profile import Action

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deid_node.headers.profile import Profile

_MOST_LINES: Final = 12
"""So many lines are joined in one rule; more could not be named in its reason."""
_NAMED: Final = 6
_HOW: Final = {
    Action.UID: "; UIDs are made under the node's key",
    Action.SHIFT: "; the amount becomes the node's keyed shift of the patient",
    Action.PSEUDONYM: "; the pseudonym is made under the node's key",
}
_TIME: Final = "; a time of day stays as it is where dates are moved"
_VERB: Final = {Action.KEEP: "keeps", Action.SHIFT: "moves"}
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
    option = _dates_option(statements)
    if option is Option.RETAIN_MODIFIED_DATES:
        statements = tuple(_time_with_shift(each) for each in statements)
    options = reading.options | ({option} if option else set())
    rules = [_rule(group, reading.noun) for group in _joined(statements)]
    unnamed = _unnamed_dates(statements, option)
    if option is not None and unnamed:
        rules.append(_rest_of_dates(unnamed, option, reading.noun))
    content: dict[str, object] = {
        "profile": name,
        "version": 1,
        "extends": "basic",
        "table": table().edition,
        "why": f"Imported from a {reading.noun}; each rule names its lines.",
        "options": sorted(each.value for each in options),
        "unlisted": {"standard": "remove" if reading.unlisted_line else "keep-clean"},
        "rules": rules,
    }
    text = _HEAD.format(noun=reading.noun) + _not_imported(reading, lenient=lenient)
    text += yaml.safe_dump(content, sort_keys=False, width=98, default_flow_style=None)
    profile = _loaded(text, name, statements)
    remarks = [*reading.remarks, *_weakened(profile, statements), *_about_dates(statements, option)]
    return Draft(
        text=text, profile=profile, remarks=tuple(sorted(remarks, key=lambda each: each.line))
    )


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


def _dates_option(statements: Sequence[Statement]) -> Option | None:
    """Option that says truly what becomes of dates; (0028,0303) is written from it."""
    moved = any(each.meaning.action is Action.SHIFT for each in statements)
    if moved:
        return Option.RETAIN_MODIFIED_DATES
    kept = [tag for each in statements if each.meaning.action is Action.KEEP for tag in each.tags]
    full = [tag for tag in kept if _grants(Option.RETAIN_FULL_DATES, tag)]
    return Option.RETAIN_FULL_DATES if any(vrs_of(tag) & DATES for tag in full) else None


def _time_with_shift(statement: Statement) -> Statement:
    """Say of a time of day that stays beside moved dates what PS3.15 calls that: modified."""
    times = all(
        _grants(Option.RETAIN_MODIFIED_DATES, t) and vrs_of(t) == {"TM"} for t in statement.tags
    )
    if statement.meaning.action is Action.KEEP and statement.tags and times:
        return replace(statement, meaning=Meaning(action=Action.SHIFT))
    return statement


def _grants(option: Option, tag: int) -> bool:
    row = table().row(tag)
    return row is not None and option in row.options


def _unnamed_dates(statements: Sequence[Statement], option: Option | None) -> list[int]:
    """Attributes that the option would let pass though no line names them."""
    if option is None:
        return []
    named = {tag for each in statements for tag in each.tags}
    masks = [each.mask for each in statements if each.mask]
    return sorted(
        tag
        for tag, row in table().rows.items()
        if option in row.options
        and tag not in named
        and not any(matches(mask, tag) for mask in masks)
        and basic().naming_rule(tag) is None
        and not always_goes(tag)
    )


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


def _not_imported(reading: Reading, *, lenient: bool) -> str:
    left = [each for each in reading.refusals if lenient and not instead_of(each)]
    return "".join(f"# Not imported: line {r.line}, {r.about}: {r.reason}.\n" for r in left)


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


def _weakened(profile: Profile, statements: Sequence[Statement]) -> list[Remark]:
    """Name every line that lets more pass than PS3.15 allows, and what that costs."""
    by_tag = {tag: each for each in statements for tag in each.tags}
    masks = [each for each in statements if each.mask]
    weak: dict[Statement, list[int]] = {}
    for tag in sorted({*table().rows, *by_tag}):
        if explain(profile, tag, MRImageStorage).departs:
            covering = [each for each in masks if matches(each.mask, tag)]
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


def _about_dates(statements: Sequence[Statement], option: Option | None) -> list[Remark]:
    if option is not Option.RETAIN_FULL_DATES:
        return []
    line = next(
        each.line
        for each in statements
        if each.meaning.action is Action.KEEP and any(vrs_of(tag) & DATES for tag in each.tags)
    )
    text = "dates of the examination stay as they are: the profile claims 113106, full dates"
    return [Remark(line=line, text=text)]
