"""A series that ends the node, or hangs in it, is held, and the others go on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from drawn_head.head import small_head
from drawn_head.series import dicom_series

from deid_node.config.load import load_settings
from deid_node.node.service import status
from deid_node.node.worker import MAX_CRASHES
from tests.fakes.node import eventually, free_port, is_open, settings_file
from tests.fakes.peer import send

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deid_node.config.schema import Settings

PROJECT = Path(__file__).parents[2]
SCRIPT = """
import os, signal, sys, time
from pathlib import Path
from deid_node.config.load import load_settings
from deid_node.node import staging
from deid_node.node.service import Service
from tests.fakes.face import FakeFaceModel
from tests.fakes.node import SlowFaceModel, recipe_for

def estimate(self, volume):
    {what}

SlowFaceModel.estimate = estimate
staging.LONGEST_SECONDS = {limit}
settings = load_settings(Path(sys.argv[1]))
Service(settings, recipe_for(settings)).run()
"""
KILLS = "os.kill(os.getpid(), signal.SIGKILL)"
HANGS = "time.sleep(3600)"
WORKS = "return FakeFaceModel().estimate(volume)"


@pytest.fixture
def port() -> int:
    return free_port()


@contextmanager
def node(path: Path, what: str, *, limit: float = 3600) -> Iterator[subprocess.Popen[bytes]]:
    """Run a node whose model does `what`."""
    with (path.parent / "log").open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", SCRIPT.format(what=what, limit=limit), str(path)],
            cwd=PROJECT,
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


@pytest.mark.slow
def test_series_that_kills_the_node_is_held_and_the_next_is_delivered(
    tmp_path: Path, port: int
) -> None:
    path = settings_file(tmp_path, port=port, quiet_seconds=0.5)
    settings = load_settings(path, {})
    ends = []
    for number in range(MAX_CRASHES):
        with node(path, KILLS) as process:
            if number == 0:
                eventually(lambda process=process: listening(process, port))  # type: ignore[misc]
                send(dicom_series(small_head()), port)
            ends.append(process.wait(60))
    with node(path, KILLS) as process:
        eventually(lambda: reasons(settings))
        survived = process.poll() is None

    assert ends == [-signal.SIGKILL] * MAX_CRASHES
    assert survived
    assert reasons(settings) == [("held", "ProcessDied")]


def test_series_that_hangs_is_held_and_the_node_ends_to_be_started_again(
    tmp_path: Path, port: int
) -> None:
    path = settings_file(tmp_path, port=port, quiet_seconds=0.5)
    settings = load_settings(path, {})
    with node(path, HANGS, limit=0.5) as process:
        eventually(lambda: listening(process, port))
        send(dicom_series(small_head()), port)
        code = process.wait(60)

    assert code == 1
    assert "StageStuck" in (tmp_path / "log").read_text()
    assert reasons(settings) == [("held", "StageStuck")]


def test_stop_signal_ends_a_node_that_works_and_it_goes_on_later(tmp_path: Path, port: int) -> None:
    path = settings_file(tmp_path, port=port, quiet_seconds=0.5)
    settings = load_settings(path, {})
    with node(path, HANGS) as process:
        eventually(lambda: listening(process, port))
        send(dicom_series(small_head()), port)
        eventually(lambda: status(settings).series == {"claimed": 1})
        process.send_signal(signal.SIGTERM)
        code = process.wait(60)
    after_stop = status(settings).series
    with node(path, WORKS):
        eventually(lambda: status(settings).series == {"purged": 1})

    assert code == 0
    assert after_stop == {"received": 1}
    assert "Traceback" not in (tmp_path / "log").read_text()
