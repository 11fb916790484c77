"""The clock on the wall is set while the node runs, and while it is stopped."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest
from drawn_head.head import small_head
from drawn_head.series import dicom_series

from deid_node.config.load import load_settings
from deid_node.node.service import status
from tests.fakes.command import run
from tests.fakes.node import eventually, free_port, is_open, settings_file
from tests.fakes.peer import Receiver, receiving, send

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT: Final = Path(__file__).parents[2]
HOUR, DAY = 3600, 86400
MORE = 'keep_originals_hours = 1\n[audit]\nfile = "audit.jsonl"'


class Clock:
    """What the clock on the wall of a node says, which a test may change as it runs."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "offset"
        self.set(ahead=0)

    def set(self, *, ahead: float) -> None:
        draft = self.file.with_suffix(".new")
        draft.write_text(str(ahead))
        draft.replace(self.file)


@contextmanager
def serving(settings: Path, port: int, clock: Clock) -> Iterator[None]:
    """Run a node that goes by that clock; stop it in an orderly way."""
    with (settings.parent / "log").open("ab") as log:
        module = ["-m", "tests.fakes.node_at_another_time"]
        node = subprocess.Popen(
            [sys.executable, *module, str(clock.file), str(settings), "1"],
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": f"{PROJECT}:{PROJECT / 'tools'}"},
            stderr=log,
        )
    try:
        eventually(lambda: is_open(port) or node.poll() is not None)
        assert node.poll() is None, "the node did not start"
        yield
        node.terminate()
        assert node.wait(timeout=60) == 0
    finally:
        node.kill()
        node.wait()


@pytest.mark.slow
def test_clock_that_is_set_back_stops_nothing_and_deletes_nothing_early(tmp_path: Path) -> None:
    one, two = (dicom_series(small_head(), series_number=number) for number in (3, 4))
    port, clock = free_port(), Clock(tmp_path)
    with receiving(Receiver()) as archive:
        path = settings_file(
            tmp_path, port=port, archive=archive.port, quiet_seconds=0.5, more=MORE
        )
        settings = load_settings(path, {})

        def originals() -> int:
            received = settings.spool.folder / "received"
            return sum(each.is_file() for each in received.rglob("*.dcm"))

        def are(**states: int) -> bool:
            return status(settings).series == states

        with serving(path, port, clock):
            send(one, port)
            eventually(lambda: are(claimed=1))
            clock.set(ahead=-3 * DAY)
            eventually(lambda: are(delivered=1))
        clock.set(ahead=-30 * DAY)
        with serving(path, port, clock):
            send(two, port)
            eventually(lambda: are(delivered=2))
            kept = originals()
            clock.set(ahead=2 * HOUR)
            eventually(lambda: are(purged=2) and originals() == 0)

    assert kept == len(one) + len(two)
    assert len(archive.encoded) == len(set(archive.sop_instance_uids)) == kept + 2
    assert run("audit", "verify", tmp_path / "audit.jsonl", "--config", path) == 0
