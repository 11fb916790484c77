"""Fill a spool with instances of unfinished series, start the real node, and wait until it listens.

python -m tests.torture.restart [--instances 10000] [--rounds 3]
"""

from __future__ import annotations

import argparse
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

from deid_node.config.load import load_settings, read_key
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.node.ledger import Ledger
from deid_node.node.spool import Spool
from tests.fakes.node import free_port, is_open, settings_file
from tests.fakes.raw_peer import dataset

PROJECT: Final = Path(__file__).parents[2]
PER_SERIES: Final = 200
PIXEL_BYTES: Final = 8192


def fill(settings: Path, n_instances: int) -> None:
    """Keep instances as the node would have, had it been stopped while they came."""
    chosen = load_settings(settings)
    folder = chosen.spool.folder
    folder.mkdir(mode=0o700)
    keys = Pseudonyms(read_key(chosen.pseudonym_key))
    spool, ledger = Spool(folder / "received", reserve_bytes=0), Ledger(folder / "ledger.sqlite")
    ledger.belongs_to(keys.fingerprint())
    for first in range(0, n_instances, PER_SERIES):
        series = f"1.2.3.{first}"
        uids = [f"{series}.{n}" for n in range(min(PER_SERIES, n_instances - first))]
        kept = [
            spool.keep(
                keys.series_key(series),
                keys.instance_key(uid),
                [bytes(128), b"DICM", dataset(uid, series=series, pixels=PIXEL_BYTES)],
            )
            for uid in uids
        ]
        ledger.arrived_together([(each, None) for each in kept])
    ledger.close()


def start(settings: Path, port: int) -> tuple[float, float]:
    """Start the node, kill it when it listens; seconds and CPU-seconds until then."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "deid_node", "serve", "--config", str(settings)],
        env={**os.environ, "PYTHONPATH": str(PROJECT)},
        stderr=subprocess.DEVNULL,
    )
    while not is_open(port):
        assert process.poll() is None, "the node ended by itself"
        time.sleep(0.01)
    seconds = time.monotonic() - began
    process.send_signal(signal.SIGKILL)
    process.wait()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, used


def main() -> None:
    """Fill, start, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--instances", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        port = free_port()
        settings = settings_file(Path(scratch), port=port, quiet_seconds=3600)
        fill(settings, arguments.instances)
        for _ in range(arguments.rounds):
            seconds, used = start(settings, port)
            print(
                f"{arguments.instances} instances spooled: listens after {seconds:.2f} s"
                f" ({used:.2f} CPU-seconds)",
                flush=True,
            )


if __name__ == "__main__":
    main()
