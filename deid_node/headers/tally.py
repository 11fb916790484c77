"""Sum up what was done to the elements of an instance, and write what must be said of it.

Instances to which the same was done say the same of themselves, whoever they are of, so each
combination is summed up once.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_data_element

from deid_node.dicom import wire_out
from deid_node.headers.declaration import codes_of, declare
from deid_node.headers.level_scrub import kept_keywords, listed
from deid_node.headers.plan import CHARACTER_SET
from deid_node.headers.profile import Action

if TYPE_CHECKING:
    from collections.abc import Mapping

    from pydicom.dataelem import DataElement

    from deid_node.headers.level_scrub import Deed, DeedKey
    from deid_node.headers.profile import Profile

MOST_ACCOUNTS: Final = 500
"""Combinations that are remembered."""

_VISUAL_FEATURES: Final = 0x00280302


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
    declared: Mapping[int, bytes]
    undeclared: tuple[int, ...]


class Tally:
    """Numbers what is done to elements, and sums numbers up for instances.

    Parameters
    ----------
    profile
        What was applied.
    node
        Name and version of the program, for De-identification Method.
    """

    def __init__(self, profile: Profile, node: str) -> None:
        self._profile = profile
        self._node = node
        self._done: list[tuple[Counter[DeedKey], bool]] = []
        self._numbers: dict[tuple[tuple[tuple[DeedKey, int], ...], bool], int] = {}
        self._accounts: dict[tuple[object, ...], Account] = {}

    def __len__(self) -> int:
        """Count the numbers that were given."""
        return len(self._done)

    def number(self, counts: Counter[DeedKey], *, ascii_only: bool) -> int:
        """Give what was done to one element its number; the same things have the same one."""
        key = (tuple(counts.items()), ascii_only)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._done)
            self._done.append((counts, ascii_only))
        return number

    def done(self, number: int) -> tuple[Counter[DeedKey], bool]:
        """Give what has a number, and whether all text of it is ASCII."""
        return self._done[number]

    def account(self, trail: list[int], made: Mapping[int, bytes]) -> Account:
        """Sum up an instance.

        Parameters
        ----------
        trail
            Numbers of what was done to its elements, in their order.
        made
            Its written elements by tag.
        """
        key = (made.get(_VISUAL_FEATURES), *trail)
        known = self._accounts.get(key)
        if known is None:
            if len(self._accounts) >= MOST_ACCOUNTS:
                self._accounts.clear()
            known = self._accounts[key] = self._summed_up(trail, made)
        return known

    def _summed_up(self, trail: list[int], made: Mapping[int, bytes]) -> Account:
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
        if not all(self._done[number][1] for number in trail):
            written[CHARACTER_SET] = wire_out.element(CHARACTER_SET, "CS", ("ISO_IR 192",))
        return Account(
            deeds=deeds,
            codes=codes_of(deeds, face_removed=False),
            kept=kept_keywords(deeds),
            moved=any(deed.action is Action.SHIFT for deed in deeds),
            declared=written,
            undeclared=(_VISUAL_FEATURES,) if _VISUAL_FEATURES not in declared else (),
        )


def _written(element: DataElement) -> bytes:
    """Write an element of pydicom's."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, False
    write_data_element(buffer, element)
    return buffer.getvalue()
