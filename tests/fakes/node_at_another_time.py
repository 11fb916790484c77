"""The node of `tests.fakes.node`, whose clock on the wall is set by a file.

    python -m tests.fakes.node_at_another_time OFFSET SETTINGS.toml [PAUSE]

OFFSET holds the seconds by which the clock is ahead; it is read each time that the clock is.
"""

from __future__ import annotations

import runpy
import sys
import time
from pathlib import Path


def set_clock_by(offset: Path) -> None:
    """Have `time.time` be ahead by what a file says; before anything binds that name."""
    real = time.time
    time.time = lambda: real() + float(offset.read_text())


if __name__ == "__main__":
    set_clock_by(Path(sys.argv.pop(1)))
    runpy.run_module("tests.fakes.node", run_name="__main__")
