"""Folders are written whole, and a target on the command line means one destination."""

from __future__ import annotations

import errno
import io
import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import numpy as np
import pytest
from pydicom import dcmread

from deid_node.config.schema import DicomDestination
from deid_node.config.schema import FolderDestination as FolderSettings
from deid_node.dicom.part10 import encode
from deid_node.errors import InstanceThereAlready, NotDicom, OutputUnwritable, SettingsInvalid
from deid_node.node.outgoing import Outgoing, from_encoded
from deid_node.node.send.destination import make_destination, parse_target
from deid_node.node.send.folder import FolderDestination
from tests.fakes.series import mr_series

if TYPE_CHECKING:
    from collections.abc import Sequence

ARCHIVE = DicomDestination(
    kind="dicom", name="archive", ae_title="ORTHANC", host="archive.example.org", port=4242
)
COPIES = FolderSettings(kind="folder", name="copies", folder=Path("/srv/copies"))


@pytest.fixture
def instances() -> list[Outgoing]:
    return from_encoded([encode(each) for each in mr_series(np.zeros((3, 4, 4), np.uint16))])


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def full(*_arguments: object, **_named: object) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_folder_is_named_by_study_series_and_instance(
    tmp_path: Path, instances: Sequence[Outgoing]
) -> None:
    answers: list[tuple[int, int]] = []

    FolderDestination(name="copies", folder=tmp_path / "new" / "copies").deliver(
        instances, answered=lambda *answer: answers.append(answer)
    )

    assert answers == [(1, 0), (2, 0), (3, 0)]
    for instance in instances:
        dataset = dcmread(io.BytesIO(instance.part10()))
        place = f"{dataset.StudyInstanceUID}/{dataset.SeriesInstanceUID}"
        path = tmp_path / "new" / "copies" / place / f"{dataset.SOPInstanceUID}.dcm"
        assert path.read_bytes() == instance.part10()
    assert len(files(tmp_path)) == 3


def test_delivering_twice_leaves_one_of_each(tmp_path: Path, instances: Sequence[Outgoing]) -> None:
    destination = FolderDestination(name="copies", folder=tmp_path)

    destination.deliver(instances)
    destination.deliver(instances)

    assert len(files(tmp_path)) == 3


def test_file_with_other_bytes_is_never_replaced_and_keeps_no_other_back(
    tmp_path: Path, instances: Sequence[Outgoing]
) -> None:
    destination = FolderDestination(name="copies", folder=tmp_path)
    destination.deliver(instances[1:2])
    [there] = files(tmp_path)
    others = [b"x", there.read_bytes()[:-1] + b"x"]
    answers: list[tuple[int, int]] = []

    for other in others:
        there.write_bytes(other)
        answers.clear()
        with pytest.raises(InstanceThereAlready):
            destination.deliver(instances, answered=lambda *answer: answers.append(answer))
        assert there.read_bytes() == other

    assert answers == [(1, 0), (2, 0x0111), (3, 0)]
    assert len(files(tmp_path)) == 3


def test_later_generation_replaces_a_file_and_leaves_no_trace_of_the_earlier(
    tmp_path: Path, instances: Sequence[Outgoing]
) -> None:
    destination = FolderDestination(name="copies", folder=tmp_path)
    destination.deliver(instances)
    for path in files(tmp_path):
        path.write_bytes(b"earlier")

    destination.deliver([replace(each, replaces=True) for each in instances])

    assert sorted(path.read_bytes() for path in files(tmp_path)) == sorted(
        each.part10() for each in instances
    )


def test_file_with_the_same_bytes_is_left_as_it_is(
    tmp_path: Path, instances: Sequence[Outgoing]
) -> None:
    destination = FolderDestination(name="copies", folder=tmp_path)
    destination.deliver(instances)
    written = {path: path.stat().st_ino for path in files(tmp_path)}

    destination.deliver(instances)

    assert {path: path.stat().st_ino for path in files(tmp_path)} == written


@pytest.mark.parametrize("step", ["fsync", "mkdir"])
def test_full_disk_leaves_nothing_half_written(
    tmp_path: Path,
    instances: Sequence[Outgoing],
    monkeypatch: pytest.MonkeyPatch,
    step: str,
) -> None:
    monkeypatch.setattr(os if step == "fsync" else Path, step, full)

    with pytest.raises(OutputUnwritable, match="destination copies: cannot write there"):
        FolderDestination(name="copies", folder=tmp_path / "copies").deliver(instances)

    assert files(tmp_path) == []


def test_folder_that_cannot_be_written_is_told_by_echo(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    destination = FolderDestination(name="copies", folder=tmp_path / "file" / "copies")

    with pytest.raises(OutputUnwritable):
        destination.echo()


def test_echo_of_a_folder_leaves_nothing_in_it(tmp_path: Path) -> None:
    FolderDestination(name="copies", folder=tmp_path).echo()

    assert files(tmp_path) == []


@pytest.mark.parametrize("uid", ["../../etc", "..", "", "2.25.1/../../x", "/etc"])
def test_name_that_is_no_uid_never_becomes_a_path(
    tmp_path: Path, instances: Sequence[Outgoing], uid: str
) -> None:
    bad = replace(instances[0], sop_instance_uid=uid)

    with pytest.raises(NotDicom):
        FolderDestination(name="copies", folder=tmp_path / "copies").deliver([bad])

    assert files(tmp_path) == []


def test_name_of_the_settings_is_found_first() -> None:
    assert parse_target("copies", [ARCHIVE, COPIES]) is COPIES
    assert make_destination(ARCHIVE).name == "archive"
    assert make_destination(COPIES).name == "copies"


@pytest.mark.parametrize(
    ("text", "host", "port", "ae_title"),
    [
        ("pacs.example.org:104/ARCHIVE", "pacs.example.org", 104, "ARCHIVE"),
        ("192.0.2.7:11112/MY PACS", "192.0.2.7", 11112, "MY PACS"),
        ("[2001:db8::7]:104/A", "2001:db8::7", 104, "A"),
    ],
)
def test_address_is_read(text: str, host: str, port: int, ae_title: str) -> None:
    target = parse_target(text, [])

    assert isinstance(target, DicomDestination)
    assert (target.host, target.port, target.ae_title) == (host, port, ae_title)


@pytest.mark.parametrize(
    "text",
    [
        "archiv",
        "host:104",
        "host/AET",
        ":104/AET",
        "host:0/AET",
        "host:65536/AET",
        "h:1/" + 17 * "A",
    ],
)
def test_target_that_is_neither_is_refused_with_the_known_names(text: str) -> None:
    with pytest.raises(SettingsInvalid, match="known: archive, copies"):
        parse_target(text, [ARCHIVE, COPIES])
