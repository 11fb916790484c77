"""Private elements: vendors' numbers stay by their creators, and nobody's word is taken."""

from __future__ import annotations

import io
import struct

import pydicom
import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence

from deid_node.config.profile_file import load_profile
from deid_node.headers.confidentiality import packaged
from deid_node.headers.private import safe_table
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.headers.scrub import scrub
from tests.planted import INSTANCES, mr_instance, written
from tests.planted.building import dataset_of

OURS = Pseudonyms(bytes(range(32)))
VENDORS = {
    "Siemens b-value": (0x0019, "SIEMENS MR HEADER", 0x0C, "IS", 1000),
    "Siemens directionality": (0x0019, "SIEMENS MR HEADER", 0x0D, "CS", "DIRECTIONAL"),
    "Siemens gradient": (0x0019, "SIEMENS MR HEADER", 0x0E, "FD", [0.0, 0.6, 0.8]),
    "Siemens b-matrix": (0x0019, "SIEMENS MR HEADER", 0x27, "FD", [1.0, 2, 3, 4, 5, 6]),
    "GE gradient": (0x0019, "GEMS_ACQU_01", 0xBB, "DS", 0.6),
    "GE b-value": (0x0043, "GEMS_PARM_01", 0x39, "IS", [1000, 8, 0, 0]),
    "Philips b-value": (0x2001, "Philips Imaging DD 001", 0x03, "FL", 1000.0),
    "Philips gradient": (0x2005, "Philips MR Imaging DD 001", 0xB0, "FL", 0.5),
}


def scrubbed(dataset: Dataset, profile: str = "research-mr") -> Dataset:
    return scrub(pydicom.dcmread(io.BytesIO(written(dataset))), load_profile(profile), OURS).dataset


@pytest.mark.parametrize("block", [0x10, 0x10 + 0x42])
@pytest.mark.parametrize("name", VENDORS)
def test_diffusion_numbers_of_vendors_survive_in_any_block(name: str, block: int) -> None:
    group, creator, low, vr, value = VENDORS[name]
    dataset = mr_instance()
    dataset.add_new(group << 16 | block, "LO", creator)
    dataset.add_new(group << 16 | block << 8 | low, vr, value)

    output = scrubbed(dataset)

    assert output[group << 16 | block].value == creator
    assert output[group << 16 | block << 8 | low].value == value
    assert group << 16 | block not in scrubbed(dataset, "basic")


@pytest.mark.parametrize("name", VENDORS)
def test_letters_in_place_of_a_vendors_number_go_with_its_creator(name: str) -> None:
    group, creator, low, _, _ = VENDORS[name]
    dataset = mr_instance()
    dataset.add_new(group << 16 | 0x10, "LO", creator)
    dataset.add_new(group << 16 | 0x1000 | low, "UN", b"QUENTIN ZEBRAFISH 47 NORTH STREET ")

    assert [tag for tag in scrubbed(dataset).keys() if tag.group & 1] == []  # noqa: SIM118


def test_numbers_stay_in_functional_groups_and_the_csa_header_goes_from_them() -> None:
    dataset = INSTANCES["Enhanced MR"]()
    group = dataset.PerFrameFunctionalGroupsSequence[0]
    group.private_block(0x0019, "SIEMENS MR HEADER", create=True).add_new(0x0C, "IS", 1000)
    group.private_block(0x0029, "SIEMENS CSA HEADER", create=True).add_new(0x10, "OB", b"SV10")

    output = scrubbed(dataset).PerFrameFunctionalGroupsSequence[0]

    assert output[0x0019100C].value == 1000
    assert 0x00291010 not in output
    assert 0x00290010 not in output


@pytest.mark.parametrize("status", ["SAFE", "MIXED"])
def test_a_block_that_the_sender_declares_safe_goes_all_the_same(status: str) -> None:
    dataset = mr_instance()
    block = dataset.private_block(0x0077, "QUENTIN HOSPITAL", create=True)
    block.add_new(0x01, "IS", 47110815)
    dataset.PrivateDataElementCharacteristicsSequence = Sequence(
        [
            dataset_of(
                {
                    "PrivateGroupReference": 0x0077,
                    "PrivateCreatorReference": "QUENTIN HOSPITAL",
                    "BlockIdentifyingInformationStatus": status,
                    "NonidentifyingPrivateElements": [0x01],
                }
            )
        ]
    )

    output = scrubbed(dataset)

    assert [tag for tag in output.keys() if tag.group & 1] == []  # noqa: SIM118
    assert "PrivateDataElementCharacteristicsSequence" not in output
    assert struct.pack("<HH", 0x0077, 0x1001) not in written(output)
    assert b"47110815" not in written(output)


def test_no_safe_list_holds_text_or_bytes() -> None:
    listed = packaged("safe-private.json")["rows"]
    own = load_profile("research-mr").safe_private

    safe = {vr for elements in safe_table(own).values() for vr in elements.values()}

    assert {vr for *_, vr in listed} - safe > {"LO", "LT", "SQ"}
    assert safe <= {"CS", "DS", "FD", "FL", "IS", "SL", "SS", "UL", "US"}
