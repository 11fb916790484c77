"""Bad input gets one clear line that names the problem and the next step; nothing is sent."""

from __future__ import annotations

import copy
import shutil
import socket
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from drawn_head.head import small_head
from drawn_head.series import FakePatient, dicom_series
from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage

from deid_node.cli import offline, status
from deid_node.face.weights import default_weights
from tests.fakes.command import run

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom import Dataset

SETTINGS = """\
schema_version = 1
pseudonym_key = "pseudonym.key"
[spool]
folder = "spool"
reserve_gib = 0
"""


@pytest.fixture(scope="module")
def drawn() -> list[Dataset]:
    return dicom_series(small_head(seed=11))


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """Give a folder with settings and a key."""
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "deid-node.toml").write_text(SETTINGS)
    key = folder / "pseudonym.key"
    key.write_text("5a7b" * 16)
    key.chmod(0o600)
    return folder


@pytest.fixture
def incoming(tmp_path: Path, drawn: list[Dataset]) -> Path:
    """Give a folder with one good series."""
    folder = tmp_path / "incoming"
    folder.mkdir()
    for k, instance in enumerate(drawn):
        instance.save_as(folder / f"IM{k:03}", enforce_file_format=True)
    return folder


def rewrite(folder: Path, drawn: list[Dataset], change: Callable[[int, Dataset], Any]) -> None:
    """Write a changed copy of the series in place of the good one."""
    for path in folder.iterdir():
        path.unlink()
    for k, each in enumerate(drawn):
        instance = copy.deepcopy(each)
        if change(k, instance) is not False:
            instance.save_as(folder / f"IM{k:03}", enforce_file_format=True)


def not_dicom(folder: Path, _drawn: list[Dataset]) -> None:
    for path in folder.iterdir():
        path.write_text("this is a shopping list")


def truncated(folder: Path, _drawn: list[Dataset]) -> None:
    path = folder / "IM020"
    path.write_bytes(path.read_bytes()[:-300])


def of_class(sop_class: str) -> Callable[[Path, list[Dataset]], None]:
    return lambda folder, drawn: rewrite(
        folder, drawn, lambda _k, each: setattr(each, "SOPClassUID", sop_class)
    )


def one_slice(folder: Path, drawn: list[Dataset]) -> None:
    rewrite(folder, drawn, lambda k, _each: k == 20)


def no_position(folder: Path, drawn: list[Dataset]) -> None:
    rewrite(folder, drawn, at_20(lambda each: each.__delattr__("ImagePositionPatient")))


def two_patients(folder: Path, drawn: list[Dataset]) -> None:
    rewrite(folder, drawn, at_20(lambda each: setattr(each, "PatientID", "DEMO-4712-Q")))


def no_pixels(folder: Path, drawn: list[Dataset]) -> None:
    rewrite(folder, drawn, at_20(lambda each: setattr(each, "PixelData", b"")))


def at_20(change: Callable[[Dataset], object]) -> Callable[[int, Dataset], object]:
    """Change one instance of the series."""
    return lambda k, each: change(each) if k == 20 else None


def noise_only(folder: Path, drawn: list[Dataset]) -> None:
    rng = np.random.default_rng(3)
    shape = (int(drawn[0].Rows), int(drawn[0].Columns))
    rewrite(
        folder,
        drawn,
        lambda _k, each: setattr(each, "PixelData", rng.integers(0, 99, shape, "<u2").tobytes()),
    )


CASES: list[tuple[str, Callable[[Path, list[Dataset]], None], int, str]] = [
    ("not DICOM", not_dicom, 65, "no DICOM instance among the"),
    ("truncated", truncated, 65, "breaks off before its end"),
    ("CT", of_class(CTImageStorage), 65, "CT Image Storage is not supported"),
    ("secondary capture", of_class(SecondaryCaptureImageStorage), 65, "Secondary Capture"),
    ("one slice", one_slice, 65, "1 slices where a volume needs at least 3"),
    ("no position", no_position, 65, "ImagePositionPatient is missing or unusable in 1"),
    ("two patients", two_patients, 65, "2 different values of PatientID"),
    ("no pixels", no_pixels, 65, "Pixel Data is absent or of zero length"),
    ("no head", noise_only, 65, "the face mask is implausible"),
]


@pytest.mark.parametrize(
    ("spoil", "code", "words"), [c[1:] for c in CASES], ids=[c[0] for c in CASES]
)
def test_bad_input_is_named_in_one_line_and_nothing_is_written(
    spoil: Callable[[Path, list[Dataset]], None],
    code: int,
    words: str,
    incoming: Path,
    drawn: list[Dataset],
    site: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    spoil(incoming, drawn)
    out = tmp_path / "out"

    exit_code = run("deface", incoming, "--out", out, "--config", site / "deid-node.toml")

    heard = capfd.readouterr()
    complaints = [line for line in heard.err.splitlines() if line.startswith("deid-node: ")]
    assert exit_code == code
    assert len(complaints) == 1
    assert words in complaints[0]
    assert " → " in complaints[0]
    assert not out.exists() or not list(out.rglob("*.*"))
    assert not any(text in heard.out + heard.err for text in FakePatient().identifiers())


def test_series_beside_a_bad_one_is_still_delivered(
    incoming: Path, site: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (incoming / "readme.txt").write_text("hello")

    code = run("deface", incoming, "-o", tmp_path / "out", "-c", site / "deid-node.toml")

    assert code == 0
    assert "1 of 1 series delivered" in capfd.readouterr().out
    assert len(list((tmp_path / "out").rglob("*.dcm"))) == len(list(incoming.iterdir()))


def test_output_that_cannot_be_written_is_named(
    incoming: Path, site: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "out").write_text("a file, not a folder")

    code = run("deface", incoming, "-o", tmp_path / "out", "-c", site / "deid-node.toml")

    heard = capfd.readouterr()
    assert code == 74
    assert "cannot write there" in heard.err
    assert "series delivered" not in heard.out


# pynetdicom leaves the socket of a refused connection to the garbage collector.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_destination_that_is_down_is_named(
    incoming: Path, site: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]

    code = run("send", incoming, "--to", f"127.0.0.1:{port}/NOBODY", "-c", site / "deid-node.toml")

    heard = capfd.readouterr()
    assert code == 75
    assert heard.err.count("deid-node: ") == 1
    assert "PeerUnreachable" in heard.err
    assert "run the command again" in heard.err
    assert "0 of 1 series delivered" in heard.out


def test_weights_that_are_missing_are_named_before_anything_is_read(
    incoming: Path, site: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    model = site / "model"
    shutil.copytree(default_weights(), model)
    (model / "face.bin").unlink()
    with (site / "deid-node.toml").open("a") as settings:
        settings.write('[face]\nmodel = "model/"\n')

    code = run("deface", incoming, "-o", tmp_path / "out", "-c", site / "deid-node.toml")

    assert code == 69
    assert "face.bin" in capfd.readouterr().err
    assert not (tmp_path / "out").exists()


def test_key_that_others_may_read_is_refused(
    incoming: Path, site: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (site / "pseudonym.key").chmod(0o644)

    code = run("deface", incoming, "-o", tmp_path / "out", "-c", site / "deid-node.toml")

    assert code == 78
    assert "may be read or written by others" in capfd.readouterr().err


def test_unknown_verb_is_a_usage_error(capfd: pytest.CaptureFixture[str]) -> None:
    assert run("anonymise") == 64
    assert "anonymise" in capfd.readouterr().err


def test_settings_that_are_not_there_are_named(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run("status", "--config", tmp_path / "none.toml") == 78
    assert "settings file not found" in capfd.readouterr().err


def test_no_library_quotes_a_value_to_the_terminal(
    incoming: Path, drawn: list[Dataset], site: Path, tmp_path: Path
) -> None:
    odd = "1.2.840.ZEBRAFISH.QUENTIN"

    def spoil(instance: Dataset) -> None:
        instance.add_new("PatientBirthDate", "DA", "19710823")
        instance["PatientBirthDate"]._value = "ZEBRAFISH"
        instance.add_new("FrameOfReferenceUID", "UI", "1.2.3")
        instance["FrameOfReferenceUID"]._value = odd

    rewrite(incoming, drawn, lambda _k, each: spoil(each))

    done = subprocess.run(
        [
            *(sys.executable, "-m", "deid_node", "deface", incoming),
            *("-o", tmp_path / "out", "-c", site / "deid-node.toml"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )

    assert "series" in done.stdout
    assert "ZEBRAFISH" not in done.stdout + done.stderr


def test_fault_of_the_node_holds_its_series_and_tells_no_text(
    incoming: Path,
    site: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    def fault(*_: object, **__: object) -> None:
        raise RuntimeError("ZEBRAFISH")

    monkeypatch.setattr(offline, "deidentify", fault)

    code = run("deface", incoming, "-o", tmp_path / "out", "-c", site / "deid-node.toml")

    heard = capfd.readouterr()
    assert code == 70
    assert "held: internal error RuntimeError, error_id" in heard.err
    assert "0 of 1 series delivered" in heard.out
    assert "ZEBRAFISH" not in heard.out + heard.err
    assert not (tmp_path / "out").exists()


def test_fault_of_a_verb_is_one_line_without_its_text(
    site: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fault(*_: object) -> None:
        raise RuntimeError("ZEBRAFISH")

    monkeypatch.setattr(status, "settings_from", fault)

    code = run("status", "-c", site / "deid-node.toml")

    heard = capfd.readouterr()
    assert code == 70
    assert heard.err.count("deid-node: internal error RuntimeError, error_id") == 1
    assert "ZEBRAFISH" not in heard.out + heard.err
