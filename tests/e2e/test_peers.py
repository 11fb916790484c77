"""A series goes through the running node between real DICOM programs of other makers.

dcmtk's storescu sends; dcmtk's storescp, Orthanc and a folder receive. dciodvfy, SimpleITK
and highdicom judge what arrived. The drawn head always goes through; a real head where the
shared test data is at hand.
"""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import highdicom as hd
import numpy as np
import pytest
import SimpleITK as sitk
from drawn_head.head import draw_head, grid
from drawn_head.series import FakePatient, dicom_series
from pydicom import Dataset, dcmread

from tests.fakes.node import free_port, is_open

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.peer

LONGEST_WAIT_S = 300
SETTINGS = """\
schema_version = 1
pseudonym_key = "pseudonym.key"
[node]
port = {node}
callers = ["STORESCU"]
[series]
quiet_seconds = 2
[spool]
folder = "spool"
reserve_gib = 0
[[destinations]]
kind = "dicom"
name = "dcmtk"
ae_title = "STORESCP"
host = "127.0.0.1"
port = {storescp}
[[destinations]]
kind = "dicom"
name = "orthanc"
ae_title = "ORTHANC"
host = "127.0.0.1"
port = {orthanc}
[[destinations]]
kind = "folder"
name = "folder"
folder = "archive"
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Passage:
    """What went in and what came out on the other side of the node."""

    site: Path
    incoming: list[Path]
    received: list[Path]
    orthanc: Counter[str]

    def instances(self, modality: str) -> list[Dataset]:
        read = [dcmread(path) for path in self.received]
        return [each for each in read if each.Modality == modality]


@pytest.fixture(scope="module", params=["drawn", pytest.param("child", marks=pytest.mark.heads)])
def passage(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    peer: Callable[[str], str],
) -> Passage:
    """Take one series all the way."""
    site = tmp_path_factory.mktemp("site")
    if request.param == "child":
        heads = request.getfixturevalue("shared_data") / "heads"
        incoming = sorted(heads.joinpath("01_sag_anon_child3y_T1_dicom").iterdir())
    else:
        incoming = drawn_series(site / "incoming")
    ports = {each: free_port() for each in ("node", "storescp", "orthanc", "http")}
    (site / "deid-node.toml").write_text(SETTINGS.format(**ports))
    (site / "pseudonym.key").write_text("90c1" * 16)
    (site / "pseudonym.key").chmod(0o600)
    (site / "received").mkdir()
    with ExitStack() as running:
        receive = [peer("storescp"), "-od", "received", "-aet", "STORESCP", str(ports["storescp"])]
        running.enter_context(program(receive, site, "storescp"))
        running.enter_context(orthanc(peer("Orthanc"), site, ports))
        serve = [sys.executable, "-m", "deid_node", "serve", "-c", "deid-node.toml"]
        running.enter_context(program(serve, site, "node"))
        for port in ports.values():
            wait_until(partial(is_open, port))
        send = [peer("storescu"), "-aet", "STORESCU", "-aec", "DEIDNODE", "127.0.0.1"]
        subprocess.run([*send, str(ports["node"]), *map(str, incoming)], check=True, cwd=site)
        wait_until(lambda: len(list((site / "received").iterdir())) > len(incoming))
        wait_until(lambda: sum(in_orthanc(ports["http"]).values()) > len(incoming))
        wait_until(lambda: states(site).get("delivered", 0) + states(site).get("purged", 0) == 1)
        stored = in_orthanc(ports["http"])
    return Passage(
        site=site,
        incoming=incoming,
        received=sorted((site / "received").iterdir()),
        orthanc=stored,
    )


def test_every_instance_and_one_seg_arrive_everywhere(passage: Passage) -> None:
    n = len(passage.incoming)

    assert passage.orthanc == {"MR": n, "SEG": 1}
    assert len(passage.received) == n + 1
    assert len(passage.instances("MR")) == n
    assert len(list((passage.site / "archive").rglob("*.dcm"))) == n + 1


def test_dciodvfy_finds_no_error_that_the_input_did_not_have(
    passage: Passage, peer: Callable[[str], str]
) -> None:
    had = errors(peer("dciodvfy"), passage.incoming[0])

    for path in passage.received:
        assert errors(peer("dciodvfy"), path) <= had, path.name


def test_simpleitk_reads_the_geometry_of_the_input(passage: Passage) -> None:
    came = read_volume(passage.incoming)
    leaves = read_volume([p for p in passage.received if dcmread(p).Modality == "MR"])

    assert leaves.GetSize() == came.GetSize()
    for corner in np.ndindex(2, 2, 2):
        index = [int(c * (n - 1)) for c, n in zip(corner, came.GetSize(), strict=True)]
        np.testing.assert_allclose(
            leaves.TransformIndexToPhysicalPoint(index),
            came.TransformIndexToPhysicalPoint(index),
            atol=1e-4,
        )


def test_highdicom_reads_the_geometry_of_the_input(passage: Passage) -> None:
    came = hd.get_volume_from_series([dcmread(path) for path in passage.incoming])
    leaves = hd.get_volume_from_series(passage.instances("MR"))
    [segmentation] = passage.instances("SEG")
    mask = hd.seg.Segmentation.from_dataset(segmentation).get_volume(combine_segments=True)

    np.testing.assert_allclose(leaves.affine, came.affine, atol=1e-4)
    matched = mask.match_geometry(leaves)
    np.testing.assert_allclose(matched.affine, came.affine, atol=1e-4)


def test_no_voxel_outside_the_mask_differs(passage: Passage) -> None:
    instances = sorted(passage.instances("MR"), key=position)
    sources = sorted(map(dcmread, passage.incoming), key=position)
    [segmentation] = passage.instances("SEG")
    mask = hd.seg.Segmentation.from_dataset(segmentation).get_pixels_by_source_instance(
        [each.SOPInstanceUID for each in instances],
        segment_numbers=[1],
        assert_missing_frames_are_empty=True,
    )[..., 0]

    came = np.stack([each.pixel_array for each in sources])
    leaves = np.stack([each.pixel_array for each in instances])

    assert int(np.sum((came != leaves) & (mask == 0))) == 0
    assert int(np.sum((came != leaves) & (mask == 1))) > 1000


def test_identity_is_nowhere_in_bytes_names_logs_or_ledger(passage: Passage) -> None:
    planted = identifiers(passage.incoming)
    archive = list((passage.site / "archive").rglob("*"))
    spool = list((passage.site / "spool").rglob("*"))
    logs = list(passage.site.glob("*.log"))

    for path in (*passage.received, *archive, *spool, *logs):
        assert not [text for text in planted if text in str(path.relative_to(passage.site))]
        if path.is_file():
            content = path.read_bytes()
            assert not [text for text in planted if text.encode() in content], path.name


def identifiers(paths: list[Path]) -> set[str]:
    """Collect name, ID, dates and UIDs of the input."""
    found = {*FakePatient().identifiers()} - {FakePatient().age, FakePatient().study_time}
    for path in paths:
        header = dcmread(path, stop_before_pixels=True)
        for element in header.iterall():
            of_kind = element.VR in {"UI", "DA", "PN"} or element.keyword == "PatientID"
            values = str(element.value).replace("^", "\\").split("\\") if of_kind else []
            found |= {v for v in values if len(v) > 3 and not v.startswith("1.2.840.10008.")}
    return found - {"Anonymized", "ANON"}


def drawn_series(folder: Path) -> list[Path]:
    """Write the drawn head, 2 mm, as a PACS would hold it."""
    folder.mkdir()
    where = grid("sagittal", 2.0)
    head = draw_head(contrast="T1", shape=where.shape, affine=where.affine, seed=5, age="child")
    paths = []
    for k, instance in enumerate(dicom_series(head)):
        paths.append(folder / f"IM{k:03}.dcm")
        instance.save_as(paths[-1], enforce_file_format=True)
    return paths


@contextmanager
def program(command: list[str], folder: Path, name: str) -> Iterator[None]:
    """Run a program until the block ends; its output goes to a log."""
    with (folder / f"{name}.log").open("wb") as log:
        running = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
    try:
        yield
    finally:
        running.send_signal(signal.SIGTERM)
        running.wait(timeout=30)


@contextmanager
def orthanc(path: str, site: Path, ports: dict[str, int]) -> Iterator[None]:
    """Run an Orthanc with an empty store of its own."""
    folder = site / "orthanc"
    folder.mkdir()
    settings = {
        "StorageDirectory": str(folder),
        "DicomAet": "ORTHANC",
        "DicomPort": ports["orthanc"],
        "HttpPort": ports["http"],
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowFind": True,
        "Plugins": [],
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with program([path, str(folder / "orthanc.json")], site, "orthanc"):
        yield


def in_orthanc(port: int) -> Counter[str]:
    """Count the instances that Orthanc holds, by modality."""
    series = ask(port, "series?expand")
    return Counter({s["MainDicomTags"]["Modality"]: len(s["Instances"]) for s in series})


def ask(port: int, what: str) -> Any:  # noqa: ANN401 - JSON
    """Ask Orthanc's own interface."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/{what}", timeout=10) as answer:
        return json.load(answer)


def states(site: Path) -> dict[str, int]:
    """Ask the node how many series are in which state."""
    command = [sys.executable, "-m", "deid_node", "status", "--json", "-c", "deid-node.toml"]
    done = subprocess.run(command, cwd=site, check=True, capture_output=True, text=True)
    counts: dict[str, int] = json.loads(done.stdout)["series"]
    return counts


def errors(dciodvfy: str, path: Path) -> set[str]:
    """List what dciodvfy calls an error, without the values it quotes."""
    done = subprocess.run([dciodvfy, str(path)], capture_output=True, text=True, check=False)
    lines = (done.stdout + done.stderr).splitlines()
    return {re.sub(r"= <.*", "", line) for line in lines if line.startswith("Error")}


def read_volume(paths: list[Path]) -> sitk.Image:
    """Read a series with SimpleITK, in stack order."""
    ordered = sorted(paths, key=lambda path: position(dcmread(path, stop_before_pixels=True)))
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames([str(path) for path in ordered])
    return reader.Execute()


def position(instance: Dataset) -> float:
    """Distance of a slice along its normal."""
    x, y = np.reshape(np.asarray(instance.ImageOrientationPatient, float), (2, 3))
    return float(np.dot(np.cross(x, y), np.asarray(instance.ImagePositionPatient, float)))


def wait_until(holds: Callable[[], bool]) -> None:
    """Wait until something holds; fail after a long while."""
    end = time.monotonic() + LONGEST_WAIT_S
    while not holds():
        if time.monotonic() > end:
            pytest.fail("waited in vain")
        time.sleep(0.5)
