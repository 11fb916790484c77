"""Receiving beside its peers, in one run: instances and associations a second, CPU, memory, idling.

Usage: python bench/receive.py [--instances 1000] [--rounds 3] [--only NAME ...] [--deleting]

Senders are dcmtk's storescu, one and four at a time; TCP_NODELAY=1 for every dcmtk program.
CPU-seconds are the receiver's own (user and system, children included), start-up left out.
Every receiver has its turn in each round, the second round in reverse order, and so on: what a
machine does beside falls on all of them. Figures are medians; ratios are taken round by round.
"not durable" is ours with every sync left out: it is for comparing with receivers that sync
nothing, and no setting of the node does that.

What a receiver kept stays until the end, unless `--deleting`: ext4 looks the longer for an inode
the more were set free in the last minutes, and each file of the next receiver would pay for it.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table

PROJECT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT))

from bench.receivers import (  # noqa: E402
    ENVIRONMENT,
    MAX_ASSOCIATIONS,
    RECEIVERS,
    cpu_seconds,
    memory_mib,
    running,
)
from bench.verification import associate, release  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.receivers import Receiver

N_SERIES: Final = 5
N_ASSOCIATIONS: Final = 300
N_IDLE: Final = MAX_ASSOCIATIONS - 10
N_SYNCS: Final = 300
IDLE_SECONDS: Final = 10


@dataclass(kw_only=True)
class Figures:
    """What was measured of one receiver: by number of senders, each a list of rounds."""

    rates: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    cpu: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    peak_mib: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    associations: float = 0.0
    idle_percent: float | None = None
    idle_mib: float = 0.0


def main() -> None:
    """Measure every receiver and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--instances", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="*", default=[], help="names of receivers")
    parser.add_argument("--deleting", action="store_true", help="delete after each")
    arguments = parser.parse_args()
    chosen = [each for each in RECEIVERS if not arguments.only or each.name in arguments.only]
    rows = {receiver.name: Figures() for receiver in chosen}
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        draw(folder / "source", arguments.instances)
        costs = sync_milliseconds(folder)
        for number in range(arguments.rounds):
            print(f"round {number + 1} of {arguments.rounds} …", file=sys.stderr)
            for receiver in chosen[:: -1 if number % 2 else 1]:
                figures = rows[receiver.name]
                take(receiver, folder, arguments.instances, figures, deleting=arguments.deleting)
        for receiver in chosen:
            print(f"associations with {receiver.name} …", file=sys.stderr)
            associations(receiver, folder, rows[receiver.name])
    show(rows, arguments.instances)
    show_ratios(rows)
    print("a sync takes", ", ".join(f"{ms:.2f} ms ({what})" for what, ms in costs.items()))


def draw(folder: Path, n: int) -> None:
    """Write instances of 256 x 256 cells of noise, 140 kB each, in as many folders as series."""
    import numpy as np
    from pydicom import dcmwrite
    from pydicom.uid import UID

    from tests.fakes.series import mr_series

    rng = np.random.default_rng(1)
    template = mr_series(rng.integers(0, 4096, (1, 256, 256), dtype=np.uint16))[0]
    template.ImageComments = "x" * 8000
    for k in range(n):
        series = k * N_SERIES // n
        uid = UID(f"1.2.826.0.1.3680043.8.498.5.{series + 1}.{k + 1}")
        template.SOPInstanceUID = template.file_meta.MediaStorageSOPInstanceUID = uid
        template.SeriesInstanceUID = f"1.2.826.0.1.3680043.8.498.5.{series + 1}"
        where = folder / str(k % 4)
        where.mkdir(parents=True, exist_ok=True)
        dcmwrite(where / f"{k:06}.dcm", template, enforce_file_format=True)


def sync_milliseconds(scratch: Path) -> dict[str, float]:
    """Time the three syncs that stand before each Success, on this disk: the median of each."""
    folder = Path(tempfile.mkdtemp(dir=scratch))
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    database = sqlite3.connect(folder / "ledger.sqlite", isolation_level=None)
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("PRAGMA synchronous=FULL")
    database.execute("CREATE TABLE instance (digest BLOB)")
    insert = "INSERT INTO instance VALUES (randomblob(2000))"
    spent: dict[str, list[float]] = {"file": [], "directory": [], "commit": []}

    def timed(what: str, step: Callable[[], object]) -> None:
        began = time.perf_counter()
        step()
        spent[what].append(1000 * (time.perf_counter() - began))

    for number in range(N_SYNCS):
        draft = folder / f"{number}.part"
        with draft.open("wb") as file:
            file.write(bytes(140_000))
            file.flush()
            timed("file", partial(os.fdatasync, file.fileno()))
        draft.rename(folder / f"{number}.dcm")
        timed("directory", partial(os.fsync, fd))
        timed("commit", partial(database.execute, insert))
    database.close()
    os.close(fd)
    return {what: statistics.median(each) for what, each in spent.items()}


def take(receiver: Receiver, scratch: Path, n: int, figures: Figures, *, deleting: bool) -> None:
    """Send everything to a receiver, from one sender and from four."""
    for n_senders in (1, 4):
        with running(receiver, scratch, deleting=deleting) as (port, process):
            before, began = cpu_seconds(process), time.perf_counter()
            send(scratch / "source", port, n_senders)
            figures.rates[n_senders].append(n / (time.perf_counter() - began))
            echo(port)
            figures.cpu[n_senders].append(cpu_seconds(process) - before)
            figures.peak_mib[n_senders].append(memory_mib(process, "VmHWM"))


def associations(receiver: Receiver, scratch: Path, figures: Figures) -> None:
    """Associate one after the other; then with many at a time that say nothing."""
    with running(receiver, scratch, deleting=True) as (port, process):
        began = time.perf_counter()
        for _ in range(N_ASSOCIATIONS):
            release(associate(port))
        figures.associations = N_ASSOCIATIONS / (time.perf_counter() - began)
    if not receiver.takes_idle:
        return
    with running(receiver, scratch, deleting=True) as (port, process):
        idle = [associate(port) for _ in range(N_IDLE)]
        time.sleep(1)
        before = cpu_seconds(process)
        time.sleep(IDLE_SECONDS)
        figures.idle_percent = 100 * (cpu_seconds(process) - before) / IDLE_SECONDS
        figures.idle_mib = memory_mib(process, "VmRSS")
        for each in idle:
            each.close()


def send(source: Path, port: int, n_senders: int) -> None:
    """Send everything with storescu, divided among the senders."""
    folders = sorted(source.iterdir())
    shares = [folders[k::n_senders] for k in range(n_senders)]
    peer = ["storescu", "-aet", "PACS", "-aec", "DEIDNODE", "127.0.0.1", str(port), "+sd"]
    senders = [
        subprocess.Popen([*peer, *map(str, share)], env=ENVIRONMENT, stderr=subprocess.DEVNULL)
        for share in shares
    ]
    codes = [sender.wait() for sender in senders]
    if any(codes):
        sys.exit("a sender failed")


def echo(port: int) -> None:
    """Let receivers that fork count their children."""
    for _ in range(2):
        release(associate(port))
        time.sleep(0.1)


COMPARED: Final = (
    ("deid-node, durable", "Orthanc, sync on"),
    ("deid-node, not durable", "storescp +B --fork"),
)


def show(rows: dict[str, Figures], n: int) -> None:
    """Print the table."""
    columns = ("inst/s", "CPU s", "peak MiB", "inst/s", "CPU s", "peak MiB", "assoc/s", "idle")
    table = Table("receiver", *columns, title=f"{n} x 140 kB; with 1 sender, then with 4")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, figures in rows.items():
        per_sender = [
            text
            for k in (1, 4)
            for text in (
                f"{statistics.median(figures.rates[k]):.0f}",
                f"{statistics.median(figures.cpu[k]):.2f}",
                f"{max(figures.peak_mib[k]):.0f}",
            )
        ]
        idle = "–"
        if figures.idle_percent is not None:
            idle = f"{figures.idle_percent:.1f} %, {figures.idle_mib:.0f} MiB"
        table.add_row(name, *per_sender, f"{figures.associations:.0f}", idle)
    Console(width=130).print(table)
    print(f"idle: {N_IDLE} associations that say nothing, in per cent of a core, and memory")


def show_ratios(rows: dict[str, Figures]) -> None:
    """Print what is compared: the median of the rounds, and the least and the most."""
    for ours_, other in COMPARED:
        if not {ours_, other} <= set(rows):
            continue
        for k in (1, 4):
            rate = against(rows[ours_].rates[k], rows[other].rates[k])
            cpu = against(rows[ours_].cpu[k], rows[other].cpu[k])
            print(f"{ours_} / {other}, senders: {k}: rate {rate}, CPU {cpu}")


def against(ours_: list[float], others: list[float]) -> str:
    """Compare round by round."""
    ratios = [mine / theirs for mine, theirs in zip(ours_, others, strict=True)]
    return f"{statistics.median(ratios):.2f} x ({min(ratios):.2f} to {max(ratios):.2f})"


if __name__ == "__main__":
    main()
