"""Profiles: what is done to each attribute, and why.

A profile is a value. Which of its rules decides about an attribute:

1. a rule that names its path of sequences, one without masks before one with;
2. a rule that names the tag, then a rule whose mask matches it;
3. Table E.1-1 with the profile's options;
4. a rule that names the VR;
5. the profile's word on attributes that nothing lists.

Of two rules of one kind the later one decides.

A rule by VR comes after the table, so ``vr: [LO], action: keep`` cannot undo it.
"""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass, field, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from deid_node.headers.confidentiality import Option, matches
from deid_node.headers.iod import is_patients

if TYPE_CHECKING:
    from deid_node.dicom.rectangle import Rectangle
    from deid_node.headers.paths import PathMask

__all__ = [
    "Action",
    "Option",
    "Patients",
    "PixelRegion",
    "Profile",
    "Rule",
    "SafePrivate",
    "Unlisted",
]

AGE_CAP: Final = 89
"""Greatest age in years that is passed on; 45 CFR 164.514(b)(2)(i)(C)."""

SHIFT_DAYS: Final = (-3650, -365)
"""Least and greatest day shift. Always back in time and at least a year, so that no output
lies in the future and no date is close to the real one."""

_TOLD: Final = {"decides": False}
"""Marks a field that is for the reader and decides nothing."""


class Action(enum.Enum):
    """What is done to one element. The letters are those of PS3.15 Table E.1-1a."""

    DUMMY = "dummy"
    """D: a valid value that means nothing."""
    EMPTY = "empty"
    """Z: zero length."""
    REMOVE = "remove"
    """X: the element goes; where the IOD demands it, it becomes empty or a dummy."""
    KEEP = "keep"
    """K: the value stays; the items of a sequence are worked through."""
    CLEAN = "clean"
    """C: words and codes that the vocabulary knows stay."""
    UID = "uid"
    """U: a keyed UID; UIDs of the standard stay."""
    PSEUDONYM = "pseudonym"
    """D: the patient's keyed pseudonym."""
    SHIFT = "shift"
    """C of dates: moved by the patient's whole number of days; times of day stay."""
    CAP_AGE = "cap-age"
    """C of ages: years beyond the cap become one class."""
    SET = "set"
    """D: the value that the rule gives."""


PRESERVING: Final = frozenset({Action.KEEP, Action.CLEAN, Action.SHIFT, Action.CAP_AGE, Action.UID})
"""Actions that let something of a value, or a link that it makes, stay."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: which attributes, which action, and why.

    Parameters
    ----------
    tags
        Tags that are named.
    masks
        Eight characters each, ``x`` for any hexadecimal digit.
    paths
        Attributes inside sequences, or at the top level alone.
    vrs
        Value representations.
    action
        What is done.
    value
        The new value; with `Action.SET` only.
    why
        The reason, for whoever reads the profile.
    origin
        File and line where it stands.
    """

    tags: frozenset[int] = frozenset()
    masks: tuple[str, ...] = ()
    paths: tuple[PathMask, ...] = ()
    vrs: frozenset[str] = frozenset()
    action: Action
    value: str = ""
    why: str = field(metadata=_TOLD)
    origin: str = field(default="", repr=False, metadata=_TOLD)


@dataclass(frozen=True, slots=True, kw_only=True)
class SafePrivate:
    """Private elements of one creator that may stay, under Retain Safe Private only.

    Parameters
    ----------
    creator
        Private Creator, exactly.
    group
        Odd group number.
    elements
        Low bytes of the element numbers, the high byte being the block's, and what each is
        read as: a VR, or ``CSA`` for a header of which a new one is written from numbers.
    """

    creator: str
    group: int
    elements: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unlisted:
    """What becomes of standard attributes that neither a rule nor the table names.

    Private and unknown attributes always go, unless a rule or safe list names them.

    Parameters
    ----------
    standard
        ``keep-clean``: numbers and codes of the IOD stay, text passes the cleaner.
        ``remove``: the same for attributes that the IOD demands; all others go, so that the
    rules are the list of what may stay.
    """

    standard: Literal["keep-clean", "remove"] = "keep-clean"


@dataclass(frozen=True, slots=True, kw_only=True)
class Patients:
    """How a patient is named in the output.

    Parameters
    ----------
    method
        ``hmac``: by the key alone. ``table``: by a file of the site; who is not in it is
        held. ``sequence``: numbered in order of arrival.
    prefix
        First characters of the name, unless a table gives it.
    file
        Of a table or sequence, as the profile writes it.
    folder
        Where that path starts: the folder of the profile.
    """

    method: Literal["hmac", "table", "sequence"] = "hmac"
    prefix: str = "P"
    file: str = ""
    folder: str = field(default="", repr=False, metadata=_TOLD)


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelRegion:
    """Where the instances of one kind have text in their pixels, PS3.15 E.3.1.

    Parameters
    ----------
    when
        Tag and value of single-valued attributes of the top level; an instance that has them
        all is of this kind. Rows and Columns are among them.
    rectangles
        Pixels that become black in every frame.
    why
        The reason, for whoever reads the profile.
    """

    when: tuple[tuple[int, str | int], ...]
    rectangles: tuple[Rectangle, ...]
    why: str = field(metadata=_TOLD)


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """A whole profile, parents merged in.

    Parameters
    ----------
    name, version
        Go into De-identification Method (0012,0063) of each output instance.
    edition
        Edition of Table E.1-1.
    options
        Options of PS3.15 E.3 that are in force.
    unlisted
        Attributes that nothing names.
    rules
        In the order of the files, parents first: the later one wins.
    safe_private
        Private elements that stay under Retain Safe Private besides those of PS3.15.
    age_cap
        Greatest age in years that `Action.CAP_AGE` lets pass.
    sop_classes
        SOP Classes that are accepted; None for all whose header can be de-identified.
    patients
        How a patient is named.
    days
        Least and greatest number of days by which dates move; 0 is not among them.
    words, codes
        Of the site, that may stay in text and in code strings.
    pixel_regions
        What is cleaned under Clean Pixel Data.
    why
        What the profile is for.
    """

    name: str
    version: int
    edition: str
    options: frozenset[Option] = frozenset()
    unlisted: Unlisted = field(default_factory=Unlisted)
    rules: tuple[Rule, ...] = ()
    safe_private: tuple[SafePrivate, ...] = ()
    age_cap: int = AGE_CAP
    sop_classes: frozenset[str] | None = None
    patients: Patients = field(default_factory=Patients)
    days: tuple[int, int] = SHIFT_DAYS
    words: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()
    pixel_regions: tuple[PixelRegion, ...] = ()
    why: str = field(default="", repr=False, metadata=_TOLD)

    @property
    def pixel_contradiction(self) -> str:
        """What is wrong between the option Clean Pixel Data and the regions; empty if nothing."""
        cleans = Option.CLEAN_PIXEL_DATA in self.options
        if cleans and not self.pixel_regions:
            return "clean-pixel-data: nothing says which pixels to clean; add pixel_regions"
        if self.pixel_regions and not cleans:
            return "pixel_regions: they count under the option clean-pixel-data only; add it"
        return ""

    def accepts(self, sop_class_uid: str) -> bool:
        """Whether instances of a SOP Class may be de-identified under this profile."""
        named = self.sop_classes is None or sop_class_uid in self.sop_classes
        return named and is_patients(sop_class_uid)

    def path_rule(self, path: tuple[int, ...]) -> Rule | None:
        """Last rule that names a path of tags, one without masks before one with."""
        meant = [
            (mask.is_exact, place, rule)
            for place, rule in enumerate(self.rules)
            for mask in rule.paths
            if mask.matches(path)
        ]
        return max(meant, key=lambda found: found[:2])[2] if meant else None

    def opening_rule(self, path: tuple[int, ...]) -> Rule | None:
        """Last rule that lets something stay inside the sequence at a path."""
        return next(
            (
                rule
                for rule in reversed(self.rules)
                if rule.action in PRESERVING and any(mask.leads_into(path) for mask in rule.paths)
            ),
            None,
        )

    def naming_rule(self, tag: int) -> Rule | None:
        """Rule that names a tag or, failing that, whose mask matches it; the last one."""
        named = [rule for rule in self.rules if tag in rule.tags]
        masked = [r for r in self.rules if any(matches(mask, tag) for mask in r.masks)]
        return next(reversed(named or masked), None)

    def vr_rule(self, vr: str) -> Rule | None:
        """Last rule that names a value representation."""
        return next((rule for rule in reversed(self.rules) if vr in rule.vrs), None)

    def digest(self) -> str:
        """SHA-256 of everything that decides, as 64 hexadecimal digits."""
        return hashlib.sha256(repr(_deciding(self)).encode()).hexdigest()


def _deciding(value: Any) -> object:  # noqa: ANN401 - any part of a profile
    """Turn a part of a profile into plain values in one order, without what only explains."""
    if is_dataclass(value):
        return [
            (f.name, _deciding(getattr(value, f.name)))
            for f in fields(value)
            if f.metadata.get("decides", True)
        ]
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, frozenset):
        return sorted(map(repr, map(_deciding, value)))
    return list(map(_deciding, value)) if isinstance(value, tuple) else value
