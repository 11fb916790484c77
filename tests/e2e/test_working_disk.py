"""The disk fails a series that is worked on: it goes on by itself, and nothing half is left."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING

import pytest
from drawn_head.head import small_head
from drawn_head.series import dicom_series

from deid_node.config.load import load_settings
from deid_node.node import service
from deid_node.node.service import status
from deid_node.node.work import engine as engine_module
from deid_node.node.work import worker
from tests.e2e.test_restart import in_state
from tests.fakes.faults import disk, remounted
from tests.fakes.node import eventually, free_port, running, settings_file
from tests.fakes.peer import Receiver, receiving, send
from tests.fakes.serving import serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom import Dataset


CHUNK = 2**20


@pytest.fixture(scope="module")
def head() -> list[Dataset]:
    return dicom_series(small_head())


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the node pause after a fault for a second at the most."""
    monkeypatch.setattr(engine_module, "STRAND_SECONDS", 1.0)
    monkeypatch.setattr(worker, "FULL_DISK_SECONDS", 0.3)
    for module in (service, engine_module):
        monkeypatch.setattr(module, "FAULT_PAUSE_SECONDS", 0.3)


def without_space(folder: Path) -> Callable[[], None]:
    """Fill a disk to its last byte; give what makes room again."""
    ballast = folder / "ballast"
    with ballast.open("ab", buffering=0) as file:
        for size in (CHUNK, 4096, 1):
            try:
                while file.write(bytes(size)) == size:
                    pass
            except OSError:
                continue
    return ballast.unlink


def without_names(folder: Path) -> Callable[[], None]:
    """Take the last name on a disk; give what makes room again."""
    ballast = folder / "ballast"
    ballast.mkdir()
    names: list[Path] = []
    try:
        while True:
            names.append(ballast / str(len(names)))
            names[-1].touch()
    except OSError:
        names.pop()

    def make_room() -> None:
        for each in names:
            each.unlink()
        ballast.rmdir()

    return make_room


def read_only(folder: Path) -> Callable[[], None]:
    """Let nobody write to a disk; give what lets them again."""
    remounted(folder, "ro")
    return lambda: remounted(folder, "rw")


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("place", "options", "fail"),
    [
        ("spool", "size=16m", without_space),
        pytest.param("spool", "size=16m,nr_inodes=400", without_names, marks=pytest.mark.slow),
        ("spool/outbox", "size=16m", read_only),
        pytest.param("spool/work", "size=16m", read_only, marks=pytest.mark.slow),
    ],
    ids=["no space", "no names", "read-only outbox", "read-only pictures"],
)
def test_series_that_a_disk_failed_is_delivered_once_it_is_well(
    tmp_path: Path,
    head: list[Dataset],
    caplog: pytest.LogCaptureFixture,
    place: str,
    options: str,
    fail: Callable[[Path], Callable[[], None]],
) -> None:
    caplog.set_level(logging.INFO)
    port = free_port()
    with disk(tmp_path / place, options) as folder, receiving(Receiver()) as archive:
        path = settings_file(tmp_path, port=port, archive=archive.port, quiet_seconds=0.5)
        settings = load_settings(path, {})
        with running(settings, seconds=1):
            statuses = send(head, port)
            eventually(in_state(settings, "claimed"))
            mend = fail(folder)
            eventually(lambda: {"series-put-back", "step-failed"} & set(caplog.messages))
            delivered_meanwhile = len(archive.encoded)
            mend()
            eventually(in_state(settings, "purged"))
        left = [path for path in settings.spool.folder.rglob("*.dcm") if path.is_file()]
        copies = sorted(path.stem for path in (tmp_path / "copies").rglob("*.dcm"))

    assert statuses == [0x0000] * len(head)
    assert delivered_meanwhile == 0
    assert left == []
    assert sorted(set(archive.sop_instance_uids)) == sorted(archive.sop_instance_uids)
    assert len(archive.encoded) == len(copies) == len(head) + 1


@pytest.mark.slow
def test_node_that_is_killed_on_a_full_disk_starts_on_it_and_goes_on_when_there_is_room(
    tmp_path: Path, head: list[Dataset]
) -> None:
    port = free_port()
    with disk(tmp_path / "spool", "size=16m") as folder, receiving(Receiver()) as archive:
        path = settings_file(tmp_path, port=port, archive=archive.port, quiet_seconds=0.5)
        settings = load_settings(path, {})
        with serving(path, port, pause=2) as node:
            statuses = send(head, port)
            eventually(in_state(settings, "claimed"))
            make_room = without_space(folder)
            eventually(lambda: told(tmp_path / "log", "series-put-back", "step-failed"))
            node.kill()
            node.wait()
        with serving(path, port):
            waits = status(settings).series
            drafts = list(folder.rglob("*.part"))
            results = list((folder / "outbox").rglob("*.dcm"))
            make_room()
            eventually(in_state(settings, "purged"))

    assert statuses == [0x0000] * len(head)
    assert sum(waits.values()) == 1
    assert (drafts, results) == ([], [])
    assert len(archive.encoded) == len(set(archive.sop_instance_uids)) == len(head) + 1


def told(log: Path, *names: str) -> bool:
    """Tell whether a node has logged one of these events."""
    lines = [line for line in log.read_text().splitlines() if line.startswith("{")]
    return any(json.loads(line).get("event") in names for line in lines)
