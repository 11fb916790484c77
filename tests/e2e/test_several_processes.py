"""Two processes work on two series at a time; what becomes of one is nothing to the other."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from drawn_head.head import small_head
from drawn_head.series import dicom_series

from deid_node.config.load import load_settings
from deid_node.node.service import status
from tests.fakes.node import eventually, free_port, settings_file
from tests.fakes.peer import Receiver, receiving, send
from tests.fakes.serving import serving

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from pydicom import Dataset

TWO = "[work]\nprocesses = 2"


@pytest.fixture(scope="module")
def heads() -> list[list[Dataset]]:
    return [dicom_series(small_head(), series_number=number) for number in (3, 4)]


@pytest.fixture
def archive() -> Iterator[Receiver]:
    with receiving(Receiver()) as receiver:
        yield receiver


def workers_of(process: subprocess.Popen[bytes]) -> list[int]:
    text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(each) for each in text.split()]


def died(folder: Path) -> list[str]:
    lines = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
    return [line["series"] for line in lines if line["event"] == "worker-died"]


def test_two_series_are_worked_on_at_a_time_and_delivered_once_after_a_kill(
    tmp_path: Path, archive: Receiver, heads: list[list[Dataset]]
) -> None:
    port = free_port()
    path = settings_file(tmp_path, port=port, archive=archive.port, quiet_seconds=0.5, more=TWO)
    settings = load_settings(path, {})
    with serving(path, port, pause=3600) as node:
        for head in heads:
            send(head, port)
        eventually(lambda: status(settings).series == {"claimed": 2})
        node.send_signal(signal.SIGKILL)
        node.wait()

    with serving(path, port, pause=0):
        eventually(lambda: status(settings).series == {"purged": 2})

    n_instances = sum(len(head) + 1 for head in heads)
    assert len(archive.encoded) == len(set(archive.sop_instance_uids)) == n_instances


def test_one_that_dies_is_replaced_and_the_other_goes_on(
    tmp_path: Path, archive: Receiver, heads: list[list[Dataset]]
) -> None:
    port = free_port()
    path = settings_file(tmp_path, port=port, archive=archive.port, quiet_seconds=0.5, more=TWO)
    settings = load_settings(path, {})
    with serving(path, port, pause=4) as node:
        for head in heads:
            send(head, port)
        eventually(lambda: status(settings).series == {"claimed": 2})
        first, second = workers_of(node)
        os.kill(first, signal.SIGKILL)
        eventually(lambda: len(workers_of(node)) == 2 and first not in workers_of(node))
        left = workers_of(node)
        eventually(lambda: status(settings).series == {"purged": 2})

    assert second in left
    assert len(died(tmp_path)) == 1
    assert len(archive.encoded) == len(set(archive.sop_instance_uids))
