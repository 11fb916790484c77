"""The short way over bytes gives, bit for bit, what the long way over pydicom gives."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import dictionary_VR
from pydicom.encaps import encapsulate
from pydicom.uid import (
    CTImageStorage,
    JPEG2000Lossless,
    MRImageStorage,
    RLELossless,
    SecondaryCaptureImageStorage,
)

from deid_node.config.profile_file import load_profile
from deid_node.dicom.wire import Unsuited, read_part10
from deid_node.errors import DeidNodeError
from deid_node.headers import splice, tally
from deid_node.headers.paths import path_mask
from deid_node.headers.profile import Action, Profile, Rule
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.headers.splice import MOST_SUBJECTS
from deid_node.pipeline.header_only import HeaderScrubber
from tests.datasets import instances, part10
from tests.fakes.csa_headers import Drawn
from tests.planted import INSTANCES, mr_instance, planted, written

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom import Dataset

    from deid_node.pipeline.header_only import ScrubbedInstance
    from tests.datasets import Plain

KEY = Pseudonyms(bytes(range(32)))
PROFILES = {name: load_profile(name) for name in ("basic", "research-mr")}
WARM = {name: HeaderScrubber(profile, KEY) for name, profile in PROFILES.items()}
"""Scrubbers that have seen all that hypothesis gave before."""


SERIES_DESCRIPTION = 0x0008103E
SOURCE_IMAGES = 0x00082112
REFERENCED_IMAGES = 0x00081140
OPERATORS = 0x00081070


def with_rules(*rules: dict[str, Any]) -> Profile:
    made = tuple(Rule(why="for this test", **rule) for rule in rules)
    keep_sequences = Rule(
        tags=frozenset({SOURCE_IMAGES, REFERENCED_IMAGES}), action=Action.KEEP, why="for this test"
    )
    basic = PROFILES["basic"]
    return replace(basic, rules=(*basic.rules, keep_sequences, *made))


def by_pydicom(scrubber: HeaderScrubber, file: bytes) -> ScrubbedInstance:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's, about the values that are broken on purpose
        return scrubber._as_dataset(file)


def assert_same(scrubber: HeaderScrubber, file: bytes) -> None:
    short, long = scrubber._as_bytes(file), by_pydicom(scrubber, file)
    assert short.deeds == long.deeds
    assert short.codes == long.codes
    assert short.encoded == long.encoded


@pytest.mark.parametrize("profile", PROFILES)
@given(data=st.data())
def test_both_ways_give_the_same_bytes(profile: str, data: st.DataObject) -> None:
    file = data.draw(instances())
    try:
        short = WARM[profile]._as_bytes(file)
    except DeidNodeError as error:
        with pytest.raises(type(error)):
            by_pydicom(WARM[profile], file)
        return
    long = by_pydicom(WARM[profile], file)
    assert short.deeds == long.deeds
    assert short.codes == long.codes
    assert short.encoded == long.encoded


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("implicit", [False, True])
def test_planted_identifiers_take_the_short_way(profile: str, *, implicit: bool) -> None:
    dataset, _ = planted()

    assert_same(HeaderScrubber(PROFILES[profile], KEY), written(dataset, implicit=implicit))


def varied(dataset: Dataset, number: int) -> bytes:
    dataset.SOPInstanceUID = f"1.2.3.{number}"
    dataset.InstanceNumber = str(number)
    dataset.ImagePositionPatient = ["-1.5", str(number / 3)[:8], "7"]
    dataset.ContentDate = f"202402{number % 28 + 1:02}"
    dataset.ContentTime = f"1011{number % 60:02}.5"
    dataset.SmallestImagePixelValue = number
    dataset.DiffusionBValue = number / 7
    return written(dataset)


def test_what_came_before_leaves_no_trace() -> None:
    warm = HeaderScrubber(PROFILES["research-mr"], KEY)
    files = []
    for patient in range(MOST_SUBJECTS + 2):
        dataset = mr_instance()
        dataset.PatientID = f"MRN-{patient}"
        files += [varied(dataset, number) for number in range(3)]
    mixed = [*files, *files[::-1]]

    for file in mixed:
        fresh = HeaderScrubber(PROFILES["research-mr"], KEY)
        assert warm._as_bytes(file).encoded == fresh._as_bytes(file).encoded


def test_one_patient_after_another_is_not_taken_for_the_first() -> None:
    scrubber = HeaderScrubber(PROFILES["research-mr"], KEY)
    first, second = mr_instance(), mr_instance()
    first.SeriesDescription = second.SeriesDescription = "T2 Brain"
    second.PatientName = "BRAIN^ADA"

    assert b"T2 Brain" in scrubber._as_bytes(written(first)).encoded.part10
    assert b"Brain" not in scrubber._as_bytes(written(second)).encoded.part10


def test_the_same_bytes_in_another_character_set_are_other_text() -> None:
    scrubber = HeaderScrubber(
        with_rules({"tags": frozenset({SERIES_DESCRIPTION}), "action": Action.KEEP}), KEY
    )
    for charset in (b"ISO_IR 100", b"ISO_IR 144", b"ISO_IR 192"):
        text = ("LO", "T2 Größe ".encode("latin-1"))
        assert_same(scrubber, part10({0x00080005: ("CS", charset), SERIES_DESCRIPTION: text}))


def test_without_a_patient_id_every_study_is_a_patient() -> None:
    scrubber = HeaderScrubber(PROFILES["research-mr"], KEY)
    new = set()
    for study in (b"1.2.3.4", b"1.2.3.5"):
        study_uid = ("UI", study + b"\0")
        file = part10({0x00100020: ("LO", b"  "), 0x0020000D: study_uid})
        assert_same(scrubber, file)
        new.add(scrubber._as_bytes(file).linkage.of("patient").new)
    assert len(new) == 2


def test_little_room_to_remember_changes_no_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(splice, "MOST_BYTES", 3000)
    monkeypatch.setattr(tally, "MOST_ACCOUNTS", 1)
    monkeypatch.setattr(splice, "MOST_NUMBERS", 20)
    scrubber = HeaderScrubber(PROFILES["research-mr"], KEY)
    for number in range(30):
        dataset = mr_instance()
        dataset.ImageComments = "T2" if number % 2 else None
        assert_same(scrubber, varied(dataset, number))
        dataset.PatientID = f"MRN-{number // 10}"
        assert_same(scrubber, varied(dataset, number))
    *_, subject = scrubber._splicer._subjects.values()
    held = sum(len(key) for key in subject._known if isinstance(key, bytes))
    assert held <= 3000
    assert len(scrubber._splicer._tally._accounts) == 1


@pytest.mark.parametrize("action", [Action.REMOVE, Action.DUMMY])
def test_a_uid_that_must_be_there_is_never_the_same_for_two(action: Action) -> None:
    scrubber = HeaderScrubber(
        with_rules({"tags": frozenset({0x00080018, 0x0020000D}), "action": action}), KEY
    )
    made = {
        scrubber.run(varied(mr_instance(), number)).encoded.sop_instance_uid for number in range(3)
    }
    assert len(made) == 3


def test_patients_share_nothing_that_tells_them_apart() -> None:
    scrubber = HeaderScrubber(PROFILES["research-mr"], KEY)
    for name, number in ((b"DOE^JANE", b"1 "), (b"ROE^RICK", b"2 "), (None, b"3 ")):
        dataset = mr_instance()
        dataset.PatientID = f"MRN-{number.decode()}"
        if name is None:
            del dataset.PatientName
        else:
            dataset.PatientName = name.decode()
        assert_same(scrubber, written(dataset))


def test_a_private_element_that_goes_for_one_creator_stays_for_another() -> None:
    scrubber = HeaderScrubber(PROFILES["research-mr"], KEY)
    for creator in (b"SOMEBODY", b"SIEMENS MR HEADER ", b"SOMEBODY"):
        extra: Plain = {0x00190010: ("LO", creator), 0x0019100C: ("IS", b"1000")}
        assert_same(scrubber, part10(extra))
    kept = scrubber._as_bytes(
        part10({0x00190010: ("LO", b"SIEMENS MR HEADER "), 0x0019100C: ("IS", b"1000")})
    )
    assert 0x0019100C in read_part10(kept.encoded.part10).dataset


def test_an_attribute_has_the_way_of_its_own_iod() -> None:
    scrubber = HeaderScrubber(PROFILES["research-mr"], KEY)
    for sop_class in (MRImageStorage, CTImageStorage, SecondaryCaptureImageStorage):
        for signed in (b"\0\0", b"\1\0"):
            value = sop_class.encode() + b"\0" * (len(sop_class) % 2)
            extra: Plain = {
                0x00080016: ("UI", value),
                0x00280103: ("US", signed),
                0x00280106: ("US", b"\1\2"),
                0x00180060: ("DS", b"120 "),
            }
            for implicit in (False, True):
                assert_same(scrubber, part10(extra, implicit=implicit))


def test_an_instance_of_another_character_set_is_read_by_its_own() -> None:
    scrubber = HeaderScrubber(PROFILES["basic"], KEY)
    for charset in ("ISO_IR 100", "ISO_IR 192", "ISO_IR 144"):
        dataset = mr_instance()
        dataset.SpecificCharacterSet = charset
        dataset.SeriesDescription = "T2 Größe" if charset != "ISO_IR 144" else "T2 Щж"
        assert_same(scrubber, written(dataset))


@pytest.mark.parametrize("syntax", [RLELossless, JPEG2000Lossless])
def test_fragments_stay_as_they_are(syntax: str) -> None:
    dataset = mr_instance()
    fragments = encapsulate([b"\1\2\3\4" * 9, b"\xfe\xff\xdd\xe0\0\0\0\0"])
    dataset.PixelData = fragments
    dataset["PixelData"].VR = "OB"
    dataset["PixelData"].is_undefined_length = True
    file = written(dataset, syntax=syntax)

    done = HeaderScrubber(PROFILES["basic"], KEY)._as_bytes(file)

    assert fragments in done.encoded.part10
    assert done.encoded.transfer_syntax_uid == syntax


def test_a_claim_of_somebody_else_about_the_face_is_taken_back() -> None:
    scrubber = HeaderScrubber(PROFILES["basic"], KEY)
    for claim in ("NO", "YES"):
        dataset = mr_instance()
        dataset.RecognizableVisualFeatures = claim
        assert_same(scrubber, written(dataset))
        has_claim = (
            0x00280302 in read_part10(scrubber._as_bytes(written(dataset)).encoded.part10).dataset
        )
        assert has_claim == (claim == "YES")


def test_values_of_odd_length_are_padded() -> None:
    odd = {0x00185100: b"HFS", 0x00201041: b"1.5", 0x00080033: b"101", 0x00281050: b"7\\8"}
    extra: Plain = {tag: (dictionary_VR(tag), value) for tag, value in odd.items()}
    assert_same(HeaderScrubber(PROFILES["basic"], KEY), part10(extra))


def test_an_element_in_items_is_read_by_the_character_set_of_its_item() -> None:
    profile = with_rules({"tags": frozenset({SERIES_DESCRIPTION}), "action": Action.KEEP})
    text = ("LO", "T2 Größe ".encode("latin-1"))
    items: list[Plain] = [
        {0x00080005: ("CS", b"ISO_IR 100"), SERIES_DESCRIPTION: text},
        {0x00080005: ("CS", b"ISO_IR 144"), SERIES_DESCRIPTION: text},
    ]
    file = part10({SOURCE_IMAGES: ("SQ", items)})
    assert_same(HeaderScrubber(profile, KEY), file)
    assert "T2 Größe".encode() in HeaderScrubber(profile, KEY)._as_bytes(file).encoded.part10


def test_the_same_element_at_two_places_may_meet_two_fates() -> None:
    profile = with_rules(
        {"paths": (path_mask("SourceImageSequence/SeriesDescription"),), "action": Action.KEEP},
    )
    item: Plain = {SERIES_DESCRIPTION: ("LO", b"T2 qzvex")}
    extra: Plain = {SOURCE_IMAGES: ("SQ", [item]), REFERENCED_IMAGES: ("SQ", [item])}
    assert_same(HeaderScrubber(profile, KEY), part10(extra))


def test_deeds_in_items_are_counted_each_time() -> None:
    items: list[Plain] = [
        {0x00081155: ("UI", b"1.2.3\0"), SERIES_DESCRIPTION: ("LO", b"T2 qzvex")},
        {0x00081155: ("UI", b"1.2.3\0"), SERIES_DESCRIPTION: ("LO", b"T2 qzvex")},
    ]
    assert_same(
        HeaderScrubber(PROFILES["research-mr"], KEY), part10({REFERENCED_IMAGES: ("SQ", items)})
    )


def test_text_beyond_ascii_in_an_item_declares_its_character_set_again_and_again() -> None:
    profile = with_rules({"tags": frozenset({SERIES_DESCRIPTION}), "action": Action.KEEP})
    scrubber = HeaderScrubber(profile, KEY)
    for number in range(3):
        item: Plain = {
            SERIES_DESCRIPTION: ("LO", "Größe ".encode()),
            0x00081160: ("IS", f"{number} ".encode()),
        }
        extra: Plain = {0x00080005: ("CS", b"ISO_IR 192"), SOURCE_IMAGES: ("SQ", [item])}
        assert_same(scrubber, part10(extra))


def test_names_lose_empty_groups_at_their_end() -> None:
    profile = with_rules({"tags": frozenset({OPERATORS}), "action": Action.KEEP})
    scrubber = HeaderScrubber(profile, KEY)
    for name in (b"MRI==", b"MRI=\\X^Y=", b"=="):
        assert_same(scrubber, part10({OPERATORS: ("PN", name + b" " * (len(name) % 2))}))


@pytest.mark.parametrize("implicit", [False, True])
@pytest.mark.parametrize("vr", ["OB", "UN"])
@pytest.mark.parametrize("csa1", [False, True])
def test_a_csa_header_comes_out_the_same(vr: str, *, csa1: bool, implicit: bool) -> None:
    scrubber = HeaderScrubber(PROFILES["research-mr"], KEY)
    header = Drawn(csa1=csa1).written()
    for value in (header, header[:-3], header[:200], b"SV10", b"", header + bytes(5000)):
        dataset = INSTANCES["Enhanced MR"]()
        for level in (dataset, dataset.PerFrameFunctionalGroupsSequence[0]):
            block = level.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
            block.add_new(0x10, vr, value)
            block.add_new(0x20, vr, header)
        file = written(dataset, implicit=implicit)

        assert_same(scrubber, file)
        n_kept = scrubber._as_bytes(file).encoded.part10.count(b"BandwidthPerPixelPhaseEncode")
        assert n_kept == (2 if len(value) >= len(header) - 3 else 0)


@pytest.mark.heads
def test_both_ways_agree_on_files_of_the_world(shared_data: Path) -> None:
    scrubber = HeaderScrubber(PROFILES["research-mr"], KEY)
    files = [path for path in sorted(shared_data.rglob("*")) if path.is_file()]
    files = [path for path in files if path.stat().st_size < 2_000_000][::3]
    n_same = 0
    for path in files:
        file = path.read_bytes()
        try:
            scrubber._as_bytes(file)
        except (Unsuited, DeidNodeError):
            continue
        assert_same(scrubber, file)
        n_same += 1
    assert n_same > 100
