"""A folder of headers comes out whole, named by new UIDs, and without what is doubtful."""

from __future__ import annotations

import errno
import io
import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest
from pydicom import Dataset, FileDataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MediaStorageDirectoryStorage

from deid_node.config.profile_file import load_profile
from deid_node.errors import NotDicom, OutputUnwritable, ProfileInvalid
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.node import scrub_folder
from deid_node.node.output_folder import DRAFTS
from deid_node.node.scrub_file import NotWritten, place_of
from deid_node.node.scrub_folder import FolderScrub, Written
from deid_node.pipeline.header_only import HeaderScrubber
from deid_node.pipeline.linkage import ATTRIBUTES, Link, Linkage
from tests.planted import mr_instance, planted, written

if TYPE_CHECKING:
    from types import CodeType, FrameType

PROFILE = load_profile("basic")
KEY = Pseudonyms(bytes(range(32)))


def instance(number: int, **values: str) -> Dataset:
    dataset = mr_instance()
    dataset.SOPInstanceUID = f"1.2.3.4.5.1.{number}"
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


@pytest.fixture
def incoming(tmp_path: Path) -> Path:
    """Give a folder with three instances, at different depths, under names that mean nothing."""
    folder = tmp_path / "incoming"
    for k, place in enumerate(("one.txt", "deep/down/DOE_JANE", "deep/IM0001.dcm")):
        path = folder / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(written(instance(k)))
    return folder


def scrub(folder: Path, out: Path, *, jobs: int = 1) -> list[Written | NotWritten]:
    return list(FolderScrub(PROFILE, KEY, jobs=jobs).run(folder, out))


def files(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found}


def errors(outcomes: list[Written | NotWritten]) -> list[str]:
    return [each.error for each in outcomes if isinstance(each, NotWritten)]


def test_every_instance_is_written_under_its_own_new_uids(incoming: Path, tmp_path: Path) -> None:
    outcomes = scrub(incoming, tmp_path / "out")

    results = files(tmp_path / "out")
    assert errors(outcomes) == []
    assert len(results) == 3
    for name, content in results.items():
        dataset = dcmread(io.BytesIO(content))
        assert name == (
            f"{dataset.PatientID}/{dataset.StudyInstanceUID}/{dataset.SeriesInstanceUID}/"
            f"{dataset.SOPInstanceUID}.dcm"
        )
        assert re.fullmatch(r"P[A-Z2-7]{16}/(2\.25\.\d{1,39}[/.]){3}dcm", name)


def test_output_is_what_the_engine_makes_of_the_bytes(incoming: Path, tmp_path: Path) -> None:
    scrub(incoming, tmp_path / "out")

    expected = {
        HeaderScrubber(PROFILE, KEY).run(content).encoded.part10
        for content in files(incoming).values()
    }
    assert set(files(tmp_path / "out").values()) == expected


def test_output_is_private_to_its_owner(incoming: Path, tmp_path: Path) -> None:
    scrub(incoming, tmp_path / "out")

    modes = {path.stat().st_mode & 0o077 for path in (tmp_path / "out").rglob("*")}
    assert modes == {0}


def test_nothing_claims_that_a_face_was_removed(incoming: Path, tmp_path: Path) -> None:
    for path in incoming.rglob("*.dcm"):
        path.write_bytes(written(instance(2, RecognizableVisualFeatures="NO")))

    scrub(incoming, tmp_path / "out")

    for content in files(tmp_path / "out").values():
        dataset = dcmread(io.BytesIO(content))
        assert dataset.get("RecognizableVisualFeatures") != "NO"
        codes = {item.CodeValue for item in dataset.DeidentificationMethodCodeSequence}
        assert "113102" not in codes
        assert "113100" in codes


def test_no_planted_token_is_in_a_file_a_name_or_an_outcome(tmp_path: Path) -> None:
    dataset, tokens = planted()
    (tmp_path / "incoming").mkdir()
    (tmp_path / "incoming" / "1").write_bytes(written(dataset))

    outcomes = scrub(tmp_path / "incoming", tmp_path / "out")

    [(name, content)] = files(tmp_path / "out").items()
    told = (repr(outcomes) + name).encode() + content
    assert not [token for token in tokens if token.encode().lower() in told.lower()]


def test_many_processes_give_what_one_gives(
    incoming: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrub_folder, "BATCH", 3)
    for k in range(3, 60):
        (incoming / f"{k:03}").write_bytes(written(instance(k)))
    (incoming / "007").write_bytes(written(instance(3, PatientWeight="60")))

    one = scrub(incoming, tmp_path / "one")
    many = scrub(incoming, tmp_path / "many", jobs=2)

    assert many == one
    assert files(tmp_path / "many") == files(tmp_path / "one")
    assert len(files(tmp_path / "one")) == 59


def test_identical_file_is_written_once(incoming: Path, tmp_path: Path) -> None:
    (incoming / "two.txt").write_bytes((incoming / "one.txt").read_bytes())

    outcomes = scrub(incoming, tmp_path / "out")

    assert errors(outcomes) == []
    assert sum(each.repeats for each in outcomes if isinstance(each, Written)) == 1
    assert len(files(tmp_path / "out")) == 3


def test_second_instance_of_one_uid_is_held_and_the_first_stays(
    incoming: Path, tmp_path: Path
) -> None:
    first = scrub(incoming, tmp_path / "alone")
    before = files(tmp_path / "alone")
    (incoming / "two.txt").write_bytes(written(instance(0, PatientWeight="60")))

    outcomes = scrub(incoming, tmp_path / "out")

    assert len(first) == 3
    assert errors(outcomes) == ["DuplicateInstance"]
    assert files(tmp_path / "out") == before


def test_running_again_changes_nothing(incoming: Path, tmp_path: Path) -> None:
    scrub(incoming, tmp_path / "out")
    before = files(tmp_path / "out")

    outcomes = scrub(incoming, tmp_path / "out")

    assert errors(outcomes) == []
    assert files(tmp_path / "out") == before


def test_no_file_replaces_another(incoming: Path, tmp_path: Path) -> None:
    scrub(incoming, tmp_path / "out")
    before = files(tmp_path / "out")

    outcomes = list(FolderScrub(load_profile("research-mr"), KEY).run(incoming, tmp_path / "out"))

    assert set(errors(outcomes)) == {"InstanceThereAlready"}
    assert files(tmp_path / "out") == before


def test_files_that_are_no_instance_are_told_apart(incoming: Path, tmp_path: Path) -> None:
    whole = (incoming / "one.txt").read_bytes()
    (incoming / "a-photo.jpg").write_bytes(b"\xff\xd8" * 500)
    (incoming / "b-short").write_bytes(b"DICM")
    (incoming / "c-cut").write_bytes(whole[:-40])
    (incoming / "d-burned").write_bytes(written(instance(8, BurnedInAnnotation="YES")))
    (incoming / "e-video").write_bytes(written(instance(9, SOPClassUID="1.2.3.4")))

    outcomes = scrub(incoming, tmp_path / "out")

    states = {each.path.name: each.state for each in outcomes if isinstance(each, NotWritten)}
    assert states == {
        "a-photo.jpg": "not DICOM",
        "b-short": "not DICOM",
        "c-cut": "refused",
        "d-burned": "held",
        "e-video": "held",
    }
    assert len(files(tmp_path / "out")) == 3


def test_index_of_a_disk_is_no_failure_and_is_not_written(incoming: Path, tmp_path: Path) -> None:
    index = Dataset()
    index.FileSetID = "ZEBRAFISH"
    index.DirectoryRecordSequence = []
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    meta.MediaStorageSOPInstanceUID = UID("1.2.3.4")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    FileDataset("", index, file_meta=meta, preamble=bytes(128)).save_as(
        incoming / "DICOMDIR", enforce_file_format=True
    )

    outcomes = scrub(incoming, tmp_path / "out")

    states = [each.state for each in outcomes if isinstance(each, NotWritten)]
    assert states == ["not DICOM"]
    assert len(files(tmp_path / "out")) == 3


def test_folder_that_cannot_be_read_is_told_and_not_passed_over(
    incoming: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def closed(path: str) -> object:
        if str(path).endswith("down"):
            raise PermissionError(errno.EACCES, "closed", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", closed)

    with pytest.raises(NotDicom, match="deep/down cannot be read"):
        scrub(incoming, tmp_path / "out")


def test_instance_without_a_study_is_held(tmp_path: Path) -> None:
    dataset = instance(1)
    del dataset.StudyInstanceUID
    (tmp_path / "incoming").mkdir()
    (tmp_path / "incoming" / "1").write_bytes(written(dataset))

    assert errors(scrub(tmp_path / "incoming", tmp_path / "out")) == ["MissingAttribute"]
    assert files(tmp_path / "out") == {}


@pytest.mark.parametrize(
    ("source", "out"), [("in", "in"), ("in", "in/out"), ("out/in", "out"), ("in/../in", "in")]
)
def test_folders_that_overlap_are_refused(tmp_path: Path, source: str, out: str) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / source).mkdir(parents=True, exist_ok=True)

    with pytest.raises(OutputUnwritable, match="lie in, one another"):
        scrub(tmp_path / source, tmp_path / out)


def test_link_to_the_input_is_no_way_round(incoming: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(incoming)

    with pytest.raises(OutputUnwritable, match="lie in, one another"):
        scrub(incoming, tmp_path / "link")


def test_two_runs_never_share_an_output_folder(incoming: Path, tmp_path: Path) -> None:
    first = FolderScrub(PROFILE, KEY).run(incoming, tmp_path / "out")
    next(first)

    with pytest.raises(OutputUnwritable, match="another run"):
        scrub(incoming, tmp_path / "out")

    assert len([*first]) == 2


def test_drafts_of_a_killed_run_are_deleted(incoming: Path, tmp_path: Path) -> None:
    (tmp_path / "out" / DRAFTS).mkdir(parents=True)
    (tmp_path / "out" / DRAFTS / "0").write_bytes(b"half")

    scrub(incoming, tmp_path / "out")

    assert len(files(tmp_path / "out")) == 3
    assert not (tmp_path / "out" / DRAFTS).exists()


@pytest.mark.parametrize("step", ["open", "rename"])
def test_full_disk_stops_the_run_and_leaves_no_half_file(
    incoming: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def full(*_arguments: object, **_named: object) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if step == "open":
        monkeypatch.setattr("deid_node.node.scrub_file.write_draft", full)
    else:
        monkeypatch.setattr(Path, "rename", full)

    with pytest.raises(OutputUnwritable):
        scrub(incoming, tmp_path / "out")
    assert files(tmp_path / "out") == {}


def test_profile_that_cannot_be_applied_stops_the_run(incoming: Path, tmp_path: Path) -> None:
    other = replace(load_profile("basic"), edition="1999a")

    with pytest.raises(ProfileInvalid):
        list(FolderScrub(other, KEY).run(incoming, tmp_path / "out"))
    assert files(tmp_path / "out") == {}


def test_file_that_kills_its_process_is_held(
    incoming: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scrub_folder, "_work", _die)

    outcomes = scrub(incoming, tmp_path / "out", jobs=2)

    assert set(errors(outcomes)) == {"BrokenProcessPool"}
    assert files(tmp_path / "out") == {}


def _die(_batch: object) -> NoReturn:
    os._exit(1)


class InjectedFault(Exception):
    """A fault that nobody foresaw; its text is what no output may hold."""


def _codes_of_one_run(content: bytes) -> list[CodeType]:
    """List every function of ours that runs when one file is scrubbed."""
    seen: dict[CodeType, None] = {}

    def note(frame: FrameType, event: str, _argument: object) -> None:
        if event == "call" and f"{os.sep}deid_node{os.sep}" in frame.f_code.co_filename:
            seen[frame.f_code] = None

    scrubber = HeaderScrubber(PROFILE, KEY)
    sys.setprofile(note)
    try:
        scrubber.run(content)
    finally:
        sys.setprofile(None)
    return list(seen)


def test_fault_anywhere_in_the_engine_holds_the_file_and_writes_nothing(
    incoming: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    content = (incoming / "one.txt").read_bytes()
    scrub(incoming, tmp_path / "good")
    good = set(files(tmp_path / "good").values())
    stages = _codes_of_one_run(content)
    assert len(stages) > 30
    for number, code in enumerate(stages):

        def inject(frame: FrameType, event: str, _argument: object, code: CodeType = code) -> None:
            if event == "call" and frame.f_code is code:
                raise InjectedFault("ZEBRAFISH^QUENTIN")

        out = tmp_path / f"out{number}"
        sys.setprofile(inject)
        try:
            outcomes = scrub(incoming, out)
        finally:
            sys.setprofile(None)
        n_held = len(errors(outcomes))
        assert n_held >= 1, code.co_qualname
        assert set(files(out).values()) <= good, code.co_qualname
        assert len(files(out)) == 3 - n_held, code.co_qualname
        assert "ZEBRAFISH" not in repr(outcomes)
    told = capfd.readouterr()
    assert "ZEBRAFISH" not in told.out + told.err


def test_patient_id_that_stayed_names_no_folder() -> None:
    def linkage(patient: tuple[str, str]) -> Linkage:
        new = dict.fromkeys(ATTRIBUTES, ("9.9", "2.25.1")) | {"patient": patient}
        return Linkage(
            links=tuple(Link(kind=kind, old=old, new=made) for kind, (old, made) in new.items()),
            days=0,
        )

    assert place_of(linkage(("MRN-1", "PABC"))).parts[0] == "PABC"
    assert place_of(linkage(("MRN-1", "MRN-1"))).parts[0] == "2.25.1"
    assert place_of(linkage(("MRN-1", "../../etc"))).parts[0] == "2.25.1"
    assert place_of(linkage(("MRN-1", ""))).parts[0] == "2.25.1"
