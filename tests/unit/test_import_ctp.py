"""CTP scripts: what each line becomes, and which lines are refused."""

from __future__ import annotations

import contextlib
import io
import textwrap

import pydicom
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pydicom.datadict import tag_for_keyword

from deid_node.config.importing.compose import Draft, _loaded, compose
from deid_node.config.importing.ctp import read_ctp
from deid_node.config.importing.ctp_calls import Unparsable, parts_of
from deid_node.config.importing.statements import MOST_BYTES, Reading
from deid_node.errors import ForeignProfileUnreadable, ProfileInvalid, ResidualIdentifier
from deid_node.headers.confidentiality import Option
from deid_node.headers.profile import Action
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.headers.scrub import scrub
from deid_node.pipeline.header_only import HeaderScrubber
from tests.planted import NAME, mr_instance, written

OURS = Pseudonyms(bytes(range(32)))


def script(*lines: str) -> bytes:
    return "\n".join(["<script>", *lines, "</script>"]).encode()


def element(tag: str, text: str, *, en: str = "T") -> str:
    return f'<e en="{en}" t="{tag}" n="X">{text}</e>'


def read(*lines: str) -> Reading:
    return read_ctp(script(*lines))


def draft(*lines: str, lenient: bool = False) -> Draft:
    return compose(read(*lines), name="site", lenient=lenient)


def action(made: Draft, keyword: str) -> tuple[Action, str] | None:
    """Find action and value of the rule that the import wrote for an attribute."""
    tag = tag_for_keyword(keyword)
    assert tag is not None
    rule = made.profile.naming_rule(tag)
    return None if rule is None else (rule.action, rule.value)


@pytest.mark.parametrize(
    ("tag", "text", "keyword", "expected"),
    [
        ("00080080", "@remove()", "InstitutionName", (Action.REMOVE, "")),
        ("00080090", "@empty()", "ReferringPhysicianName", (Action.EMPTY, "")),
        ("00080090", "", "ReferringPhysicianName", (Action.EMPTY, "")),
        ("00080090", "@blank(8)", "ReferringPhysicianName", (Action.EMPTY, "")),
        ("0008103e", "@keep()", "SeriesDescription", (Action.KEEP, "")),
        ("00080060", "@require()", "Modality", (Action.KEEP, "")),
        ("00081115", "@process()", "ReferencedSeriesSequence", (Action.KEEP, "")),
        ("00080018", "@hashuid(@UIDROOT,this)", "SOPInstanceUID", (Action.UID, "")),
        ("0020000d", "@hashuid(1.2,StudyInstanceUID)", "StudyInstanceUID", (Action.UID, "")),
        ("00100010", "@hash(this,10)", "PatientName", (Action.PSEUDONYM, "")),
        ("00100010", "@hashname(this,6,2)", "PatientName", (Action.PSEUDONYM, "")),
        ("00100020", "@hashptid(@SITEID,this,8)", "PatientID", (Action.PSEUDONYM, "")),
        ("00120040", "@hash(PatientID)", "ClinicalTrialSubjectID", (Action.PSEUDONYM, "")),
        ("00080020", "@hashdate(this,PatientID)", "StudyDate", (Action.SHIFT, "")),
        ("00080020", "@incrementdate(this,@DATEINC)", "StudyDate", (Action.SHIFT, "")),
        ("0008002a", "@incrementdate(this,-5)", "AcquisitionDateTime", (Action.SHIFT, "")),
        ("00080020", "@dateinterval(this,k,PatientID,@O)", "StudyDate", (Action.SHIFT, "")),
        ("00100030", "@modifydate(this,1970,1,1)", "PatientBirthDate", (Action.SET, "19700101")),
        ("00120010", "A sponsor", "ClinicalTrialSponsorName", (Action.SET, "A sponsor")),
        ("00120010", "@param(@WHO) of us", "ClinicalTrialSponsorName", (Action.SET, "They of us")),
        ("00120010", r"5\@home", "ClinicalTrialSponsorName", (Action.SET, "5@home")),
        ("00080080", "@always()@remove()", "InstitutionName", (Action.REMOVE, "")),
        ("00080080", "@ReMoVe( )", "InstitutionName", (Action.REMOVE, "")),
    ],
)
def test_each_function_becomes_the_action_that_does_it(
    tag: str, text: str, keyword: str, expected: tuple[Action, str]
) -> None:
    found = read('<p t="WHO">They</p>', element(tag, text))

    assert found.refusals == ()
    assert action(compose(found, name="site"), keyword) == expected


@pytest.mark.parametrize(
    ("tag", "text", "reason"),
    [
        ("0040a123", "@if(this,isblank){@remove()}{x}", "conditions"),
        ("0020000d", "@select(){@keep()}{@hashuid(@R,this)}", "every depth"),
        ("00100020", "@lookup(this,ptid)", "look-up table"),
        ("00100020", "@integer(this,ptid,8)", "table of numbers"),
        ("00101010", "@round(this,10)", "cap-age"),
        ("00080020", "@modifydate(this,*,1,1)", "does not cut"),
        ("00080020", "@dateinterval(this,k,PatientID)", "counts no days"),
        ("00080020", "@date()", "clock"),
        ("00080030", "@time()", "clock"),
        ("00100010", "@initials(this)", "tell a person"),
        ("00080050", "@hash(this,16)", "patients only"),
        ("00081030", "@append(){more}", "appends none"),
        ("00081030", "@contents(this)", "old value"),
        ("00081030", "@value(PatientName)", "old value"),
        ("00081030", "@truncate(this,4)", "old value"),
        ("00081030", "@lowercase(this)", "old value"),
        ("00100020", "@encrypt(this,@KEY)", "encrypts no value"),
        ("00081030", "@call(plugin)", "plug-in"),
        ("00081030", "@quarantine()", "holds no instance"),
        ("00081030", "@skip()", "pass unchanged"),
        ("00080018", "@GenerateUID()", "breaks references"),
        ("00081030", "@teleport()", "not a function"),
        ("00081030", "@always()fixed", "adds no attribute"),
        ("00081030", "@always()@empty()", "adds no attribute"),
        ("00081030", "@always()@require()", "adds no attribute"),
        ("00120040", "@always()@hash(PatientID)", "adds no attribute"),
        ("00100020", "S-@hashptid(@SITEID,this)", "joins no text"),
        ("00081030", "@param(@NOWHERE)", "no such parameter"),
        ("00081030", "@remove(", "not closed"),
        ("00081030", "@append()", "in braces"),
        ("00081030", "x" * 5000, "longer than"),
        ("00081030", "100 @ home", "name of a function"),
        ("00081030", "@remove", "with brackets"),
        ("00081030", "@é", "name of a function"),
        ("00081030", "remove", "was @remove() meant"),
        ("00081030", "@hashuid(@R,this)", "only a UID"),
        ("00080018", "@hashuid(@R,PatientID)", "own UID only"),
        ("00081030", "@hashdate(this,PatientID)", "only a date"),
        ("00080020", "@hashdate(SeriesDate,PatientID)", "not copied"),
        ("00081030", "@process()", "only a sequence"),
        ("00081030", "@require(StudyID)", "copies no value"),
        ("00080020", "yesterday", "not valid"),
        ("00280010", "7", "can do without"),
        ("00080018", "@remove()", "can do without"),
        ("00080050", "x" * 17, "not valid"),
        ("00200010", "@hash(PatientID)", "does not fit"),
        ("00291010", "@keep()", "private"),
        ("0029[SIEMENS CSA HEADER]10", "@keep()", "private"),
        ("00131010", "CTP", "writes no private"),
        ("60003000", "@keep()", "goes from every instance"),
        ("00109999", "@keep()", "goes from every instance"),
        ("PatientName?", "@keep()", "eight hexadecimal"),
    ],
)
def test_what_a_profile_cannot_say_is_refused_with_its_line(
    tag: str, text: str, reason: str
) -> None:
    found = read('<p t="SITEID">7</p>', "", element("00080080", "@remove()"), element(tag, text))

    assert [(each.line, reason in each.reason) for each in found.refusals] == [(5, True)]
    assert len(found.statements) == 1


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('<k en="T" t="0019">Keep</k>', "private group"),
        ('<k en="T" t="all">Keep</k>', "four hexadecimal"),
        ('<r en="T" t="everything">Remove</r>', "not a removal"),
        ('<x en="T" t="00080080">@remove()</x>', "not an element"),
    ],
)
def test_other_elements_that_mean_nothing_here_are_refused(line: str, reason: str) -> None:
    [refusal] = read(line).refusals

    assert refusal.line == 2
    assert reason in refusal.reason


def test_the_line_of_an_element_is_that_of_its_first_character() -> None:
    found = read(
        "<!-- two",
        "lines -->",
        '<e en="T"',
        '   t="00100020" n="PatientID">@lookup(this,',
        "   ptid)</e>",
        element("0040a123", "@if(this,isblank){}{}"),
    )

    assert [each.line for each in found.refusals] == [4, 7]


def test_what_is_switched_off_is_ignored() -> None:
    found = read(
        element("00080080", "@lookup(this,x)", en="F"),
        '<e t="00081030">@keep()</e>',
        '<k en="F" t="0018">Keep</k>',
        '<r en="F" t="unspecifiedelements">Remove</r>',
    )

    assert found.disabled == 4
    assert (found.statements, found.refusals, found.unlisted_line) == ((), (), None)


def test_what_the_node_does_anyway_needs_no_rule() -> None:
    found = read(
        element("00080005", "@keep()"),
        element("00120062", "@always()YES"),
        element("00120063", "@append(){CTP: @date()}"),
        element("00120064", "113100/113105"),
        element("00020003", "@hashuid(@UIDROOT,this)"),
        element("00291010", "@remove()"),
        element("60003000", "@remove()"),
        '<r en="T" t="curves"/>',
        '<r en="T" t="overlays"/>',
        '<r en="T" t="privategroups"/>',
    )

    assert found.by_node == tuple(range(2, 12))
    assert (found.statements, found.refusals) == ((), ())


def test_unspecified_elements_make_the_profile_strict() -> None:
    assert draft('<r en="T" t="unspecifiedelements"/>').profile.unlisted.standard == "remove"
    assert draft(element("00080080", "@remove()")).profile.unlisted.standard == "keep-clean"


def test_a_kept_group_becomes_a_mask_that_named_lines_override() -> None:
    made = draft('<k en="T" t="0018">Keep group 0018</k>', element("00181030", "@remove()"))

    assert [rule.masks for rule in made.profile.rules if rule.masks] == [("0018xxxx",)]
    assert action(made, "ProtocolName") == (Action.REMOVE, "")
    assert {each.line for each in made.remarks} == {2}
    assert "ProtocolName" not in " ".join(each.text for each in made.remarks)


def test_a_kept_group_stays_where_all_unspecified_elements_go() -> None:
    made = draft('<k en="T" t="0018">Keep</k>', '<r en="T" t="unspecifiedelements">Remove</r>')
    dataset = mr_instance()
    result = scrub(dataset, made.profile, OURS).dataset

    assert result.FlipAngle == dataset.FlipAngle
    assert "SliceLocation" not in result
    assert "PatientWeight" not in result
    assert result.Rows == dataset.Rows


@pytest.mark.parametrize(
    ("line", "warned"),
    [
        (element("0008103e", "@keep()"), True),
        (element("00100030", "@hashdate(this,PatientID)"), True),
        (element("00080020", "@hashdate(this,PatientID)"), False),
        (element("00180081", "@keep()"), False),
        (element("00100010", "@hash(this)"), False),
    ],
)
def test_only_a_line_weaker_than_ps3_15_costs_the_claim(line: str, *, warned: bool) -> None:
    texts = [each.text for each in draft(line).remarks]

    assert any("113100" in text for text in texts) is warned


@pytest.mark.parametrize(
    ("line", "codes", "longitudinal"),
    [
        (element("00080080", "@remove()"), ["113100"], "REMOVED"),
        (element("0008103e", "@keep()"), [], "REMOVED"),
        (element("00080020", "@hashdate(this,PatientID)"), ["113100", "113107"], "MODIFIED"),
        (element("00100030", "@hashdate(this,PatientID)"), [], "MODIFIED"),
        (element("00080020", "@keep()"), ["113100", "113106"], "UNMODIFIED"),
        ('<k en="T" t="0008">Keep</k>', ["113106"], "UNMODIFIED"),
    ],
)
def test_instances_claim_what_the_import_said_they_would(
    line: str, codes: list[str], longitudinal: str
) -> None:
    made = draft(line, element("00100010", "@hash(this)"))
    dataset = mr_instance()
    dataset.StudyDate = "20240301"  # kept; on the day of another date it would be held
    part10 = HeaderScrubber(made.profile, OURS).run(written(dataset)).encoded.part10
    result = pydicom.dcmread(io.BytesIO(part10))

    claimed = [each.CodeValue for each in result.DeidentificationMethodCodeSequence]
    dropped = any("drops the claim 113100" in each.text for each in made.remarks)
    assert claimed == codes
    assert dropped is ("113100" not in codes)
    assert result.LongitudinalTemporalInformationModified == longitudinal


def test_kept_names_of_people_are_said_not_to_pass() -> None:
    made = draft(element("00100010", "@keep()"))

    assert "never pass" in made.remarks[-1].text
    assert not scrub(mr_instance(), made.profile, OURS).dataset.PatientName


def test_moved_dates_are_declared_and_unnamed_dates_do_not_pass_with_them() -> None:
    made = draft(element("00080020", "@hashdate(this,PatientID)"), element("00080030", "@keep()"))
    dataset = mr_instance()
    scrubbed = scrub(dataset, made.profile, OURS).dataset

    assert made.profile.options == {Option.RETAIN_MODIFIED_DATES}
    assert scrubbed.StudyDate not in {"", dataset.StudyDate}
    assert scrubbed.StudyTime == dataset.StudyTime
    assert not scrubbed.get("SeriesDate")
    assert not scrubbed.get("ContentDate")
    assert not [each for each in made.remarks if "113100" in each.text]


def test_a_kept_date_is_held_beside_a_removed_date_of_the_same_day() -> None:
    made = draft(element("00080020", "@keep()"))

    assert "is held if" in made.remarks[0].text
    with pytest.raises(ResidualIdentifier):
        HeaderScrubber(made.profile, OURS).run(written(mr_instance()))


def test_kept_dates_are_declared_as_full_dates() -> None:
    made = draft(element("00080020", "@keep()"))

    assert made.profile.options == {Option.RETAIN_FULL_DATES}
    assert "113106" in made.remarks[0].text
    assert not scrub(mr_instance(), made.profile, OURS).dataset.get("SeriesDate")


def test_safe_private_elements_become_the_option() -> None:
    made = draft('<k en="T" t="safeprivateelements"/>')

    assert made.profile.options == {Option.RETAIN_SAFE_PRIVATE}


def test_two_lines_that_contradict_are_refused_and_two_that_agree_are_one() -> None:
    found = read(
        element("00080080", "@remove()"),
        element("00080080", "@remove()"),
        element("00080080", "@keep()"),
    )

    assert len(found.statements) == 1
    assert [(each.line, each.reason[:6]) for each in found.refusals] == [(4, "line 2")]


def test_every_rule_names_the_lines_it_comes_from() -> None:
    keywords = ["PatientAddress", "MilitaryRank", "Allergies", "Occupation"] * 5
    tags = dict.fromkeys(tag_for_keyword(each) or 0 for each in keywords)
    tags |= dict.fromkeys(range(0x00401001, 0x00401012))
    lines = [element(f"{tag:08x}", "@remove()") for tag in tags]
    found = read(*lines)
    written = compose(found, name="site").profile.rules[2:]

    named = [
        int(word.strip(",")) for rule in written for word in rule.why.split() if word[0].isdigit()
    ]
    assert sorted(named) == sorted(each.line for each in found.statements)
    assert max(len(rule.tags) for rule in written) == 12
    assert all(len(rule.tags) == rule.why.count(",") + 1 for rule in written)


def test_a_lenient_import_removes_and_never_keeps() -> None:
    made = draft(
        element("0040a123", "@if(this,exists){@keep()}{@keep()}"),
        element("00100020", "@lookup(this,ptid)"),
        element("00280010", "@round(this,2)"),
        element("0029[ACME]10", "@keep()"),
        lenient=True,
    )

    assert action(made, "PersonName") == (Action.REMOVE, "")
    assert action(made, "PatientID") == (Action.PSEUDONYM, "")
    assert action(made, "Rows") is None
    rule = made.profile.rules[2]
    assert "line 2 " in rule.why
    assert "@if(this,exists){@keep()}{@keep()}" in rule.why
    assert "# Not imported: line 4, Rows: " in made.text
    assert "# Not imported: line 5, (0029,0000): " in made.text


def test_a_lenient_removal_beats_what_another_line_says_of_the_attribute() -> None:
    made = draft(
        element("00081030", "@keep()"), element("00081030", "@contents(this)"), lenient=True
    )

    assert action(made, "StudyDescription") == (Action.REMOVE, "")


def test_a_script_of_the_rsna_anonymizer_is_read_its_way() -> None:
    made = draft(
        element("00080018", "@uid"),
        element("00100020", "@ptid"),
        element("00080020", "@hashdate"),
        element("0008103E", ""),
    )

    assert action(made, "SOPInstanceUID") == (Action.UID, "")
    assert action(made, "PatientID") == (Action.PSEUDONYM, "")
    assert action(made, "StudyDate") == (Action.SHIFT, "")
    assert action(made, "SeriesDescription") == (Action.KEEP, "")
    assert made.profile.unlisted.standard == "remove"


def test_one_bare_word_in_a_script_of_ctp_does_not_turn_empty_lines_into_kept_ones() -> None:
    found = read(
        element("00080018", "@uid"),
        element("0020000d", "@hashuid(@UIDROOT,this)"),
        element("0008103E", ""),
    )

    assert [(each.line, "brackets" in each.reason) for each in found.refusals] == [(2, True)]
    assert action(compose(found, name="site"), "SeriesDescription") == (Action.EMPTY, "")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<script>\n <e en='T'", "line 2, column "),
        (b"<script></scrip>", "not well-formed"),
        (b"", "not well-formed"),
        (b"PatientID = x", "not well-formed"),
        (b"<pipeline/>", "line 1: the root is <pipeline>"),
        (b"<!DOCTYPE script [<!ENTITY a 'aaa'>]>\n<script/>", "line 1: a DOCTYPE"),
        (b"\n<!DOCTYPE script SYSTEM 'file:///etc/passwd'><script/>", "line 2: a DOCTYPE"),
        (b"<script>&secret;</script>", "not well-formed"),
        (b"<script>\n<e><e/></e></script>", "line 2: <e> inside another"),
        (b"<?xml version='1.0' encoding='utf-16'?><script/>", "encod"),
        (b"<?xml version='1.0' encoding='shift_jis'?><script/>", "encod"),
        (b"<?xml version='1.0' encoding='nothing'?><script/>", "encod"),
        (b"<?xml version='1.0' encoding='windows-1252'?><script/>", "neither UTF-8 nor"),
        ("<script/>".encode("utf-16"), "neither UTF-8 nor"),
        (b"<script>\xff</script>", "not well-formed"),
        (b"<script>" + b" " * MOST_BYTES + b"</script>", "longer than"),
    ],
)
def test_what_is_no_script_is_refused_in_one_line(content: bytes, message: str) -> None:
    with pytest.raises(ForeignProfileUnreadable) as refusal:
        read_ctp(content)

    assert message in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("encoding", ["utf-8", "iso-8859-1", "latin-1", "latin1"])
def test_a_declared_encoding_is_read(encoding: str) -> None:
    text = f"<?xml version='1.0' encoding='{encoding}'?>" + script(
        element("00120010", "Universität")
    ).decode("utf-8")
    found = read_ctp(text.encode(encoding))

    assert action(compose(found, name="site"), "ClinicalTrialSponsorName") == (
        Action.SET,
        "Universität",
    )


PIECES = st.sampled_from(
    ["@", "@if(", "@remove()", "@hash(", "this", ",", "(", ")", "{", "}", "\\", '"', " ", "x", "@é"]
)


@given(st.lists(PIECES, max_size=30).map("".join))
@example("\\")
@example('@hash("')
def test_any_replacement_is_taken_apart_or_refused(text: str) -> None:
    try:
        parts = parts_of(text)
    except Unparsable:
        return
    assert all(parts)


@given(st.lists(PIECES, max_size=12).map("".join), st.sampled_from(["00100010", "00080018", "x"]))
def test_any_line_becomes_a_profile_or_a_refusal(text: str, tag: str) -> None:
    found = read(element(tag, text))

    assert len(found.statements) + len(found.refusals) == 1
    assert compose(found, name="site", lenient=True).profile.name == "site"


@given(
    st.integers(0, 0xFFFFFFFF) | st.sampled_from([0x00203102, 0x10100001, 0x60021500, 0x00280410]),
    st.sampled_from(["@remove()", "@keep()", "@empty()", "@hash(PatientID)", "X", "19700101"]),
)
def test_any_tag_becomes_a_profile_or_a_refusal(tag: int, text: str) -> None:
    found = read(element(f"{tag:08x}", text))

    assert len(found.statements) + len(found.refusals) + len(found.by_node) == 1
    assert compose(found, name="site").profile.name == "site"


@given(st.binary(max_size=60) | st.text(max_size=60).map(lambda text: f"<script>{text}".encode()))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    with contextlib.suppress(ForeignProfileUnreadable):
        assert read_ctp(content).format == "ctp"


def test_an_imported_script_does_to_an_instance_what_it_says() -> None:
    made = draft(
        element("00080018", "@hashuid(@UIDROOT,this)"),
        element("0020000d", "@hashuid(@UIDROOT,this)"),
        element("0020000e", "@hashuid(@UIDROOT,this)"),
        element("00080020", "@hashdate(this,PatientID)"),
        element("00080050", "@empty()"),
        element("0008103e", "@keep()"),
        element("00081030", "Study of us"),
        element("00100010", "@hash(this,10)"),
        element("00100020", "@hash(this,10)"),
        element("00101030", "@remove()"),
        element("00180081", "@remove()"),
        '<r en="T" t="privategroups">Remove private groups</r>',
    )
    dataset = mr_instance()
    dataset.StudyDescription = "A secret"
    dataset.private_block(0x0029, "ACME", create=True).add_new(0x10, "LO", "secret")
    result = scrub(dataset, made.profile, OURS).dataset

    assert result.SOPInstanceUID.startswith("2.25.")
    assert result.StudyInstanceUID.startswith("2.25.")
    assert result.StudyDate not in {"", "20240229"}
    assert "AccessionNumber" in result
    assert not result.AccessionNumber
    assert result.SeriesDescription == "T2 FLAIR sag 3mm"
    assert result.StudyDescription == "Study of us"
    assert result.PatientName == result.PatientID != ""
    assert NAME not in str(result.PatientName)
    assert "PatientWeight" not in result
    assert result.get("EchoTime") != dataset.EchoTime
    assert not [tag for tag in result.keys() if tag.is_private]  # noqa: SIM118 - values stay raw
    assert result.FlipAngle == dataset.FlipAngle


def test_a_profile_that_does_not_say_what_was_read_is_not_given_out() -> None:
    removed, kept = (read(element("00080080", text)) for text in ("@remove()", "@keep()"))

    with pytest.raises(ProfileInvalid, match="line 2: InstitutionName was not written as meant"):
        _loaded(compose(removed, name="site").text, "site", kept.statements)


def test_the_text_of_a_profile_starts_with_what_it_is() -> None:
    assert draft(element("00080080", "@remove()")).text.startswith(
        textwrap.dedent("""\
        # Written by `deid-node profile import`. What no line of the CTP script names is
        # de-identified as the profile it extends says, whatever the source did with it.
        profile: site
        """)
    )
