"""Private elements that are known to be safe.

Under Retain Safe Private (PS3.15 E.3.10) an element stays if Table E.3.10-1 or the profile
names it by its creator, *and* its value is a number or a known code: free text and bytes
never stay, whoever declares them safe. Of a CSA header that a profile names, a new one is
written from numbers alone (`headers.csa`).

The sender's own word is not taken. E.3.10 lets it declare a block SAFE in Private Data Element
Characteristics Sequence (0008,0300), but that word lies in the same bytes that are doubted here:
it would let pass the numbers of any block, a patient number among them, and the text that names
its creator. Who trusts a scanner's blocks names them in a profile, once and to be read by all.
The sequence itself goes, for it describes blocks that are gone.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from deid_node.headers.confidentiality import Option, packaged
from deid_node.headers.plan import NUMBERS
from deid_node.headers.reading import strings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from deid_node.headers.profile import Profile, SafePrivate
    from deid_node.headers.reading import Source

_CREATORS: Final = range(0x10, 0x100)


def safe_elements(dataset: Source, profile: Profile) -> dict[int, str]:
    """Find the safe private elements at one level of a dataset.

    Returns
    -------
    dict
        VR to read each element with, by tag, or ``CSA``; the Private Creators of their
        blocks are among them, as LO.
    """
    if Option.RETAIN_SAFE_PRIVATE not in profile.options:
        return {}
    found: dict[int, str] = {}
    for tag in dataset.keys():  # noqa: SIM118 - iterating a Dataset itself parses every value
        if is_creator(tag):
            block = _block(dataset, int(tag), profile)
            if block:
                found[int(tag)] = "LO"
                found |= block
    return found


def is_creator(tag: int) -> bool:
    """Whether a tag is that of a Private Creator, PS3.5 7.8.1."""
    return bool(tag >> 16 & 1) and tag & 0xFFFF in _CREATORS


def block_of(creator_tag: int, tags: Iterable[int]) -> list[int]:
    """Pick the elements of a creator's block from tags."""
    block = creator_tag & 0xFFFF0000 | (creator_tag & 0xFF) << 8
    return [tag for tag in tags if tag & 0xFFFFFF00 == block]


def _block(dataset: Source, creator_tag: int, profile: Profile) -> dict[int, str]:
    names = strings(dataset.get_item(creator_tag), "LO", "ascii") or ()
    if len(names) != 1:
        return {}
    group, block = creator_tag >> 16, creator_tag & 0xFF
    safe = safe_table(profile.safe_private).get((names[0].strip(), group), {})
    tags = {group << 16 | block << 8 | element: vr for element, vr in safe.items()}
    return {tag: vr for tag, vr in tags.items() if tag in dataset}


@lru_cache(maxsize=64)
def safe_table(own: tuple[SafePrivate, ...]) -> dict[tuple[str, int], dict[int, str]]:
    """VR of each safe element by creator and group: PS3.15's, then a profile's own."""
    known: dict[tuple[str, int], dict[int, str]] = {}
    for creator, group, element, vr in packaged("safe-private.json")["rows"]:
        if vr in NUMBERS or vr == "CS":
            known.setdefault((creator, int(group, 16)), {})[int(element, 16)] = vr
    for safe in own:
        known.setdefault((safe.creator, safe.group), {}).update(safe.elements)
    return known
