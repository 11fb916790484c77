"""Reports and graphics: what means something stays whole, and what lost its meaning goes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import GrayscaleSoftcopyPresentationStateStorage, MRImageStorage

from deid_node.headers.declaration import codes_of
from deid_node.headers.profile import Option, Profile
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.headers.scrub import Scrubbed, scrub
from tests.planted import INSTANCES
from tests.planted.building import BRAIN, coded, dataset_of, reference
from tests.planted.report import item, measured

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom import Dataset

OURS = Pseudonyms(bytes(range(32)))
COMMENT, LOCAL = codes.DCM.Comment, Code("H1", "99LOCAL", "QUENTIN")


def under(dataset: Dataset, *options: Option) -> Scrubbed:
    profile = Profile(name="t", version=1, edition="2024e", options=frozenset(options))
    return scrub(dataset, profile, OURS)


def report(*content: Dataset) -> Dataset:
    dataset = INSTANCES["SR"]()
    dataset.ContentSequence = Sequence(content)
    return dataset


def kept(*content: Dataset) -> list[Dataset]:
    """Give the content items that a report keeps."""
    output = under(report(*content), Option.CLEAN_STRUCTURED_CONTENT).dataset
    return list(output.get("ContentSequence", []))


def walk(dataset: Dataset) -> Iterator[Dataset]:
    for each in dataset.get("ContentSequence", []):
        yield each
        yield from walk(each)


def test_a_report_that_names_nobody_keeps_every_item_but_its_people_and_dates() -> None:
    source = INSTANCES["SR"]()

    output = under(source, Option.CLEAN_STRUCTURED_CONTENT).dataset

    before = [(each.ValueType, each.RelationshipType) for each in walk(source)]
    assert [(each.ValueType, each.RelationshipType) for each in walk(output)] == before
    texts = [each.TextValue for each in walk(output) if "TextValue" in each]
    assert texts == ["T2 FLAIR of the brain", "brain", "T2 brain"]
    assert [e.PersonName for e in walk(output) if "PersonName" in e] == ["REMOVED"]
    assert {e.Date for e in walk(output) if "Date" in e} == {"19000101"}
    numbers = [e.MeasuredValueSequence[0] for e in walk(output) if e.ValueType == "NUM"]
    assert [number.NumericValue for number in numbers] == [12.5]


@pytest.mark.parametrize("options", [(), (Option.CLEAN_DESCRIPTORS, Option.RETAIN_UIDS)])
def test_without_the_option_a_report_keeps_no_content(options: tuple[Option, ...]) -> None:
    done = under(INSTANCES["SR"](), *options)

    assert "ContentSequence" not in done.dataset
    assert done.dataset.ConceptNameCodeSequence[0].CodeValue == "126000"
    assert "113104" not in codes_of(done.deeds, face_removed=False)


def test_the_option_is_claimed_when_content_was_cleaned() -> None:
    done = under(INSTANCES["SR"](), Option.CLEAN_STRUCTURED_CONTENT)
    nothing = under(INSTANCES["MR"](), Option.CLEAN_STRUCTURED_CONTENT)

    assert "113104" in codes_of(done.deeds, face_removed=False)
    assert "113104" not in codes_of(nothing.deeds, face_removed=False)


@pytest.mark.parametrize(
    "bereft",
    [
        item("TEXT", LOCAL, TextValue="brain"),
        item("CODE", codes.DCM.Finding, ConceptCodeSequence=[coded(LOCAL)]),
        item("NUM", LOCAL, MeasuredValueSequence=measured(1.5, codes.UCUM.CubicMillimeter)),
        item("NUM", codes.SCT.Volume, MeasuredValueSequence=measured(1.5, LOCAL)),
        item("IMAGE", LOCAL, ReferencedSOPSequence=[reference(MRImageStorage, "1.2.3")]),
        item("TABLE", COMMENT, TextValue="brain"),
        dataset_of(
            {"RelationshipType": "INFERRED FROM", "ReferencedContentItemIdentifier": [1, 1]}
        ),
    ],
    ids=lambda each: f"{each.get('ValueType', 'by reference')}",
)
def test_an_item_that_loses_its_name_or_its_value_goes_as_a_whole(bereft: Dataset) -> None:
    whole = item("TEXT", COMMENT, TextValue="brain")

    assert kept(bereft, whole) == [whole]


def test_an_item_without_a_value_to_lose_stays() -> None:
    empty = item("NUM", codes.SCT.Volume, MeasuredValueSequence=[])

    assert kept(empty) == [empty]


def test_what_hangs_on_an_item_goes_with_it() -> None:
    child = item("TEXT", COMMENT, "HAS PROPERTIES", TextValue="brain")
    finding = item("CODE", codes.DCM.Finding, ConceptCodeSequence=[coded(LOCAL)])
    finding.ContentSequence = Sequence([child])

    assert kept(finding) == []


def test_a_container_loses_a_local_heading_and_keeps_its_items() -> None:
    inner = item("TEXT", COMMENT, TextValue="brain")
    (box,) = kept(item("CONTAINER", LOCAL, ContinuityOfContent="SEPARATE", ContentSequence=[inner]))

    assert "ConceptNameCodeSequence" not in box
    assert box.ContentSequence[0].TextValue == "brain"


@pytest.mark.parametrize("options", [(), (Option.CLEAN_STRUCTURED_CONTENT,)])
def test_a_report_whose_title_only_a_vendor_knows_says_that_it_has_one(
    options: tuple[Option, ...],
) -> None:
    source = report()
    source.ConceptNameCodeSequence = Sequence([coded(LOCAL)])

    (title,) = under(source, *options).dataset.ConceptNameCodeSequence

    document_title = codes.DCM.DocumentTitle
    assert (title.CodeValue, title.CodingSchemeDesignator) == document_title[:2]
    assert title.CodeMeaning == document_title.meaning


def test_items_are_cleaned_as_deep_as_they_nest() -> None:
    inner = item("TEXT", COMMENT, TextValue="brain of Quentin")
    for _ in range(8):
        inner = item(
            "CONTAINER", codes.DCM.Findings, ContinuityOfContent="SEPARATE", ContentSequence=[inner]
        )

    innermost = list(walk(under(report(inner), Option.CLEAN_STRUCTURED_CONTENT).dataset))[-1]

    assert innermost.TextValue == "brain of"


def test_text_of_which_no_word_may_stay_says_that_it_was_removed() -> None:
    (only,) = kept(item("TEXT", COMMENT, TextValue="Quentin Zebrafish"))

    assert only.TextValue == "REMOVED"


def test_dates_of_content_follow_the_options_on_dates() -> None:
    dated = report(item("DATETIME", codes.DCM.StudyDate, DateTime="20240229101112"))

    moved = under(dated, Option.CLEAN_STRUCTURED_CONTENT, Option.RETAIN_MODIFIED_DATES).dataset
    full = under(dated, Option.CLEAN_STRUCTURED_CONTENT, Option.RETAIN_FULL_DATES).dataset

    assert full.ContentSequence[0].DateTime == "20240229101112"
    assert moved.ContentSequence[0].DateTime[8:] == "101112"
    assert moved.ContentSequence[0].DateTime[:8] == moved.StudyDate != "20240229"


def test_what_content_points_at_gets_the_uid_that_it_gets_itself() -> None:
    pointer = item(
        "IMAGE",
        codes.DCM.SourceImageForSegmentation,
        ReferencedSOPSequence=[reference(MRImageStorage, "1.2.3.4.5.1")],
    )
    uid = item("UIDREF", codes.DCM.TrackingUniqueIdentifier, UID="1.2.3.4.5.9")

    image, tracked = kept(pointer, uid)

    assert OURS.uid("1.2.3.4.5.1") == image.ReferencedSOPSequence[0].ReferencedSOPInstanceUID
    assert OURS.uid("1.2.3.4.5.9") == tracked.UID


def test_acquisition_context_is_cleaned_by_the_same_rule() -> None:
    dataset = INSTANCES["Enhanced MR"]()
    dataset.AcquisitionContextSequence = Sequence(
        [
            item("CODE", codes.DCM.Finding, ConceptCodeSequence=[coded(code)])
            for code in (BRAIN, LOCAL)
        ]
    )

    output = under(dataset, Option.CLEAN_STRUCTURED_CONTENT).dataset

    codes_left = [e.ConceptCodeSequence[0].CodeValue for e in output.AcquisitionContextSequence]
    assert codes_left == [BRAIN.value]
    assert not under(dataset).dataset.get("AcquisitionContextSequence")


def presentation_state() -> Dataset:
    """Give what matters here of a presentation state: a text and an outline on a layer."""
    text = dataset_of(
        {
            "AnchorPointAnnotationUnits": "PIXEL",
            "UnformattedTextValue": "T2 lesion of Quentin",
            "AnchorPoint": [4.0, 5.0],
            "AnchorPointVisibility": "Y",
        }
    )
    outline = dataset_of(
        {
            "GraphicAnnotationUnits": "PIXEL",
            "GraphicDimensions": 2,
            "NumberOfGraphicPoints": 2,
            "GraphicData": [1.0, 2.0, 3.0, 4.0],
            "GraphicType": "POLYLINE",
        }
    )
    annotation = dataset_of(
        {
            "GraphicLayer": "BRAIN",
            "TextObjectSequence": [text],
            "GraphicObjectSequence": [outline],
        }
    )
    dataset = INSTANCES["SC"]()
    dataset.SOPClassUID = GrayscaleSoftcopyPresentationStateStorage
    dataset.GraphicAnnotationSequence = Sequence([annotation])
    for tag in (0x60000022, 0x60003000, 0x60004000, 0x50003000):
        dataset.add_new(
            tag, "OW" if tag & 0xFFFF == 0x3000 else "LO", b"QX" if tag & 0x3000 == 0x3000 else "T2"
        )
    return dataset


def test_graphics_keep_their_numbers_and_their_text_is_cleaned() -> None:
    done = under(presentation_state(), Option.CLEAN_GRAPHICS)

    annotation = done.dataset.GraphicAnnotationSequence[0]
    assert annotation.GraphicObjectSequence[0].GraphicData == [1.0, 2.0, 3.0, 4.0]
    assert annotation.GraphicObjectSequence[0].GraphicType == "POLYLINE"
    assert annotation.TextObjectSequence[0].UnformattedTextValue == "T2 of"
    assert annotation.TextObjectSequence[0].AnchorPoint == [4.0, 5.0]
    assert "113103" in codes_of(done.deeds, face_removed=False)


def test_without_the_option_graphics_go() -> None:
    done = under(presentation_state())

    assert "GraphicAnnotationSequence" not in done.dataset
    assert "113103" not in codes_of(done.deeds, face_removed=False)


def test_overlays_and_curves_are_bits_and_go_even_when_graphics_are_cleaned() -> None:
    dataset = presentation_state()
    del dataset.GraphicAnnotationSequence

    done = under(dataset, Option.CLEAN_GRAPHICS)

    assert [tag for tag in done.dataset.keys() if tag >> 24 in {0x50, 0x60}] == []  # noqa: SIM118
    assert "113103" not in codes_of(done.deeds, face_removed=False)
