"""C-STORE to receivers as they are shipped: storescu, stock pynetdicom, ours; ratios of one run.

Usage: python bench/send.py [--instances N] [--rounds N] [--folder FOLDER]

Each sender sends the same drawn series to dcmtk's storescp and to Orthanc, each freshly started
with an empty store and no option that changes its network. Seconds are wall time; CPU-seconds
are the sender's, user and system. Of the Python senders both are taken without imports; "node"
is ours with a row in the ledger for each answer. The best and the median of N rounds are shown,
and how many times faster than storescu's best the best is: what else runs on the machine makes
the quick senders slower, but hardly those that wait for a timer of the network. As root,
`chrt -f 1 python bench/send.py` keeps a busy machine out of the figures.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

PROJECT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT))

from rich.console import Console  # noqa: E402
from rich.table import Table  # noqa: E402

from bench.drawn_mr import write_instances  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterator

SENDERS: Final = ("storescu", "pynetdicom", "ours", "node")
RECEIVERS: Final = {"storescp": 20.0, "Orthanc": 4.0}
"""Each with the goal: how many times faster than storescu ours must be."""
START_SECONDS: Final = 60


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One sender to one receiver, once."""

    seconds: float
    cpu: float


def main() -> None:
    """Measure every pair, print the table, fail where a goal is missed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--instances", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="Send these files instead of drawn ones.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.folder or Path(scratch) / "drawn"
        if arguments.folder is None:
            write_instances(folder, arguments.instances)
        runs = measure(folder, Path(scratch), arguments.rounds)
        n_instances, n_bytes = _amount(folder)
    missed = show(runs, f"{n_instances} instances of {n_bytes // n_instances:,} bytes")
    sys.exit(1 if missed else 0)


def measure(folder: Path, scratch: Path, rounds: int) -> dict[tuple[str, str], list[Run]]:
    """Run every pair; every second round backwards."""
    runs: dict[tuple[str, str], list[Run]] = {}
    for number in range(rounds):
        pairs = [(receiver, sender) for receiver in RECEIVERS for sender in SENDERS]
        for receiver, sender in pairs if number % 2 == 0 else reversed(pairs):
            with (
                tempfile.TemporaryDirectory(dir=scratch) as store,
                _running(receiver, Path(store)) as port,
            ):
                run = _send(sender, receiver.upper(), port, folder)
            runs.setdefault((receiver, sender), []).append(run)
            print(f"{receiver:9} {sender:11} {run.seconds:7.2f} s", file=sys.stderr)
    return runs


def show(runs: dict[tuple[str, str], list[Run]], title: str) -> list[str]:
    """Print the table; name the receivers for which ours misses its goal."""
    columns = ("receiver", "sender", "best s", "median s", "CPU-seconds", "× storescu")
    columns = ("receiver", "sender", "best s", "median s", "CPU-seconds", "× storescu")
    table = Table(*columns, title=title)
    missed = []
    for receiver, goal in RECEIVERS.items():
        base = min(run.seconds for run in runs[receiver, "storescu"])
        for sender in SENDERS:
            seconds = [run.seconds for run in runs[receiver, sender]]
            cpu = statistics.median(run.cpu for run in runs[receiver, sender])
            ratio = base / min(seconds)
            figures = (min(seconds), statistics.median(seconds), cpu)
            table.add_row(receiver, sender, *(f"{each:.2f}" for each in figures), f"{ratio:.1f}")
            if sender == "ours" and ratio < goal:
                missed.append(receiver)
    Console().print(table)
    for receiver in missed:
        print(f"goal missed: {RECEIVERS[receiver]:.0f} × storescu to {receiver}")
    return missed


def _amount(folder: Path) -> tuple[int, int]:
    sizes = [path.stat().st_size for path in folder.iterdir()]
    return len(sizes), sum(sizes)


def _send(sender: str, ae_title: str, port: int, folder: Path) -> Run:
    if sender != "storescu":
        loop = [sys.executable, str(PROJECT / "bench" / "send_loops.py"), sender]
        done = subprocess.run(
            [*loop, str(port), ae_title, str(folder)], check=True, capture_output=True, text=True
        )
        took = json.loads(done.stdout)
        n_lost = len(list(folder.iterdir())) - took["stored"]
        if n_lost:
            print(f"{sender}: no Success for {n_lost} instances", file=sys.stderr)
        return Run(seconds=took["seconds"], cpu=took["cpu"])
    files = sorted(str(path) for path in folder.iterdir())
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(
        ["storescu", "-aec", ae_title, "127.0.0.1", str(port), *files],
        check=True,
        capture_output=True,
    )
    seconds = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Run(seconds=seconds, cpu=cpu)


@contextmanager
def _running(receiver: str, store: Path) -> Iterator[int]:
    """Start a receiver as it is shipped; only ports and the place of its store are ours."""
    ports = []
    for _ in range(2):
        with socket.create_server(("127.0.0.1", 0)) as probe:
            ports.append(probe.getsockname()[1])
    if receiver == "storescp":
        command = ["storescp", "-od", str(store), "-aet", "STORESCP", str(ports[0])]
    else:
        settings = {"StorageDirectory": str(store), "DicomPort": ports[0], "HttpPort": ports[1]}
        (store / "orthanc.json").write_text(json.dumps(settings))
        command = ["Orthanc", str(store / "orthanc.json")]
    environment = {name: value for name, value in os.environ.items() if name != "TCP_NODELAY"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        try:
            _wait_for(ports[0])
            yield ports[0]
        finally:
            process.kill()


def _wait_for(port: int) -> None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.1)
    sys.exit("a receiver did not start")


if __name__ == "__main__":
    main()
