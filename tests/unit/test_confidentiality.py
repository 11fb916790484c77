"""Table E.1-1 is read whole."""

from __future__ import annotations

from collections import Counter

import pytest

from deid_node.headers.confidentiality import Option, Row, matches, table
from deid_node.headers.private import safe_table
from deid_node.headers.profile import SafePrivate

COUNTS = {
    "X": 383,
    "D": 92,
    "U": 54,
    "Z": 42,
    "X/D": 22,
    "X/Z": 11,
    "X/Z/D": 8,
    "Z/D": 6,
    "X/Z/U*": 2,
}
"""Rows of edition 2024e by code, less the one for private groups, which is no tag."""


def test_every_row_of_the_edition_is_there() -> None:
    rows = [*table().rows.values(), *(row for _, row in table().patterns)]

    assert table().edition == "2024e"
    assert Counter(row.basic for row in rows) == COUNTS


@pytest.mark.parametrize(
    ("option", "codes"),
    [
        (Option.RETAIN_UIDS, {"K": 59}),
        (Option.RETAIN_DEVICE_IDENTITY, {"K": 46, "C": 11}),
        (Option.RETAIN_INSTITUTION_IDENTITY, {"K": 10}),
        (Option.RETAIN_PATIENT_CHARACTERISTICS, {"K": 9, "C": 4}),
        (Option.RETAIN_FULL_DATES, {"K": 165}),
        (Option.RETAIN_MODIFIED_DATES, {"C": 165}),
        (Option.CLEAN_DESCRIPTORS, {"C": 125}),
        (Option.CLEAN_STRUCTURED_CONTENT, {"C": 3}),
        (Option.CLEAN_GRAPHICS, {"C": 4}),
    ],
)
def test_every_option_column_is_there(option: Option, codes: dict[str, int]) -> None:
    rows = [*table().rows.values(), *(row for _, row in table().patterns)]

    assert Counter(row.options[option] for row in rows if option in row.options) == codes


def test_a_row_is_what_the_standard_prints() -> None:
    assert table().row(0x00100010) == Row(basic="Z")
    assert table().row(0x00080020) == Row(
        basic="Z", options={Option.RETAIN_FULL_DATES: "K", Option.RETAIN_MODIFIED_DATES: "C"}
    )
    assert table().row(0x00180081) is None


@pytest.mark.parametrize("tag", [0x60003000, 0x60FE3000, 0x50000010, 0x50FE3000])
def test_repeating_groups_are_found_by_pattern(tag: int) -> None:
    row = table().row(tag)

    assert row is not None
    assert row.basic == "X"


def test_a_mask_matches_digit_by_digit() -> None:
    assert matches("0040Axxx", 0x0040A123)
    assert not matches("0040Axxx", 0x0040B123)


def test_the_safe_private_table_is_read_with_its_numbers_and_codes_only() -> None:
    safe = safe_table(())

    assert safe["Philips PET Private Group", 0x7053][0x00] == "DS"
    assert {vr for block in safe.values() for vr in block.values()} <= {
        "CS",
        "DS",
        "FD",
        "FL",
        "IS",
        "SL",
        "SS",
        "UL",
        "US",
    }


def test_a_profiles_safe_private_elements_join_the_standards() -> None:
    own = SafePrivate(creator="SITE", group=0x0011, elements=((0x01, "DS"),))

    safe = safe_table((own,))

    assert safe["SITE", 0x0011] == {0x01: "DS"}
    assert len(safe) == len(safe_table(())) + 1
