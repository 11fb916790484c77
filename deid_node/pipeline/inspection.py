"""Tell what de-identification would do to each element of one instance, and why.

What is told is what was done in a trial run, not what a profile promises: an element whose
value may not stay goes although the plan was to clean it. No value is told, only lengths.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from deid_node.dicom.series import UNDEFINED_LENGTH, decode_instance
from deid_node.dicom.uids import sop_class_name
from deid_node.errors import InstanceRefused, NotDicom, SeriesHeld, UndecodableInstance
from deid_node.headers import reading
from deid_node.headers.confidentiality import Option, table
from deid_node.headers.plan import NUMBERS, Decision, Level, name_of, plan
from deid_node.headers.private import safe_elements
from deid_node.headers.profile import Action
from deid_node.headers.scrub import DEEPEST
from deid_node.pipeline.header_only import HeaderScrubber

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deid_node.headers.profile import Profile
    from deid_node.headers.pseudonyms import Pseudonyms
    from deid_node.headers.reading import Element, Source
    from deid_node.pipeline.header_only import ScrubbedInstance

    Path = tuple[int, ...]

_SOP_CLASS: Final = 0x00080016
_GOES: Final = frozenset({Action.REMOVE, Action.EMPTY})
_PRIVATE: Final = Decision(action=Action.REMOVE, authority="private")
_SAFE: Final = Decision(action=Action.CLEAN, authority="table", option=Option.RETAIN_SAFE_PRIVATE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What happens to the elements that stand at one path.

    Parameters
    ----------
    path
        Tags from the top level down; items of a sequence count together.
    vr
        As it is read; None if it cannot be.
    type
        In the IOD; None if the IOD does not have it there.
    count, gone
        How many there are, and of how many nothing is left.
    length
        Of all values together, in bytes; None where the source does not say.
    action
        What is done in the end.
    planned
        What the profile says.
    authority
        ``option``, or the authority of the decision.
    why
        For a person.
    changed
        Whether any value is another than before.
    """

    path: Path
    vr: str | None
    type: str | None
    count: int
    gone: int
    length: int | None
    action: Action
    planned: Action
    authority: str
    why: str
    changed: bool

    @property
    def name(self) -> str:
        """Keywords, joined by dots."""
        return ".".join(map(name_of, self.path))


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspection:
    """What would happen to one instance.

    Parameters
    ----------
    sop_class
        Name of its SOP Class.
    held
        Why it would not be written; None if it would.
    rows
        In the order of the instance.
    added
        Keywords of what it does not have yet.
    """

    sop_class: str
    held: InstanceRefused | SeriesHeld | None
    rows: tuple[Row, ...]
    added: tuple[str, ...]


@dataclass(slots=True, kw_only=True)
class _Found:
    """Elements at one path."""

    vr: str | None = None
    decision: Decision = _PRIVATE
    values: Counter[object] = field(default_factory=Counter)
    length: int | None = 0


def inspect(part10: bytes, profile: Profile, pseudonyms: Pseudonyms) -> Inspection:
    """Try a profile on one instance.

    Parameters
    ----------
    part10
        A Part 10 file.
    profile
        What is tried.
    pseudonyms
        Any key: what is told does not depend on it.

    Raises
    ------
    NotDicom, UndecodableInstance
        If it cannot be read.
    """
    source = decode_instance(part10)
    made: ScrubbedInstance | None = None
    held: InstanceRefused | SeriesHeld | None = None
    try:
        made = HeaderScrubber(profile, pseudonyms).run(part10)
    except (NotDicom, UndecodableInstance):
        raise
    except (InstanceRefused, SeriesHeld) as error:
        held = error
    sop_class_uid = "".join(reading.strings(source.get_item(_SOP_CLASS), "UI", "ascii") or ())
    level = plan(profile, sop_class_uid)
    before = _gathered(source, level)
    after = _gathered(decode_instance(made.encoded.part10), level) if made else None
    done = (
        {deed.path: deed.action for deed in made.deeds if deed.action not in _GOES} if made else {}
    )
    new = [name_of(path[-1]) for path in after or () if path not in before and len(path) == 1]
    return Inspection(
        sop_class=sop_class_name(sop_class_uid),
        held=held,
        rows=tuple(
            _row(path, found, done.get(path), None if after is None else after.get(path, _Found()))
            for path, found in before.items()
        ),
        added=tuple(new),
    )


def _row(path: Path, found: _Found, done: Action | None, after: _Found | None) -> Row:
    """Compare what was planned with what came out; without a result the plan must do."""
    planned = found.decision.action
    count = found.values.total()
    action, left, changed = planned, count, planned is not Action.KEEP
    if after is not None:
        left = after.values.total()
        changed = after.values != found.values
        action = Action.REMOVE if not left else done or _without_deed(planned)
    elif planned is Action.REMOVE:
        left = 0
    return Row(
        path=path,
        vr=found.vr,
        type=found.decision.type,
        count=count,
        gone=max(0, count - left),
        length=found.length,
        action=action,
        planned=planned,
        authority=_authority(path[-1], found.decision),
        why=_why(path[-1], found.decision, action),
        changed=changed,
    )


def _without_deed(planned: Action) -> Action:
    return planned if planned is Action.EMPTY else Action.KEEP


def _authority(tag: int, decision: Decision) -> str:
    if tag >> 16 & 1:
        return "private"
    if decision.authority == "table" and decision.option is not None:
        return "option"
    return decision.authority


def _why(tag: int, decision: Decision, action: Action) -> str:
    told = _reason(tag, decision)
    if action is Action.REMOVE and decision.action is not Action.REMOVE:
        return f"{told}; nothing of the value may stay"
    if decision.demanded and decision.action in {Action.EMPTY, Action.DUMMY}:
        return f"{told}; the IOD demands it"
    return told


def _reason(tag: int, decision: Decision) -> str:
    if tag >> 16 & 1:
        safe = decision.option is not None
        return "on the list of safe private elements" if safe else "private, on no safe list"
    if decision.authority == "table":
        return _column(tag, decision.option)
    return {
        "rule": decision.why.rstrip("."),
        "unlisted": "not in Table E.1-1" if decision.type else "not in this IOD",
        "closed": "its sequence stays for what a rule names inside it, not for this",
        "structure": "may hide anything, or is written anew",
        "unknown": "no attribute of the standard",
    }[decision.authority]


def _column(tag: int, option: Option | None) -> str:
    """Quote Table E.1-1: the column of the option that decides, else the basic one."""
    row = table().row(tag)
    if row is None:
        return "Table E.1-1"
    if option is None:
        return f"Table E.1-1: {row.basic}"
    return f"{option.value}: {row.options.get(option, 'C')}"


def _gathered(dataset: Source, level: Level) -> dict[Path, _Found]:
    """Gather elements by path."""
    found: dict[Path, _Found] = {}
    for path, element, vr, value, decision in _walk(dataset, level, reading.codec_of(dataset)):
        here = found.setdefault(path, _Found(vr=vr, decision=decision))
        here.values[value] += 1
        length = getattr(element, "length", UNDEFINED_LENGTH)
        if length == UNDEFINED_LENGTH or here.length is None:
            here.length = None
        else:
            here.length += length
    return found


def _walk(
    dataset: Source, level: Level, codec: str | None
) -> Iterator[tuple[Path, Element, str | None, object, Decision]]:
    safe = {} if level.opening else safe_elements(dataset, level.profile)
    for tag in map(int, list(dataset.keys())):
        path = (*level.path, tag)
        element = dataset.get_item(tag)
        if tag >> 16 & 1:
            given = safe.get(tag, element.VR)
            decision = _SAFE if tag in safe else _PRIVATE
            yield path, element, given, _value(element, given, codec), decision
            continue
        vr = reading.vr_of(element, signed_pixels=False)
        decision = level.decision(tag, vr or "UN")
        items = reading.items(dataset, tag) if vr == "SQ" and len(path) <= DEEPEST else None
        value = _value(element, vr, codec) if items is None else len(items)
        yield path, element, vr, value, decision
        if items is not None and decision.action not in _GOES:
            for item in items:
                yield from _walk(item, level.below(tag), codec)


def _value(element: Element, vr: str | None, codec: str | None) -> object:
    """Read a value so that it can be compared; it is never shown."""
    if vr in reading.STRINGS:
        return reading.strings(element, vr, codec)
    if vr in NUMBERS:
        return reading.numbers(element, vr)
    return element.value if isinstance(element.value, bytes) else None
