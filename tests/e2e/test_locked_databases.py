"""Another process locks the ledger or the work engine's database: nothing is lost or stuck."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

import pytest
from drawn_head.head import small_head
from drawn_head.series import dicom_series

from deid_node.config.load import load_settings
from deid_node.errors import SpoolBusy
from deid_node.node import ledger_database, service
from deid_node.node.ledger import Ledger
from deid_node.node.service import ENGINE, Service
from deid_node.node.status import LEDGER
from deid_node.node.work import engine as engine_module
from tests.e2e.test_restart import in_state
from tests.e2e.test_stopping import FOREVER, stopped
from tests.fakes.command import run
from tests.fakes.faults import locked
from tests.fakes.node import (
    answered,
    eventually,
    free_port,
    recipe_for,
    running,
    settings_file,
    worker_here,
)
from tests.fakes.peer import Receiver, receiving, send
from tests.fakes.raw_peer import RawPeer, command_pdu, data_pdu, dataset, store
from tests.fakes.scp import listening
from tests.fakes.serving import serving

if TYPE_CHECKING:
    from pathlib import Path

    from pydicom import Dataset


OUT_OF_RESOURCES = 0xA700
TRY_AGAIN = 75


@pytest.fixture(scope="module")
def head() -> list[Dataset]:
    return dicom_series(small_head())


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the node wait for a lock, and pause after a fault, for less than a second."""
    monkeypatch.setattr(ledger_database, "BUSY_SECONDS", 0.3)
    for module in (service, engine_module):
        monkeypatch.setattr(module, "FAULT_PAUSE_SECONDS", 0.3)


def stored(port: int, uid: str) -> int:
    with RawPeer(port) as peer:
        peer.associate()
        peer.say(command_pdu(store(uid)), data_pdu(dataset(uid)))
        return peer.status()


def test_sender_waits_for_a_ledger_that_is_locked_for_a_moment(tmp_path: Path) -> None:
    statuses: list[int] = []
    with listening(tmp_path) as node:
        with locked(tmp_path / LEDGER):
            sending = threading.Thread(target=lambda: statuses.append(stored(node.port, "1.2.3")))
            sending.start()
            eventually(lambda: [path.suffix for path in node.files()] == [".dcm"])
            waits = sending.is_alive()
        sending.join(60)

    assert waits
    assert statuses == [0x0000]


@pytest.mark.usefixtures("impatient")
def test_sender_keeps_what_a_locked_ledger_cannot_note(tmp_path: Path) -> None:
    with listening(tmp_path) as node:
        with locked(tmp_path / LEDGER):
            refused = stored(node.port, "1.2.3")
            left = node.files()
        accepted = stored(node.port, "1.2.3")
        kept = node.files()

    assert (refused, left) == (OUT_OF_RESOURCES, [])
    assert (accepted, len(kept)) == (0x0000, 1)


def told(caplog: pytest.LogCaptureFixture, name: str) -> bool:
    return any(record.getMessage() == name for record in caplog.records)


def has_all_once(archive: Receiver, head: list[Dataset], folder: Path) -> bool:
    """Tell whether the archive has what the folder has, every instance once."""
    copies = sorted(path.stem for path in (folder / "copies").rglob("*.dcm"))
    uids = sorted(archive.sop_instance_uids)
    return len(uids) == len(set(uids)) == len(copies) == len(head) + 1


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("moment", "has_met_it"),
    [
        ("receiving", service.__name__),
        ("claimed", engine_module.__name__),
    ],
)
def test_series_goes_on_when_the_lock_is_gone(
    tmp_path: Path,
    port: int,
    head: list[Dataset],
    caplog: pytest.LogCaptureFixture,
    moment: str,
    has_met_it: str,
) -> None:
    caplog.set_level(logging.WARNING)
    with receiving(Receiver()) as archive:
        path = settings_file(tmp_path, port=port, archive=archive.port, quiet_seconds=1)
        settings = load_settings(path, {})
        with running(settings, seconds=1):
            statuses = send(head, port)
            eventually(in_state(settings, moment))
            with locked(settings.spool.folder / LEDGER):
                eventually(lambda: has_met_it in {record.name for record in caplog.records})
            eventually(in_state(settings, "purged"))

    assert statuses == [0x0000] * len(head)
    assert has_all_once(archive, head, tmp_path)


@pytest.mark.parametrize("seconds", [0, pytest.param(45, marks=pytest.mark.slow)])
def test_series_waits_for_a_locked_work_engine_and_not_for_its_pauses(
    tmp_path: Path,
    port: int,
    head: list[Dataset],
    caplog: pytest.LogCaptureFixture,
    seconds: float,
) -> None:
    with receiving(Receiver()) as archive:
        path = settings_file(tmp_path, port=port, archive=archive.port, quiet_seconds=1)
        settings = load_settings(path, {})
        with running(settings):
            eventually((settings.spool.folder / ENGINE).exists)
            statuses = send(head, port)
            with locked(settings.spool.folder / ENGINE):
                eventually(in_state(settings, "received"))
                time.sleep(seconds)  # for so long it is locked
                waits = in_state(settings, "received")()
            eventually(in_state(settings, "purged"))

    assert statuses == [0x0000] * len(head)
    assert waits
    assert has_all_once(archive, head, tmp_path)
    # DBOS tells of each attempt of its own, and doubles the pause after it.
    assert "dbos" not in {record.name for record in caplog.records}


def test_health_and_metrics_are_told_while_the_ledger_is_locked(tmp_path: Path, port: int) -> None:
    monitor = free_port()
    path = settings_file(tmp_path, port=port, more=f"[monitor]\nport = {monitor}")
    with serving(path, port):
        before = answered(monitor, "/ready")
        with locked(tmp_path / "spool" / LEDGER):
            ready, live = answered(monitor, "/ready"), answered(monitor, "/live")
            metrics = answered(monitor, "/metrics")
        eventually(lambda: answered(monitor, "/ready")[0] == 200)

    assert before[0] == live[0] == metrics[0] == 200
    assert ready == (503, '{"ready": false, "not_ready": ["ledger"]}\n')
    assert 'deid_node_ready{part="ledger"} 0.0' in metrics[1]
    assert 'deid_node_series{state="received"} 0.0' in metrics[1]


@pytest.mark.usefixtures("impatient")
def test_delivery_goes_on_with_the_same_bytes_when_the_lock_is_gone(
    tmp_path: Path, port: int, head: list[Dataset], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    ledger = tmp_path / "spool" / LEDGER
    is_taken, is_met = threading.Event(), threading.Event()

    def lock() -> None:
        with locked(ledger):
            is_taken.set()
            is_met.wait(60)

    def answer(n_stored: int) -> int:
        if n_stored == 3 and not is_taken.is_set():
            threading.Thread(target=lock, daemon=True).start()
            is_taken.wait(60)
        return 0x0000

    with receiving(Receiver(answer=answer)) as archive:
        path = settings_file(tmp_path, port=port, archive=archive.port, quiet_seconds=0.5)
        settings = load_settings(path, {})
        with running(settings):
            send(head, port)
            eventually(lambda: told(caplog, "step-failed"))
            is_met.set()
            eventually(in_state(settings, "purged"))

    by_uid = dict(zip(archive.sop_instance_uids, archive.encoded, strict=True))
    assert len(by_uid) == len(head) + 1
    # The instance whose answer could not be written down went twice, with the same bytes.
    assert set(archive.encoded) == set(by_uid.values())
    assert len(archive.encoded) <= len(head) + 2


def test_stop_signal_ends_a_node_that_waits_for_locks(
    tmp_path: Path, port: int, head: list[Dataset]
) -> None:
    with receiving(Receiver()) as archive:
        path = settings_file(tmp_path, port=port, archive=archive.port, quiet_seconds=0.5)
        settings = load_settings(path, {})
        with serving(path, port, pause=FOREVER) as node:
            send(head, port)
            eventually(in_state(settings, "claimed"))
            spool = settings.spool.folder
            with locked(spool / LEDGER), locked(spool / ENGINE):
                code = stopped(node)
        with serving(path, port):
            eventually(in_state(settings, "purged"))

    assert code == 0
    assert has_all_once(archive, head, tmp_path)


@pytest.mark.usefixtures("impatient")
def test_node_does_not_start_while_the_ledger_is_locked(tmp_path: Path) -> None:
    settings = load_settings(settings_file(tmp_path, port=free_port()), {})
    settings.spool.folder.mkdir()
    Ledger(settings.spool.folder / LEDGER).close()

    with locked(settings.spool.folder / LEDGER), pytest.raises(SpoolBusy) as caught:
        Service(settings, worker_here(recipe_for(settings))).start()

    assert caught.value.exit_code == TRY_AGAIN


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "verb",
    [
        ("hold", "release", "k7q2", "--who", "A. Reader", "--why", "test"),
        ("hold", "refuse", "k7q2", "--who", "A. Reader", "--why", "test"),
        ("hold", "show", "k7q2"),
        ("retry", "k7q2"),
        ("purge", "k7q2", "--yes"),
    ],
    ids=lambda verb: " ".join(verb[:2]),
)
def test_verb_says_in_one_line_that_the_ledger_is_locked(
    tmp_path: Path, verb: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    config = settings_file(tmp_path, port=1)
    spool = tmp_path / "spool"
    spool.mkdir()
    Ledger(spool / LEDGER).close()
    with locked(spool / LEDGER):
        code = run(*verb, "--config", config)
        overview = run("status", "--config", config)
    out, err = capfd.readouterr()

    assert code == TRY_AGAIN
    assert err.count("\n") <= 2
    assert "the ledger was locked" in err
    assert overview == 0
    assert "state" in out
