"""New values of one element: where an action meets a VR."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deid_node.headers import actions, csa, reading, text
from deid_node.headers.plan import PIXELS, Decision
from deid_node.headers.profile import Action

if TYPE_CHECKING:
    from collections.abc import Callable

    from deid_node.headers.pseudonyms import Pseudonyms
    from deid_node.headers.reading import Element

_UID: Final = re.compile(r"[0-9.]{1,64}")
BLIND: Final = frozenset({Action.REMOVE, Action.EMPTY, Action.DUMMY, Action.PSEUDONYM, Action.SET})
"""Actions that do not look at the old value."""

Values = tuple[object, ...]
"""Values of an element; no value at all is the empty element."""

CHANGED_CODE: Final = "REMOVED"
"""Stands for one unknown value among several of a code string, so that the rest keep
their places (Image Type)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """Whom the dataset is about, as far as values need to know.

    Parameters
    ----------
    pseudonyms
        The key.
    patient
        The patient's pseudonym.
    days
        The patient's day shift.
    own
        Words of the patient's names and IDs.
    age_cap
        Greatest age in years that passes.
    words, codes
        Of the site, that may stay in text and in code strings.
    """

    pseudonyms: Pseudonyms
    patient: str
    days: int
    own: frozenset[str]
    age_cap: int
    words: frozenset[str] = frozenset()
    codes: frozenset[str] = frozenset()


def changed(
    element: Element, vr: str, codec: str | None, decision: Decision, subject: Subject
) -> Values | None:
    """Apply a decision to an element that is no sequence.

    Returns
    -------
    tuple or None
        The new values; None if nothing of the old value may stay, or it is unreadable.
    """
    action = decision.action
    if action in BLIND and not (action is Action.DUMMY and vr == "UI"):
        return _blindly(decision, vr, subject)
    if vr in reading.STRINGS:
        return _changed_strings(element, vr, codec, action, subject)
    if vr == csa.KIND:
        return _rebuilt(element)
    if vr in reading.BYTES:
        return _kept_bytes(element, decision)
    return reading.numbers(element, vr)


def _blindly(decision: Decision, vr: str, subject: Subject) -> Values | None:
    """Apply an action that does not look at the old value."""
    return {
        Action.REMOVE: None,
        Action.EMPTY: (),
        Action.DUMMY: dummy(vr, subject),
        Action.PSEUDONYM: (subject.patient,),
        Action.SET: (decision.value,),
    }[decision.action]


def dummy(vr: str, subject: Subject) -> Values:
    """Make a valid value that means nothing."""
    return (subject.pseudonyms.uid("dummy") if vr == "UI" else actions.dummy(vr),)


def _kept_bytes(element: Element, decision: Decision) -> Values | None:
    """Let pixel data pass, and bytes that a rule keeps by name."""
    kept = int(element.tag) in PIXELS or (
        decision.authority == "rule" and decision.action is Action.KEEP
    )
    if not kept or not isinstance(element.value, bytes):
        return None
    return (element.value + b"\0" * (len(element.value) % 2),)


def _rebuilt(element: Element) -> Values | None:
    """Give a new CSA header of the numbers of the old one."""
    header = csa.rebuilt(element.value) if isinstance(element.value, bytes) else None
    return None if header is None else (header,)


def _changed_strings(
    element: Element, vr: str, codec: str | None, action: Action, subject: Subject
) -> Values | None:
    values = reading.strings(element, vr, codec)
    if values is None and vr in reading.TEXT and action is Action.CLEAN:
        values = reading.strings(element, vr, "latin-1")  # only ASCII words will stay
    if not values:
        return values
    if vr == "CS":
        return _codes(values, action, subject)
    if vr in reading.TEXT or vr in {"PN", "AE", "UR"}:
        return _words(values, vr, action, subject)
    return actions.each(values, change_of(vr, action, subject))


def change_of(vr: str, action: Action, subject: Subject) -> Callable[[str], str | None]:
    """Give the change of one value of a VR that has a grammar; it gives None if it cannot."""
    days = 0 if action is Action.KEEP else subject.days
    if vr == "DA":
        return lambda date: actions.shifted_date(date, days)
    if vr == "DT":
        return lambda date_time: actions.shifted_date_time(date_time, days)
    if vr == "AS":
        cap = 999 if action is Action.KEEP else subject.age_cap
        return lambda age: actions.capped_age(age, cap)
    if vr == "UI" and action is Action.KEEP:
        return lambda uid: uid if _UID.fullmatch(uid) else None
    if vr == "UI":
        return lambda uid: actions.keyed_uid(uid, subject.pseudonyms)
    return lambda value: value


def _codes(values: tuple[str, ...], action: Action, subject: Subject) -> Values | None:
    if action is Action.KEEP and not subject.own.intersection(text.own_words(values)):
        return values
    kept = [text.cleaned_code(value, subject.own, subject.codes) for value in values]
    if not any(kept):
        return None
    return tuple(CHANGED_CODE if value is None else value for value in kept)


def _words(values: tuple[str, ...], vr: str, action: Action, subject: Subject) -> Values | None:
    if action is Action.KEEP and not subject.own.intersection(text.own_words(values)):
        return values
    if vr not in reading.TEXT:
        return None
    kept = tuple(
        filter(None, (text.cleaned(value, subject.own, subject.words) for value in values))
    )
    return kept or None
