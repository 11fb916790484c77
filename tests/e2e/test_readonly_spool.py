"""Linux makes the disk of the whole spool read-only: nothing is lost, and the node says so."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from drawn_head.head import small_head
from drawn_head.series import dicom_series

from deid_node.config.load import load_settings
from deid_node.errors import SpoolUnwritable
from deid_node.node.service import Service, status
from tests.e2e.test_receiving_disk import OUT_OF_RESOURCES, rejection
from tests.e2e.test_restart import in_state
from tests.e2e.test_stopping import stopped
from tests.e2e.test_working_disk import told
from tests.fakes.command import run
from tests.fakes.faults import BreakingDisk, breaking_disk
from tests.fakes.node import answered, eventually, free_port, recipe_for, settings_file, worker_here
from tests.fakes.peer import Receiver, receiving, send
from tests.fakes.raw_peer import RawPeer, command_pdu, data_pdu, dataset, store
from tests.fakes.serving import serving

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from pydicom import Dataset

TRY_AGAIN = 75


@pytest.fixture(scope="module")
def head() -> list[Dataset]:
    return dicom_series(small_head())


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[BreakingDisk]:
    with breaking_disk(tmp_path / "spool") as chosen:
        yield chosen


@pytest.mark.parametrize("moment", [pytest.param("receiving", marks=pytest.mark.slow), "claimed"])
def test_node_refuses_and_says_why_and_delivers_everything_after_the_repair(
    tmp_path: Path, head: list[Dataset], broken: BreakingDisk, moment: str
) -> None:
    port, monitor = free_port(), free_port()
    with receiving(Receiver()) as archive:
        path = settings_file(
            tmp_path,
            port=port,
            archive=archive.port,
            quiet_seconds=1,
            more=f"[monitor]\nport = {monitor}",
        )
        settings = load_settings(path, {})
        with serving(path, port, pause=2) as node, RawPeer(port) as peer:
            peer.associate()
            statuses = send(head, port)
            eventually(in_state(settings, moment))
            broken.fail()
            peer.say(command_pdu(store("1.2.3")), data_pdu(dataset("1.2.3")))
            refused, rejected = peer.status(), rejection(port)
            ready, live = answered(monitor, "/ready"), answered(monitor, "/live")
            eventually(lambda: told(tmp_path / "log", "step-failed"))
            delivered_meanwhile, code = len(archive.encoded), stopped(node)
        with pytest.raises(SpoolUnwritable) as caught:
            Service(settings, worker_here(recipe_for(settings))).start()
        broken.repair()
        with serving(path, port):
            eventually(in_state(settings, "purged"))

    assert statuses == [0x0000] * len(head)
    assert (refused, rejected) == (OUT_OF_RESOURCES, (2, 3, 2))
    assert ready == (503, '{"ready": false, "not_ready": ["ledger", "disk"]}\n')
    assert live[0] == 200
    assert (delivered_meanwhile, code) == (0, 0)
    assert caught.value.exit_code == TRY_AGAIN
    assert sorted(set(archive.sop_instance_uids)) == sorted(archive.sop_instance_uids)
    assert len(archive.encoded) == len(head) + 1


@pytest.mark.slow
def test_delivery_waits_and_goes_on_with_the_same_bytes_after_the_repair(
    tmp_path: Path, head: list[Dataset], broken: BreakingDisk
) -> None:
    port = free_port()
    has_failed = threading.Event()

    def answer(n_stored: int) -> int:
        if n_stored == 3 and not has_failed.is_set():
            broken.fail()
            has_failed.set()
        return 0x0000

    with receiving(Receiver(answer=answer)) as archive:
        path = settings_file(tmp_path, port=port, archive=archive.port, quiet_seconds=0.5)
        settings = load_settings(path, {})
        with serving(path, port) as node:
            send(head, port)
            # By then it has come by twice: it must not even begin to send again.
            eventually(lambda: n_told(tmp_path / "log", "step-failed") >= 8)
            sent_meanwhile = len(archive.encoded)
            stopped(node)
        broken.repair()
        with serving(path, port):
            eventually(in_state(settings, "purged"))

    by_uid = dict(zip(archive.sop_instance_uids, archive.encoded, strict=True))
    assert sent_meanwhile == 4
    assert len(by_uid) == len(head) + 1
    assert set(archive.encoded) == set(by_uid.values())
    # What it had noted without waiting for the disk may be lost, and goes once more.
    assert len(archive.encoded) <= len(by_uid) + sent_meanwhile


def n_told(log: Path, name: str) -> int:
    """Count an event in the log of a node."""
    return log.read_text().count(f'"event":"{name}"')


def test_verbs_say_in_one_line_that_the_disk_is_read_only(
    tmp_path: Path, broken: BreakingDisk, capfd: pytest.CaptureFixture[str]
) -> None:
    config = settings_file(tmp_path, port=free_port())
    settings = load_settings(config, {})
    node = Service(settings, worker_here(recipe_for(settings)))
    node.start()
    node.stop()
    broken.fail()

    codes = [
        run("purge", "--refused", "--yes", "--config", config),
        run("retry", "k", "--config", config),
    ]
    told_by_verbs = capfd.readouterr().err
    overview = run("status", "--config", config)
    run("doctor", "--no-network", "--config", config)
    told_by_doctor = capfd.readouterr().out

    assert codes == [TRY_AGAIN, TRY_AGAIN]
    assert told_by_verbs.count("the spool cannot be written: EROFS") == 2
    assert overview == 0
    assert status(settings).series == {}
    assert "the spool cannot be written: EROFS" in told_by_doctor
