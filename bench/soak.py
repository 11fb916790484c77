"""A whole node under a long stream: memory, file descriptors and threads; and its rate while it works.

Usage: python bench/soak.py [--instances 100000] [--senders 8] [--skip-rate]

First the rate at which one sender's instances of 140 kB are acknowledged by an idle node, and by one
that has heads to work on all the while. Then small instances of 200 to a series, from several
senders at once; each series is worked on and held, for it shows no head. The node is `deid-node
serve` with the default model. Memory is resident set size, and like files and threads that of both its
processes together.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROJECT: Final = Path(__file__).parents[1]
sys.path[:0] = [str(PROJECT), str(PROJECT / "tools")]

from deid_node.node.ledger_database import reading  # noqa: E402
from deid_node.node.states import State  # noqa: E402
from deid_node.node.status import LEDGER  # noqa: E402
from tests.fakes.node import free_port, is_open, settings_file  # noqa: E402
from tests.fakes.raw_peer import (  # noqa: E402
    RELEASE,
    RawPeer,
    command_pdu,
    data_pdu,
    dataset,
    store,
)

PER_SERIES: Final = 200
SMALL, LARGE = 512, 140_000
"""Pixel bytes of an instance."""
RATE_SECONDS: Final = 10.0
TURNS: Final = 3
N_HEADS: Final = 10
"""More than are worked through in that time."""
WARM: Final = 0.1
"""Share of the instances after which memory counts."""
FRAGMENT: Final = 16_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """The node's process at one moment."""

    n_instances: int
    mib: float
    files: int
    threads: int


def sample(pid: int, n_instances: int) -> Sample:
    """Read it from /proc: the process and its children."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    folders = [Path(f"/proc/{each}") for each in (pid, *children)]
    told = [
        dict(line.split(":", 1) for line in (folder / "status").read_text().splitlines())
        for folder in folders
    ]
    return Sample(
        n_instances=n_instances,
        mib=sum(int(each["VmRSS"].split()[0]) for each in told) / 1024,
        files=sum(len(list((folder / "fd").iterdir())) for folder in folders),
        threads=sum(int(each["Threads"]) for each in told),
    )


@contextmanager
def node(folder: Path) -> Iterator[tuple[int, int]]:
    """Run a node; give its process and port."""
    folder.mkdir()
    port = free_port()
    settings = settings_file(folder, port=port, quiet_seconds=2)
    process = subprocess.Popen(
        [sys.executable, "-m", "deid_node", "serve", "--config", str(settings)],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stderr=(folder / "log").open("wb"),
    )
    try:
        while not is_open(port):
            time.sleep(0.05)
        time.sleep(3)  # the engine starts behind the open port
        yield process.pid, port
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait()


def send(port: int, series: str, pixels: int, goes_on: Callable[[int], bool]) -> int:
    """Send one series over one association; every instance is acknowledged, or this fails."""
    number = 0
    with RawPeer(port, seconds=120) as peer:
        peer.associate()
        while goes_on(number):
            uid = f"{series}.{number}"
            peer.say(command_pdu(store(uid)))
            encoded = dataset(uid, series=series, pixels=pixels)
            for at in range(0, len(encoded), FRAGMENT):
                last = at + FRAGMENT >= len(encoded)
                peer.say(data_pdu(encoded[at : at + FRAGMENT], last=last))
            status = peer.status()
            if status:
                raise RuntimeError(f"status {status:#06x}")
            number += 1
        peer.say(RELEASE)
        peer.hear()
    return number


def rate(port: int, series: str) -> float:
    """Instances a second from one sender."""
    end = time.perf_counter() + RATE_SECONDS
    return send(port, series, LARGE, lambda _: time.perf_counter() < end) / RATE_SECONDS


def rates(folder: Path) -> None:
    """Measure idle and working by turns: a disk's syncs vary more than one turn tells."""
    from drawn_head.head import draw_head, grid
    from drawn_head.series import FakePatient, dicom_series

    from tests.fakes.peer import send as send_head

    where = grid("sagittal", 1.4)
    drawn = draw_head(contrast="T1", shape=where.shape, affine=where.affine, seed=7)
    all_idle = all_working = 0.0
    with node(folder) as (_, port):
        for turn in range(TURNS):
            wait_until_idle(folder / "spool" / LEDGER)
            idle = rate(port, f"1.2.5.{turn}")
            wait_until_idle(folder / "spool" / LEDGER)
            for number in range(N_HEADS):
                patient = FakePatient(patient_id=f"H{turn}{number}")
                send_head(
                    dicom_series(drawn, patient=patient, series_number=number + 10 * turn), port
                )
            time.sleep(3)
            before = n_waiting(folder / "spool" / LEDGER)
            working = rate(port, f"1.2.6.{turn}")
            after = n_waiting(folder / "spool" / LEDGER)
            print(
                f"140 kB, one sender, {RATE_SECONDS:.0f} s: {idle:.0f}/s idle, {working:.0f}/s while"
                f" heads are worked on ({before} before, {after - 1} after): {working / idle:.0%}",
                flush=True,
            )
            all_idle, all_working = all_idle + idle, all_working + working
    print(f"in all turns together: {all_working / all_idle:.0%}", flush=True)


def n_waiting(ledger: Path) -> int:
    """Count the series that are not worked through."""
    busy = [state.value for state in (State.RECEIVING, State.RECEIVED, State.CLAIMED)]
    with reading(ledger) as database:
        (n_left,) = database.execute(
            "SELECT count(*) FROM series WHERE state IN (?, ?, ?)", busy
        ).fetchone()
    return int(n_left)


def wait_until_idle(ledger: Path) -> None:
    """Wait until every series that has come is worked through."""
    time.sleep(1)
    while n_waiting(ledger):
        time.sleep(1)


def soak(folder: Path, n_instances: int, n_senders: int) -> None:
    """Send, and look at the process now and then."""
    left = iter(range(n_instances // PER_SERIES))
    lock, done = threading.Lock(), [0]

    def work(port: int) -> None:
        while True:
            with lock:
                number = next(left, None)
            if number is None:
                return
            send(port, f"1.2.7.{number}", SMALL, lambda sent: sent < PER_SERIES)
            with lock:
                done[0] += PER_SERIES

    with node(folder) as (pid, port):
        threads = [threading.Thread(target=work, args=(port,)) for _ in range(n_senders)]
        began = time.perf_counter()
        for each in threads:
            each.start()
        samples = []
        while any(each.is_alive() for each in threads):
            time.sleep(5)
            samples.append(sample(pid, done[0]))
            print(samples[-1], f"{done[0] / (time.perf_counter() - began):.0f}/s", flush=True)
        warm = [each for each in samples if each.n_instances >= WARM * n_instances]
        first, last = warm[0], warm[-1]
        print(
            f"{last.n_instances} instances; from {first.n_instances} on: memory {first.mib:.0f} to"
            f" {last.mib:.0f} MiB ({last.mib / first.mib - 1:+.1%}), most"
            f" {max(each.mib for each in warm):.0f}; files {first.files} to {last.files}, threads"
            f" {first.threads} to {last.threads}"
        )


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--instances", type=int, default=100_000)
    parser.add_argument("--senders", type=int, default=8)
    parser.add_argument("--skip-rate", action="store_true")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        if not arguments.skip_rate:
            rates(Path(scratch) / "rate")
        soak(Path(scratch) / "soak", arguments.instances, arguments.senders)


if __name__ == "__main__":
    main()
