"""References between the instances of a study lead, after de-identification, where they led."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import pydicom
import pytest
from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes

from deid_node.config.profile_file import load_profile
from deid_node.headers.profile import Option, Profile
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.pipeline.header_only import HeaderScrubber
from tests.planted import INSTANCES, mr_instance, written
from tests.planted.building import coded, reference

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydicom import Dataset

OURS = Pseudonyms(bytes(range(32)))


def study() -> dict[str, Dataset]:
    """Give a study whose instances refer to one another: MR, SEG and SR to MR, MR to SR."""
    made = {kind: make() for kind, make in INSTANCES.items()}
    second = mr_instance()
    second.SOPInstanceUID = "1.2.3.4.5.1.2"
    first, enhanced = made["MR"], made["Enhanced MR"]
    first.ReferencedImageSequence = Sequence([pointer_to(second)])
    second.ReferencedImageSequence = Sequence([pointer_to(first), pointer_to(enhanced)])
    group = enhanced.SharedFunctionalGroupsSequence[0]
    group.ReferencedImageSequence = Sequence([pointer_to(first)])
    made["CT"].ReferencedInstanceSequence = Sequence([pointer_to(made["SR"])])
    return {**made, "second MR": second}


def pointer_to(target: Dataset) -> Dataset:
    """Refer to an instance for the sake of where it was taken."""
    pointer = reference(target.SOPClassUID, target.SOPInstanceUID)
    pointer.PurposeOfReferenceCodeSequence = Sequence([coded(codes.cid7201.Localizer)])
    return pointer


def cleaning() -> Profile:
    research = load_profile("research-mr")
    return replace(research, options=research.options | {Option.CLEAN_STRUCTURED_CONTENT})


def pointers(dataset: Dataset, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    """Every UID that refers to an instance, with the sequences around it."""
    for element in dataset:
        if element.VR == "SQ":
            for entry in element.value:
                yield from pointers(entry, (*path, element.keyword))
        elif element.keyword == "ReferencedSOPInstanceUID":
            yield path, str(element.value)


@pytest.mark.parametrize(
    ("profile", "least"),
    [(load_profile("basic"), 4), (load_profile("research-mr"), 6), (cleaning(), 8)],
    ids=["basic", "research-mr", "cleaning"],
)
def test_every_reference_that_stays_leads_to_the_instance_it_led_to(
    profile: Profile, least: int
) -> None:
    sources = study()
    target_of = {str(source.SOPInstanceUID): name for name, source in sources.items()}
    scrubber = HeaderScrubber(profile, OURS)

    outputs = {
        name: pydicom.dcmread(io.BytesIO(scrubber.run(written(source)).encoded.part10))
        for name, source in sources.items()
    }

    led_to = {str(output.SOPInstanceUID): name for name, output in outputs.items()}
    assert led_to.keys().isdisjoint(target_of)
    found = 0
    for name, output in outputs.items():
        before = [(path, target_of[uid]) for path, uid in pointers(sources[name])]
        after = [(path, led_to.get(uid, "nowhere")) for path, uid in pointers(output)]
        assert [each for each in after if each not in before] == []
        found += len(after)
    assert found >= least
    assert len({output.StudyInstanceUID for output in outputs.values()}) == 1
    assert len({str(o.get("FrameOfReferenceUID")) for o in outputs.values()} - {"None"}) == 1
