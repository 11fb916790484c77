"""The node of `tests.fakes.node`, whose clock on the wall is set by a file.

    python -m tests.fakes.node_at_another_time OFFSET SETTINGS.toml [PAUSE]
    python -m tests.fakes.node_at_another_time OFFSET --worker PAUSE

OFFSET holds the seconds by which the clock is ahead; it is read each time that the clock is.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path


def set_clock_by(offset: Path) -> None:
    """Have `time.time` be ahead by what a file says; before anything binds that name."""
    real = time.time
    time.time = lambda: real() + float(offset.read_text())


def main(offset: str, what: str, pause: str = "0") -> None:
    """Serve, or be what works on series for that."""
    set_clock_by(Path(offset))
    if what == "--worker":
        from deid_node.node.work import loop  # noqa: PLC0415 - after the clock is set
        from tests.fakes.node import recipes_for  # noqa: PLC0415 - as above

        loop.main(lambda settings: recipes_for(settings, seconds=float(pause)))
    else:
        from tests.fakes import node  # noqa: PLC0415 - as above

        program = [sys.executable, "-m", "tests.fakes.node_at_another_time"]
        node.main(Path(what), [*program, offset, "--worker", pause])


if __name__ == "__main__":
    main(*sys.argv[1:])
