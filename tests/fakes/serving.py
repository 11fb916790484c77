"""A node of `tests.fakes.node` as a process of its own, which a test may kill."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fakes.node import eventually, is_open

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT = Path(__file__).parents[2]


@contextmanager
def serving(
    settings: Path, port: int, *, pause: float = 0, log: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Run the node as a process of its own until it listens; kill it in the end."""
    with (log or settings.parent / "log").open("ab") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.fakes.node", str(settings), str(pause)],
            cwd=PROJECT,
            env={**os.environ, "PYTHONPATH": f"{PROJECT}:{PROJECT / 'tools'}"},
            stderr=out,
        )
    try:
        eventually(lambda: is_open(port) or process.poll() is not None)
        assert process.poll() is None, "the node did not start"
        yield process
    finally:
        process.kill()
        process.wait()
