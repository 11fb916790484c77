"""A program in the place of `deid_node.node.work.loop` that misbehaves as it is told.

    python -m tests.fakes.stray_worker HOW FOLDER

Each request is noted in FOLDER.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any


def main(how: str, folder: Path) -> None:
    """Answer once as `how` says."""
    with (folder / "starts").open("a") as file:
        file.write(f"{os.getpid()}\n")
    n_starts = len((folder / "starts").read_text().splitlines())
    sys.stdin.buffer.readline()
    if how == "ends at once" or (how == "cannot start again" and n_starts > 1):
        sys.exit(3)
    if how == "is refused":
        say(refused="WeightsUnusable", why="the weights are damaged")
        return
    if how == "fails":
        say(refused="", why="MemoryError")
        return
    say(ready=True)
    for line in sys.stdin.buffer:
        with (folder / "requests").open("ab") as file:
            file.write(line)
        answer(how, json.loads(line), n_starts, folder)


def answer(how: str, request: dict[str, Any], n_starts: int, folder: Path) -> None:
    """Do what was asked, or not; a series is held once there is a file `go`."""
    has_claim = False
    if request["do"] == "step":
        if how == "logs":
            line = {"logger": "deid_node.x", "level": 30, "event": "said", "fields": {"port": 7}}
            say(log=line)
        if how == "babbles":
            sys.stdout.buffer.write(b"x" * 100_000)
            sys.stdout.buffer.flush()
        if how == "says what is no answer" and n_starts == 1:
            sys.stdout.buffer.write(b"what?\n")
            sys.stdout.buffer.flush()
            return
        if how == "hangs" and n_starts == 1:
            time.sleep(600)
        if how in {"dies", "cannot start again"}:
            os.abort()
        has_claim = how == "fails in the ledger"
    while request["do"] == "hold" and not (folder / "go").exists():
        time.sleep(0.01)
    say(over=2.5 if request["do"] == "step" else None, has_claim=has_claim)


def say(**words: object) -> None:
    """Write one line."""
    sys.stdout.buffer.write(json.dumps(words).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
