"""Every profile that is shipped loads, explains itself and is not weaker than it says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydicom._private_dict import private_dictionaries
from pydicom.datadict import tag_for_keyword
from pydicom.uid import EnhancedMRImageStorage, MRImageStorage

from deid_node.config.profile_file import load_profile, shipped_profiles
from deid_node.headers.confidentiality import Option, table
from deid_node.headers.declaration import codes_of
from deid_node.headers.plan import explain
from deid_node.headers.profile import Action
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.headers.scrub import scrub
from tests.planted import SURVIVE, mr_instance, planted, written

if TYPE_CHECKING:
    from pydicom import Dataset

KEY = Pseudonyms(bytes(range(32)))
DATES = {"DA", "DT"}
TYPED = {"LO", "SH", "LT", "ST", "UT", "UC", "PN", "AE", "UR"}

NAMES = sorted(path.stem for path in shipped_profiles().glob("*.yaml"))


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_profile_bears_the_name_of_its_file(name: str) -> None:
    assert load_profile(name).name == name


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("sop_class", [MRImageStorage, EnhancedMRImageStorage])
def test_no_rule_of_a_shipped_profile_departs_from_the_standard(name: str, sop_class: str) -> None:
    profile = load_profile(name)
    named = {tag for rule in profile.rules for tag in rule.tags}

    decisions = {tag: explain(profile, tag, sop_class) for tag in {*named, *table().rows}}

    assert [hex(tag) for tag, decision in decisions.items() if decision.departs] == []


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("keyword", SURVIVE)
def test_what_research_needs_is_kept_by_every_shipped_profile(name: str, keyword: str) -> None:
    tag = tag_for_keyword(keyword)
    assert tag is not None

    decision = explain(load_profile(name), tag, MRImageStorage)

    assert decision.action in {Action.KEEP, Action.CLEAN, Action.UID}


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("keyword", ["PatientID", "PatientName"])
def test_the_patient_becomes_a_pseudonym_in_every_shipped_profile(name: str, keyword: str) -> None:
    tag = tag_for_keyword(keyword)
    assert tag is not None

    assert explain(load_profile(name), tag, MRImageStorage).action is Action.PSEUDONYM


def output(name: str, **changes: object) -> Dataset:
    dataset = mr_instance()
    for keyword, value in changes.items():
        setattr(dataset, keyword, value)
    return scrub(dataset, load_profile(name), KEY).dataset


RETAINED = {"tcia": ("DeviceSerialNumber", "GantryID", "DeviceUID")}
"""Attributes that a profile means to keep as they are."""


@pytest.mark.parametrize("name", NAMES)
def test_none_of_the_planted_tokens_survives_but_what_the_profile_means_to_keep(name: str) -> None:
    dataset, tokens = planted()
    source = written(dataset).lower()
    there = {token.lower() for token in tokens if token.lower().encode() in source}
    retained = " ".join(str(dataset[keyword].value) for keyword in RETAINED.get(name, ())).lower()
    meant = {token for token in there if token in retained}

    result = written(scrub(dataset, load_profile(name), KEY).dataset).lower()

    assert {token for token in there if token.encode() in result} == meant


@pytest.mark.parametrize("name", NAMES)
def test_what_an_mr_researcher_needs_comes_out_unchanged(name: str) -> None:
    source = mr_instance()

    left = output(name)

    assert {k: left.get(k) for k in SURVIVE} == {k: source.get(k) for k in SURVIVE}


@pytest.mark.parametrize("name", NAMES)
def test_the_private_elements_of_a_profile_have_the_vr_that_pydicom_knows(name: str) -> None:
    wrong = [
        (safe.creator, f"{safe.group:04X}xx{element:02X}", vr, known)
        for safe in load_profile(name).safe_private
        for element, vr in safe.elements
        if (
            known := private_dictionaries.get(safe.creator, {}).get(
                f"{safe.group:04X}xx{element:02X}"
            )
        )
        and known[0] != {"CSA": "OB"}.get(vr, vr)
    ]

    assert wrong == []


CODES = {
    "basic": {"113100"},
    "hipaa-safe-harbor": {"113100", "113108"},
    "research-mr": {"113100", "113105", "113107", "113108", "113111"},
    "research-mr-longitudinal": {"113100", "113105", "113107", "113108", "113111"},
    "tcia": {"113100", "113105", "113107", "113108", "113109", "113111"},
}


@pytest.mark.parametrize("name", NAMES)
def test_an_instance_declares_the_options_of_its_profile(name: str) -> None:
    dataset, _ = planted()
    dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0E, "FD", [0.0] * 3)

    deeds = scrub(dataset, load_profile(name), KEY).deeds

    assert set(codes_of(deeds, face_removed=False)) == CODES[name]


@pytest.mark.parametrize("age", ["007D", "003W", "018M", "002Y", "021Y", "089Y"])
def test_longitudinal_research_keeps_age_size_weight_and_intervals(age: str) -> None:
    first = output("research-mr-longitudinal", PatientAge=age, PatientSize="0.51")
    second = output("research-mr-longitudinal", StudyDate="20240307", AcquisitionDate="20240307")

    assert (first.PatientAge, first.PatientSize, first.PatientWeight) == (age, 0.51, 71.5)
    assert not first.PatientBirthDate
    assert int(first.StudyDate) < 20230301
    assert first.StudyTime == "101112.5"
    days = [first.StudyDate, second.StudyDate, second.AcquisitionDate]
    assert days[1] == days[2]
    assert _days_between(days[0], days[1]) == 7


def _days_between(first: str, second: str) -> int:
    from datetime import date  # noqa: PLC0415 - an oracle that is not the code's own calendar

    return (date.fromisoformat(second) - date.fromisoformat(first)).days


def test_safe_harbor_leaves_no_date_no_typed_text_no_serial_and_no_place() -> None:
    dataset, _ = planted()
    dataset.PatientBirthDateInAlternativeCalendar = "SHOWA 17 7 7"
    dataset.TimezoneOffsetFromUTC = "+0900"
    dataset.SeriesDescription = dataset.ProtocolName = "T2 brain"
    dataset.PatientAge = "091Y"

    left = scrub(dataset, load_profile("hipaa-safe-harbor"), KEY).dataset

    values = {e.keyword: e for e in left.iterall() if e.value not in (None, "", [], "REMOVED")}
    typed = {e.keyword for e in values.values() if e.VR in TYPED}
    assert [e.keyword for e in left.iterall() if e.VR in {*DATES, "TM"} and e.value] == []
    assert values["PatientAge"].value == "090Y"
    assert typed <= {
        *("PatientID", "PatientName", "CodeValue", "CodeMeaning", "CodingSchemeDesignator"),
        *(
            "Manufacturer",
            "ManufacturerModelName",
            "SoftwareVersions",
            "SequenceName",
            "RescaleType",
        ),
    }
    assert not {"DeviceSerialNumber", "StationName", "InstitutionName", "TimezoneOffsetFromUTC"} & (
        values.keys()
    )


def test_tcia_tells_scanners_apart_and_moves_dates() -> None:
    left = output("tcia", DeviceSerialNumber="45123", StationName="SOMEHOSPITAL", EthnicGroup="X")

    assert left.DeviceSerialNumber == "45123"
    assert "StationName" not in left
    assert left.PatientAge == "090Y"
    assert left.StudyDate != mr_instance().StudyDate
    assert Option.RETAIN_DEVICE_IDENTITY in load_profile("tcia").options


def test_coils_stay_by_the_vocabulary_and_vendors_numbers_by_their_creator() -> None:
    dataset = mr_instance()
    dataset.ReceiveCoilName = "HeadNeck Zebra"
    block = dataset.private_block(0x2001, "Philips Imaging DD 001", create=True)
    block.add_new(0x22, "FL", 12.5)
    block.add_new(0x20, "LO", "T2 of Zebrafish")
    scale = dataset.private_block(0x2005, "Philips MR Imaging DD 001", create=True)
    scale.add_new(0x0E, "FL", 0.5)

    left = scrub(dataset, load_profile("research-mr"), KEY).dataset

    assert left.ReceiveCoilName == "HeadNeck"
    assert left[0x20011022].value == 12.5
    assert left[0x2005100E].value == 0.5
    assert 0x20011020 not in left
