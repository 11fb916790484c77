"""Every profile that is shipped loads, explains itself and is not weaker than it says."""

from __future__ import annotations

import pytest
from pydicom.datadict import tag_for_keyword
from pydicom.uid import EnhancedMRImageStorage, MRImageStorage

from deid_node.config.profile_file import load_profile, shipped_profiles
from deid_node.headers.confidentiality import table
from deid_node.headers.plan import explain
from deid_node.headers.profile import Action
from tests.planted import SURVIVE

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
