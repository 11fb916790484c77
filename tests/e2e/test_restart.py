"""The node is killed at a bad moment and started again: each series is delivered, once."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from drawn_head.head import small_head
from drawn_head.series import FakePatient, dicom_series

from deid_node.config.load import load_settings
from deid_node.node.service import status
from tests.fakes.node import eventually, free_port, settings_file
from tests.fakes.peer import Receiver, receiving, send
from tests.fakes.serving import serving

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pydicom import Dataset

    from deid_node.config.schema import Settings


@pytest.fixture(scope="module")
def head() -> list[Dataset]:
    return dicom_series(small_head())


@pytest.fixture
def port() -> int:
    return free_port()


def in_state(settings: Settings, state: str) -> Callable[[], bool]:
    return lambda: status(settings).series.get(state) == 1


@pytest.mark.parametrize(
    ("quiet_seconds", "pause", "killed_in"),
    [(3600.0, 0.0, "receiving"), (0.5, 3600.0, "claimed")],
    ids=["before it is complete", "while it is worked on"],
)
def test_series_is_delivered_once_after_a_kill(
    tmp_path: Path,
    port: int,
    head: list[Dataset],
    quiet_seconds: float,
    pause: float,
    killed_in: str,
) -> None:
    with receiving(Receiver()) as archive:
        path = settings_file(tmp_path, port=port, archive=archive.port, quiet_seconds=quiet_seconds)
        settings = load_settings(path, {})
        with serving(path, port, pause=pause) as node:
            statuses = send(head, port)
            eventually(in_state(settings, killed_in))
            node.send_signal(signal.SIGKILL)
            node.wait()
        assert archive.encoded == []

        settings_file(tmp_path, port=port, archive=archive.port, quiet_seconds=0.5)
        with serving(path, port):
            eventually(in_state(settings, "purged"))

    assert statuses == [0x0000] * len(head)
    assert len(archive.encoded) == len(set(archive.sop_instance_uids)) == len(head) + 1


def test_series_that_waits_for_a_dead_destination_is_delivered_after_a_kill(
    tmp_path: Path, port: int, head: list[Dataset]
) -> None:
    archive = Receiver()
    with receiving(archive):
        dead = archive.port
    path = settings_file(tmp_path, port=port, archive=dead, quiet_seconds=0.5)
    settings = load_settings(path, {})
    with serving(path, port) as node:
        send(head, port)
        eventually(
            lambda: (
                [(o.destination, o.attempts > 0) for o in status(settings).owed]
                == [("archive", True)]
            )
        )
        node.send_signal(signal.SIGKILL)
        node.wait()
    copies = sorted((tmp_path / "copies").rglob("*.dcm"))
    written = {copy: copy.stat().st_mtime_ns for copy in copies}

    archive.start(dead)
    with serving(path, port):
        eventually(in_state(settings, "purged"))
    archive.stop()

    assert len(copies) == len(head) + 1
    assert {copy: copy.stat().st_mtime_ns for copy in copies} == written
    assert len(archive.encoded) == len(set(archive.sop_instance_uids)) == len(head) + 1


def test_half_written_files_of_a_crash_are_gone_after_the_start(tmp_path: Path, port: int) -> None:
    path = settings_file(tmp_path, port=port, quiet_seconds=0.5)
    leftovers = [
        tmp_path / "spool" / "received" / "abc" / "x.part",
        tmp_path / "spool" / "outbox" / "abc" / "00001.dcm",
        tmp_path / "spool" / "outbox" / "abc" / "y.part",
    ]
    for leftover in leftovers:
        leftover.parent.mkdir(parents=True, exist_ok=True)
        leftover.write_bytes(b"half")

    with serving(path, port):
        assert [leftover for leftover in leftovers if leftover.exists()] == []


def test_instance_that_was_durable_but_not_noted_is_taken_up(
    tmp_path: Path, port: int, head: list[Dataset]
) -> None:
    with receiving(Receiver()) as archive:
        path = settings_file(tmp_path, port=port, archive=archive.port, quiet_seconds=3600)
        with serving(path, port):
            send(head, port)
        for ledger in (tmp_path / "spool").glob("ledger.sqlite*"):
            ledger.unlink()

        settings_file(tmp_path, port=port, archive=archive.port, quiet_seconds=0.5)
        with serving(path, port):
            eventually(in_state(load_settings(path, {}), "purged"))

    assert len(archive.encoded) == len(head) + 1


def test_stop_signal_ends_the_node_cleanly_and_its_log_holds_no_identifier(
    tmp_path: Path, port: int, head: list[Dataset]
) -> None:
    path = settings_file(tmp_path, port=port, quiet_seconds=0.5)
    settings = load_settings(path, {})
    with serving(path, port, log=tmp_path / "log") as node:
        send(head, port)
        eventually(in_state(settings, "purged"))
        node.send_signal(signal.SIGTERM)
        rc = node.wait(timeout=30)

    log = (tmp_path / "log").read_text()
    assert rc == 0
    assert [event for event in ("listening", "series-sent", "stopped") if event not in log] == []
    assert [found for found in FakePatient().identifiers() if found in log] == []
    assert "Traceback" not in log
