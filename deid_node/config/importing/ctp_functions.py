"""The functions of CTP scripts: which action of this node does what each asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from deid_node.config.importing.attributes import PATIENT, tag_named, vrs_of
from deid_node.config.importing.ctp_calls import Call
from deid_node.config.importing.statements import Meaning
from deid_node.headers.profile import Action

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_PATIENT_ID: Final = 0x00100020
_LOOKS_LIKE_A_CALL: Final = frozenset({"remove", "keep", "empty", "blank", "process", "require"})
_COPIES: Final = "it lets the old value, or a part of it, pass"
_CLOCK: Final = "a profile sets no value that depends on the clock"
_WHY_NOT: Final = {
    "if": "a profile has no conditions; say what becomes of the attribute in every instance",
    "select": "a profile decides alike at every depth; give one action",
    "append": "a profile replaces values and appends none; give a fixed value",
    "lookup": "a profile has no look-up table; PatientID and PatientName can be @hashptid",
    "integer": "a profile has no table of numbers; PatientID and PatientName can be @hashptid",
    "round": "a profile does not round; action `cap-age` joins ages over 89 only",
    "modifydate": "a profile moves dates and does not cut them; say @hashdate or a fixed date",
    "dateinterval": "a profile counts no days from a base date; say @hashdate",
    "initials": "initials tell a person; say @hashptid or @remove",
    "encrypt": "a profile encrypts no value; say @hashuid, @hashptid or @remove",
    "decrypt": "a profile decrypts no value",
    "call": "a profile runs no plug-in",
    "quarantine": "a profile holds no instance; the node's own checks do",
    "skip": "a profile lets no instance pass unchanged",
    "acc": "a profile has pseudonyms for patients only; say @remove or @empty",
    "date": _CLOCK,
    "time": _CLOCK,
    "generateuid": "a UID made anew each time breaks references; say @hashuid",
    **dict.fromkeys(
        ("contents", "value", "truncate", "lowercase", "uppercase", "pathelement"), _COPIES
    ),
}


def meaning_of(
    parts: Sequence[str | Call], tag: int, parameters: Mapping[str, str]
) -> Meaning | str:
    """Translate a replacement.

    Parameters
    ----------
    parts
        Literal text and calls; at least one.
    tag
        The attribute.
    parameters
        The script's own parameters, by name.

    Returns
    -------
    Meaning or str
        What to do, or why that cannot be said.
    """
    first = parts[0]
    if isinstance(first, Call) and first.name == "always" and len(parts) > 1:
        return _always(parts[1:], tag, parameters)
    texts = [_text(part, parameters) for part in parts]
    if None not in texts:
        return _fixed("".join(text or "" for text in texts))
    calls = [part for part in parts if isinstance(part, Call) and part.name != "param"]
    if len(parts) == 1 and calls:
        return _call(calls[0], tag)
    return next((reason for call in calls if (reason := _WHY_NOT.get(call.name))), "") or (
        "a profile joins no text to what a function gives; leave the text out"
        if calls
        else "the script defines no such parameter"
    )


def _always(rest: Sequence[str | Call], tag: int, parameters: Mapping[str, str]) -> Meaning | str:
    """Translate what follows ``@always()``: CTP adds the attribute where it is absent."""
    meaning = meaning_of(rest, tag, parameters)
    first = rest[0]
    adds = isinstance(first, Call) and first.name == "require"
    if isinstance(meaning, Meaning):
        fixed = meaning.action in {Action.EMPTY, Action.SET}
        adds |= fixed or (meaning.action is Action.PSEUDONYM and tag not in PATIENT)
    if adds:
        return "a profile adds no attribute where it is absent; leave @always() out"
    return meaning


def _text(part: str | Call, parameters: Mapping[str, str]) -> str | None:
    """Text that is the same for every instance; None if a call makes it."""
    if isinstance(part, str):
        return part
    if part.name == "param" and len(part.arguments) == 1:
        return parameters.get(part.arguments[0].lstrip("@$"))
    return None


def _fixed(text: str) -> Meaning | str:
    text = text.strip()
    if text.lower() in _LOOKS_LIKE_A_CALL:
        return f"this writes the word {text!r} into the attribute; was @{text}() meant?"
    return Meaning(action=Action.SET, value=text) if text else Meaning(action=Action.EMPTY)


def _call(call: Call, tag: int) -> Meaning | str:
    translate = _CALLS.get(call.name)
    if translate is None:
        return _WHY_NOT.get(call.name, "not a function that this import knows")
    return translate(call, tag)


def _means(action: Action, remark: str = "") -> Callable[[Call, int], Meaning | str]:
    return lambda _call, _tag: Meaning(action=action, remark=remark)


def _keep(_call: Call, tag: int) -> Meaning | str:
    inside = "SQ" in vrs_of(tag)
    remark = "the sequence stays, and every rule holds for what is in its items" if inside else ""
    return Meaning(action=Action.KEEP, remark=remark)


def _process(_call: Call, tag: int) -> Meaning | str:
    if "SQ" not in vrs_of(tag):
        return "only a sequence has items; say @keep() if the value is to stay"
    return Meaning(action=Action.KEEP)


def _require(call: Call, _tag: int) -> Meaning | str:
    if call.arguments:
        return "a profile copies no value from another attribute"
    return Meaning(action=Action.KEEP, remark="it stays, and is not added where it is absent")


def _uid(call: Call, tag: int) -> Meaning | str:
    if not call.is_bare and not _is_of(call.arguments[1:], tag):
        return "a keyed UID is made of the attribute's own UID only; say @hashuid(root,this)"
    return Meaning(action=Action.UID)


def _patient(call: Call, tag: int) -> Meaning | str:
    """Take a hash for a pseudonym if it is made of the patient's ID, or replaces ID or name."""
    hashed = call.arguments[1:] if call.name == "hashptid" else call.arguments
    of_itself = call.is_bare or _is_of(hashed[:1], tag)
    if (of_itself and tag in PATIENT) or _is_patient_id(hashed[:1]):
        return Meaning(action=Action.PSEUDONYM)
    return "a profile has pseudonyms for patients only; say @remove, @empty or a fixed value"


def _shift(call: Call, tag: int) -> Meaning | str:
    if not call.is_bare and not _is_of(call.arguments[:1], tag):
        return "a date is moved where it stands and not copied from another attribute"
    if call.name == "dateinterval" and len(call.arguments) < _WITH_ORIGIN:
        return _WHY_NOT["dateinterval"]
    per_patient = call.is_bare or _is_patient_id(call.arguments[1:2])
    remark = "" if call.name != "hashdate" or per_patient else "moved per patient"
    return Meaning(action=Action.SHIFT, remark=remark)


def _modified(call: Call, _tag: int) -> Meaning | str:
    fields = call.arguments[1:]
    if len(fields) == len(_DATE_FIELDS) and all(each.isdecimal() for each in fields):
        date = "".join(each.zfill(width) for each, width in zip(fields, _DATE_FIELDS, strict=True))
        return Meaning(action=Action.SET, value=date)
    return _WHY_NOT["modifydate"]


def _is_patient_id(arguments: Sequence[str]) -> bool:
    return any(tag_named(each.removeprefix("root:")) == _PATIENT_ID for each in arguments)


def _is_of(arguments: Sequence[str], tag: int) -> bool:
    """Whether the one argument is the attribute itself."""
    return len(arguments) == 1 and (arguments[0] == "this" or tag_named(arguments[0]) == tag)


_WITH_ORIGIN: Final = 4
_DATE_FIELDS: Final = (4, 2, 2)
_CALLS: Final[Mapping[str, Callable[[Call, int], Meaning | str]]] = {
    "remove": _means(Action.REMOVE),
    "empty": _means(Action.EMPTY),
    "blank": _means(Action.EMPTY, "emptied; blanks at the end of a value are padding"),
    "keep": _keep,
    "process": _process,
    "require": _require,
    "hashuid": _uid,
    "uid": _uid,
    "hashptid": _patient,
    "ptid": _patient,
    "hash": _patient,
    "hashname": _patient,
    "hashdate": _shift,
    "incrementdate": _shift,
    "dateinterval": _shift,
    "modifydate": _modified,
}
