"""A zoo of 253 odd DICOM files of other projects: scrubbed and clean, or turned away by name.

Nothing crashes, nothing warns, nothing passes that the verification remarks, and nothing is
held for an identifier that is not really there.
"""

from __future__ import annotations

import io
import re
import subprocess
import warnings
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pydicom
import pytest
from pydicom.uid import UID, ExplicitVRBigEndian

from deid_node.config.profile_file import load_profile
from deid_node.errors import DeidNodeError, ResidualIdentifier
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.headers.verification.checks import Remark, Severity
from deid_node.headers.verification.verifier import Verifier
from deid_node.pipeline.header_only import HeaderScrubber

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from deid_node.dicom.part10 import EncodedInstance

pytestmark = pytest.mark.heads
N_FILES = 253
FEWEST_SCRUBBED = 210
STANDARDS_OWN = {
    "fo-dicom+fo-dicom/Tests/FO-DICOM.Tests/Test Data/mr_brucker.dcm": (
        "Table E.1-1 removes who is responsible for an animal, Type 2C"
    ),
}
"""New errors of dciodvfy that come of what must go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one file."""

    source: bytes
    error: DeidNodeError | None = None
    encoded: EncodedInstance | None = None


@pytest.fixture(scope="module", params=["basic", "research-mr"])
def outcomes(request: pytest.FixtureRequest, shared_data: Path) -> dict[str, Outcome]:
    """Scrub every file; any other exception than ours, and any warning, is a failure."""
    zoo = shared_data / "zoo"
    scrubber = HeaderScrubber(load_profile(request.param), Pseudonyms(bytes(range(32))))
    found = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for path in sorted(path for path in zoo.rglob("*") if path.is_file()):
            source, name = path.read_bytes(), path.relative_to(zoo).as_posix()
            try:
                found[name] = Outcome(source=source, encoded=scrubber.run(source).encoded)
            except DeidNodeError as error:
                found[name] = Outcome(source=source, error=error)
    return found


def test_every_file_is_scrubbed_or_turned_away_for_a_reason(
    outcomes: dict[str, Outcome], record_property: Callable[[str, object], None]
) -> None:
    reasons = Counter(
        "scrubbed" if each.error is None else f"{type(each.error).__name__}: {each.error}"
        for each in outcomes.values()
    )
    table = "\n".join(f"{count:5} {reason}" for reason, count in reasons.most_common())
    record_property("told", table)

    assert len(outcomes) == N_FILES
    assert reasons["scrubbed"] >= FEWEST_SCRUBBED


def test_what_was_scrubbed_passes_verification(outcomes: dict[str, Outcome]) -> None:
    remarks: dict[str, list[Remark]] = {}
    for name, each in outcomes.items():
        if each.encoded is not None:
            verifier = Verifier()
            verifier.look("2.25.1.dcm", each.encoded.part10)
            found = [remark for _, remark in verifier.finish()]
            remarks[name] = [r for r in found if r.severity is not Severity.NOTE]

    assert {name: found for name, found in remarks.items() if found} == {}


def test_what_is_held_for_an_identifier_really_holds_it(outcomes: dict[str, Outcome]) -> None:
    held = {n: o for n, o in outcomes.items() if isinstance(o.error, ResidualIdentifier)}

    assert len(held) <= 3
    for each in held.values():
        source = pydicom.dcmread(io.BytesIO(each.source))
        assert str(source.SeriesNumber) == source.PatientID == source.StudyID


def test_the_pixel_data_of_what_was_scrubbed_is_the_same(outcomes: dict[str, Outcome]) -> None:
    n_compared = 0
    for each in outcomes.values():
        if each.encoded is None:
            continue
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            before, after = (
                pydicom.dcmread(io.BytesIO(content))
                for content in (each.source, each.encoded.part10)
            )
        syntax = before.file_meta.get("TransferSyntaxUID")
        if "PixelData" in before and syntax != ExplicitVRBigEndian:
            came, left = (each.get_item("PixelData").value for each in (before, after))
            assert left == came + b"\0" * (len(came) % 2)
            n_compared += 1
    assert n_compared > 150


def errors_of(path: Path, program: str) -> Counter[str]:
    done = subprocess.run(
        [program, str(path)], check=False, capture_output=True, text=True, errors="replace"
    )
    lines = (done.stderr + done.stdout).splitlines()
    return Counter(re.sub(r"= .*|<[^>]*>", "<>", ln) for ln in lines if ln.startswith("Error"))


@pytest.mark.peer
def test_dciodvfy_has_no_new_error_on_any_mr(
    outcomes: dict[str, Outcome], tmp_path: Path, peer: Callable[[str], str]
) -> None:
    program, new, n_mr = peer("dciodvfy"), {}, 0
    before, after = tmp_path / "before.dcm", tmp_path / "after.dcm"
    for name, each in outcomes.items():
        if each.encoded is None or "MR " not in UID(each.encoded.sop_class_uid).name:
            continue
        n_mr += 1
        before.write_bytes(each.source)
        after.write_bytes(each.encoded.part10)
        new[name] = errors_of(after, program) - errors_of(before, program)

    assert n_mr > 60
    assert {name for name, errors in new.items() if errors} <= STANDARDS_OWN.keys()


@pytest.mark.parametrize("profile", ["basic", "research-mr"])
def test_no_instance_of_the_real_heads_is_held_or_remarked(
    profile: str, shared_data: Path, record_property: Callable[[str, object], None]
) -> None:
    scrubber = HeaderScrubber(load_profile(profile), Pseudonyms(bytes(range(32))))
    verifier, n_instances = Verifier(), 0
    for folder in sorted(path for path in (shared_data / "heads").iterdir() if path.is_dir()):
        if "nii" in folder.name:
            continue
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            source = path.read_bytes()
            encoded = scrubber.run(source).encoded
            verifier.look(f"{encoded.sop_instance_uid}.dcm", encoded.part10)
            n_instances += 1
    found = verifier.finish()
    checks = Counter(remark.check for _, remark in found)
    record_property("told", f"{n_instances} instances, remarks: {dict(checks)}")

    assert n_instances > 400
    assert [each for each in found if each[1].severity is not Severity.NOTE] == []
