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
    settings = sys.stdin.buffer.readline()
    with (folder / "settings").open("ab") as file:
        file.write(settings)
    if how == "ends at once" or (how == "cannot start again" and n_starts > 1):
        sys.exit(3)
    if how == "is refused" or (how == "is refused on cuda:1" and b'"cuda:1"' in settings):
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
    if request["do"] == "hold":
        wait_for(folder / "go")
    if request["do"] != "step":
        say(over=None, has_claim=False)
    elif how == "says what is no answer" and n_starts == 1:
        sys.stdout.buffer.write(b"what?\n")
        sys.stdout.buffer.flush()
    else:
        work(how, request["series"], n_starts, folder)
        say(over=2.5, has_claim=how == "fails in the ledger")


def work(how: str, series: str, n_starts: int, folder: Path) -> None:
    """Do so; who waits does it until there is a file of the name of the series."""
    if how == "logs":
        line = {"logger": "deid_node.x", "level": 30, "event": "said", "fields": {"port": 7}}
        say(log=line)
    if how == "babbles":
        sys.stdout.buffer.write(b"x" * 100_000)
        sys.stdout.buffer.flush()
    if how == "hangs" and n_starts == 1:
        time.sleep(600)
    if how == "waits":
        wait_for(folder / series)
    if how in {"dies", "cannot start again"}:
        os.abort()


def wait_for(path: Path) -> None:
    """Wait until there is a file."""
    while not path.exists():
        time.sleep(0.01)


def say(**words: object) -> None:
    """Write one line."""
    sys.stdout.buffer.write(json.dumps(words).encode() + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
