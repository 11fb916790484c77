"""Apply a profile to one dataset."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from deid_node.headers import actions, codes, reading, text
from deid_node.headers.confidentiality import Option
from deid_node.headers.plan import CHARACTER_SET, PIXELS, Decision, Level, name_of, plan
from deid_node.headers.private import block_of, is_creator, safe_elements
from deid_node.headers.profile import Action, Profile
from deid_node.headers.values import Subject, Values, changed, dummy

if TYPE_CHECKING:
    from deid_node.headers.pseudonyms import Pseudonyms

DEEPEST: Final = 16
"""Levels of nesting that are followed; what lies deeper goes."""

_PATIENT_NAME: Final = 0x00100010
_PATIENT_ID: Final = 0x00100020
_SIGNED: Final = 0x00280103
"""Pixel Representation."""
_OWN: Final = (
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Scrubbed:
    """A new dataset and what was done to make it."""

    dataset: Dataset
    deeds: tuple[Deed, ...]


def scrub(dataset: Dataset, profile: Profile, pseudonyms: Pseudonyms) -> Scrubbed:
    """Remove what identifies a person from a dataset, at every depth.

    Parameters
    ----------
    dataset
        One instance without its file meta group. It is not changed; pixel data is shared,
        not copied.
    profile
        What is done to each attribute.
    pseudonyms
        Key of UIDs, patient and dates.

    Returns
    -------
    Scrubbed
        A dataset of the same IOD without file meta group. Its text is ASCII, or UTF-8
        with Specific Character Set saying so.

    Raises
    ------
    ProfileInvalid
        If the profile is written for another edition of the table.
    PatientNotInTable
        If the profile names patients by a table that does not have this one.

    References
    ----------
    PS3.15 Annex E.
    """
    return _Scrub(dataset, profile, pseudonyms).run()


def patient_identity(dataset: Dataset) -> str:
    """Tell what a patient's pseudonym and day shift are made of; never to be shown.

    Patient ID; the Study Instance UID where there is none, so that patients without an ID
    do not become one patient.
    """
    for tag, vr in ((_PATIENT_ID, "LO"), (0x0020000D, "UI"), (0x00080018, "UI")):
        first = "".join(_strings_of(dataset, tag, vr)[:1]).strip()
        if first:
            return first if tag == _PATIENT_ID else f"without ID {first}"
    return ""


def _strings_of(dataset: Dataset, tag: int, vr: str) -> tuple[str, ...]:
    """Read values even where the character set is unknown: latin-1 loses nothing."""
    if tag not in dataset:
        return ()
    element = dataset.get_item(tag)
    found = reading.strings(element, vr, reading.codec_of(dataset))
    return reading.strings(element, vr, "latin-1") or () if found is None else found


def _is_broken(source: Dataset, target: Dataset, level: Level) -> bool:
    """Whether an item lost an attribute that it must have.

    An item of functional groups is none the worse for one group less: which groups it
    holds is optional (PS3.3 C.7.6.16), though each one's row says Type 1.
    """
    if level.path[-1] in _FUNCTIONAL_GROUPS:
        return False
    return any(
        tag in source and tag not in target and level.section.type_of(tag) == "1"
        for tag in level.section.demanded
    )


class _Scrub:
    """The work on one dataset."""

    def __init__(self, dataset: Dataset, profile: Profile, pseudonyms: Pseudonyms) -> None:
        identity = patient_identity(dataset)
        sop_class = "".join(_strings_of(dataset, 0x00080016, "UI")[:1])
        self._source = dataset
        self._profile = profile
        self._plan = plan(profile, sop_class if actions.is_standard_uid(sop_class) else "")
        self._subject = Subject(
            pseudonyms=pseudonyms,
            patient=pseudonyms.patient(identity, profile.patients),
            days=pseudonyms.day_shift(identity, profile.days),
            own=text.own_words(v for tag in _OWN for v in _strings_of(dataset, tag, "LO")),
            age_cap=profile.age_cap,
            words=profile.words,
            codes=profile.codes,
        )
        representation = dataset.get_item(_SIGNED) if _SIGNED in dataset else None
        self._signed = representation is not None and reading.numbers(representation, "US") == (1,)
        self._deeds: Counter[tuple[tuple[int, ...], Action, Option | None, bool]] = Counter()
        self._ascii = True

    def run(self) -> Scrubbed:
        scrubbed = self._level(self._source, self._plan, reading.codec_of(self._source))
        for tag, vr in ((_PATIENT_NAME, "PN"), (_PATIENT_ID, "LO")):
            if tag not in scrubbed and self._plan.decision(tag, vr).action is Action.PSEUDONYM:
                scrubbed.add(self._element(tag, vr, (self._subject.patient,)))
        if not self._ascii:
            scrubbed.add(self._element(CHARACTER_SET, "CS", ("ISO_IR 192",)))
        ordered = sorted(self._deeds.items(), key=lambda deed: (deed[0][0], deed[0][1].value))
        deeds = [
            Deed(path=path, action=action, option=option, departs=departs, count=count)
            for (path, action, option, departs), count in ordered
        ]
        return Scrubbed(dataset=scrubbed, deeds=tuple(deeds))

    def _level(self, source: Dataset, level: Level, codec: str | None) -> Dataset:
        """Work through one level; a code item is settled before the rest."""
        target = Dataset()
        private = safe_elements(source, self._profile)
        coded = self._code(source, codec) if level.path else {}
        for tag in map(int, source.keys()):
            path = (*level.path, tag)
            if tag in coded:
                made = self._made(path, dictionary_VR(tag), coded[tag], _CODED)
            elif tag >> 16 & 1:
                made = self._private(source, path, private.get(tag))
            else:
                made = self._standard(source, path, level, codec)
            if made is not None:
                target.add(made)
        for creator in [tag for tag in private if is_creator(tag) and tag in target]:
            if not any(tag in target for tag in block_of(creator, private)):
                del target[creator]
        return target

    def _code(self, source: Dataset, codec: str | None) -> dict[int, Values]:
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

    def _private(
        self, source: Dataset, path: tuple[int, ...], vr: str | None
    ) -> DataElement | None:
        values = None
        if vr is not None:
            creator = is_creator(path[-1])
            decision = Decision(action=Action.KEEP, authority="table") if creator else _SAFE_PRIVATE
            values = changed(source.get_item(path[-1]), vr, "ascii", decision, self._subject)
        return self._made(path, vr or "UN", values, _GONE if values is None else _SAFE_PRIVATE)

    def _standard(
        self, source: Dataset, path: tuple[int, ...], level: Level, codec: str | None
    ) -> DataElement | None:
        tag = path[-1]
        element = source.get_item(tag)
        vr = reading.vr_of(element, signed_pixels=self._signed)
        decision = level.decision(tag, vr or "UN")
        if vr == "SQ":
            return self._sequence(source, path, level, codec)
        values = None
        if vr is not None:
            values = changed(element, vr, codec, decision, self._subject)
        if values is None and decision.action is not Action.REMOVE and vr is not None:
            values = self._instead(vr, decision.type)
        made = self._made(path, vr or "UN", values, decision)
        if made is not None and tag in PIXELS:
            made.is_undefined_length = reading.is_encapsulated(element)
        return made

    def _instead(self, vr: str, kind: str | None) -> Values | None:
        """Give what stands where nothing of a value may stay: as much as the IOD needs."""
        if kind in {"1", "1C"}:
            return dummy(vr, self._subject)
        return () if kind in {"2", "2C"} else None

    def _sequence(
        self, source: Dataset, path: tuple[int, ...], level: Level, codec: str | None
    ) -> DataElement | None:
        decision = level.decision(path[-1], "SQ")
        kept: list[Dataset] | None = None
        found = reading.items(source, path[-1]) if len(path) <= DEEPEST else None
        if decision.action is Action.EMPTY:
            kept = []
        elif decision.action is not Action.REMOVE and found is not None:
            kept = self._items(found, level.below(path[-1]), codec)
            if found and not kept:
                kept = [] if decision.type in {"2", "2C"} else None
        self._note(path, decision, gone=kept is None)
        return None if kept is None else DataElement(path[-1], "SQ", Sequence(kept))

    def _items(self, found: tuple[Dataset, ...], level: Level, outer: str | None) -> list[Dataset]:
        """Scrub items; one that loses what the IOD demands of it goes as a whole."""
        kept = []
        for source in found:
            codec = reading.codec_of(source) if CHARACTER_SET in source else outer
            if codes.is_coded(source) and not self._code(source, codec):
                continue
            target = self._level(source, level, codec)
            if not _is_broken(source, target, level) and (len(target) or not len(source)):
                kept.append(target)
        return kept

    def _made(
        self, path: tuple[int, ...], vr: str, values: Values | None, decision: Decision
    ) -> DataElement | None:
        self._note(path, decision, gone=values is None)
        return None if values is None else self._element(path[-1], vr, values)

    def _note(self, path: tuple[int, ...], decision: Decision, *, gone: bool) -> None:
        action = Action.REMOVE if gone else decision.action
        if action is Action.KEEP and decision.option is None and not decision.departs:
            return
        option = None if gone else decision.option
        self._deeds[path, action, option, decision.departs and not gone] += 1

    def _element(self, tag: int, vr: str, values: Values) -> DataElement:
        """Build an element; pydicom's own checks would quote a value in a warning."""
        self._ascii = self._ascii and all(v.isascii() for v in values if isinstance(v, str))
        value = values[0] if len(values) == 1 else list(values) or None
        return DataElement(tag, vr, value, validation_mode=config.IGNORE)
