"""Profiles: which rule decides, and how files become profiles."""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

import pytest
from pydicom.datadict import tag_for_keyword
from pydicom.uid import MRImageStorage

from deid_node.config.profile_file import load_profile, shipped_profiles
from deid_node.errors import ProfileInvalid
from deid_node.headers.plan import Decision, explain, plan
from deid_node.headers.profile import Action, Option, Profile, Rule, Unlisted

if TYPE_CHECKING:
    from pathlib import Path


def profile(*rules: Rule, **facts: object) -> Profile:
    return Profile(name="test", version=1, edition="2024e", rules=rules, **facts)  # type: ignore[arg-type]


def rule(action: Action, *keywords: str, **facts: object) -> Rule:
    tags = frozenset(tag for k in keywords if (tag := tag_for_keyword(k)) is not None)
    return Rule(tags=tags, action=action, why="a reason to test", **facts)  # type: ignore[arg-type]


def decided(asked: Profile, keyword: str) -> Decision:
    tag = tag_for_keyword(keyword)
    assert tag is not None
    return explain(asked, tag, MRImageStorage)


def test_a_named_tag_wins_over_a_mask_and_the_table() -> None:
    asked = profile(rule(Action.KEEP, "StudyDescription"), rule(Action.EMPTY, masks=("0008xxxx",)))

    assert decided(asked, "StudyDescription").action is Action.KEEP
    assert decided(asked, "SeriesDescription").action is Action.EMPTY


def test_of_two_rules_for_one_tag_the_later_wins() -> None:
    asked = profile(rule(Action.KEEP, "StudyID"), rule(Action.REMOVE, "StudyID"))

    assert decided(asked, "StudyID").action is Action.EMPTY  # Type 2: removing would break the IOD


def test_a_rule_by_vr_cannot_undo_the_table() -> None:
    asked = profile(rule(Action.KEEP, vrs=frozenset({"LO", "SH"})))

    assert decided(asked, "InstitutionName").action is Action.REMOVE
    assert decided(asked, "ReceiveCoilName").action is Action.KEEP


def test_what_nothing_names_goes_by_kind() -> None:
    asked = profile()

    assert decided(asked, "EchoTime").action is Action.KEEP
    assert decided(asked, "ReceiveCoilName").action is Action.CLEAN
    assert decided(asked, "PixelData").action is Action.KEEP
    assert decided(asked, "DiffusionBValue").action is Action.REMOVE  # not in the MR IOD
    assert decided(asked, "RelatedGeneralSOPClassUID").action is Action.UID
    assert decided(asked, "SOPAuthorizationComment").action is Action.REMOVE
    assert explain(asked, 0x00109999, MRImageStorage).authority == "unknown"


def test_a_strict_profile_keeps_only_what_the_iod_asks_for() -> None:
    asked = profile(unlisted=Unlisted(standard="remove"))

    assert decided(asked, "EchoTime").action is Action.KEEP
    assert decided(asked, "FlipAngle").action is Action.REMOVE


@pytest.mark.parametrize(
    ("keyword", "options", "action"),
    [
        ("StudyDate", (), Action.EMPTY),
        ("StudyDate", (Option.RETAIN_MODIFIED_DATES,), Action.SHIFT),
        ("StudyTime", (Option.RETAIN_MODIFIED_DATES,), Action.KEEP),
        ("StudyDate", (Option.RETAIN_FULL_DATES,), Action.KEEP),
        ("StudyDate", (Option.RETAIN_FULL_DATES, Option.RETAIN_MODIFIED_DATES), Action.SHIFT),
        ("PatientBirthDate", (Option.RETAIN_FULL_DATES,), Action.EMPTY),
        ("SeriesDescription", (), Action.REMOVE),
        ("SeriesDescription", (Option.CLEAN_DESCRIPTORS,), Action.CLEAN),
        ("SOPInstanceUID", (), Action.UID),
        ("SOPInstanceUID", (Option.RETAIN_UIDS,), Action.KEEP),
        ("DeviceSerialNumber", (Option.RETAIN_DEVICE_IDENTITY,), Action.KEEP),
        ("InstitutionName", (Option.RETAIN_INSTITUTION_IDENTITY,), Action.KEEP),
        ("PatientSex", (Option.RETAIN_PATIENT_CHARACTERISTICS,), Action.KEEP),
        ("ReferencedImageSequence", (), Action.REMOVE),
        ("AcquisitionDate", (), Action.REMOVE),
        ("ContentDate", (), Action.EMPTY),
    ],
)
def test_options_override_the_basic_column(
    keyword: str, options: tuple[Option, ...], action: Action
) -> None:
    asked = profile(options=frozenset(options))

    assert decided(asked, keyword).action is action


def test_a_decision_names_the_option_it_comes_from() -> None:
    asked = profile(options=frozenset({Option.RETAIN_MODIFIED_DATES}))

    assert decided(asked, "StudyDate").option is Option.RETAIN_MODIFIED_DATES
    assert decided(asked, "PatientName").option is None


@pytest.mark.parametrize(
    ("action", "options", "departs"),
    [
        (Action.KEEP, (), True),
        (Action.CLEAN, (), True),
        (Action.REMOVE, (), False),
        (Action.DUMMY, (), False),
        (Action.CLEAN, (Option.CLEAN_DESCRIPTORS,), False),
        (Action.KEEP, (Option.CLEAN_DESCRIPTORS,), True),
    ],
)
def test_a_rule_weaker_than_the_table_departs_from_it(
    action: Action, options: tuple[Option, ...], *, departs: bool
) -> None:
    asked = profile(rule(action, "SeriesDescription"), options=frozenset(options))

    assert decided(asked, "SeriesDescription").departs is departs


@pytest.mark.parametrize(
    "tag", [0x00280000, 0x60003000, 0x50000005, 0xFFFCFFFC, 0x00880200, 0x00020016]
)
def test_no_rule_keeps_a_structure_that_hides_things(tag: int) -> None:
    asked = profile(Rule(tags=frozenset({tag}), action=Action.KEEP, why="a reason to test"))

    assert explain(asked, tag, MRImageStorage).action is Action.REMOVE


@pytest.mark.parametrize("edition", ["2011a", "''", '"20\\n24e"'])
def test_a_file_for_another_edition_of_the_table_is_refused(tmp_path: Path, edition: str) -> None:
    text = GOOD.replace("version: 2", f"version: 2\n    table: {edition}")
    file(tmp_path, text, "mine")

    with pytest.raises(ProfileInvalid, match=r"^mine\.yaml: edition .* is not shipped, 2024e is$"):
        load_profile(tmp_path / "mine.yaml")


def test_another_edition_of_the_table_is_refused() -> None:
    asked = Profile(name="old", version=1, edition="2011a")

    with pytest.raises(ProfileInvalid, match="edition 2011a"):
        plan(asked, MRImageStorage)


def test_the_digest_changes_with_whatever_decides() -> None:
    first = profile(rule(Action.KEEP, "StudyID"))
    others = [
        profile(rule(Action.EMPTY, "StudyID")),
        profile(rule(Action.KEEP, "StudyDate")),
        profile(rule(Action.KEEP, "StudyID"), age_cap=80),
        profile(rule(Action.KEEP, "StudyID"), options=frozenset({Option.RETAIN_UIDS})),
        profile(rule(Action.KEEP, "StudyID"), unlisted=Unlisted(standard="remove")),
    ]

    assert first.digest() == profile(rule(Action.KEEP, "StudyID")).digest()
    assert len({p.digest() for p in [first, *others]}) == len(others) + 1


GOOD = """
    profile: mine
    version: 2
    extends: basic
    why: A profile of a test.
    rules:
      - tags: [StudyID, "(0018,1030)", "0040Axxx"]
        action: remove
        why: The site does not want it.
      - vr: [LO]
        action: clean
        why: Words of the vocabulary only.
    safe_private:
      - creator: SITE
        group: "0011"
        elements: {"0a": DS}
        why: A number of the site.
"""


def file(folder: Path, text: str, name: str = "mine") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(textwrap.dedent(text), encoding="utf-8")
    return path


def test_a_file_becomes_a_profile_on_top_of_its_parent(tmp_path: Path) -> None:
    loaded = load_profile(file(tmp_path, GOOD))

    assert (loaded.name, loaded.version, loaded.edition) == ("mine", 2, "2024e")
    assert loaded.rules[-2].tags == {0x00200010, 0x00181030}
    assert loaded.rules[-2].masks == ("0040Axxx",)
    assert loaded.rules[-1].vrs == {"LO"}
    assert loaded.safe_private[0].elements == ((0x0A, "DS"),)
    assert decided(loaded, "PatientID").action is Action.PSEUDONYM


def test_a_folder_is_searched_before_the_shipped_profiles(tmp_path: Path) -> None:
    other = GOOD.replace("extends: basic", "").replace("mine", "research-mr")
    file(tmp_path, other.replace("version: 2", "version: 99"), "research-mr")

    assert load_profile("research-mr", folders=[tmp_path]).version == 99
    assert load_profile("research-mr").version != 99


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("version: 2", "version: 2\n    optoins: []"), "optoins"),
        (("action: remove", "action: delete"), "rules.0.action"),
        (("why: The site does not want it.", ""), "rules.0.why"),
        (("why: The site does not want it.", "why: short"), "rules.0.why"),
        (("StudyID", "StudyIdentifier"), "StudyIdentifier is no keyword and no tag"),
        (("vr: [LO]", "vr: [L0]"), "L0 is no value representation"),
        (("vr: [LO]", "vr: [LO]\n        tags: [StudyID]"), "either `tags` or `vr`"),
        (("action: clean", "action: clean\n        value: x"), "`value` belongs to action `set`"),
        (('group: "0011"', 'group: "0010"'), "safe_private.0.group"),
        (('{"0a": DS}', '{"0a": LO}'), "safe_private.0.elements"),
        (("extends: basic", "extends: mine"), "extends itself"),
        (("extends: basic", "extends: nowhere"), "no profile named nowhere"),
        (("profile: mine", "profile: [mine"), "not valid YAML"),
        (
            (
                "version: 2",
                "options: [retain-longitudinal-full-dates, retain-longitudinal-modified-dates]\n    version: 2",
            ),
            "either retained in full or modified",
        ),
        (("rules:", "unlisted: {private: keep}\n    rules:"), "unlisted.private"),
    ],
)
def test_a_mistake_is_named_in_one_line(
    tmp_path: Path, change: tuple[str, str], message: str
) -> None:
    assert change[0] in GOOD
    path = file(tmp_path, GOOD.replace(*change, 1))

    with pytest.raises(ProfileInvalid) as refusal:
        load_profile(path)

    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["nowhere", "../profiles/basic", "missing.yaml", "/etc/passwd"])
def test_a_name_that_leads_nowhere_is_refused(name: str) -> None:
    with pytest.raises(ProfileInvalid):
        load_profile(name)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_bytes(b"\xff\xfe\x00profile")

    with pytest.raises(ProfileInvalid, match="UTF-8"):
        load_profile(path)


def test_the_shipped_profiles_lie_beside_the_package() -> None:
    assert (shipped_profiles() / "research-mr.yaml").is_file()
