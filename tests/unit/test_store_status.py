"""Every status the standard names for C-STORE is judged, and what it does not name is not guessed."""

from __future__ import annotations

import itertools

import pytest

from deid_node.node.send.store_status import TABLE, Verdict, row_of, verdict_on

STORED, LATER, NEVER = Verdict.STORED, Verdict.LATER, Verdict.NEVER

# By hand from PS3.4 Table B.2-1, PS3.7 Annex C and PS3.18 Table I.2-2.
JUDGED = {
    0x0000: STORED,  # Success
    0x0001: STORED,  # Warning, PS3.7 C.3
    0x0105: NEVER,  # No Such Attribute
    0x0106: NEVER,  # Invalid Attribute Value
    0x0107: STORED,  # Attribute List Error, a warning
    0x0110: LATER,  # Processing Failure
    0x0111: NEVER,  # Duplicate SOP Instance
    0x0112: NEVER,  # No Such SOP Instance
    0x0116: STORED,  # Attribute Value Out of Range, a warning
    0x0117: NEVER,  # Invalid Object Instance
    0x0118: NEVER,  # No Such SOP Class
    0x0119: NEVER,  # Class-Instance Conflict
    0x0120: NEVER,  # Missing Attribute
    0x0121: NEVER,  # Missing Attribute Value
    0x0122: NEVER,  # SOP Class Not Supported
    0x0124: NEVER,  # Not Authorized
    0x0210: LATER,  # Duplicate Invocation
    0x0211: NEVER,  # Unrecognized Operation
    0x0212: NEVER,  # Mistyped Argument
    0x0213: LATER,  # Resource Limitation
    0xA700: LATER,  # Out of Resources, first and last
    0xA7FF: LATER,
    0xA900: NEVER,  # Data Set Does Not Match SOP Class
    0xA9FF: NEVER,
    0xB000: STORED,  # Coercion of Data Elements
    0xB006: STORED,  # Elements Discarded
    0xB007: STORED,  # Data Set Does Not Match SOP Class, a warning
    0xBFFF: STORED,
    0xC000: NEVER,  # Cannot Understand
    0xC122: NEVER,  # STOW-RS: referenced Transfer Syntax not supported
    0xCFFF: NEVER,
}


@pytest.mark.parametrize(("status", "verdict"), JUDGED.items(), ids=str)
def test_status_is_judged_as_the_standard_says(status: int, verdict: Verdict) -> None:
    assert verdict_on(status) is verdict


def test_no_row_goes_untested_and_none_overlaps() -> None:
    edges = {row.first for row in TABLE} | {row.last for row in TABLE}

    assert edges <= set(JUDGED)
    assert all(one.last < two.first for one, two in itertools.pairwise(TABLE))


@pytest.mark.parametrize("status", [0x0002, 0x0123, 0xA6FF, 0xA800, 0xD000, 0xFE00, 0xFF00, 0xFFFF])
def test_status_the_standard_does_not_name_waits_for_a_person(status: int) -> None:
    assert verdict_on(status) is NEVER
    assert row_of(status).meaning == "unknown status"


def test_duplicate_of_an_attempt_that_broke_off_is_stored() -> None:
    assert verdict_on(0x0111, is_repeat=True) is STORED
    assert [s for s in JUDGED if verdict_on(s) is not verdict_on(s, is_repeat=True)] == [0x0111]
