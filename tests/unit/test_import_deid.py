"""Recipes of pydicom/deid: what each line becomes, and which lines are refused."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import tag_for_keyword

from deid_node.config.importing.compose import Draft, compose
from deid_node.config.importing.deid import read_deid
from deid_node.config.importing.read import format_of, read_foreign
from deid_node.config.importing.statements import MOST_BYTES, Reading
from deid_node.errors import ForeignProfileUnreadable
from deid_node.headers.profile import Action
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.headers.scrub import scrub
from tests.planted import mr_instance

OURS = Pseudonyms(bytes(range(32)))
SET_TO_X = (Action.SET, "X")
REMOVED = (Action.REMOVE, "")
EMPTIED = (Action.EMPTY, "")
KEPT = (Action.KEEP, "")
MOVED = (Action.SHIFT, "")


def read(*lines: str) -> Reading:
    return read_deid("\n".join(["FORMAT dicom", "%header", *lines]).encode())


def draft(*lines: str, lenient: bool = False) -> Draft:
    return compose(read(*lines), name="site", lenient=lenient)


def action(made: Draft, keyword: str) -> tuple[Action, str] | None:
    """Find action and value of the rule that the import wrote for an attribute."""
    tag = tag_for_keyword(keyword)
    assert tag is not None
    rule = made.profile.naming_rule(tag)
    return None if rule is None else (rule.action, rule.value)


@pytest.mark.parametrize(
    ("line", "keyword", "expected"),
    [
        ("REMOVE InstitutionName", "InstitutionName", REMOVED),
        ("REMOVE institutionname  # a comment", "InstitutionName", REMOVED),
        ("REMOVE (0008,0080)", "InstitutionName", REMOVED),
        ("REMOVE 00080080", "InstitutionName", REMOVED),
        ("BLANK StudyID", "StudyID", EMPTIED),
        ("KEEP SeriesDescription", "SeriesDescription", KEPT),
        ("REPLACE Manufacturer X # not Y", "Manufacturer", SET_TO_X),
        ("REPLACE PatientID var:code", "PatientID", (Action.PSEUDONYM, "")),
        ("ADD PatientID var:code", "PatientID", (Action.PSEUDONYM, "")),
        ("REPLACE SOPInstanceUID func:make", "SOPInstanceUID", (Action.UID, "")),
        ("REPLACE SOPInstanceUID deid_func:dicom_uuid", "SOPInstanceUID", (Action.UID, "")),
        ("REPLACE StudyDate deid_func:jitter days=3", "StudyDate", MOVED),
        ("JITTER StudyDate 31", "StudyDate", MOVED),
        ("JITTER AcquisitionDateTime var:days", "AcquisitionDateTime", MOVED),
        ("REMOVE startswith:Patient", "PatientAddress", REMOVED),
        ("REMOVE startswith:Patient", "OtherPatientNames", None),
        ("BLANK contains:physician|operator", "OperatorsName", EMPTIED),
        ("REMOVE contains:Patient's Birth", "PatientBirthDate", REMOVED),
        ("REMOVE contains:0010,10", "PatientAge", REMOVED),
        ("REMOVE endswith:Time", "StudyTime", REMOVED),
        ("REMOVE endswith:Time", "EchoTime", REMOVED),
        ("REMOVE endswith:Time", "TimeOfSecondaryCapture", None),
        ("REMOVE select:VR:PN", "OperatorsName", REMOVED),
        ("KEEP select:group:0018", "FlipAngle", KEPT),
        ("KEEP select:GROUP:18", "FlipAngle", KEPT),
        ("JITTER endswith:Date 5", "SeriesDate", MOVED),
    ],
)
def test_each_line_becomes_the_action_that_does_it(
    line: str, keyword: str, expected: tuple[Action, str] | None
) -> None:
    found = read(line)

    assert found.refusals == ()
    assert action(compose(found, name="site"), keyword) == expected


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("REMOVE Birthday", "no such attribute"),
        ("REMOVE", "names no attribute"),
        ("remove PatientName", "capital letters"),
        ("DELETE PatientName", "capital letters"),
        ("ADD StudyComments by us", "adds no attribute"),
        ("ADD StudyDate var:date", "adds no attribute"),
        ("REPLACE StudyDescription func:clean", "outside the recipe"),
        ("REPLACE StudyDate var:date", "outside the recipe"),
        ("REPLACE StudyDate tomorrow", "not valid"),
        ("REPLACE StudyID", "not valid"),
        ("REPLACE ALL func:f", "only REMOVE"),
        ("BLANK ALL", "only REMOVE"),
        ("KEEP ALL", "only REMOVE"),
        ("BLANK except:StudyDate", "only REMOVE"),
        ("REMOVE ALL func:is_name", "without condition"),
        ("REMOVE PatientID func:is_name", "under a condition"),
        ("REMOVE ALL contains:[0-9]", "without condition"),
        ("REMOVE values:names", "values of each instance"),
        ("REMOVE fields:nothing", "no such %fields"),
        ("REMOVE contains:(a+)+$", "no regular expression"),
        ("REMOVE except:.*", "no regular expression"),
        ("REMOVE startswith:Zzz", "no attribute of the dictionary"),
        ("REMOVE select:VM:1", "VR and group"),
        ("REMOVE select:VR:ZZ", "no such VR"),
        ("REMOVE select:group:9998", "no such group"),
        ("REMOVE RequestAttributesSequence__ScheduledProcedureStepID", "every depth"),
        ('KEEP (0033,"MITRA OBJECT UTF8 ATTRIBUTES 1.0",1E)', "private"),
        ('REPLACE 0033,"MITRA",1E x', "writes no private"),
        ("JITTER StudyTime 1", "only a date"),
        ("REMOVE Rows", "can do without"),
        ("KEEP 60003000", "goes from every instance"),
    ],
)
def test_what_a_profile_cannot_say_is_refused_with_its_line(line: str, reason: str) -> None:
    found = read("", "# a comment", line)

    assert [(each.line, reason in each.reason) for each in found.refusals] == [(5, True)]
    assert (found.statements, found.unlisted_line) == ((), None)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("REMOVE Manufacturer", "KEEP Manufacturer"), KEPT),
        (("KEEP Manufacturer", "REPLACE Manufacturer X"), KEPT),
        (("BLANK Manufacturer", "KEEP contains:Manuf"), KEPT),
        (("REMOVE Manufacturer", "REPLACE Manufacturer X"), SET_TO_X),
        (("REPLACE Manufacturer X", "REMOVE Manufacturer"), SET_TO_X),
        (("BLANK Manufacturer", "REMOVE Manufacturer"), REMOVED),
        (("REMOVE Manufacturer", "BLANK Manufacturer"), REMOVED),
        (("BLANK Manufacturer", "REPLACE Manufacturer X"), SET_TO_X),
        (("REPLACE Manufacturer X", "BLANK Manufacturer"), EMPTIED),
        (("REPLACE Manufacturer Y", "REPLACE Manufacturer X"), SET_TO_X),
    ],
)
def test_several_lines_about_one_attribute_are_settled_as_deid_does(
    lines: tuple[str, str], expected: tuple[Action, str]
) -> None:
    assert action(draft(*lines), "Manufacturer") == expected


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (("REMOVE StudyDate", "JITTER StudyDate 1"), MOVED),
        (("JITTER StudyDate 1", "REMOVE StudyDate"), MOVED),
        (("JITTER StudyDate 1", "KEEP StudyDate"), KEPT),
        (("JITTER StudyDate 1", "BLANK StudyDate"), EMPTIED),
        (("BLANK StudyDate", "JITTER StudyDate 1"), EMPTIED),
    ],
)
def test_a_jitter_is_settled_as_deid_does(
    lines: tuple[str, str], expected: tuple[Action, str]
) -> None:
    assert action(draft(*lines), "StudyDate") == expected


def test_a_date_that_is_set_and_moved_is_refused() -> None:
    found = read("REPLACE StudyDate 19700101", "JITTER StudyDate 1")

    assert [each.line for each in found.refusals] == [4]


def test_remove_all_makes_the_profile_strict_and_keeps_what_is_kept() -> None:
    made = draft("REMOVE ALL", "KEEP FlipAngle", "KEEP PixelData")
    dataset = mr_instance()
    result = scrub(dataset, made.profile, OURS).dataset

    assert made.profile.unlisted.standard == "remove"
    assert result.FlipAngle == dataset.FlipAngle
    assert "PixelBandwidth" not in result
    assert result.Rows == dataset.Rows
    assert result.PixelData == dataset.PixelData


def test_what_is_excepted_from_removal_stays_unless_another_line_says_more() -> None:
    made = draft("REMOVE except:Manufacturer", "BLANK ManufacturerModelName")

    assert made.profile.unlisted.standard == "remove"
    assert action(made, "Manufacturer") == KEPT
    assert action(made, "ManufacturerModelName") == EMPTIED


def test_groups_of_fields_are_expanded_where_they_are_named() -> None:
    found = read_deid(
        b"FORMAT dicom\n%fields people\nFIELD endswith:PhysicianName\nFIELD OperatorsName\n"
        b"%header\nREMOVE fields:people\n"
    )
    made = compose(found, name="site")

    assert [each.line for each in found.statements] == [6]
    assert action(made, "OperatorsName") == REMOVED
    assert action(made, "ReferringPhysicianName") == REMOVED


@pytest.mark.parametrize("line", ["FIELD contains:(a+)+", "FIELD except:Date", "FIELD values:v"])
def test_a_group_that_cannot_be_expanded_is_refused_where_it_is_named(line: str) -> None:
    found = read("REMOVE fields:people", "%fields people", "FIELD PatientID", line)

    assert [(each.line, each.reason[:23]) for each in found.refusals] == [
        (3, "a line of %fields peopl")
    ]


def test_a_fields_section_has_nothing_but_fields() -> None:
    found = read("%fields people", "SPLIT PatientID")

    assert [(each.line, "FIELD lines only" in each.reason) for each in found.refusals] == [
        (4, True)
    ]


def test_a_jitter_of_what_is_no_date_does_nothing_as_in_deid() -> None:
    found = read("JITTER endswith:Name 3")

    assert (found.by_node, found.statements, found.refusals) == ((3,), (), ())


def test_an_expander_whose_new_value_does_not_fit_every_attribute_is_refused() -> None:
    found = read("REPLACE endswith:Date somebody")

    assert [(each.line, "not valid" in each.reason) for each in found.refusals] == [(3, True)]
    made = compose(found, name="site", lenient=True)
    assert action(made, "StudyDate") == REMOVED


def test_acquisition_parameters_that_an_expander_hits_are_named() -> None:
    [remark] = draft("REMOVE endswith:Time").remarks

    assert remark.line == 3
    assert "EchoTime" in remark.text
    assert "StudyTime" not in remark.text


def test_an_expander_leaves_alone_what_no_instance_can_do_without() -> None:
    made = draft("REMOVE contains:UID")

    assert action(made, "SOPInstanceUID") is None
    assert action(made, "DeviceUID") == REMOVED
    assert "SOPInstanceUID" in made.remarks[-1].text
    assert scrub(mr_instance(), made.profile, OURS).dataset.SOPInstanceUID.startswith("2.25.")


def test_what_the_node_does_anyway_needs_no_rule() -> None:
    found = read(
        "ADD PatientIdentityRemoved YES",
        "REPLACE MediaStorageSOPInstanceUID new-id",
        'REMOVE (0033,"MITRA OBJECT UTF8 ATTRIBUTES 1.0",1E)',
        "BLANK 60003000",
        "%labels",
        "ADD VERSION 1.0",
    )

    assert found.by_node == (3, 4, 5, 6)
    assert found.disabled == 1
    assert (found.statements, found.refusals) == ((), ())


FILTERED = b"""FORMAT dicom
%filter graylist
# a comment
LABEL A scanner # (somebody)
  contains Manufacturer ACME
  + contains Modality CT || equals Modality PT
  coordinates 0,0,512,110
LABEL Another
  missing Manufacturer
%header
REMOVE PatientAddress
%mystery
anything
"""


def test_rules_about_pixels_are_refused_by_their_label() -> None:
    found = read_deid(FILTERED)

    assert [(each.line, each.about) for each in found.refusals] == [
        (4, "%filter graylist"),
        (8, "%filter graylist"),
        (12, ""),
    ]
    assert [each.line for each in found.statements] == [11]


def test_a_lenient_import_names_what_it_leaves_out_and_removes_the_rest() -> None:
    made = compose(read_deid(FILTERED), name="site", lenient=True)
    other = draft("KEEP StudyDescription", "REPLACE StudyDescription func:clean", lenient=True)

    assert "# Not imported: line 4, %filter graylist: " in made.text
    assert action(made, "PatientAddress") == REMOVED
    assert action(other, "StudyDescription") == REMOVED


@pytest.mark.parametrize(
    ("line", "standard"),
    [
        ("BLANK ALL", "remove"),
        ("REMOVE ALL func:is_name", "remove"),
        ("REPLACE except:Date func:f", "remove"),
        ("REMOVE except:.*", "remove"),
        ("KEEP ALL", "keep-clean"),
    ],
)
def test_a_lenient_import_of_a_line_about_everything_is_strict(line: str, standard: str) -> None:
    assert draft(line, lenient=True).profile.unlisted.standard == standard


def test_times_that_are_kept_beside_moved_dates_are_declared_as_modified() -> None:
    made = draft("KEEP contains:Study", "JITTER SeriesDate 3", "JITTER StudyDate 3")

    assert action(made, "StudyTime") == MOVED
    assert action(made, "StudyDescription") == KEPT
    assert not [each for each in made.remarks if "StudyTime" in each.text]


def test_a_weaker_line_is_named_with_what_it_costs() -> None:
    made = draft("KEEP StudyDescription", "JITTER PatientBirthDate -31", "KEEP EchoTime")

    assert [each.line for each in made.remarks] == [3, 4]
    assert all("drops the claim 113100" in each.text for each in made.remarks)
    assert made.profile.options == frozenset()  # a birth date is no date of the examination


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"FORMAT nifti\n%header\n", "line 1: the format is 'nifti'"),
        (b"FORMAT dicom\n", "no section"),
        (b"", "no section"),
        (b"REMOVE PatientID", "no section"),
        (b"FORMAT dicom\n%header\n\0", "not text"),
        (b"#" * (MOST_BYTES + 1), "longer than"),
    ],
)
def test_what_is_no_recipe_is_refused_in_one_line(content: bytes, message: str) -> None:
    with pytest.raises(ForeignProfileUnreadable) as refusal:
        read_deid(content)

    assert message in str(refusal.value)


def test_a_recipe_in_latin_1_and_with_windows_line_ends_is_read() -> None:
    content = "FORMAT dicom\r\n%header\r\nREPLACE InstitutionName Universität\r\n".encode("latin-1")

    assert action(compose(read_deid(content), name="site"), "InstitutionName") == (
        Action.SET,
        "Universität",
    )


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"\xef\xbb\xbf <script/>", "ctp"),
        (b"# mine\nFORMAT dicom\n", "deid"),
        (b"\n  %header\n", "deid"),
        (b"profile: mine\n", None),
        (b"", None),
    ],
)
def test_the_formats_are_told_apart(content: bytes, expected: str | None) -> None:
    assert format_of(content) == expected


def test_a_file_of_neither_format_is_refused() -> None:
    with pytest.raises(ForeignProfileUnreadable, match="neither a CTP script nor a deid recipe"):
        read_foreign(b"profile: mine\n")


WORDS = st.sampled_from(
    [
        *("REMOVE", "KEEP", "BLANK", "JITTER", "REPLACE", "ADD", "LABEL", "FIELD", "FORMAT dicom"),
        *("%header", "%filter x", "%fields f", "%labels", "%values v", "%", "\n", "\n", "\n"),
        *("PatientID", "StudyDate", "ALL", "contains:UID", "except:Date", "fields:f", "values:v"),
        *("select:VR:PN", "(0010,0010)", '(0033,"A B",1E)', "var:x", "func:y", "1", "#", "é", ":"),
    ]
)


@given(st.lists(WORDS, max_size=40).map(" ".join))
def test_any_text_becomes_a_profile_or_a_typed_refusal(text: str) -> None:
    with contextlib.suppress(ForeignProfileUnreadable):
        found = read_deid(text.replace(" \n ", "\n").encode())
        assert compose(found, name="site", lenient=True).profile.name == "site"


@given(st.binary(max_size=80))
def test_any_bytes_become_a_profile_or_a_typed_refusal(content: bytes) -> None:
    with contextlib.suppress(ForeignProfileUnreadable):
        found = read_foreign(b"%header\n" + content)
        assert compose(found, name="site").profile.name == "site"


def test_an_imported_recipe_does_to_an_instance_what_it_says() -> None:
    made = draft(
        "REPLACE PatientID var:code",
        "REPLACE StudyInstanceUID func:generate_uid",
        "JITTER endswith:Date var:days",
        "KEEP SeriesDescription",
        "REMOVE endswith:Time",
        "BLANK StudyID",
        "REPLACE Manufacturer Somebody",
    )
    dataset = mr_instance()
    result = scrub(dataset, made.profile, OURS).dataset
    moved = {result.StudyDate, result.SeriesDate, result.AcquisitionDate, result.ContentDate}

    assert result.PatientID == OURS.patient(dataset.PatientID)
    assert result.StudyInstanceUID == OURS.uid(dataset.StudyInstanceUID)
    assert len(moved) == 1
    assert moved.isdisjoint({"", dataset.StudyDate})
    assert result.SeriesDescription == dataset.SeriesDescription
    assert not result.get("StudyTime")
    assert not result.get("EchoTime")
    assert "StudyID" in result
    assert not result.StudyID
    assert result.Manufacturer == "Somebody"
    assert "RepetitionTime" not in result
    assert result.FlipAngle == dataset.FlipAngle
