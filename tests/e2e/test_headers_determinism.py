"""One input and one key give the same bytes, whoever asks, when and after what."""

from __future__ import annotations

import io
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file
from pydicom.uid import UID

from deid_node.config.profile_file import load_profile, shipped_profiles
from deid_node.errors import DeidNodeError
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.pipeline.header_only import HeaderScrubber, ScrubbedInstance
from tests.fakes.acquisitions import STYLES, enhanced
from tests.fakes.scrub_process import scrubbed_elsewhere
from tests.planted import INSTANCES, mr_instance, planted_part10, written

if TYPE_CHECKING:
    from collections.abc import Iterator

PROFILES = sorted(path.stem for path in shipped_profiles().glob("*.yaml"))
KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
N_PATIENTS = 200
STANDARD_ARC = "1.2.840.10008."


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Instances of many kinds, and other patients between them."""
    folder = tmp_path_factory.mktemp("instances")
    contents = {
        **{f"planted-{kind}": planted_part10(kind)[0] for kind in INSTANCES},
        "mr-implicit": written(mr_instance(), implicit=True),
        "mr-unreadable-uid": written(mr_instance()).replace(b"1.2.3.4.5.4", b"\x1b.2.3.4.5.4"),
        "enhanced-mr": written(enhanced()),
        **{f"mr-{name}": written(style()) for name, style in STYLES.items()},
        **{name: get_bytes(name) for name in ("MR_small.dcm", "CT_small.dcm", "MR_small_RLE.dcm")},
        "sr": report(),
        **{f"patient-{k}": written(patient(k)) for k in range(3)},
    }
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return sorted(folder.iterdir())


def get_bytes(name: str) -> bytes:
    return Path(str(get_testdata_file(name))).read_bytes()


def report() -> bytes:
    """Give pydicom's SR; its people are called by words of SR, which the second look holds."""
    found, buffer = dcmread(str(get_testdata_file("reportsi.dcm"))), io.BytesIO()
    for element in found.iterall():
        if element.VR == "PN":
            element.value = "REPORTER^QUINCE"
    found.save_as(buffer)
    return buffer.getvalue()


def outcome(scrubber: HeaderScrubber, content: bytes) -> ScrubbedInstance | str:
    """Scrub, or tell why the profile refuses or holds."""
    try:
        return scrubber.run(content)
    except DeidNodeError as error:
        return str(error)


def patient(number: int) -> Dataset:
    instance = mr_instance()
    instance.PatientID = f"MRN-{number:06}"
    instance.PatientName = f"FAMILY{number:03}^GIVEN"
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(instance, keyword, UID(f"{instance[keyword].value}.{number}"))
    return instance


@pytest.mark.parametrize("profile", PROFILES)
def test_another_process_on_another_day_in_another_order_gives_the_same_bytes(
    profile: str, files: list[Path]
) -> None:
    here = scrubbed_elsewhere(files, profile=profile, key=KEY)

    there = scrubbed_elsewhere(
        files[::-1],
        profile=profile,
        key=KEY,
        day="2031-12-31",
        hash_seed=4711,
        time_zone="Pacific/Kiritimati",
    )

    assert here["today"] == ["2024-02-29"] * 2
    assert there["today"] == ["2031-12-31"] * 2
    assert here["digests"].keys() == {path.name for path in files}
    assert here["digests"] == there["digests"]
    assert len(here["digests"]["planted-MR"]) == len(sha256().hexdigest())


@pytest.mark.parametrize("profile", PROFILES)
def test_an_engine_that_saw_other_patients_gives_the_bytes_of_a_fresh_one(
    profile: str, files: list[Path]
) -> None:
    warm = HeaderScrubber(load_profile(profile), Pseudonyms(KEY))
    contents = [path.read_bytes() for path in files]
    for content in (*contents, *reversed(contents)):
        outcome(warm, content)

    for content in contents:
        fresh = HeaderScrubber(load_profile(profile), Pseudonyms(KEY))
        assert outcome(warm, content) == outcome(fresh, content)


def test_another_key_shares_no_uid_and_no_pseudonym() -> None:
    ours, theirs = ([*_identities(key)] for key in (KEY, OTHER_KEY))
    uids = [{uid for each in side for uid in each[0]} for side in (ours, theirs)]
    sources = set.union(*(_uids(patient(k)) for k in range(N_PATIENTS)))

    assert len(sources) >= N_PATIENTS
    assert len(uids[0]) == len(uids[1]) == len(sources)
    assert not uids[0] & uids[1]
    assert not (uids[0] | uids[1]) & sources
    names = [{each[1] for each in side} for side in (ours, theirs)]
    assert len(names[0]) == len(names[1]) == N_PATIENTS
    assert not names[0] & names[1]


def test_another_key_moves_dates_by_other_days() -> None:
    ours, theirs = ([each[2] for each in _identities(key)] for key in (KEY, OTHER_KEY))

    # Of some thousand shifts two keys agree by chance once in many patients, not often.
    assert len(set(ours)) > N_PATIENTS / 2
    assert sum(a == b for a, b in zip(ours, theirs, strict=True)) <= 2


def _identities(key: bytes) -> Iterator[tuple[set[str], str, str]]:
    """UIDs, pseudonym and study date of many patients under a key."""
    scrubber = HeaderScrubber(load_profile("research-mr"), Pseudonyms(key))
    for number in range(N_PATIENTS):
        done = dcmread(io.BytesIO(scrubber.run(written(patient(number))).encoded.part10))
        assert done.PatientID == str(done.PatientName)
        yield _uids(done), done.PatientID, done.StudyDate


def _uids(dataset: Dataset) -> set[str]:
    return {
        str(element.value)
        for element in dataset.iterall()
        if element.VR == "UI" and not str(element.value).startswith(STANDARD_ARC)
    }
