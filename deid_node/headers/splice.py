"""De-identify the header of Part 10 files as bytes: what is known already is not read again.

The instances of a series differ in a few elements. What became of an element is remembered
by its bytes, for one patient, SOP Class, character set and set of private creators; an element
that comes again is a look-up. The numbers, UIDs and dates that do differ have a short way
each, what goes whatever it holds goes at once, and everything else takes the way of
`headers.level_scrub`, as pydicom's elements do.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from deid_node.dicom import wire_out
from deid_node.headers import reading
from deid_node.headers.level_scrub import OWN, LevelScrub
from deid_node.headers.plan import CHARACTER_SET
from deid_node.headers.private import block_of, is_creator, safe_elements
from deid_node.headers.profile import Action
from deid_node.headers.quick import quick_way
from deid_node.headers.tally import Tally

if TYPE_CHECKING:
    from deid_node.dicom import wire
    from deid_node.headers.plan import Level
    from deid_node.headers.profile import Profile
    from deid_node.headers.pseudonyms import Pseudonyms
    from deid_node.headers.quick import Quick
    from deid_node.headers.reading import Source
    from deid_node.headers.tally import Account
    from deid_node.headers.values import Values

MOST_SUBJECTS: Final = 16
"""Subjects remembered at one time; with more, the one that came first is forgotten."""
MOST_BYTES: Final = 8 << 20
"""Bytes of elements, as they came and as they became, that are remembered for one subject."""
MOST_NUMBERS: Final = 50_000
"""Kinds of things done to elements that are told apart before all is forgotten."""
MOST_IODS: Final = 64
"""SOP Classes, with either Pixel Representation, whose short ways are remembered."""
LONGEST_KEY: Final = 4096
"""Longest element that is remembered, in bytes."""

_PRIVATE: Final = 1 << 16
_PATIENT_ID: Final = 0x00100020
_SOP_INSTANCE: Final = 0x00080018
_SOP_CLASS: Final = 0x00080016
_PIXEL_REPRESENTATION: Final = 0x00280103
_DECISIVE: Final = (_SOP_CLASS, CHARACTER_SET, _PIXEL_REPRESENTATION, _PATIENT_ID, *OWN)
"""Elements on which the treatment of others depends."""
_IDENTITY: Final = (0x0020000D, _SOP_INSTANCE)
"""What stands for a Patient ID that is not there."""
_SAME_FOR_ALL: Final = frozenset({Action.REMOVE, Action.EMPTY, Action.DUMMY, Action.SET})
"""Actions whose outcome is the same whatever the value, and whoever the patient."""

Outcome = tuple[bytes | None, int]
"""What an element became, None if it went, and the number of what was done to it."""


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


@dataclass(frozen=True, slots=True, kw_only=True)
class _Way:
    """The short way of one attribute.

    Parameters
    ----------
    vr
        VR of the new element.
    change
        Change of the value; None where the outcome is the same for all.
    new
        The outcome that is the same for all.
    done
        Number of what is done.
    """

    vr: str
    change: Quick | None
    new: bytes | None = None
    done: int


Ways = dict[tuple[int, bytes], _Way | None]
"""Short way by tag and VR as written, None where there is none; the same for every subject."""


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
        self._forget()

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
            known = self._subjects[key] = self._begun(source)
        return known

    def _begun(self, source: wire.Level) -> _SpliceScrub:
        if len(self._subjects) >= MOST_SUBJECTS:
            self._subjects.pop(next(iter(self._subjects)))
        if len(self._tally) > MOST_NUMBERS or len(self._ways) > MOST_IODS:
            self._forget()
        iod = source.value(_SOP_CLASS), source.value(_PIXEL_REPRESENTATION)
        ways = self._ways.setdefault(iod, {})
        return _SpliceScrub(source, self._profile, self._pseudonyms, self._tally, ways)

    def _forget(self) -> None:
        """Begin as if no file had come before."""
        self._tally = Tally(self._profile, self._node)
        self._ways: dict[tuple[bytes, bytes], Ways] = {}
        self._subjects: dict[tuple[object, ...], _SpliceScrub] = {}


class _SpliceScrub(LevelScrub[bytes]):
    """Makes written elements, for one subject."""

    def __init__(
        self,
        source: wire.Level,
        profile: Profile,
        pseudonyms: Pseudonyms,
        tally: Tally,
        ways: Ways,
    ) -> None:
        super().__init__(source, profile, pseudonyms)
        self._codec = reading.codec_of(source)
        self._safe = safe_elements(source, profile)
        self._tally = tally
        self._known: dict[object, Outcome] = {}
        self._room = MOST_BYTES
        self._ways = ways
        self._own_ways: Ways = {}

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
        account = self._tally.account(trail, made)
        made.update(account.declared)
        made.update(self._patient(made))
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
        place = tag, b"" if source.implicit else key[4:6]
        ways = self._own_ways if place in self._own_ways else self._ways
        if place not in ways:
            ways = self._learn(source, place)
        way = ways[place]
        if way is None:
            return self._long_way(source, tag)
        if way.change is None:
            return way.new, way.done
        value = source.value(tag)
        new = None if len(value) % 2 else way.change(value)
        if new is None:
            return self._long_way(source, tag)
        return wire_out.with_head(tag, way.vr, new), way.done

    def _learn(self, source: wire.Level, place: tuple[int, bytes]) -> Ways:
        """Find the short way of an attribute; say whether it is everybody's or this subject's."""
        tag, _ = place
        if tag & _PRIVATE:
            self._own_ways[place] = None if tag in self._safe else self._same(source, tag, "UN")
            return self._own_ways
        vr = reading.vr_of(source.get_item(tag), signed_pixels=self._signed)
        decision = self._plan.decision(tag, vr or "UN")
        ways = self._own_ways if vr == "DA" and decision.action not in _SAME_FOR_ALL else self._ways
        if vr is None or vr == "SQ":
            ways[place] = None
        elif decision.action in _SAME_FOR_ALL and vr != "UI":
            ways[place] = self._same(source, tag, vr)
        else:
            change = quick_way(tag, vr, decision, self._subject)
            self._counts = Counter()
            self._note((tag,), decision, gone=False)
            done = self._tally.number(self._counts, ascii_only=True)
            ways[place] = None if change is None else _Way(vr=vr, change=change, done=done)
        return ways

    def _same(self, source: wire.Level, tag: int, vr: str) -> _Way:
        """Take the long way once for all values of an attribute."""
        new, done = self._long_way(source, tag)
        return _Way(vr=vr, change=None, new=new, done=done)

    def _long_way(self, source: wire.Level, tag: int) -> Outcome:
        self._counts, self._ascii = Counter(), True
        if tag & _PRIVATE:
            made = self._private(source, (tag,), self._safe.get(tag))
        else:
            made = self._standard(source, (tag,), self._plan, self._codec)
        return made, self._tally.number(self._counts, ascii_only=self._ascii)

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
            outcome = new, self._tally.number(self._counts, ascii_only=self._ascii)
            found = self._remember(key, len(written), outcome)
            self._counts, self._ascii = outer
        new, done = found
        counts, ascii_only = self._tally.done(done)
        self._counts.update(counts)
        self._ascii = self._ascii and ascii_only
        return new

    def _drop_idle_creators(self, made: dict[int, bytes]) -> None:
        for creator in [tag for tag in self._safe if is_creator(tag) and tag in made]:
            if not any(tag in made for tag in block_of(creator, self._safe)):
                del made[creator]

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
