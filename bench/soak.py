"""A whole node under a long stream: memory, file descriptors and threads; and its rate while it works.

Usage: python bench/soak.py [--instances 100000] [--senders 8] [--skip-rate]

First the rate at which one sender's instances of 140 kB are acknowledged by an idle node, and by one
whose worker has heads to do all the time. Then small instances of 200 to a series, from several
senders at once; each series is worked on and held, for it shows no head. The node is `deid-node
serve` with the default model. Memory is resident set size.
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
    from collections.abc import Iterator

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
N_RATE: Final = 400
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
    """Read it from /proc."""
    status = dict(
        line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines()
    )
    return Sample(
        n_instances=n_instances,
        mib=int(status["VmRSS"].split()[0]) / 1024,
        files=len(list(Path(f"/proc/{pid}/fd").iterdir())),
        threads=int(status["Threads"]),
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


def send(port: int, series: str, n: int, pixels: int) -> None:
    """Send one series over one association; every instance is acknowledged, or this fails."""
    with RawPeer(port, seconds=120) as peer:
        peer.associate()
        for number in range(n):
            uid = f"{series}.{number}"
            peer.say(command_pdu(store(uid)))
            encoded = dataset(uid, series=series, pixels=pixels)
            for at in range(0, len(encoded), FRAGMENT):
                last = at + FRAGMENT >= len(encoded)
                peer.say(data_pdu(encoded[at : at + FRAGMENT], last=last))
            status = peer.status()
            if status:
                raise RuntimeError(f"status {status:#06x}")
        peer.say(RELEASE)
        peer.hear()


def rate(port: int, series: str) -> float:
    """Instances a second from one sender."""
    began = time.perf_counter()
    send(port, series, N_RATE, LARGE)
    return N_RATE / (time.perf_counter() - began)


def rates(folder: Path) -> None:
    """Measure idle and working, in turn, three times."""
    from drawn_head.head import draw_head, grid
    from drawn_head.series import FakePatient, dicom_series

    from tests.fakes.peer import send as send_head

    where = grid("sagittal", 1.4)
    drawn = draw_head(contrast="T1", shape=where.shape, affine=where.affine, seed=7)
    with node(folder) as (_, port):
        for turn in range(3):
            wait_until_idle(folder / "spool" / LEDGER)
            idle = rate(port, f"1.2.5.{turn}")
            for number in range(4):
                patient = FakePatient(patient_id=f"H{turn}{number}")
                send_head(
                    dicom_series(drawn, patient=patient, series_number=number + 10 * turn), port
                )
            time.sleep(3)
            working = rate(port, f"1.2.6.{turn}")
            print(
                f"140 kB, one sender: {idle:.0f}/s idle, {working:.0f}/s while heads are worked on:"
                f" {working / idle:.0%}",
                flush=True,
            )


def wait_until_idle(ledger: Path) -> None:
    """Wait until every series that has come is worked through."""
    busy = [state.value for state in (State.RECEIVING, State.RECEIVED, State.CLAIMED)]
    n_left = 1
    while n_left:
        time.sleep(1)
        with reading(ledger) as database:
            (n_left,) = database.execute(
                "SELECT count(*) FROM series WHERE state IN (?, ?, ?)", busy
            ).fetchone()


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
            send(port, f"1.2.7.{number}", PER_SERIES, SMALL)
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
