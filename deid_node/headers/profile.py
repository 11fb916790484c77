"""Profiles: what is done to each attribute, and why.

A profile is a value. Which of its rules decides about an attribute:

1. a rule that names the tag, then a rule whose mask matches it; of two, the later one;
2. Table E.1-1 with the profile's options;
3. a rule that names the VR;
4. the profile's word on attributes that nothing lists.

A rule by VR comes after the table, so ``vr: [LO], action: keep`` cannot undo it.
"""

from __future__ import annotations

import enum
import hashlib
from dataclasses import dataclass, field, replace
from typing import Final, Literal

from deid_node.headers.confidentiality import Option, matches

__all__ = ["Action", "Option", "Profile", "Rule", "SafePrivate", "Unlisted"]

AGE_CAP: Final = 89
"""Greatest age in years that is passed on; 45 CFR 164.514(b)(2)(i)(C)."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule: which attributes, which action, and why.

    Parameters
    ----------
    tags
        Tags that are named.
    masks
        Eight characters each, ``x`` for any hexadecimal digit.
    vrs
        Value representations.
    action
        What is done.
    value
        The new value; with `Action.SET` only.
    why
        The reason, for whoever reads the profile.
    """

    tags: frozenset[int] = frozenset()
    masks: tuple[str, ...] = ()
    vrs: frozenset[str] = frozenset()
    action: Action
    value: str = ""
    why: str


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
        Low bytes of the element numbers; the high byte is the block's.
    vr
        What they are read as when they arrive as UN, by low byte.
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
        ``remove``: the same for attributes that the IOD demands; all others go.
    """

    standard: Literal["keep-clean", "remove"] = "keep-clean"


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
    """

    name: str
    version: int
    edition: str
    options: frozenset[Option] = frozenset()
    unlisted: Unlisted = field(default_factory=Unlisted)
    rules: tuple[Rule, ...] = ()
    safe_private: tuple[SafePrivate, ...] = ()
    age_cap: int = AGE_CAP

    def extended(self, child: Profile) -> Profile:
        """Put a child on top: its rules come later, its other words replace ours."""
        return replace(
            child,
            options=self.options | child.options,
            rules=self.rules + child.rules,
            safe_private=self.safe_private + child.safe_private,
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
        parts: list[object] = [self.name, self.version, self.edition, self.age_cap]
        parts += [sorted(option.value for option in self.options), self.unlisted.standard]
        parts += [
            (sorted(r.tags), r.masks, sorted(r.vrs), r.action.value, r.value) for r in self.rules
        ]
        parts += [(safe.creator, safe.group, safe.elements) for safe in self.safe_private]
        return hashlib.sha256(repr(parts).encode()).hexdigest()
