"""De-identify the header of Part 10 files as bytes: what is known already is not read again.

The instances of a series differ in a few elements. What became of an element is remembered
by its bytes, for one patient, SOP Class, character set and set of private creators; an element
that comes again is a look-up. The numbers, UIDs and dates that do differ have a short way
each, and everything else goes through `headers.level_scrub`, as with pydicom's elements.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element

from deid_node.dicom import wire_out
from deid_node.headers import reading
from deid_node.headers.declaration import codes_of, declare
from deid_node.headers.level_scrub import OWN, LevelScrub, kept_keywords, listed
from deid_node.headers.plan import CHARACTER_SET
from deid_node.headers.private import block_of, is_creator, safe_elements
from deid_node.headers.quick import quick_way

if TYPE_CHECKING:
    from pydicom.dataelem import DataElement

    from deid_node.dicom import wire
    from deid_node.headers.level_scrub import Deed, DeedKey
    from deid_node.headers.plan import Level
    from deid_node.headers.profile import Profile
    from deid_node.headers.pseudonyms import Pseudonyms
    from deid_node.headers.quick import Quick
    from deid_node.headers.reading import Source
    from deid_node.headers.values import Values

MOST_SUBJECTS: Final = 16
"""Subjects remembered at one time; with more, the one that came first is forgotten."""
MOST_BYTES: Final = 8 << 20
"""Bytes of elements, as they came and as they became, that are remembered for one subject."""
MOST_ACCOUNTS: Final = 500
"""Combinations of what was done that are remembered for one subject."""
LONGEST_KEY: Final = 4096
"""Longest element that is remembered, in bytes."""

_PRIVATE: Final = 1 << 16
_VISUAL_FEATURES: Final = 0x00280302
_PATIENT_ID: Final = 0x00100020
_SOP_INSTANCE: Final = 0x00080018
_DECISIVE: Final = (0x00080016, CHARACTER_SET, 0x00280103, _PATIENT_ID, *OWN)
"""Elements on which the treatment of others depends."""
_IDENTITY: Final = (0x0020000D, _SOP_INSTANCE)
"""What stands for a Patient ID that is not there."""

Outcome = tuple[bytes | None, int]
"""What an element became, None if it went, and the number of what was done to it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What was done to an instance as a whole.

    Parameters
    ----------
    deeds
        What was done to each attribute.
    codes
        Codes of CID 7050 that the deeds bear out.
    kept
        Keywords of attributes that the profile kept as they were.
    moved
        Whether dates were moved.
    declared
        The written elements that say so, by tag.
    undeclared
        Tags of elements that go because somebody else's claim was not checked.
    """

    deeds: tuple[Deed, ...]
    codes: tuple[str, ...]
    kept: frozenset[str]
    moved: bool
    declared: dict[int, bytes]
    undeclared: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spliced:
    """A new dataset, written as Explicit VR Little Endian without file meta information.

    Parameters
    ----------
    elements
        The written elements by tag, in no order.
    account
        What was done.
    days
        Whole days that its dates were moved by; 0 if none was. Never to be shown.
    """

    elements: dict[int, bytes]
    account: Account
    days: int = field(repr=False)


class Splicer:
    """Scrubs and declares one file after another under one profile and one key.

    Parameters
    ----------
    profile
        What is done to each attribute.
    pseudonyms
        Key of UIDs, patient and dates.
    node
        Name and version of the program, for De-identification Method.
    """

    def __init__(self, profile: Profile, pseudonyms: Pseudonyms, *, node: str) -> None:
        self._profile = profile
        self._pseudonyms = pseudonyms
        self._node = node
        self._subjects: dict[tuple[object, ...], _SpliceScrub] = {}

    def run(self, file: wire.Part10) -> Spliced:
        """Make the new header of one file.

        Equal file, profile and key give equal bytes, whatever came before.

        Raises
        ------
        Unsuited
            If something in it is not plain; `headers.scrub` can do it.
        ProfileInvalid
            If the profile is written for another edition of the table.
        """
        return self._subject(file.dataset).splice(file.dataset)

    def _subject(self, source: wire.Level) -> _SpliceScrub:
        """Find, or begin, the work on what has the same patient, IOD and private creators."""
        private = [tag for tag in source.spans if tag & _PRIVATE]
        creators = [tag for tag in private if tag & 0xFF00 == 0]
        decisive = (*_DECISIVE, *creators)
        if not source.value(_PATIENT_ID).strip(b" \0"):
            decisive += _IDENTITY
        key = (source.implicit, tuple(private), *(source.value(tag) for tag in decisive))
        known = self._subjects.get(key)
        if known is None:
            if len(self._subjects) >= MOST_SUBJECTS:
                self._subjects.pop(next(iter(self._subjects)))
            known = _SpliceScrub(source, self._profile, self._pseudonyms, self._node)
            self._subjects[key] = known
        return known


class _SpliceScrub(LevelScrub[bytes]):
    """Makes written elements, for one subject."""

    def __init__(
        self, source: wire.Level, profile: Profile, pseudonyms: Pseudonyms, node: str
    ) -> None:
        super().__init__(source, profile, pseudonyms)
        self._node = node
        self._codec = reading.codec_of(source)
        self._safe = safe_elements(source, profile)
        self._known: dict[object, Outcome] = {}
        self._room = MOST_BYTES
        self._ways: dict[tuple[int, bytes], _Way | None] = {}
        self._done: list[tuple[Counter[DeedKey], bool]] = []
        self._numbers: dict[tuple[tuple[tuple[DeedKey, int], ...], bool], int] = {}
        self._accounts: dict[tuple[object, ...], Account] = {}

    def splice(self, source: wire.Level) -> Spliced:
        """Make the new header of one file of this subject."""
        made: dict[int, bytes] = {}
        trail: list[int] = []
        content, known = source.source, self._known
        for tag, (start, _, stop) in source.spans.items():
            if stop - start > LONGEST_KEY:
                new, done = self._long_way(source, tag)
            else:
                key = content[start:stop]
                found = known.get(key)
                if found is None:
                    found = self._remember(key, len(key), self._new(source, tag, key))
                new, done = found
            if new is not None:
                made[tag] = new
            trail.append(done)
        self._drop_idle_creators(made)
        account = self._account(trail, made)
        made.update(account.declared)
        for tag in account.undeclared:
            made.pop(tag, None)
        return Spliced(elements=made, account=account, days=account.moved * self._subject.days)

    def _remember(self, key: object, size: int, outcome: Outcome) -> Outcome:
        """Keep an outcome; once the room for them is used up, all are forgotten."""
        self._room -= size + len(outcome[0] or b"")
        if self._room < 0:
            self._known.clear()
            self._room = MOST_BYTES
        self._known[key] = outcome
        return outcome

    def _new(self, source: wire.Level, tag: int, key: bytes) -> Outcome:
        """Work on an element that did not come before."""
        head = b"" if source.implicit else key[4:6]
        way = self._ways.get((tag, head))
        if way is None and (tag, head) not in self._ways:
            way = self._ways[tag, head] = self._way(source, tag)
        value = source.value(tag)
        new = way.change(value) if way is not None and not len(value) % 2 else None
        if way is None or new is None:
            return self._long_way(source, tag)
        return wire_out.with_head(tag, way.vr, new), way.done

    def _way(self, source: wire.Level, tag: int) -> _Way | None:
        """Find the short way for an attribute of a VR."""
        if tag & _PRIVATE:
            return None
        vr = reading.vr_of(source.get_item(tag), signed_pixels=self._signed)
        if vr is None:
            return None
        decision = self._plan.decision(tag, vr)
        change = quick_way(tag, vr, decision, self._subject)
        if change is None:
            return None
        self._counts = Counter()
        self._note((tag,), decision, gone=False)
        return _Way(vr=vr, change=change, done=self._number(ascii_only=True))

    def _long_way(self, source: wire.Level, tag: int) -> Outcome:
        self._counts, self._ascii = Counter(), True
        if tag & _PRIVATE:
            made = self._private(source, (tag,), self._safe.get(tag))
        else:
            made = self._standard(source, (tag,), self._plan, self._codec)
        return made, self._number(ascii_only=self._ascii)

    def _standard(
        self, source: Source, path: tuple[int, ...], level: Level, codec: str | None
    ) -> bytes | None:
        """Remember the elements of items too: frames differ in few of them."""
        written = cast("wire.Level", source).whole(path[-1])
        if not level.path or len(written) > LONGEST_KEY:
            return super()._standard(source, path, level, codec)
        key = (level.path, codec, written)
        found = self._known.get(key)
        if found is None:
            outer = self._counts, self._ascii
            self._counts, self._ascii = Counter(), True
            new = super()._standard(source, path, level, codec)
            outcome = new, self._number(ascii_only=self._ascii)
            found = self._remember(key, len(written), outcome)
            self._counts, self._ascii = outer
        new, done = found
        counts, ascii_only = self._done[done]
        self._counts.update(counts)
        self._ascii = self._ascii and ascii_only
        return new

    def _number(self, *, ascii_only: bool) -> int:
        """Give what was done to one element its number; the same things have the same one."""
        key = (tuple(self._counts.items()), ascii_only)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._done)
            self._done.append((self._counts, ascii_only))
        return number

    def _drop_idle_creators(self, made: dict[int, bytes]) -> None:
        for creator in [tag for tag in self._safe if is_creator(tag) and tag in made]:
            if not any(tag in made for tag in block_of(creator, self._safe)):
                del made[creator]

    def _account(self, trail: list[int], made: dict[int, bytes]) -> Account:
        key = (made.get(_VISUAL_FEATURES), *trail)
        known = self._accounts.get(key)
        if known is None:
            if len(self._accounts) >= MOST_ACCOUNTS:
                self._accounts.clear()
            known = self._accounts[key] = self._settled(trail, made)
        return known

    def _settled(self, trail: list[int], made: dict[int, bytes]) -> Account:
        """Sum up what was done to an instance, and write what must be said of it."""
        counts: Counter[DeedKey] = Counter()
        for number in trail:
            counts.update(self._done[number][0])
        deeds = listed(counts)
        claimed = Dataset()
        if _VISUAL_FEATURES in made:
            text = made[_VISUAL_FEATURES][8:].decode("ascii").strip(" ")
            claimed.add_new(_VISUAL_FEATURES, "CS", text)
        declared = declare(
            claimed, profile=self._profile, deeds=deeds, face_removed=False, node=self._node
        )
        written = {int(each.tag): _written(each) for each in declared}
        written.update(self._patient(made))
        if not all(self._done[number][1] for number in trail):
            written[CHARACTER_SET] = self._element(CHARACTER_SET, "CS", ("ISO_IR 192",))
        return Account(
            deeds=deeds,
            codes=codes_of(deeds, face_removed=False),
            kept=kept_keywords(deeds),
            moved=bool(self.days(deeds)),
            declared=written,
            undeclared=(_VISUAL_FEATURES,) if _VISUAL_FEATURES not in declared else (),
        )

    def _element(self, tag: int, vr: str, values: Values) -> bytes:
        return wire_out.element(tag, vr, values)

    def _pixels(self, tag: int, vr: str, values: Values, *, encapsulated: bool) -> bytes:
        if encapsulated:
            return wire_out.fragments(tag, vr, cast("bytes", values[0]))
        return wire_out.element(tag, vr, values)

    def _sequence(self, tag: int, items: list[dict[int, bytes]]) -> bytes:
        return wire_out.sequence(tag, ([each[tag] for tag in sorted(each)] for each in items))

    def _is_empty(self, made: bytes) -> bool:
        return wire_out.is_empty(made)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """The short way of one attribute: new VR, change of the value, number of what is done."""

    vr: str
    change: Quick
    done: int


def _written(element: DataElement) -> bytes:
    """Write an element of pydicom's."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_data_element(buffer, element)
    return buffer.getvalue()
