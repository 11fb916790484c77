"""What an instance says about itself follows from what was done to it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydicom.sr.codedict import codes
from pydicom.uid import MRImageStorage

from deid_node.config.profile_file import load_profile
from deid_node.headers.confidentiality import Option
from deid_node.headers.declaration import BASIC, CODES, codes_of, declare
from deid_node.headers.profile import Action, Profile, Rule
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.headers.scrub import scrub
from deid_node.pipeline.pixel_regions import PIXELS_CLEANED
from tests.planted import INSTANCES, mr_instance, planted
from tests.planted.building import dataset_of

if TYPE_CHECKING:
    from pydicom import Dataset

OURS = Pseudonyms(bytes(range(32)))


def declared(profile: Profile, dataset: Dataset, *, face_removed: bool = False) -> Dataset:
    done = scrub(dataset, profile, OURS)
    return declare(
        done.dataset, profile=profile, deeds=done.deeds, face_removed=face_removed, recipe="abc123"
    )


def values(dataset: Dataset) -> list[str]:
    return [entry.CodeValue for entry in dataset.DeidentificationMethodCodeSequence]


def with_options(*options: Option, rules: tuple[Rule, ...] = ()) -> Profile:
    return Profile(name="t", version=1, edition="2024e", options=frozenset(options), rules=rules)


def test_codes_and_meanings_are_those_of_cid_7050() -> None:
    listed = [getattr(codes.cid7050, name) for name in codes.cid7050.dir()]
    known = {code.value: code.meaning for code in listed}

    assert dict([BASIC, *CODES.values()]) == known


def test_basic_claims_the_basic_profile_and_nothing_more() -> None:
    output = declared(load_profile("basic"), mr_instance())

    assert output.PatientIdentityRemoved == "YES"
    assert values(output) == ["113100"]
    assert output.LongitudinalTemporalInformationModified == "REMOVED"
    assert "RecognizableVisualFeatures" not in output
    assert "BurnedInAnnotation" not in output


def test_the_method_names_program_profile_and_edition() -> None:
    output = declared(load_profile("research-mr"), mr_instance())

    assert list(output.DeidentificationMethod) == [
        "deid-node",
        f"profile research-mr {load_profile('research-mr').version}",
        "PS3.15 2024e",
        "recipe abc123",
    ]


def test_research_claims_the_options_that_found_something() -> None:
    output = declared(load_profile("research-mr"), mr_instance(), face_removed=True)

    assert values(output) == ["113100", "113102", "113105", "113107", "113108"]
    assert output.LongitudinalTemporalInformationModified == "MODIFIED"
    assert output.RecognizableVisualFeatures == "NO"


def test_an_option_that_found_nothing_is_not_claimed() -> None:
    dataset = mr_instance()
    for keyword in ("SeriesDescription", "PatientSex", "PatientAge", "PatientWeight"):
        delattr(dataset, keyword)

    assert values(declared(load_profile("research-mr"), dataset)) == ["113100", "113107"]


def test_safe_private_is_claimed_when_an_element_stayed() -> None:
    dataset = mr_instance()
    dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", "0")

    assert "113111" in values(declared(load_profile("research-mr"), dataset))


def test_full_dates_are_unmodified() -> None:
    output = declared(with_options(Option.RETAIN_FULL_DATES), mr_instance())

    assert output.LongitudinalTemporalInformationModified == "UNMODIFIED"
    assert output.StudyDate == "20240229"
    assert "113106" in values(output)


@pytest.mark.parametrize(
    ("keywords", "action", "said"),
    [
        (["StudyDate"], Action.SHIFT, "MODIFIED"),
        (["StudyDate"], Action.CLEAN, "MODIFIED"),
        (["StudyDate"], Action.KEEP, "UNMODIFIED"),
        (["StudyTime"], Action.KEEP, "MODIFIED"),
        (["StudyDate"], Action.DUMMY, "REMOVED"),
        (["StudyDate"], Action.EMPTY, "REMOVED"),
    ],
)
def test_dates_that_a_rule_alone_lets_stay_are_told(
    keywords: list[str], action: Action, said: str
) -> None:
    tags = frozenset(int(mr_instance()[keyword].tag) for keyword in keywords)
    rule = Rule(tags=tags, action=action, why="a site's wish")

    output = declared(with_options(rules=(rule,)), mr_instance())

    assert output.LongitudinalTemporalInformationModified == said


def test_a_date_of_no_row_that_a_rule_keeps_is_told_too() -> None:
    dataset = mr_instance()
    dataset.ExpiryDate = "20260101"
    rule = Rule(tags=frozenset({0x00141020}), action=Action.KEEP, why="a site's wish")

    output = declared(with_options(rules=(rule,)), dataset)

    assert output.ExpiryDate == "20260101"
    assert output.LongitudinalTemporalInformationModified == "UNMODIFIED"


def test_dates_of_which_some_are_moved_and_some_kept_are_modified() -> None:
    rule = Rule(tags=frozenset({0x00080020}), action=Action.KEEP, why="a site's wish")

    output = declared(with_options(Option.RETAIN_MODIFIED_DATES, rules=(rule,)), mr_instance())

    assert output.StudyDate == "20240229" != output.SeriesDate
    assert output.LongitudinalTemporalInformationModified == "MODIFIED"


def test_full_times_without_any_date_are_unmodified() -> None:
    dataset = mr_instance()
    for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
        delattr(dataset, keyword)
    del dataset.AcquisitionDateTime

    output = declared(with_options(Option.RETAIN_FULL_DATES), dataset)

    assert output.LongitudinalTemporalInformationModified == "UNMODIFIED"


def test_a_creator_whose_block_went_claims_nothing() -> None:
    dataset = mr_instance()
    dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "LO", "QUENTIN")

    assert "113111" not in values(declared(load_profile("research-mr"), dataset))


def test_no_profile_alone_claims_that_pixel_data_was_cleaned() -> None:
    every = with_options(*set(Option) - {Option.CLEAN_PIXEL_DATA, Option.RETAIN_FULL_DATES})
    for make in INSTANCES.values():
        dataset, _ = planted()
        for source in (make(), dataset):
            assert "113101" not in values(declared(every, source, face_removed=True))


@pytest.mark.parametrize("stated", ["YES", "NO", None])
def test_clean_pixel_data_is_claimed_where_a_deed_says_so_whatever_was_stated(
    stated: str | None,
) -> None:
    dataset, profile = mr_instance(), load_profile("basic")
    if stated is not None:
        dataset.BurnedInAnnotation = stated
    done = scrub(dataset, profile, OURS)
    deeds = (*done.deeds, PIXELS_CLEANED)

    output = declare(done.dataset, profile=profile, deeds=deeds, face_removed=False)

    assert values(output) == ["113100", "113101"]
    assert output.BurnedInAnnotation == "NO"
    assert codes_of(deeds, face_removed=False) == ("113100", "113101")


@pytest.mark.parametrize("stated", ["YES", "NO", None])
def test_what_the_source_states_of_burned_in_annotation_is_repeated(stated: str | None) -> None:
    dataset = mr_instance()
    if stated is not None:
        dataset.BurnedInAnnotation = stated

    assert declared(load_profile("basic"), dataset).get("BurnedInAnnotation") == stated


OPTION_CODES = {
    Option.CLEAN_STRUCTURED_CONTENT: ("ContentSequence", "113104"),
    Option.CLEAN_DESCRIPTORS: ("SeriesDescription", "113105"),
    Option.RETAIN_PATIENT_CHARACTERISTICS: ("PatientWeight", "113108"),
    Option.RETAIN_DEVICE_IDENTITY: ("DeviceSerialNumber", "113109"),
    Option.RETAIN_UIDS: ("StudyInstanceUID", "113110"),
    Option.RETAIN_INSTITUTION_IDENTITY: ("InstitutionName", "113112"),
}


@pytest.mark.parametrize(("option", "keyword", "code"), [(o, *v) for o, v in OPTION_CODES.items()])
def test_each_option_is_claimed_by_the_instances_in_which_it_kept_something(
    option: Option, keyword: str, code: str
) -> None:
    here = {
        "SR": INSTANCES["SR"](),
        "MR": mr_instance(),
        "empty": dataset_of({"SOPClassUID": MRImageStorage}),
    }
    here["MR"].DeviceSerialNumber = "4711"
    here["MR"].InstitutionName = "Spital"

    claims = {
        name: code in values(declared(with_options(option), source))
        for name, source in here.items()
        if keyword in source
    }

    assert claims
    assert all(claims.values())
    assert code not in values(declared(with_options(option), here["empty"]))


def test_a_profile_weaker_than_the_standard_does_not_claim_it() -> None:
    weak = with_options(
        rules=(Rule(tags=frozenset({0x00080080}), action=Action.KEEP, why="a site's wish"),)
    )
    dataset = mr_instance()
    dataset.InstitutionName = "brain"

    assert values(declared(weak, dataset)) == []
    assert "113100" in values(declared(weak, mr_instance()))


def test_the_face_is_never_claimed_from_the_profile_alone() -> None:
    done = scrub(mr_instance(), load_profile("research-mr"), OURS)

    assert "113102" not in codes_of(done.deeds, face_removed=False)
    assert "113102" in codes_of(done.deeds, face_removed=True)


@pytest.mark.parametrize("claim", ["YES", "NO"])
def test_an_earlier_claim_about_the_face_is_only_repeated_if_it_warns(claim: str) -> None:
    dataset = mr_instance()
    dataset.RecognizableVisualFeatures = claim

    output = declared(load_profile("basic"), dataset)

    assert output.get("RecognizableVisualFeatures") == ("YES" if claim == "YES" else None)


def test_an_earlier_declaration_is_replaced() -> None:
    dataset = mr_instance()
    dataset.DeidentificationMethod = "by Dr. Quentin"

    output = declared(load_profile("basic"), dataset)

    assert "Quentin" not in str(output)


def test_the_argument_is_not_changed() -> None:
    profile = load_profile("basic")
    done = scrub(mr_instance(), profile, OURS)

    declare(done.dataset, profile=profile, deeds=done.deeds, face_removed=True)

    assert "PatientIdentityRemoved" not in done.dataset
