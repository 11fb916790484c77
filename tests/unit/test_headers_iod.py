"""Types of attributes come from the instance's own IOD."""

from __future__ import annotations

import pytest
from pydicom.uid import EnhancedMRImageStorage, MRImageStorage, SegmentationStorage

from deid_node.headers.confidentiality import table
from deid_node.headers.iod import section_of


@pytest.mark.parametrize(
    ("sop_class", "attributes", "listed", "combined"),
    [
        (MRImageStorage, 335, 134, 23),
        (EnhancedMRImageStorage, 329, 127, 19),
        (SegmentationStorage, 295, 138, 23),
    ],
)
def test_the_top_level_has_as_many_attributes_as_the_standard(
    sop_class: str, attributes: int, listed: int, combined: int
) -> None:
    types = section_of(sop_class).types

    rows = [row for tag, row in table().rows.items() if tag in types]
    assert len(types) == attributes
    assert len(rows) == listed
    assert sum("/" in row.basic for row in rows) == combined


@pytest.mark.parametrize(
    ("tag", "kind"),
    [
        (0x00080018, "1"),
        (0x00100010, "2"),
        (0x00180081, "2"),
        (0x00080022, "3"),
        (0x00080023, "2C"),
        (0x00189087, None),
    ],
)
def test_a_type_of_mr_is_what_the_standard_says(tag: int, kind: str | None) -> None:
    assert section_of(MRImageStorage).type_of(tag) == kind


def test_types_inside_sequences_are_their_own() -> None:
    inside = section_of(MRImageStorage).below(0x00081140)

    assert inside.type_of(0x00081155) == "1"
    assert inside.type_of(0x00080018) is None


def test_functional_groups_are_followed() -> None:
    frames = section_of(EnhancedMRImageStorage).below(0x52009230)

    assert frames.below(0x00189114).type_of(0x00189082) == "1C"


def test_only_mandatory_modules_demand_their_attributes() -> None:
    section = section_of(MRImageStorage)

    assert 0x00080018 in section.demanded
    assert section.type_of(0x00120010) == "1"
    assert 0x00120010 not in section.demanded


def test_an_unknown_sop_class_has_no_attribute() -> None:
    assert section_of("1.2.3").types == {}
