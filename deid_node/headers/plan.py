"""Settle, once for a profile and SOP Class, what happens to each attribute.

The combined codes of Table E.1-1 (``X/Z/D`` and the like) leave the choice to the Type of
the attribute in the instance's own IOD (PS3.15 E.1.1): a Type 1 attribute needs a value, a
Type 2 one may be empty, a Type 3 one may go. `Level` remembers each decision, so that
scrubbing an instance is a look-up.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from operator import itemgetter
from typing import TYPE_CHECKING, Final, Literal

from pydicom.datadict import dictionary_has_tag, dictionary_keyword, dictionary_VR, tag_for_keyword

from deid_node.errors import ProfileInvalid
from deid_node.headers import codes
from deid_node.headers.confidentiality import Option, Row, table
from deid_node.headers.iod import Section, section_of
from deid_node.headers.profile import Action, Profile, Rule

if TYPE_CHECKING:
    from collections.abc import Sequence

Authority = Literal[
    "structure", "rule", "table", "unlisted", "unknown", "closed", "private", "code"
]

NUMBERS: Final = frozenset({"US", "SS", "UL", "SL", "UV", "SV", "FL", "FD", "DS", "IS", "AT"})
PIXELS: Final = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})
"""Float, Double Float and plain Pixel Data. They stay at the top level of an IOD that has them;
what is drawn in them is not a header's concern."""

_FIRST_GROUP: Final = 0x0008
"""Below lie commands, file meta and directory structure."""

CHARACTER_SET: Final = 0x00080005

_GONE: Final = frozenset(
    tag_for_keyword(keyword)
    for keyword in (
        "SpecificCharacterSet",
        "PatientIdentityRemoved",
        "DeidentificationMethod",
        "DeidentificationMethodCodeSequence",
        "IconImageSequence",
        "EncapsulatedDocument",
        "EncryptedAttributesSequence",
        "OriginalAttributesSequence",
        "ModifiedAttributesSequence",
        "PrivateDataElementCharacteristicsSequence",
    )
)
_WEAKENING: Final = frozenset({Action.KEEP, Action.CLEAN, Action.SHIFT, Action.CAP_AGE})


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What happens to one attribute at one level of one IOD.

    Parameters
    ----------
    action
        Settled: no combined code is left.
    authority
        What decided. ``closed``: a sequence that stays only for what a rule names in it.
        ``private`` and ``code``: settled apart, `headers.private` and `headers.codes`.
    type
        Type of the attribute in the IOD, or None.
    demanded
        Whether the IOD is broken without the attribute.
    option
        Option of PS3.15 that decided.
    departs
        Whether a rule is weaker than the table and the options allow.
    value
        New value, for `Action.SET`.
    why
        Reason of the rule.
    origin
        File and line of the rule.
    opened
        Whether a sequence that would go stays for what a rule names by path inside it.
    within
        Of an answer by `explain`: the path of the sequence that takes the attribute along.
    """

    action: Action
    authority: Authority
    type: str | None = None
    demanded: bool = False
    option: Option | None = None
    departs: bool = False
    value: str = ""
    why: str = ""
    origin: str = ""
    opened: bool = False
    within: tuple[int, ...] = ()


class Level:
    """Decisions at one level of nesting."""

    def __init__(
        self,
        profile: Profile,
        section: Section,
        path: tuple[int, ...] = (),
        *,
        opening: Decision | None = None,
    ) -> None:
        """Start without decisions.

        Parameters
        ----------
        profile
            What decides.
        section
            The attributes that the IOD has at this level.
        path
            Tags of the sequences that lead here.
        opening
            What opened the sequence, if all that no rule names by its path goes here.

        The attribute `retained` is the option that keeps the sequence around this level, such
        as the code of a station: its codes stay though the standard does not know them.
        """
        self.profile = profile
        self.section = section
        self.path = path
        self.retained = _retained(profile, path)
        self.opening = opening
        self._decisions: dict[tuple[int, str], Decision] = {}
        self._below: dict[int, Level] = {}

    def decision(self, tag: int, vr: str) -> Decision:
        """Say what happens to an attribute that has this VR here."""
        known = self._decisions.get((tag, vr))
        if known is None:
            known = self._decisions[tag, vr] = _decide(self, tag, vr)
        return known

    def below(self, tag: int) -> Level:
        """Go to the level inside the items of a sequence."""
        known = self._below.get(tag)
        if known is None:
            above = self.decision(tag, "SQ")
            known = self._below[tag] = Level(
                self.profile,
                self.section.below(tag),
                (*self.path, tag),
                opening=above if above.opened else None,
            )
        return known


@lru_cache(maxsize=64)
def plan(profile: Profile, sop_class_uid: str) -> Level:
    """Top level of the decisions for instances of a SOP Class.

    Raises
    ------
    ProfileInvalid
        If the profile was written for an edition of the table that is not shipped, or asks
        for clean pixel data and does not say which.
    """
    if profile.pixel_contradiction:
        raise ProfileInvalid(f"profile {profile.name}: {profile.pixel_contradiction}")
    if profile.edition != table().edition:
        raise ProfileInvalid(
            f"profile {profile.name} asks for edition {profile.edition} of Table E.1-1, "
            f"this version ships {table().edition}"
        )
    return Level(profile, section_of(sop_class_uid))


def explain(profile: Profile, where: int | Sequence[int], sop_class_uid: str) -> Decision:
    """Say what a profile does to an attribute of a SOP Class, and why.

    Parameters
    ----------
    profile
        What decides.
    where
        Tag of an attribute at the top level, or the tags of the sequences that lead to it
        and its own.
    sop_class_uid
        Whose IOD decides about Types.
    """
    *above, tag = (where,) if isinstance(where, int) else where
    level = plan(profile, sop_class_uid)
    section = level.section
    gone: Decision | None = None
    for depth, sequence in enumerate(above, start=1):
        decision = _private(sequence) or level.decision(sequence, "SQ")
        if gone is None and decision.action in {Action.REMOVE, Action.EMPTY}:
            gone = replace(decision, action=Action.REMOVE, within=tuple(above[:depth]))
        level, section = level.below(sequence), section.below(sequence)
    vr = dictionary_VR(tag)[:2] if dictionary_has_tag(tag) else "UN"
    decision = gone or _private(tag) or _coded(level, tag) or level.decision(tag, vr)
    return replace(decision, type=section.type_of(tag), demanded=tag in section.demanded)


def _private(tag: int) -> Decision | None:
    """Settle a private attribute for `explain`: no rule keeps it, safe lists do by creator."""
    return Decision(action=Action.REMOVE, authority="private") if tag >> 16 & 1 else None


def _coded(level: Level, tag: int) -> Decision | None:
    """Settle a part of a coded entry for `explain`: it stays if the standard knows the code."""
    if not level.path or level.opening is not None or tag not in codes.CODED_ENTRY:
        return None
    return Decision(action=Action.CLEAN, authority="code")


def name_of(tag: int) -> str:
    """Keyword of a tag, or its number where it has none; safe to log."""
    if not tag >> 16 & 1 and dictionary_has_tag(tag):
        return dictionary_keyword(tag)
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def _decide(level: Level, tag: int, vr: str) -> Decision:
    if _must_go(tag):
        return Decision(action=Action.REMOVE, authority="structure")
    path = (*level.path, tag)
    by_path = level.profile.path_rule(path)
    row = table().row(tag)
    if by_path is not None:
        found = _by_path(by_path, row, level)
    elif level.opening is not None:
        found = replace(level.opening, action=Action.REMOVE, authority="closed", opened=False)
    else:
        found = _by_name(level, row, tag, vr)
    if vr == "SQ" and found.action in {Action.REMOVE, Action.EMPTY}:
        found = _opened(found, by_path, row, level, path)
    return _kept_valid(found, level.section, tag, vr)


def _by_path(rule: Rule, row: Row | None, level: Level) -> Decision:
    """Apply a rule that names the path; what the table has go with its sequence departs."""
    found = _by_rule(rule, row, level.profile.options)
    departing = level.opening is not None and level.opening.departs
    return replace(found, departs=found.departs or (departing and rule.action in _WEAKENING))


def _by_name(level: Level, row: Row | None, tag: int, vr: str) -> Decision:
    rule = level.profile.naming_rule(tag)
    if rule is not None:
        return _by_rule(rule, row, level.profile.options)
    if row is not None:
        return _by_table(row, level, tag, vr)
    if not dictionary_has_tag(tag):
        return Decision(action=Action.REMOVE, authority="unknown")
    return _by_kind(level, tag, vr)


def _opened(
    found: Decision, by_path: Rule | None, row: Row | None, level: Level, path: tuple[int, ...]
) -> Decision:
    """Let a sequence stay for what rules name inside it, unless a later path rule ends it."""
    rule = level.profile.opening_rule(path)
    rules = level.profile.rules
    if rule is None or (by_path is not None and rules.index(by_path) > rules.index(rule)):
        return found
    opening = _by_rule(replace(rule, action=Action.CLEAN), row, level.profile.options)
    above = level.opening is not None and level.opening.departs
    return replace(opening, departs=opening.departs or above, opened=True)


def _must_go(tag: int) -> bool:
    """Structures no rule may keep: none is needed, each can hide anything.

    Command, meta and directory groups, group lengths, curves (50xx) and overlays (60xx),
    icons, encapsulated documents, MAC parameters and digital signatures (no longer true of
    the new bytes), Encrypted, Original and Modified Attributes, the sender's word on private
    blocks (`headers.private`), trailing padding. Private attributes are settled apart; the character set and the declarations of an earlier
    de-identification are written anew.
    """
    group, element = tag >> 16, tag & 0xFFFF
    return (
        group < _FIRST_GROUP
        or element == 0
        or group & 0xFF00 in {0x5000, 0x6000}
        or group in {0x4FFE, 0xFFFA, 0xFFFC, 0xFFFE}
        or tag in _GONE
    )


def _by_rule(rule: Rule, row: Row | None, options: frozenset[Option]) -> Decision:
    granted = (
        {option: row.options[option] for option in row.options if option in options} if row else {}
    )
    allowed = any(code == "K" or rule.action is not Action.KEEP for code in granted.values())
    return Decision(
        action=rule.action,
        authority="rule",
        option=next(iter(granted), None) if rule.action in _WEAKENING else None,
        departs=row is not None and rule.action in _WEAKENING and not allowed,
        value=rule.value,
        why=rule.why,
        origin=rule.origin,
    )


def _by_table(row: Row, level: Level, tag: int, vr: str) -> Decision:
    options = level.profile.options
    granted = [(option, code) for option, code in row.options.items() if option in options]
    if not granted:
        action = _basic(row.basic, level.section.type_of(tag))
        if action is Action.DUMMY and vr == "SQ" and "C" in row.options.values():
            action = Action.REMOVE  # reports and graphics: no rows say what a dummy of them is
        return Decision(action=action, authority="table")
    # Of two options that grant the same attribute the stricter decides: C before K.
    option, code = min(granted, key=itemgetter(1))
    action = Action.KEEP if code == "K" else _cleaned(vr)
    return Decision(action=action, authority="table", option=option)


def _cleaned(vr: str) -> Action:
    return {"DA": Action.SHIFT, "DT": Action.SHIFT, "TM": Action.KEEP}.get(vr, Action.CLEAN)


def _basic(code: str, kind: str | None) -> Action:
    """Settle a code of the basic column by the Type of the attribute.

    The star of ``X/Z/U*`` says that the UIDs inside are replaced. It is taken wherever the
    IOD wants the sequence: one that is emptied leaves Referenced Series Sequence, Type 1C,
    telling of references that are no longer there.
    """
    letters = code.rstrip("*").split("/")
    order = {"1": "DUZX", "1C": "DUZX", "2": "ZDUX", "2C": "ZDUX"}.get(kind or "3", "XZDU")
    if code.endswith("*") and order[0] != "X":
        return Action.UID
    letter = min(letters, key=order.index)
    return {"X": Action.REMOVE, "Z": Action.EMPTY, "D": Action.DUMMY, "U": Action.UID}[letter]


def _by_kind(level: Level, tag: int, vr: str) -> Decision:
    kind = level.section.type_of(tag)
    if tag in PIXELS and kind is not None and not level.path:
        return Decision(action=Action.KEEP, authority="unlisted")  # whatever a rule says of OW
    rule = level.profile.vr_rule(vr)
    if rule is not None:
        found = _by_rule(rule, None, level.profile.options)
        # Whoever wrote the rule thought of no attribute in particular, so Types still count.
        gone = found.action is Action.REMOVE
        return replace(found, action=_basic("X/Z/D", kind)) if gone else found
    if level.retained is not None and tag in codes.ATTRIBUTES:
        return Decision(action=Action.KEEP, authority="unlisted", option=level.retained)
    asked = level.section.demanded | level.section.conditional
    strict = level.profile.unlisted.standard == "remove"
    if kind is None or (strict and tag not in asked):
        return Decision(action=Action.REMOVE, authority="unlisted")
    if vr in NUMBERS or vr == "SQ":
        action = Action.KEEP
    elif vr in {"CS", "SH", "LO", "UC"} or (vr in {"ST", "LT", "UT"} and _is_cleaned(level)):
        action = Action.CLEAN
    elif vr == "UI":
        action = Action.UID
    else:  # people, dates, long text, addresses, bytes
        action = _basic("X/Z/D", kind)
    return Decision(action=action, authority="unlisted")


def _retained(profile: Profile, path: tuple[int, ...]) -> Option | None:
    """Option that keeps the innermost sequence of a path: K of a sequence."""
    row = table().row(path[-1]) if path else None
    granted = [o for o, code in row.options.items() if code == "K"] if row is not None else []
    return next((option for option in granted if option in profile.options), None)


def _is_cleaned(level: Level) -> bool:
    """Whether an option cleans a sequence around a level: C of a sequence, PS3.15 E.1.1."""
    rows = [table().row(tag) for tag in level.path]
    granted = [row.options for row in rows if row is not None]
    return any(code.get(option) == "C" for code in granted for option in level.profile.options)


def _kept_valid(found: Decision, section: Section, tag: int, vr: str) -> Decision:
    """Turn removal of what the IOD demands into emptying or a dummy.

    The dummy of a UID is its keyed UID: one for all would make all instances the same.
    """
    kind, demanded = section.type_of(tag), tag in section.demanded
    action = found.action
    if action is Action.REMOVE and demanded and vr != "SQ":
        action = Action.EMPTY if kind == "2" else Action.DUMMY
    if action is Action.DUMMY and vr == "UI":
        action = Action.UID
    return replace(found, action=action, type=kind, demanded=demanded)
