"""Kill a node over and over while it works, by the ledger's own loop and by the work engine.

Usage: python bench/engine.py [--series N] [--kills N] [--seed N] [--idle SECONDS] [--kinds ...]

Each kind of node (see bench/engine_node.py) gets the same N received series, is killed by
SIGKILL at random moments after its start, and is then left to finish. Counted from the effects it
wrote down: "lost", one that never came; "redone", one that was finished and came again; "cut",
one that was broken off. Then, undisturbed: the same N series, their sending alone, and a node
that idles. CPU is user and system, in seconds; starting means from the start of Python until
the node works.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, cast

PROJECT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT))

from bench.engine_node import Node  # noqa: E402
from deid_node.headers.pseudonyms import InstanceKey, SeriesKey  # noqa: E402
from deid_node.node.ledger import Ledger  # noqa: E402
from deid_node.node.spool import Spool  # noqa: E402

KINDS: Final = ("ledger", "dbos", "dbos-send")
PAUSE_SECONDS: Final = 0.15
LATEST_KILL_SECONDS: Final = 1.6
PATIENCE_SECONDS: Final = 300


@dataclass
class Tally:
    """What all nodes of one run used."""

    starts: list[float] = field(default_factory=list)
    cpu: float = 0.0
    rss_mb: float = 0.0


class Child:
    """One node, from its start to its end."""

    def __init__(self, kind: str, folder: Path, tally: Tally, *more: str) -> None:
        self._tally = tally
        self._process = subprocess.Popen(
            [
                sys.executable,
                str(PROJECT / "bench" / "engine_node.py"),
                kind,
                str(folder),
                str(PAUSE_SECONDS),
                *more,
            ],
            stdout=subprocess.PIPE,
        )
        began = time.perf_counter()
        self._said = cast("IO[bytes]", self._process.stdout)
        if self._said.readline() != b"ready\n":
            sys.exit("a node did not start")
        tally.starts.append(time.perf_counter() - began)

    def cpu(self) -> float:
        """Tell the CPU-seconds so far."""
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self, seconds: float, *, kill: bool) -> bool:
        """Wait; kill it after that; tell whether it had ended by itself."""
        ended = bool(select.select([self._said], [], [], seconds)[0])
        if not ended and kill:
            self._process.kill()
        _, _, usage = os.wait4(self._process.pid, 0)
        self._process.returncode = 0
        self._said.close()
        self._tally.cpu += usage.ru_utime + usage.ru_stime
        self._tally.rss_mb = max(self._tally.rss_mb, usage.ru_maxrss / 1024)
        return ended


def fill(folder: Path, n_series: int) -> None:
    """Receive series of one instance each."""
    ledger, spool = Ledger(folder / "ledger.sqlite"), Spool(folder / "received", reserve_bytes=0)
    for number in range(n_series):
        series = SeriesKey(f"series{number:04d}")
        ledger.arrived(spool.keep(series, InstanceKey("i"), [b"x"]))
        ledger.received(series)
    ledger.close()


def torture(kind: str, n_series: int, n_kills: int, seed: int) -> dict[str, object]:
    """Kill a kind of node, let it finish, and count."""
    chance = random.Random(seed)  # noqa: S311 - a run that can be repeated
    tally = Tally()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        fill(folder, n_series)
        for _ in range(n_kills):
            child = Child(kind, folder, tally)
            child.end(chance.uniform(0.05, LATEST_KILL_SECONDS), kill=True)
        is_stuck = not Child(kind, folder, tally).end(PATIENCE_SECONDS, kill=True)
        effects = Counter((folder / "effects").read_text().splitlines())
    ended = {line[4:]: n for line, n in effects.items() if line.startswith("end ")}
    begun = {line[6:]: n for line, n in effects.items() if line.startswith("begin ")}
    expected = n_series * (1 + 2 * 3)
    return {
        "lost": expected - len(ended),
        "stuck": is_stuck,
        "redone": sum(ended.values()) - len(ended),
        "cut": sum(begun.values()) - sum(ended.values()),
        "start median s": round(statistics.median(tally.starts), 2),
        "start longest s": round(max(tally.starts), 2),
        "CPU-s": round(tally.cpu, 1),
        "MB": round(tally.rss_mb),
    }


def undisturbed(kind: str, n_series: int, idle: float) -> dict[str, object]:
    """Time the whole work and the sending alone, without a kill; then watch a node idle."""
    told: dict[str, object] = {}
    for word in ("work", "send"):
        tally = Tally()
        with tempfile.TemporaryDirectory() as name:
            fill(Path(name), n_series)
            if word == "send":
                node = Node(Path(name), 0)
                for _ in range(n_series):
                    node.worker.step()
                node.ledger.close()
            child = Child(kind, Path(name), tally)
            began = time.perf_counter()
            child.end(PATIENCE_SECONDS, kill=True)
            told[f"{word} s"] = round(time.perf_counter() - began, 1)
            told[f"{word} CPU-s"] = round(tally.cpu, 1)
    with tempfile.TemporaryDirectory() as name:
        child = Child(kind, Path(name), Tally(), "idle")
        time.sleep(3)
        before = child.cpu()
        time.sleep(idle)
        told["idle % of a core"] = round(100 * (child.cpu() - before) / idle, 2)
        child.end(0, kill=True)
    return told


def main() -> None:
    """Measure every kind; print one line of JSON for each."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--series", type=int, default=60)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--idle", type=float, default=30)
    parser.add_argument("--kinds", nargs="*", default=KINDS)
    arguments = parser.parse_args()
    for kind in arguments.kinds:
        told: dict[str, object] = {"kind": kind, "seed": arguments.seed}
        told |= torture(kind, arguments.series, arguments.kills, arguments.seed)
        told |= undisturbed(kind, arguments.series, arguments.idle)
        print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
