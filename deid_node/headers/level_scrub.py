"""What happens to a dataset level by level, whatever its elements are read from and made into.

`headers.scrub` reads and makes pydicom's elements, `headers.splice` reads and makes bytes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from pydicom.datadict import dictionary_VR, tag_for_keyword

from deid_node.headers import actions, codes, content, csa, reading, text
from deid_node.headers.confidentiality import Option
from deid_node.headers.plan import CHARACTER_SET, PIXELS, Decision, Level, name_of, plan
from deid_node.headers.private import block_of, is_creator, safe_elements
from deid_node.headers.profile import Action, Profile
from deid_node.headers.values import Subject, Values, changed, dummy

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from deid_node.headers.pseudonyms import Pseudonyms
    from deid_node.headers.reading import Source

DEEPEST: Final = 16
"""Levels of nesting that are followed; what lies deeper goes."""

_PATIENT_NAME: Final = 0x00100010
_PATIENT_ID: Final = 0x00100020
_SIGNED: Final = 0x00280103
"""Pixel Representation."""
OWN: Final = (
    *(
        tag_for_keyword(keyword) or 0
        for keyword in (
            "PatientName",
            "OtherPatientNames",
            "PatientBirthName",
            "PatientMotherBirthName",
            "ReferringPhysicianName",
            "PerformingPhysicianName",
            "NameOfPhysiciansReadingStudy",
            "PhysiciansOfRecord",
            "RequestingPhysician",
            "OperatorsName",
        )
    ),
)
"""Names of the patient and of those around: their words go from every text. IDs are not among
them: of an ID like BRAIN-0022 only the number tells a person, and no bare number passes."""

_FUNCTIONAL_GROUPS: Final = frozenset({0x52009229, 0x52009230})
"""Shared and Per-Frame Functional Groups Sequence."""
_SAFE_PRIVATE: Final = Decision(
    action=Action.CLEAN, authority="table", option=Option.RETAIN_SAFE_PRIVATE
)
_CODED: Final = Decision(action=Action.CLEAN, authority="unlisted")
_GONE: Final = Decision(action=Action.REMOVE, authority="unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Deed:
    """What was done to one attribute; holds no value.

    Parameters
    ----------
    path
        Tags from the top level down to the attribute.
    action
        What was done in the end: an unreadable element is removed whatever the plan.
    option
        Option of PS3.15 under which it was kept or cleaned.
    departs
        Whether a rule of the profile was weaker than PS3.15 asks.
    count
        How many elements of the instance it was done to.
    """

    path: tuple[int, ...]
    action: Action
    option: Option | None
    departs: bool
    count: int

    @property
    def keyword(self) -> str:
        """Keyword of the attribute, or its number where it has none."""
        return name_of(self.path[-1])


DeedKey = tuple[tuple[int, ...], Action, Option | None, bool]
"""Path, action, option and departure of a deed."""


Made = TypeVar("Made")
"""What an element becomes."""


def patient_identity(dataset: Source) -> str:
    """Tell what a patient's pseudonym and day shift are made of; never to be shown.

    Patient ID; the Study Instance UID where there is none, so that patients without an ID
    do not become one patient.
    """
    for tag, vr in ((_PATIENT_ID, "LO"), (0x0020000D, "UI"), (0x00080018, "UI")):
        first = "".join(strings_of(dataset, tag, vr)[:1]).strip()
        if first:
            return first if tag == _PATIENT_ID else f"without ID {first}"
    return ""


def strings_of(dataset: Source, tag: int, vr: str) -> tuple[str, ...]:
    """Read values even where the character set is unknown: latin-1 loses nothing."""
    if tag not in dataset:
        return ()
    element = dataset.get_item(tag)
    codec = "ascii" if vr in {"UI", "CS"} else reading.codec_of(dataset)
    found = reading.strings(element, vr, codec)
    return reading.strings(element, vr, "latin-1") or () if found is None else found


def listed(counts: Mapping[DeedKey, int]) -> tuple[Deed, ...]:
    """Deeds in the order of their paths."""
    ordered = sorted(counts.items(), key=lambda deed: (deed[0][0], deed[0][1].value))
    return tuple(
        Deed(path=path, action=action, option=option, departs=departs, count=count)
        for (path, action, option, departs), count in ordered
    )


def kept_keywords(deeds: Iterable[Deed]) -> frozenset[str]:
    """Name the attributes that a profile kept as they were."""
    return frozenset(deed.keyword for deed in deeds if deed.action is Action.KEEP)


class LevelScrub(ABC, Generic[Made]):
    """The work on datasets of one subject under one profile.

    Parameters
    ----------
    source
        Top level of a dataset; what it says of patient and IOD holds for all that this
        object works on.
    profile
        What is done to each attribute.
    pseudonyms
        Key of UIDs, patient and dates.
    """

    def __init__(self, source: Source, profile: Profile, pseudonyms: Pseudonyms) -> None:
        identity = patient_identity(source)
        sop_class = "".join(strings_of(source, 0x00080016, "UI")[:1])
        self._profile = profile
        self._plan = plan(profile, sop_class if actions.is_standard_uid(sop_class) else "")
        self._subject = Subject(
            pseudonyms=pseudonyms,
            patient=pseudonyms.patient(identity, profile.patients),
            days=pseudonyms.day_shift(identity, profile.days),
            own=text.own_words(v for tag in OWN for v in strings_of(source, tag, "LO")),
            age_cap=profile.age_cap,
            words=profile.words,
            codes=profile.codes,
        )
        representation = source.get_item(_SIGNED) if _SIGNED in source else None
        self._signed = representation is not None and reading.numbers(representation, "US") == (1,)
        self._counts: Counter[DeedKey] = Counter()
        self._ascii = True

    def top(self, source: Source) -> dict[int, Made]:
        """Work through a whole dataset.

        Returns
        -------
        dict
            What became of each element that stays, by tag; in no order.
        """
        made = self._level(source, self._plan, reading.codec_of(source))
        made.update(self._patient(made))
        if not self._ascii:
            made[CHARACTER_SET] = self._element(CHARACTER_SET, "CS", ("ISO_IR 192",))
        return made

    def deeds(self) -> tuple[Deed, ...]:
        """List what was done since this object was made."""
        return listed(self._counts)

    def days(self, deeds: Iterable[Deed]) -> int:
        """Whole days that dates were moved by; 0 if none was."""
        return self._subject.days if any(d.action is Action.SHIFT for d in deeds) else 0

    @abstractmethod
    def _element(self, tag: int, vr: str, values: Values) -> Made:
        """Make an element that is no sequence."""

    @abstractmethod
    def _pixels(self, tag: int, vr: str, values: Values, *, encapsulated: bool) -> Made:
        """Make an element of pixels."""

    @abstractmethod
    def _sequence(self, tag: int, items: list[dict[int, Made]]) -> Made:
        """Make a sequence."""

    @abstractmethod
    def _is_empty(self, made: Made) -> bool:
        """Whether an element that was made has no value."""

    def _patient(self, made: Collection[int]) -> dict[int, Made]:
        """Pseudonyms that the source had no element for."""
        return {
            tag: self._element(tag, vr, (self._subject.patient,))
            for tag, vr in ((_PATIENT_NAME, "PN"), (_PATIENT_ID, "LO"))
            if tag not in made and self._plan.decision(tag, vr).action is Action.PSEUDONYM
        }

    def _level(self, source: Source, level: Level, codec: str | None) -> dict[int, Made]:
        """Work through one level; a code item is settled before the rest.

        In a sequence that a rule opened by path, only what rules name by path stays.
        """
        target: dict[int, Made] = {}
        opened = level.opening is not None
        private = {} if opened else safe_elements(source, self._profile)
        coded = self._code(source, codec) if level.path and not opened else {}
        for tag in map(int, source.keys()):
            path = (*level.path, tag)
            if tag in coded:
                made = self._made(path, dictionary_VR(tag), coded[tag], _CODED)
            elif tag >> 16 & 1:
                made = self._private(source, path, private.get(tag))
            else:
                made = self._standard(source, path, level, codec)
            if made is not None:
                target[tag] = made
        for creator in [tag for tag in private if is_creator(tag) and tag in target]:
            if not any(tag in target for tag in block_of(creator, private)):
                del target[creator]
        return target

    def _code(self, source: Source, codec: str | None) -> dict[int, Values]:
        """Value, scheme and meaning of a code item; empty if the code is unknown."""
        entry = codes.coded_entry(source, codec)
        if entry is None:
            return {}
        clean = text.cleaned(entry.given, self._subject.own, self._subject.words)
        meaning = entry.given if entry.given and clean == entry.given else entry.meaning
        return {
            entry.tag: (entry.value,),
            codes.CODING_SCHEME: (entry.scheme,),
            codes.CODE_MEANING: (meaning,),
        }

    def _private(self, source: Source, path: tuple[int, ...], vr: str | None) -> Made | None:
        creator = is_creator(path[-1])
        decision = Decision(action=Action.KEEP, authority="table") if creator else _SAFE_PRIVATE
        values = None
        if vr is not None:
            values = changed(source.get_item(path[-1]), vr, "ascii", decision, self._subject)
        written = "OB" if vr == csa.KIND else vr or "UN"
        return self._made(path, written, values, _GONE if values is None else decision)

    def _standard(
        self, source: Source, path: tuple[int, ...], level: Level, codec: str | None
    ) -> Made | None:
        tag = path[-1]
        element = source.get_item(tag)
        vr = reading.vr_of(element, signed_pixels=self._signed)
        decision = level.decision(tag, vr or "UN")
        if vr == "SQ":
            return self._nested(source, path, level, codec)
        values = None
        if vr is not None:
            values = changed(element, vr, codec, decision, self._subject)
        if values is None and decision.action is not Action.REMOVE and vr is not None:
            values = self._instead(vr, decision.type)
        if tag in PIXELS and values is not None:
            self._note(path, decision, gone=False)
            return self._pixels(
                tag, vr or "UN", values, encapsulated=reading.is_encapsulated(element)
            )
        return self._made(path, vr or "UN", values, decision)

    def _instead(self, vr: str, kind: str | None) -> Values | None:
        """Give what stands where nothing of a value may stay: as much as the IOD needs."""
        if kind in {"1", "1C"}:
            return dummy(vr, self._subject)
        return () if kind in {"2", "2C"} else None

    def _nested(
        self, source: Source, path: tuple[int, ...], level: Level, codec: str | None
    ) -> Made | None:
        decision = level.decision(path[-1], "SQ")
        kept: list[dict[int, Made]] | None = None
        found = reading.items(source, path[-1]) if len(path) <= DEEPEST else None
        if decision.action is Action.EMPTY:
            kept = []
        elif decision.action is not Action.REMOVE and found is not None:
            kept = self._items(found, level.below(path[-1]), codec)
            if found and not kept:
                kept = self._instead_of_items(path, decision.type, found)
        self._note(path, decision, gone=kept is None)
        return None if kept is None else self._sequence(path[-1], kept)

    def _instead_of_items(
        self, path: tuple[int, ...], kind: str | None, found: Sequence[Source]
    ) -> list[dict[int, Made]] | None:
        """Give what stands where no item may stay.

        A report without a title is none. A code that must be there and that the standard does
        not know is said to be unknown, but where a report says something by it.
        """
        code = None
        if path == (content.CONCEPT_NAME,):
            code = content.UNTITLED
        elif kind == "1" and path[-1] not in content.SAYING and all(map(codes.is_coded, found)):
            code = codes.UNKNOWN
        if code is not None:
            return [{tag: self._element(tag, dictionary_VR(tag), (v,)) for tag, v in code.items()}]
        return [] if kind in {"2", "2C"} else None

    def _items(
        self, found: Sequence[Source], level: Level, outer: str | None
    ) -> list[dict[int, Made]]:
        """Scrub items; one that loses what the IOD demands of it goes as a whole."""
        kept = []
        for source in found:
            codec = reading.codec_of(source) if CHARACTER_SET in source else outer
            if codes.is_coded(source) and not level.retained and not self._code(source, codec):
                continue
            target = self._level(source, level, codec)
            if not self._is_broken(source, target, level) and (len(target) or not len(source)):
                kept.append(target)
        return kept

    def _is_broken(self, source: Source, target: dict[int, Made], level: Level) -> bool:
        """Whether an item lost an attribute that it must have, or what it means something by.

        An item of functional groups is none the worse for one group less: which groups it
        holds is optional (PS3.3 C.7.6.16), though each one's row says Type 1.
        """
        if level.path[-1] in _FUNCTIONAL_GROUPS:
            return False
        return content.is_bereft(
            source, lambda tag: tag in target and not self._is_empty(target[tag])
        ) or any(
            tag in source and tag not in target and level.section.type_of(tag) == "1"
            for tag in level.section.demanded
        )

    def _made(
        self, path: tuple[int, ...], vr: str, values: Values | None, decision: Decision
    ) -> Made | None:
        self._note(path, decision, gone=values is None)
        if values is None:
            return None
        self._ascii = self._ascii and all(v.isascii() for v in values if isinstance(v, str))
        return self._element(path[-1], vr, values)

    def _note(self, path: tuple[int, ...], decision: Decision, *, gone: bool) -> None:
        action = Action.REMOVE if gone else decision.action
        if action is Action.KEEP and decision.option is None and decision.authority != "rule":
            return
        option = None if gone else decision.option
        self._counts[path, action, option, decision.departs and not gone] += 1
