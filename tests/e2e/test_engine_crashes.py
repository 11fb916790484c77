"""A series that ends the process that works on it, or hangs in it, is held; the node goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from drawn_head.head import small_head
from drawn_head.series import dicom_series

from deid_node.config.load import load_settings
from deid_node.node.service import status
from deid_node.node.work.worker import MAX_CRASHES
from tests.fakes.node import eventually, free_port, is_open, settings_file
from tests.fakes.peer import send
from tests.fakes.series import mr_series

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deid_node.config.schema import Settings

PROJECT = Path(__file__).parents[2]
NODE = """
import sys
from pathlib import Path
from deid_node.node.work import staging
from tests.fakes import node

path, limit, worker = sys.argv[1:]
staging.LONGEST_SECONDS = float(limit)
node.main(Path(path), [sys.executable, "-c", worker])
"""
WORKER = """
import os, signal, time
from pathlib import Path
from deid_node.node.work import loop
from tests.fakes.face import FakeFaceModel
from tests.fakes.node import SlowFaceModel, recipes_for

def estimate(self, volume):
    {what}
    return FakeFaceModel(scale=0.96).estimate(volume)

SlowFaceModel.estimate = estimate
loop.main(recipes_for)
"""
KILLS = "os.kill(os.getpid(), signal.SIGKILL)"
KILLS_ONCE = f"Path('met').exists() or (Path('met').touch(), {KILLS})"
HANGS = "time.sleep(3600)"
WORKS = "pass"


@pytest.fixture
def port() -> int:
    return free_port()


@contextmanager
def node(path: Path, what: str, *, limit: float = 3600) -> Iterator[subprocess.Popen[bytes]]:
    """Run a node whose model does `what`."""
    with (path.parent / "log").open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", NODE, str(path), str(limit), WORKER.format(what=what)],
            cwd=path.parent,
            env={**os.environ, "PYTHONPATH": f"{PROJECT}:{PROJECT / 'tools'}"},
            stderr=out,
        )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def listening(process: subprocess.Popen[bytes], port: int) -> bool:
    return is_open(port) or process.poll() is not None


def reasons(settings: Settings) -> list[tuple[str, str]]:
    return [(each.state, each.error) for each in status(settings).held]


def logged(folder: Path, name: str) -> list[dict[str, object]]:
    lines = [json.loads(line) for line in (folder / "log").read_text().splitlines()]
    return [line for line in lines if line["event"] == name]


def children(process: subprocess.Popen[bytes]) -> list[int]:
    text = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    return [int(each) for each in text.split()]


def is_alive(pid: int) -> bool:
    """Tell whether a process runs; one that nobody has waited for yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_series_over_which_the_process_died_once_is_delivered(tmp_path: Path, port: int) -> None:
    path = settings_file(tmp_path, port=port, quiet_seconds=0.5)
    settings = load_settings(path, {})
    with node(path, KILLS_ONCE) as process:
        eventually(lambda: listening(process, port))
        send(dicom_series(small_head()), port)
        eventually(lambda: status(settings).series == {"purged": 1})
        is_running = process.poll() is None

    assert is_running
    [died] = logged(tmp_path, "worker-died")
    assert (died["error"], died["level"]) == ("SIGKILL", "error")
    assert len(logged(tmp_path, "series-deidentified")) == 1


@pytest.mark.slow
def test_series_that_kills_its_process_is_held_and_the_next_is_worked_on(
    tmp_path: Path, port: int
) -> None:
    path = settings_file(tmp_path, port=port, quiet_seconds=0.5)
    settings = load_settings(path, {})
    with node(path, KILLS) as process:
        eventually(lambda: listening(process, port))
        send(dicom_series(small_head()), port)
        eventually(lambda: reasons(settings))
        held = reasons(settings)
        send(mr_series(np.zeros((1, 8, 8), np.uint16)), port)
        eventually(lambda: len(reasons(settings)) == 2)
        is_running = process.poll() is None

    assert is_running
    assert held == [("held", "ProcessDied")]
    assert sorted(reasons(settings)) == [("held", "ProcessDied"), ("held", "TooFewSlices")]
    assert len(logged(tmp_path, "worker-died")) == MAX_CRASHES


def test_series_that_hangs_is_held_and_the_next_is_worked_on(tmp_path: Path, port: int) -> None:
    path = settings_file(tmp_path, port=port, quiet_seconds=0.5)
    settings = load_settings(path, {})
    with node(path, HANGS, limit=2) as process:
        eventually(lambda: listening(process, port))
        send(dicom_series(small_head()), port)
        eventually(lambda: reasons(settings))
        send(mr_series(np.zeros((1, 8, 8), np.uint16)), port)
        eventually(lambda: len(reasons(settings)) == 2)
        is_running = process.poll() is None

    assert is_running
    assert sorted(reasons(settings)) == [("held", "StageStuck"), ("held", "TooFewSlices")]
    assert logged(tmp_path, "worker-died") == []


def test_stop_signal_ends_a_node_that_works_and_it_goes_on_later(tmp_path: Path, port: int) -> None:
    path = settings_file(tmp_path, port=port, quiet_seconds=0.5)
    settings = load_settings(path, {})
    with node(path, HANGS) as process:
        eventually(lambda: listening(process, port))
        send(dicom_series(small_head()), port)
        eventually(lambda: status(settings).series == {"claimed": 1})
        workers = children(process)
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
    after_stop = status(settings).series
    eventually(lambda: not any(map(is_alive, workers)))
    with node(path, WORKS):
        eventually(lambda: status(settings).series == {"purged": 1})

    assert code == 0
    assert len(workers) == 1
    assert after_stop == {"received": 1}
    assert logged(tmp_path, "worker-died") == []


def test_nobody_works_on_for_a_node_that_was_killed(tmp_path: Path, port: int) -> None:
    path = settings_file(tmp_path, port=port, quiet_seconds=0.5)
    settings = load_settings(path, {})
    with node(path, HANGS) as process:
        eventually(lambda: listening(process, port))
        send(dicom_series(small_head()), port)
        eventually(lambda: status(settings).series == {"claimed": 1})
        workers = children(process)
    eventually(lambda: not any(map(is_alive, workers)))

    assert len(workers) == 1


def test_stop_signal_for_what_works_does_not_end_it(tmp_path: Path, port: int) -> None:
    """Whoever ends the node by all its processes, as systemd does, lets a series be finished."""
    path = settings_file(tmp_path, port=port, quiet_seconds=0.5)
    settings = load_settings(path, {})
    with node(path, "time.sleep(1)") as process:
        eventually(lambda: listening(process, port))
        send(dicom_series(small_head()), port)
        eventually(lambda: status(settings).series == {"claimed": 1})
        for number in (signal.SIGTERM, signal.SIGINT):
            for each in children(process):
                os.kill(each, number)
        eventually(lambda: status(settings).series == {"purged": 1})

    assert logged(tmp_path, "worker-died") == []
