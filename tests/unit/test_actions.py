"""Actions on one element: dummies are valid, dates move by whole days."""

from __future__ import annotations

import datetime as dt
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom import config
from pydicom.dataelem import DataElement
from pydicom.uid import MRImageStorage

from deid_node.headers import actions
from deid_node.headers.pseudonyms import Pseudonyms

OURS = Pseudonyms(bytes(range(32)))
VRS = "AE AS AT CS DA DS DT FD FL IS LO LT OB OD OF OL OV OW PN SH SL SS ST SV TM UC UL UN UR US UT UV"


@pytest.mark.parametrize("vr", VRS.split())
def test_a_dummy_is_valid_for_its_vr(vr: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        element = DataElement(0x00091010, vr, actions.dummy(vr), validation_mode=config.RAISE)

    assert element.value is not None
    assert not element.is_empty


@given(st.dates(dt.date(1800, 1, 1), dt.date(2199, 12, 31)), st.integers(-40000, 40000))
def test_a_shifted_date_is_the_calendars(day: dt.date, days: int) -> None:
    moved = actions.shifted_date(day.strftime("%Y%m%d"), days)

    assert moved == (day + dt.timedelta(days)).strftime("%Y%m%d")


@given(st.integers(0, 99999999))
def test_what_is_no_date_is_not_shifted(number: int) -> None:
    text = f"{number:08}"
    try:
        day = dt.datetime.strptime(text, "%Y%m%d").replace(tzinfo=dt.UTC)
    except ValueError:
        day = None

    moved = actions.shifted_date(text, 0)

    assert moved == (text if day is not None and 1800 <= day.year < 2200 else None)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "2024",
        "202402",
        "2024-02-29",
        "QUENTIN.",
        "²0240229",
        "19000229",
        "20230229",
        "20241301",
    ],
)
def test_other_forms_are_no_dates(text: str) -> None:
    assert actions.shifted_date(text, -400) is None


def test_time_of_day_and_offset_of_a_date_time_stay() -> None:
    assert actions.shifted_date_time("20240301235959.999999+0100", -1) == (
        "20240229235959.999999+0100"
    )


@pytest.mark.parametrize(
    ("age", "capped"),
    [("089Y", "089Y"), ("090Y", "090Y"), ("104Y", "090Y"), ("999M", "999M"), ("003D", "003D")],
)
def test_ages_are_capped_in_years_only(age: str, capped: str) -> None:
    assert actions.capped_age(age, 89) == capped


@pytest.mark.parametrize(
    "uid", [MRImageStorage, "1.2.840.10008.1.2.1", "1.2.840.10008.5.1.4.1.1.999"]
)
def test_uids_of_the_standard_stay(uid: str) -> None:
    assert actions.keyed_uid(uid, OURS) == uid


@pytest.mark.parametrize(
    "uid",
    [
        "1.2.840.10008.4711.1",
        "1.2.840.10008.19420707",
        "1.2.840.100081.1",
        "1.3.12.2.1107.5.2.43",
        "1.2.840.10008.ZEBRA",
        "1.2.840.10008",
    ],
)
def test_every_other_uid_is_keyed(uid: str) -> None:
    assert actions.keyed_uid(uid, OURS) == OURS.uid(uid)
