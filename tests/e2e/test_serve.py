"""The whole node in one process: what comes in by C-STORE goes out once, and nothing else does."""

from __future__ import annotations

import fcntl
import io
import logging
import socket
import stat
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawn_head.head import small_head
from drawn_head.series import FakePatient, dicom_series
from pydicom import dcmread
from pynetdicom import sop_class as sop

from deid_node.config.load import load_settings
from deid_node.errors import KeyUnusable, SettingsInvalid, SpoolError
from deid_node.node.service import Service, status
from deid_node.node.work.engine import Engine
from tests.fakes.node import eventually, free_port, recipe_for, settings_file, worker_here
from tests.fakes.peer import Receiver, receiving, send
from tests.fakes.series import mr_series

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydicom import Dataset
    from pydicom.uid import UID

    from deid_node.config.schema import Settings


@pytest.fixture(scope="module")
def head() -> list[Dataset]:
    return dicom_series(small_head())


@pytest.fixture
def archive() -> Iterator[Receiver]:
    with receiving(Receiver()) as receiver:
        yield receiver


def settings_in(folder: Path, archive: Receiver) -> Settings:
    port = free_port()
    path = settings_file(folder, port=port, archive=archive.port, quiet_seconds=0.5)
    return load_settings(path, {})


@pytest.fixture
def settings(tmp_path: Path, archive: Receiver) -> Settings:
    return settings_in(tmp_path, archive)


@pytest.fixture
def node(settings: Settings) -> Iterator[Service]:
    service = Service(settings, worker_here(recipe_for(settings)))
    service.start()
    yield service
    service.stop()


def is_purged(settings: Settings) -> bool:
    files = [path for path in settings.spool.folder.rglob("*.dcm") if path.is_file()]
    return status(settings).series.get("purged") == 1 and not files


@dataclass(frozen=True)
class Run:
    """What one series left behind on its way through the node."""

    folder: Path
    encoded: list[bytes]
    logged: str


@pytest.fixture(scope="module")
def run(head: list[Dataset], tmp_path_factory: pytest.TempPathFactory) -> Run:
    folder = tmp_path_factory.mktemp("node")
    log, root = Records(), logging.getLogger()
    level = root.level
    root.addHandler(log)
    root.setLevel(logging.DEBUG)
    try:
        with receiving(Receiver()) as archive:
            settings = settings_in(folder, archive)
            service = Service(settings, worker_here(recipe_for(settings)))
            service.start()
            send(head, service.port)
            eventually(lambda: is_purged(settings))
            service.stop()
    finally:
        root.removeHandler(log)
        root.setLevel(level)
    return Run(folder=folder, encoded=archive.encoded, logged="\n".join(log.lines))


class Records(logging.Handler):
    """Keeps every line at every level, with all that was attached to it."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(f"{record.getMessage()} {vars(record)}")


def test_series_is_delivered_to_every_destination_once(run: Run, head: list[Dataset]) -> None:
    archived = [dcmread(io.BytesIO(part10)) for part10 in run.encoded]
    copies = [dcmread(path) for path in (run.folder / "copies").rglob("*.dcm")]

    assert len(archived) == len(copies) == len(head) + 1
    by_uid = {str(each.SOPInstanceUID): each for each in archived}
    assert {str(each.SOPInstanceUID): each for each in copies} == by_uid
    classes = [each.SOPClassUID for each in archived]
    assert classes == [sop.MRImageStorage] * len(head) + [sop.SegmentationStorage]


def uids_of(instances: list[Dataset]) -> set[str]:
    keywords = ("SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID")
    return {str(getattr(each, keyword)) for each in instances for keyword in keywords}


def found_in(places: dict[str, bytes], sought: set[str]) -> set[tuple[str, str]]:
    return {
        (text, name) for text in sought for name, held in places.items() if text.encode() in held
    }


def test_identifier_is_found_in_no_output(run: Run, head: list[Dataset]) -> None:
    # The profile keeps age below 90 and times of day.
    kept = {FakePatient().age, FakePatient().study_time}
    outputs = {path.name: path.read_bytes() for path in (run.folder / "copies").rglob("*.dcm")}
    outputs["sent"] = b"".join(run.encoded)

    found = found_in(outputs, {*FakePatient().identifiers(), *uids_of(head)} - kept)

    assert len(outputs) == len(head) + 2
    assert found == set()


def test_identifier_is_found_in_no_name_log_or_ledger(run: Run, head: list[Dataset]) -> None:
    spool = [path for path in (run.folder / "spool").rglob("*") if path.is_file()]
    places = {path.name: path.read_bytes() for path in spool}
    places["names"] = "\n".join(str(path) for path in run.folder.rglob("*")).encode()
    places["log"] = run.logged.encode()

    found = found_in(places, {*FakePatient().identifiers(), *uids_of(head)})

    assert "series-sent" in run.logged
    assert "ledger.sqlite" in places
    assert found == set()


def test_nothing_but_the_ledger_stays_and_it_is_private(run: Run) -> None:
    spool = run.folder / "spool"

    kept = {path.name for path in spool.rglob("*") if path.is_file()}
    assert {name for name in kept if not name.startswith(("ledger", "engine"))} == {"lock"}
    for path in spool.rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path.name


def test_resend_changes_nothing_and_a_late_instance_is_held(
    node: Service, settings: Settings, archive: Receiver, head: list[Dataset], tmp_path: Path
) -> None:
    send(head[:-1], node.port)
    eventually(lambda: is_purged(settings))
    delivered = len(archive.encoded)

    send(head[:-1], node.port)
    after_resend = status(settings).series
    send(head[-1:], node.port)
    eventually(lambda: status(settings).held)

    assert after_resend == {"purged": 1}
    [late] = status(settings).held
    assert (late.error, late.generation, late.n_instances) == ("LateInstances", 2, 1)
    assert len(archive.encoded) == delivered
    assert len(list((tmp_path / "spool" / "received").rglob("*.dcm"))) == 1


def test_instance_with_other_bytes_holds_its_series(
    node: Service, settings: Settings, archive: Receiver, head: list[Dataset], tmp_path: Path
) -> None:
    other = mr_series(np.zeros((1, 8, 8), np.uint16))[0]
    other.SeriesInstanceUID = head[0].SeriesInstanceUID
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = head[0].SOPInstanceUID

    send([*head, other], node.port)
    eventually(lambda: status(settings).held)

    [held] = status(settings).held
    assert held.error == "DuplicateInstance"
    assert held.next_step
    assert archive.encoded == []
    assert len(list((tmp_path / "spool" / "received").rglob("*.dcm"))) == len(head) + 1


@pytest.mark.parametrize("sop_class", [sop.CTImageStorage, sop.SecondaryCaptureImageStorage])
def test_what_cannot_be_defaced_is_held_with_a_reason(
    node: Service, settings: Settings, archive: Receiver, tmp_path: Path, sop_class: UID
) -> None:
    series = mr_series(np.zeros((3, 8, 8), np.uint16))
    for each in series:
        each.SOPClassUID = each.file_meta.MediaStorageSOPClassUID = sop_class

    send(series, node.port)
    eventually(lambda: status(settings).held)

    [held] = status(settings).held
    assert (held.state, held.error, held.n_instances) == ("held", "UnsupportedSOPClass", 3)
    assert archive.encoded == []
    assert not (tmp_path / "copies").exists()


def test_second_node_on_one_spool_is_refused(node: Service, settings: Settings) -> None:
    assert node.port
    with pytest.raises(SpoolError, match="another node uses the spool folder"):
        Service(settings, worker_here(recipe_for(settings))).start()


def test_spool_of_another_key_is_refused(settings: Settings, tmp_path: Path) -> None:
    first = Service(settings, worker_here(recipe_for(settings)))
    first.start()
    first.stop()
    settings.pseudonym_key.write_text("ab" * 31 + "cd")

    with pytest.raises(KeyUnusable, match="another pseudonym key"):
        Service(settings, worker_here(recipe_for(settings))).start()
    assert not list((tmp_path / "spool" / "received").iterdir())


def test_folder_is_locked_before_the_work_engine_takes_what_others_left(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    start = Engine.start

    def watched(engine: Engine) -> None:
        with (settings.spool.folder / "lock").open("rb+") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                seen.append(True)
            else:
                seen.append(False)
        start(engine)

    monkeypatch.setattr(Engine, "start", watched)
    service = Service(settings, worker_here(recipe_for(settings)))
    service.start()
    eventually(lambda: seen)
    service.stop()

    assert seen == [True]


def test_node_that_cannot_listen_leaves_nothing_running(settings: Settings) -> None:
    threads = set(threading.enumerate())
    with socket.create_server(("127.0.0.1", settings.node.port)):
        service = Service(settings, worker_here(recipe_for(settings)))
        with pytest.raises(SettingsInvalid):
            service.start()

    eventually(lambda: set(threading.enumerate()) <= threads)
    service = Service(settings, worker_here(recipe_for(settings)))
    service.start()
    service.stop()


def test_node_without_a_destination_does_not_start(settings: Settings) -> None:
    nobody = settings.model_copy(update={"destinations": ()})

    with pytest.raises(SettingsInvalid, match="no destination"):
        Service(nobody)


def test_status_of_a_node_that_never_ran_is_empty_and_makes_nothing(
    settings: Settings, tmp_path: Path
) -> None:
    snapshot = status(settings)

    assert snapshot.as_json() == {"series": {}, "held": (), "owed": ()}
    assert not (tmp_path / "spool").exists()
