"""`deid-node send` takes an offline folder to a destination, by name or by address."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from drawn_head.head import small_head
from drawn_head.series import FakePatient, dicom_series

from tests.fakes.command import run
from tests.fakes.peer import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SETTINGS = """\
schema_version = 1
pseudonym_key = "pseudonym.key"
[spool]
folder = "spool"
reserve_gib = 0
[[destinations]]
kind = "dicom"
name = "archive"
ae_title = "ARCHIVE"
host = "127.0.0.1"
port = {port}
"""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    """Give a storage SCP that listens."""
    receiver = Receiver()
    receiver.start()
    yield receiver
    receiver.stop()


@pytest.fixture
def site(tmp_path: Path, receiver: Receiver) -> Path:
    """Give settings and a folder with two series of one patient, some levels deep."""
    (tmp_path / "deid-node.toml").write_text(SETTINGS.format(port=receiver.port))
    (tmp_path / "pseudonym.key").write_text("77ac" * 16)
    (tmp_path / "pseudonym.key").chmod(0o600)
    for number in (1, 2):
        folder = tmp_path / "cd" / "DICOM" / f"ST{number}"
        folder.mkdir(parents=True)
        for k, instance in enumerate(dicom_series(small_head(seed=number), series_number=number)):
            instance.save_as(folder / f"{k:08X}", enforce_file_format=True)
    return tmp_path


@pytest.mark.parametrize("by", ["name", "address"])
def test_every_series_of_a_folder_arrives_with_its_seg(
    by: str, site: Path, receiver: Receiver, capfd: pytest.CaptureFixture[str]
) -> None:
    to = "archive" if by == "name" else f"127.0.0.1:{receiver.port}/ARCHIVE"

    code = run("send", site / "cd", "--to", to, "--config", site / "deid-node.toml")

    heard = capfd.readouterr()
    assert code == 0, heard.err
    assert "2 of 2 series delivered" in heard.out
    n_files = sum(path.is_file() for path in (site / "cd").rglob("*"))
    modalities = [each.Modality for each in receiver.instances]
    assert modalities.count("MR") == n_files
    assert modalities.count("SEG") == 2
    assert len({each.PatientID for each in receiver.instances}) == 1
    assert len(set(receiver.sop_instance_uids)) == n_files + 2


def test_sending_twice_sends_the_same_instances(site: Path, receiver: Receiver) -> None:
    for _ in range(2):
        assert run("send", site / "cd", "--to", "archive", "-c", site / "deid-node.toml") == 0

    half = len(receiver.encoded) // 2
    assert receiver.encoded[:half] == receiver.encoded[half:]


def test_no_identifier_is_printed_or_sent(
    site: Path, receiver: Receiver, capfd: pytest.CaptureFixture[str]
) -> None:
    run("send", site / "cd", "--to", "archive", "--config", site / "deid-node.toml", "--json")

    heard = capfd.readouterr()
    assert len(json.loads(heard.out)["series"]) == 2
    planted = set(FakePatient().identifiers()) - {FakePatient().age, FakePatient().study_time}
    for text in planted:
        assert text not in heard.out + heard.err
        assert not any(text.encode() in encoded for encoded in receiver.encoded)


def test_destination_that_nobody_named_is_refused(
    site: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("send", site / "cd", "--to", "nowhere", "-c", site / "deid-node.toml") == 78
    assert "known: archive" in capfd.readouterr().err


def test_echo_answers(site: Path, receiver: Receiver, capfd: pytest.CaptureFixture[str]) -> None:
    assert receiver.port
    assert run("echo", "archive", "--config", site / "deid-node.toml") == 0
    assert "archive answers" in capfd.readouterr().out
