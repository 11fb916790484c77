"""Find all mistakes of a profile file, and what in it does nothing or costs a claim."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from pydicom._dicom_dict import DicomDictionary
from pydicom.uid import MRImageStorage

from deid_node.config.patient_table import read_patient_table
from deid_node.config.profile_file import find_profile, load_profile
from deid_node.config.profile_mistakes import Mistake, check_profile
from deid_node.errors import ProfileInvalid
from deid_node.headers.confidentiality import Option, matches, table
from deid_node.headers.plan import explain, name_of, plan

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deid_node.config.profile_mistakes import Checked
    from deid_node.headers.profile import Profile, Rule

_OF_THE_PIXELS: Final = frozenset(
    {
        Option.CLEAN_PIXEL_DATA,
        Option.CLEAN_RECOGNIZABLE_VISUAL_FEATURES,
        Option.RETAIN_SAFE_PRIVATE,
    }
)
"""Options whose effect is not in a column of Table E.1-1: on pixels and private elements."""


_SHOWN: Final = 5
"""Attributes that one line names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Linted:
    """What is wrong with a profile file, and what is doubtful.

    Parameters
    ----------
    errors
        Why it cannot be used; all of them.
    warnings
        What is likely not meant; none where there are errors.
    """

    errors: tuple[Mistake, ...]
    warnings: tuple[Mistake, ...]


def lint(path: Path) -> Linted:
    """Look through a profile file.

    Raises
    ------
    ProfileInvalid
        If there is no such file.
    """
    path = find_profile(path)
    checked = check_profile(path)
    if checked.content is None:
        return Linted(errors=checked.mistakes, warnings=())
    try:
        profile = load_profile(path)
        plan(profile, MRImageStorage)
        if profile.patients.method == "table":
            read_patient_table(profile.patients)
    except ProfileInvalid as error:
        message = str(error).removeprefix(f"{path.name}: ")
        return Linted(errors=(Mistake(line=0, place="", message=message),), warnings=())
    own = profile.rules[len(profile.rules) - len(checked.content.rules) :]
    warnings = [
        *_shadowed(own, checked),
        *_weaker(profile, own, checked),
        *_overruled(profile, own, checked),
        *_idle_options(profile, checked),
    ]
    return Linted(errors=(), warnings=tuple(sorted(warnings)))


def _at(checked: Checked, *place: str | int, message: str) -> Mistake:
    dotted = ".".join(map(str, place))
    return Mistake(line=checked.line(place), place=dotted, message=message)


def _shadowed(own: tuple[Rule, ...], checked: Checked) -> Iterator[Mistake]:
    """Rules that never decide because later ones name all that they name."""
    for number, rule in enumerate(own):
        later = own[number + 1 :]
        tags = all(any(tag in other.tags for other in later) for tag in rule.tags)
        masks = all(any(_covers(other.masks, mask) for other in later) for mask in rule.masks)
        paths = all(any(path in other.paths for other in later) for path in rule.paths)
        vrs = all(any(vr in other.vrs for other in later) for vr in rule.vrs)
        if tags and masks and paths and vrs:
            message = "the rule is never used: later ones name all that it names"
            yield _at(checked, "rules", number, message=message)


def _covers(masks: tuple[str, ...], mask: str) -> bool:
    return any(
        all(wide in {"x", narrow} for wide, narrow in zip(each, mask, strict=True))
        for each in masks
    )


def _weaker(profile: Profile, own: tuple[Rule, ...], checked: Checked) -> Iterator[Mistake]:
    """Rules that let stay what PS3.15 and the options would not."""
    for number, rule in enumerate(own):
        named = {*rule.tags, *(tag for tag in table().rows if _masked(rule, tag))}
        paths: list[tuple[int, ...]] = [(tag,) for tag in sorted(named)]
        paths += [_spelt(mask.steps) for mask in rule.paths if mask.is_exact]
        weak = [
            "/".join(map(name_of, path))
            for path in paths
            if (found := explain(profile, path, MRImageStorage)).departs
            and found.origin == rule.origin
        ]
        if weak:
            more = " …" if len(weak) > _SHOWN else ""
            message = (
                f"weaker than PS3.15 for {', '.join(weak[:_SHOWN])}{more}: "
                "instances that hold it do not claim 113100"
            )
            yield _at(checked, "rules", number, message=message)


def _masked(rule: Rule, tag: int) -> bool:
    return any(matches(mask, tag) for mask in rule.masks)


def _spelt(steps: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(int(step, 16) for step in steps)


def _overruled(profile: Profile, own: tuple[Rule, ...], checked: Checked) -> Iterator[Mistake]:
    """Rules by VR whose every attribute a name or the table settles first."""
    for number, rule in enumerate(own):
        idle = [vr for vr in sorted(rule.vrs) if not _reaches(profile, vr)]
        if idle:
            message = (
                f"no attribute of VR {', '.join(idle)} is left to it: the table lists them all"
            )
            yield _at(checked, "rules", number, message=message)


def _reaches(profile: Profile, vr: str) -> bool:
    """Whether a rule by VR decides about any attribute of the dictionary."""
    return any(
        explain(profile, tag, MRImageStorage).authority == "rule"
        and profile.naming_rule(tag) is None
        for tag, entry in DicomDictionary.items()
        if entry[0][:2] == vr
    )


def _idle_options(profile: Profile, checked: Checked) -> Iterator[Mistake]:
    """Options that change nothing, as others or rules settle all that they grant."""
    for number, option in enumerate(checked.content.options if checked.content else ()):
        if option in _OF_THE_PIXELS or _has_effect(profile, option):
            continue
        message = (
            f"{option.value} changes nothing: rules or stricter options settle all that it grants"
        )
        yield _at(checked, "options", number, message=message)


def _has_effect(profile: Profile, option: Option) -> bool:
    without = replace(profile, options=profile.options - {option})
    granted = (tag for tag, row in table().rows.items() if option in row.options)
    return any(_outcome(profile, tag) != _outcome(without, tag) for tag in granted)


def _outcome(profile: Profile, tag: int) -> tuple[object, ...]:
    found = explain(profile, tag, MRImageStorage)
    return found.action, found.option, found.departs
