"""De-identify the header of Part 10 files as bytes: what is known already is not read again.

The instances of a series differ in a few elements. What became of an element is remembered
by its bytes, for one patient, SOP Class, character set and set of private creators; an element
that comes again is a look-up. The numbers, UIDs and dates that do differ have a short way
each, and everything else goes through `headers.level_scrub`, as with pydicom's elements.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydicom.dataset import Dataset

from deid_node.dicom import wire_out
from deid_node.dicom.wire import Level as WireLevel
from deid_node.headers.declaration import declare
from deid_node.headers.level_scrub import (
    OWN,
    DeedKey,
    LevelScrub,
    listed,
)
from deid_node.headers.plan import CHARACTER_SET, PIXELS
from deid_node.headers.private import block_of, is_creator, safe_elements
from deid_node.headers.profile import Action
from deid_node.headers.quick import quick_way

if TYPE_CHECKING:
    from deid_node.dicom.wire import Part10
    from deid_node.headers.level_scrub import Deed
    from deid_node.headers.plan import Level
    from deid_node.headers.profile import Profile
    from deid_node.headers.pseudonyms import Pseudonyms
    from deid_node.headers.quick import Quick
    from deid_node.headers.values import Values

MOST_SUBJECTS: Final = 16
"""Subjects remembered at one time; with more, the one that came first is forgotten."""
MOST_ELEMENTS: Final = 20_000
"""Elements remembered for one subject."""
LONGEST_KEY: Final = 4096
"""Longest element that is remembered, in bytes."""
