"""The acceptance test: nothing planted survives, whatever SOP Class it was planted in.

The oracle is the bytes that were written. It knows no tag, no rule and no table.
"""

from __future__ import annotations

import io
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING

import pydicom
import pytest
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
)

from deid_node.config.profile_file import load_profile, shipped_profiles
from deid_node.headers.profile import Option, Profile
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.headers.scrub import scrub
from deid_node.pipeline.header_only import HeaderScrubber
from tests.planted import INSTANCES, planted, planted_part10, surviving, written

if TYPE_CHECKING:
    from pydicom import Dataset

OURS = Pseudonyms(bytes(range(32)))
CLEANING = frozenset({Option.CLEAN_GRAPHICS, Option.CLEAN_STRUCTURED_CONTENT})
RESEARCH = frozenset(
    {
        Option.CLEAN_DESCRIPTORS,
        Option.RETAIN_SAFE_PRIVATE,
        Option.RETAIN_MODIFIED_DATES,
    }
)

SHIPPED = sorted(path.stem for path in shipped_profiles().glob("*.yaml") if path.stem != "tcia")
"""All but the one that keeps the identity of devices, which has a test of its own."""


@cache
def profile(name: str) -> Profile:
    """Load a shipped profile; ``cleaning`` is `research-mr` that keeps reports and graphics too."""
    if name == "cleaning":
        research = load_profile("research-mr")
        return replace(research, options=research.options | CLEANING)
    if name == "every option that cleans":
        return replace(load_profile("basic"), options=CLEANING | RESEARCH)
    return load_profile(name)


@pytest.mark.parametrize("name", [*SHIPPED, "cleaning", "every option that cleans"])
@pytest.mark.parametrize("implicit", [False, True], ids=["explicit", "implicit"])
@pytest.mark.parametrize("kind", INSTANCES)
def test_no_planted_identifier_survives(kind: str, name: str, *, implicit: bool) -> None:
    source, tokens = planted_part10(kind, implicit=implicit)
    assert len(set(tokens)) == len(tokens) > 180
    assert surviving(tokens, source) == tokens

    output = HeaderScrubber(profile(name), OURS).run(source).encoded.part10

    assert surviving(tokens, output) == []
    assert surviving(["qzvex", "1.2.3.4.5.", "20240229", "1.2.826.0.1.777"], output) == []


@pytest.mark.parametrize("name", ["basic", "research-mr", "cleaning"])
@pytest.mark.parametrize("kind", INSTANCES)
def test_none_survives_when_every_element_is_read_by_pydicom(kind: str, name: str) -> None:
    source, tokens = planted_part10(kind)
    dataset = pydicom.dcmread(io.BytesIO(source))

    output = written(scrub(dataset, profile(name), OURS).dataset)

    assert surviving([*tokens, "qzvex", "1.2.3.4.5.", "1.2.826.0.1.777"], output) == []


@pytest.mark.parametrize("name", ["basic", "research-mr", "cleaning"])
@pytest.mark.parametrize("kind", INSTANCES)
def test_what_is_told_of_the_work_holds_no_planted_identifier(kind: str, name: str) -> None:
    source, tokens = planted_part10(kind)

    done = HeaderScrubber(profile(name), OURS).run(source)

    told = repr(done.deeds) + repr(done.codes) + " ".join(deed.keyword for deed in done.deeds)
    assert surviving([*tokens, "qzvex"], told.encode()) == []


@pytest.mark.parametrize("kind", INSTANCES)
def test_a_profile_that_retains_device_identity_leaves_that_and_nothing_more(kind: str) -> None:
    source, tokens = planted_part10(kind)

    done = HeaderScrubber(profile("tcia"), OURS).run(source)

    output = pydicom.dcmread(io.BytesIO(done.encoded.part10))
    left = surviving(tokens, done.encoded.part10)
    holders = {e.keyword for e in output if any(token in str(e.value) for token in left)}
    retained = {d.keyword for d in done.deeds if d.option is Option.RETAIN_DEVICE_IDENTITY}
    assert len(left) == len(holders) > 0
    assert holders <= retained


@pytest.mark.parametrize("name", ["basic", "research-mr", "cleaning"])
@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian]
)
@pytest.mark.parametrize("kind", INSTANCES)
def test_none_survives_in_sequences_of_undefined_length_in_any_encoding(
    kind: str, syntax: str, name: str
) -> None:
    dataset, tokens = planted(kind)
    _undefine_lengths(dataset)

    output = HeaderScrubber(profile(name), OURS).run(written(dataset, syntax=syntax))

    assert len(tokens) >= 180
    assert surviving([*tokens, "qzvex", "1.2.3.4.5."], output.encoded.part10) == []


def _undefine_lengths(dataset: Dataset) -> None:
    for element in dataset:
        if element.VR == "SQ":
            element.is_undefined_length = True
            for entry in element.value:
                entry.is_undefined_length_sequence_item = True
                _undefine_lengths(entry)
