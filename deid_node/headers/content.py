"""Content items of structured reports: an item that lost its value says nothing, or lies.

Content Sequence (0040,A730), Acquisition Context Sequence (0040,0555) and the others whose
items have a Value Type (PS3.3 C.17.3 and C.18). What an item means lies in two places, its
concept name and its value, so it goes as a whole when it loses either.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydicom.datadict import tag_for_keyword

from deid_node.headers.reading import strings

if TYPE_CHECKING:
    from collections.abc import Callable

    from deid_node.headers.reading import Source

VALUE_TYPE: Final = 0x0040A040
CONCEPT_NAME: Final = 0x0040A043
UNTITLED: Final = {0x00080100: "121144", 0x00080102: "DCM", 0x00080104: "Document Title"}
"""Stands for the title of a report, the concept name of its root, if only a vendor knows it."""
SAYING: Final = frozenset({CONCEPT_NAME, 0x0040A168, 0x004008EA})
"""Concept name, concept and unit: an item that loses one of them says something else."""
_BY_REFERENCE: Final = 0x0040DB73
"""Referenced Content Item Identifier counts items, and the count is wrong once one went."""

_WORTH: Final = {
    value_type: tuple(tag_for_keyword(keyword) or 0 for keyword in keywords)
    for value_type, keywords in {
        "TEXT": ("ConceptNameCodeSequence", "TextValue"),
        "NUM": ("ConceptNameCodeSequence", "MeasuredValueSequence"),
        "NUMERIC": ("ConceptNameCodeSequence", "NumericValue", "MeasurementUnitsCodeSequence"),
        "CODE": ("ConceptNameCodeSequence", "ConceptCodeSequence"),
        "DATETIME": ("ConceptNameCodeSequence", "DateTime"),
        "DATE": ("ConceptNameCodeSequence", "Date"),
        "TIME": ("ConceptNameCodeSequence", "Time"),
        "UIDREF": ("ConceptNameCodeSequence", "UID"),
        "PNAME": ("ConceptNameCodeSequence", "PersonName"),
        "IMAGE": ("ConceptNameCodeSequence", "ReferencedSOPSequence"),
        "COMPOSITE": ("ConceptNameCodeSequence", "ReferencedSOPSequence"),
        "WAVEFORM": ("ConceptNameCodeSequence", "ReferencedSOPSequence"),
        "SCOORD": ("ConceptNameCodeSequence", "GraphicData", "GraphicType"),
        "SCOORD3D": (
            "ConceptNameCodeSequence",
            "GraphicData",
            "GraphicType",
            "ReferencedFrameOfReferenceUID",
        ),
        "TCOORD": ("ConceptNameCodeSequence", "TemporalRangeType"),
        "CONTAINER": ("ContinuityOfContent",),
    }.items()
}
"""What an item of each Value Type means something by. A container without its heading still
holds its items; a table's cells have no Value Type of their own, so tables go."""


def is_bereft(source: Source, holds: Callable[[int], bool]) -> bool:
    """Whether a content item means less than it did, or points where nothing is known to be.

    Parameters
    ----------
    source
        The item before it was scrubbed. An item without a Value Type never is bereft.
    holds
        Whether the item holds a value of an attribute afterwards.
    """
    if _BY_REFERENCE in source:
        return True
    if VALUE_TYPE not in source:
        return False
    value_type = strings(source.get_item(VALUE_TYPE), "CS", "ascii") or ("",)
    worth = _WORTH.get(value_type[0])
    return worth is None or any(
        tag in source and bool(source.get_item(tag).value) and not holds(tag) for tag in worth
    )
