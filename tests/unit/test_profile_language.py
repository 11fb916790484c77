"""What else a profile file can say, and what is refused, always in one line with its place."""

from __future__ import annotations

import textwrap
from dataclasses import fields, replace
from typing import TYPE_CHECKING

import pytest
from pydicom.uid import (
    EncapsulatedPDFStorage,
    EnhancedMRImageStorage,
    HangingProtocolStorage,
    MRImageStorage,
    RawDataStorage,
)

from deid_node.config.profile_file import load_profile
from deid_node.config.profile_mistakes import check_profile
from deid_node.errors import ProfileInvalid, SOPClassNotAccepted
from deid_node.headers.paths import path_mask
from deid_node.headers.profile import (
    Action,
    Option,
    Patients,
    PixelRegion,
    Profile,
    Rule,
    SafePrivate,
    Unlisted,
)
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.headers.scrub import scrub
from deid_node.pipeline.header_only import HeaderScrubber
from tests.planted import mr_instance, written

if TYPE_CHECKING:
    from pathlib import Path

KEY = Pseudonyms(bytes(range(32)))
HEAD = "profile: mine\nversion: 2\nextends: basic\nwhy: A profile of a test.\n"


def file(folder: Path, text: str, name: str = "mine", head: str = HEAD) -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(head.replace("mine", name) + textwrap.dedent(text), encoding="utf-8")
    return path


def loaded(folder: Path, text: str) -> Profile:
    return load_profile(file(folder, text))


def test_a_rule_by_path_is_read_from_a_file_with_its_line(tmp_path: Path) -> None:
    rule = loaded(
        tmp_path,
        """\
        rules:
          - path: RequestAttributesSequence/ScheduledProtocolCodeSequence
            action: keep
            why: The protocol tells the sequence.
          - path: ["**/CodeMeaning", "(0040,0275)/*"]
            action: remove
            why: Two paths in one rule.
        """,
    ).rules[-2:]

    assert rule[0].paths == (path_mask("(0040,0275)/(0040,0008)"),)
    assert [mask.any_depth for mask in rule[1].paths] == [True, False]
    assert [each.origin for each in rule] == ["mine.yaml, line 6", "mine.yaml, line 9"]


def test_a_creator_may_have_several_groups(tmp_path: Path) -> None:
    safe = loaded(
        tmp_path,
        """\
        safe_private:
          - creator: SITE 1
            groups: {"0011": {"0a": DS}, "0013": {"0b": IS, "0C": CS}}
            why: Numbers of the site.
        """,
    ).safe_private

    assert [(each.creator, each.group, each.elements) for each in safe] == [
        ("SITE 1", 0x11, ((0x0A, "DS"),)),
        ("SITE 1", 0x13, ((0x0B, "IS"), (0x0C, "CS"))),
    ]


MISTAKES = [
    (
        "rules: [{path: Nowhere/Ever, action: keep, why: A reason to test.}]",
        "Nowhere is no keyword",
    ),
    ("rules: [{tags: [PatintID], action: keep, why: A reason to test.}]", "did you mean PatientID"),
    ("rules: [{path: A, tags: [B], action: keep, why: A reason to test.}]", "is no keyword"),
    ("rules: [{path: StudyID, vr: [SH], action: keep, why: A reason to test.}]", "or `path`"),
    (
        "rules: [{tags: ['(0019,100C)'], action: keep, why: A reason to test.}]",
        "by `safe_private` only",
    ),
    ("rules: [{path: StudyID, action: keep, whi: A reason to test.}]", "did you mean why?"),
    ("rules: [StudyID]", "rules.0"),
    ("rules: 5", "rules: "),
    ("accept: {sop_classes: [MRImage]}", "MRImage is no keyword of a SOP Class"),
    ("accept: {sop_classes: [RawDataStorage]}", "cannot be told from their header"),
    ("accept: {sop_classes: [EncapsulatedPDFStorage]}", "cannot be told from their header"),
    ("accept: {sop_classes: []}", "holds everything"),
    ("accept: {sop_class: known}", "did you mean sop_classes?"),
    ("patients: {method: table}", "`file` belongs to"),
    ("patients: {method: hmac, file: x.csv}", "`file` belongs to"),
    ("patients: {method: table, file: x.csv, prefix: P}", "whole pseudonyms"),
    ("patients: {prefix: 'A^B'}", "patients.prefix"),
    ("patients: {on_missing: invent}", "patients.on_missing"),
    ("dates: {days: [-10, 10]}", "both before 0 or both after"),
    ("dates: {days: [0, 10]}", "both before 0 or both after"),
    ("dates: {days: [-1, -10]}", "both before 0 or both after"),
    ("dates: {days: [-99999, -1]}", "more than 36500 days"),
    ("dates: {days: [-9]}", "dates.days"),
    ("text: {words: [Skull]}", "text.words.0"),
    ("text: {words: [mr2]}", "text.words.0"),
    ("text: {codes: [lower]}", "text.codes.0"),
    ("text: {codes: [SEVENTEEN_LETTERS]}", "text.codes.0"),
    ("age_cap: 0", "age_cap"),
    ("unlisted: {standard: keep}", "unlisted.standard"),
    ("version: 3", "version: the key is there twice"),
    (
        "safe_private: [{creator: A, group: '0010', elements: {'0a': DS}, why: A reason to test.}]",
        "group",
    ),
    (
        "safe_private: [{creator: A, group: '0007', elements: {'0a': DS}, why: A reason to test.}]",
        "0007",
    ),
    (
        "safe_private: [{creator: A, group: '0011', elements: {'zz': DS}, why: A reason to test.}]",
        "low byte",
    ),
    (
        "safe_private: [{creator: A, group: '0011', elements: {'0a': DS, '0A': IS}, why: A reason to test.}]",
        "twice",
    ),
    ("safe_private: [{creator: A, group: '0011', why: A reason to test.}]", "either `group`"),
    (
        "safe_private: [{creator: A, elements: {'0a': DS}, why: A reason to test.}]",
        "either `group`",
    ),
    (
        "safe_private: [{creator: A, groups: {'0011': {}}, why: A reason to test.}]",
        "without elements",
    ),
    (
        "safe_private: [{creator: 'A\\B', group: '0011', elements: {'0a': DS}, why: A reason to test.}]",
        "creator",
    ),
    (
        "safe_private: [{creator: ' A', group: '0011', elements: {'0a': DS}, why: A reason to test.}]",
        "creator",
    ),
    ("when: 2024-99-99", "not valid YAML"),
    ("rules: " + "[" * 5000, "not valid YAML"),
    ("rules: *nowhere", "not valid YAML"),
]


@pytest.mark.parametrize(("text", "message"), MISTAKES)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ProfileInvalid) as refusal:
        load_profile(file(tmp_path, text))

    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)
    assert "mine.yaml, line 5" in str(refusal.value) or "not valid YAML" in str(refusal.value)


def test_all_mistakes_are_found_at_once_in_the_order_of_the_file(tmp_path: Path) -> None:
    text = """\
        optoins: []
        rules:
          - tags: [StudyID, PatintID]
            action: delete
            why: The site does not want it.
          - vr: [L0]
            action: clean
            why: short
        dates: {days: [5, 1]}
        """

    found = check_profile(file(tmp_path, text)).mistakes

    assert [(each.line, each.place) for each in found] == [
        (5, "optoins"),
        (7, "rules.0.tags.1"),
        (8, "rules.0.action"),
        (10, "rules.1.vr.0"),
        (12, "rules.1.why"),
        (13, "dates"),
    ]
    assert found[0].message == "unknown key; did you mean options?"


def test_a_child_adds_to_lists_and_replaces_only_what_it_says(tmp_path: Path) -> None:
    file(
        tmp_path,
        """\
        options: [retain-uids]
        age_cap: 80
        unlisted: {standard: remove}
        accept: {sop_classes: [MRImageStorage]}
        patients: {prefix: Q}
        dates: {days: [-20, -10]}
        text: {words: [wombat], codes: [WOMBAT]}
        rules: [{tags: [StudyID], action: keep, why: Said by the parent.}]
        """,
        "parent",
    )
    child = loaded(
        tmp_path,
        """\
        options: [clean-descriptors]
        dates: {days: [-40, -30]}
        text: {words: [quokka]}
        rules: [{tags: [StudyID], action: dummy, why: Said by the child.}]
        """.replace("options", "table: 2024e\n        options", 1),
    )
    grandchild = load_profile(
        file(tmp_path, "age_cap: 85", "leaf", HEAD.replace("basic", "parent"))
    )

    assert (grandchild.name, grandchild.version, grandchild.age_cap) == ("leaf", 2, 85)
    assert grandchild.unlisted.standard == "remove"
    assert grandchild.sop_classes == frozenset({MRImageStorage})
    assert grandchild.patients.prefix == "Q"
    assert grandchild.days == (-20, -10)
    assert grandchild.words == {"wombat"}
    assert grandchild.options == {Option.RETAIN_UIDS}
    assert grandchild.rules[-1].why == "Said by the parent."
    assert child.days == (-40, -30)


def test_a_profile_accepts_what_it_names_or_all_that_a_header_tells() -> None:
    known = Profile(name="known", version=1, edition="2024e")
    named = replace(known, sop_classes=frozenset({MRImageStorage, EncapsulatedPDFStorage}))

    assert known.accepts(MRImageStorage)
    assert known.accepts(EnhancedMRImageStorage)
    assert named.accepts(MRImageStorage)
    assert not named.accepts(EnhancedMRImageStorage)
    assert not named.accepts(EncapsulatedPDFStorage)


@pytest.mark.parametrize(
    "uid",
    [
        EncapsulatedPDFStorage,
        *(f"1.2.840.10008.5.1.4.1.1.104.{n}" for n in (2, 3, 4, 5)),  # CDA, STL, OBJ, MTL
        RawDataStorage,
        HangingProtocolStorage,
        "1.2.840.10008.1.3.10",  # Media Storage Directory
        "1.2.840.10008.5.1.4.43.1",  # Generic Implant Template
        "1.2.3.4",
        "",
    ],
)
def test_what_a_header_does_not_tell_is_never_accepted(uid: str) -> None:
    assert not Profile(name="known", version=1, edition="2024e").accepts(uid)


def test_an_instance_that_the_profile_does_not_accept_is_held() -> None:
    only = Profile(
        name="only", version=1, edition="2024e", sop_classes=frozenset({EnhancedMRImageStorage})
    )

    with pytest.raises(SOPClassNotAccepted, match="by profile only"):
        HeaderScrubber(only, KEY).run(written(mr_instance()))


def test_dates_move_by_the_days_of_the_profile(tmp_path: Path) -> None:
    asked = loaded(
        tmp_path, "options: [retain-longitudinal-modified-dates]\ndates: {days: [-3, -3]}"
    )

    assert scrub(mr_instance(), asked, KEY).dataset.StudyDate == "20240226"


def test_words_and_codes_of_the_site_stay_unless_they_are_the_patients(tmp_path: Path) -> None:
    asked = loaded(
        tmp_path,
        """\
        options: [clean-descriptors]
        text: {words: [wombat, zebrafish], codes: [WOMBAT_SCAN]}
        """,
    )
    dataset = mr_instance()
    dataset.SeriesDescription = "T2 Wombat zebrafish quokka"
    dataset.ScanOptions = ["FS", "WOMBAT_SCAN"]

    output = scrub(dataset, asked, KEY).dataset

    assert output.SeriesDescription == "T2 Wombat"
    assert output.ScanOptions == ["FS", "WOMBAT_SCAN"]
    plain = scrub(dataset, load_profile("research-mr"), KEY).dataset
    assert plain.SeriesDescription == "T2"
    assert plain.ScanOptions == ["FS", "REMOVED"]


BASE_RULE = Rule(tags=frozenset({0x00200010}), action=Action.KEEP, why="a reason to test")
BASE = Profile(
    name="base",
    version=1,
    edition="2024e",
    rules=(BASE_RULE,),
    safe_private=(SafePrivate(creator="A", group=0x11, elements=((1, "DS"),)),),
)
CHANGES: dict[str, object] = {
    "name": "other",
    "version": 2,
    "edition": "2025a",
    "options": frozenset({Option.RETAIN_UIDS}),
    "unlisted": Unlisted(standard="remove"),
    "age_cap": 80,
    "sop_classes": frozenset({MRImageStorage}),
    "days": (-9, -8),
    "words": frozenset({"wombat"}),
    "codes": frozenset({"WOMBAT"}),
    "pixel_regions": (PixelRegion(when=(), rectangles=(), why="for this test"),),
}
RULE_CHANGES: dict[str, object] = {
    "tags": frozenset({0x00200011}),
    "masks": ("0020xxxx",),
    "paths": (path_mask("StudyID"),),
    "vrs": frozenset({"SH"}),
    "action": Action.EMPTY,
    "value": "x",
}
PATIENTS_CHANGES: dict[str, object] = {"method": "table", "prefix": "Q", "file": "x.csv"}
SAFE_CHANGES: dict[str, object] = {"creator": "B", "group": 0x13, "elements": ((2, "DS"),)}
TOLD = {"why", "origin", "folder"}


def variants() -> dict[str, Profile]:
    """Give the profile with each field of each of its parts changed by itself."""
    made = {key: replace(BASE, **{key: value}) for key, value in CHANGES.items()}  # type: ignore[arg-type]
    for key, value in RULE_CHANGES.items():
        made[f"rules.{key}"] = replace(BASE, rules=(replace(BASE_RULE, **{key: value}),))  # type: ignore[arg-type]
    for key, value in PATIENTS_CHANGES.items():
        made[f"patients.{key}"] = replace(BASE, patients=replace(Patients(), **{key: value}))  # type: ignore[arg-type]
    for key, value in SAFE_CHANGES.items():
        changed = replace(BASE.safe_private[0], **{key: value})  # type: ignore[arg-type]
        made[f"safe_private.{key}"] = replace(BASE, safe_private=(changed,))
    return made


def test_the_digest_changes_with_any_field_and_every_field_is_tried() -> None:
    parts = {
        "": (Profile, {"rules", "patients", "safe_private"}),
        "rules.": (Rule, set[str]()),
        "patients.": (Patients, set[str]()),
        "safe_private.": (SafePrivate, set[str]()),
    }
    expected = {
        f"{part}{field.name}"
        for part, (kind, inner) in parts.items()
        for field in fields(kind)
        if field.name not in TOLD | inner
    }

    made = variants()

    assert set(made) == expected
    digests = [BASE.digest(), *(each.digest() for each in made.values())]
    assert len(set(digests)) == len(digests)


def test_the_digest_says_nothing_of_reasons_lines_and_folders() -> None:
    told = replace(
        BASE,
        why="another reason",
        rules=(replace(BASE_RULE, why="another reason", origin="x.yaml, line 3"),),
        patients=Patients(folder="/somewhere"),
    )

    assert told.digest() == BASE.digest()
