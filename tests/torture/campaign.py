"""Kill a node at random, again and again, while series stream through it; then count.

    python -m tests.torture.campaign [--kills 200] [--seed 1] [--keep FOLDER]

A node with a fake face model receives from three senders and sends to a storage SCP and a folder.
After each kill it is started again in the same spool; now and then only the process that works on
series is killed before. Printed at the end: what was acknowledged, what arrived, what was lost, and
every byte that should not have left. Exit status 1 if anything is wrong.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deid_node.config.load import read_key
from deid_node.headers.pseudonyms import Pseudonyms
from tests.fakes.hostile import RELEASE_RP, HostilePeer, Wire
from tests.fakes.node import free_port, is_open, settings_file
from tests.torture.evidence import Evidence, judge
from tests.torture.traffic import Sender, Series, Tally, Template

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT: Final = Path(__file__).parents[2]
N_SENDERS: Final = 3
MODEL_SECONDS: Final = 0.1
"""The fake model thinks so long, that kills fall into it."""
ANSWER_SECONDS: Final = 0.02
MOST_ON_THEIR_WAY: Final = 9
"""Series that are neither delivered nor held; no further one is begun meanwhile."""
START_SECONDS: Final = 60.0
SETTLE_SECONDS: Final = 600.0
IN_STARTING: Final = 0.15
"""Share of the kills that come before the node listens."""
LONGEST_LIFE: Final = 12.0
"""A node that listens is killed after this at the latest, in seconds."""
WORKER_FIRST: Final = 0.4
"""Share of these lives in which the process that works on series is killed by itself before."""
OPEN_STATES: Final = ("receiving", "received", "claimed", "ready")


@dataclass(slots=True, kw_only=True)
class Campaign:
    """What a campaign has done so far."""

    kills: int = 0
    during: Counter[str] = field(default_factory=Counter)
    """How many kills found a series in a state, or the node starting."""
    worker_kills: int = 0
    """How often only the process that works on series was killed, beside these."""
    slowest_start: float = 0.0


class Node:
    """A node that can be killed and started again.

    Parameters
    ----------
    settings
        Its settings file, in a folder of its own.
    port
        Where it listens.
    """

    def __init__(self, settings: Path, port: int) -> None:
        self._settings, self._port = settings, port
        self._process: subprocess.Popen[bytes] | None = None

    def begin(self) -> None:
        """Start the process, and do not wait for it."""
        with (self._settings.parent / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.fakes.node", str(self._settings), str(MODEL_SECONDS)],
                cwd=PROJECT,
                env={**os.environ, "PYTHONPATH": f"{PROJECT}:{PROJECT / 'tools'}"},
                stderr=log,
                stdout=log,
            )

    def wait(self) -> float:
        """Wait until it listens; give the seconds since this was asked."""
        began = time.monotonic()
        while not is_open(self._port):
            assert self._process is not None
            assert self._process.poll() is None, "the node ended by itself: see its log"
            assert time.monotonic() - began < START_SECONDS, "the node does not listen"
            time.sleep(0.01)
        return time.monotonic() - began

    def kill_worker(self) -> None:
        """Kill the process that works on series, if there is one."""
        assert self._process is not None
        pid = self._process.pid
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            with suppress(ProcessLookupError):
                os.kill(int(child), signal.SIGKILL)

    def kill(self) -> None:
        """Kill it; its child ends with it."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()


def states(folder: Path) -> Counter[str]:
    """Count series by state, as the ledger on disk has them."""
    path = folder / "spool" / "ledger.sqlite"
    if not path.exists():
        return Counter()
    with closing(sqlite3.connect(path, timeout=30)) as ledger:
        try:
            return Counter(
                dict(ledger.execute("SELECT state, count(*) FROM series GROUP BY state"))
            )
        except sqlite3.OperationalError:  # killed before the tables were made
            return Counter()


def torture(
    node: Node, folder: Path, kills: int, chance: random.Random, campaign: Campaign
) -> Iterator[Campaign]:
    """Kill the node so many times; leave it running."""
    while campaign.kills < kills:
        node.begin()
        if chance.random() < IN_STARTING:
            time.sleep(chance.uniform(0, max(0.5, campaign.slowest_start)))
            campaign.during["starting"] += 1
        else:
            campaign.slowest_start = max(campaign.slowest_start, node.wait())
            time.sleep(chance.uniform(0, LONGEST_LIFE))
            if chance.random() < WORKER_FIRST:
                node.kill_worker()
                campaign.worker_kills += 1
                time.sleep(chance.uniform(0, LONGEST_LIFE))
        node.kill()
        campaign.kills += 1
        campaign.during.update(state for state, n in states(folder).items() if n)
        yield campaign
    node.begin()
    node.wait()


def settle(folder: Path, senders: list[Sender]) -> None:
    """Let everything that was begun be acknowledged, and then delivered or held."""
    end = time.monotonic() + SETTLE_SECONDS
    for sender in senders:
        sender.finish()
    for sender in senders:
        sender.join(max(0.0, end - time.monotonic()))
        assert not sender.is_alive(), "not everything was acknowledged in time"
    while any(states(folder)[state] for state in OPEN_STATES):
        assert time.monotonic() < end, f"series are stuck: {dict(states(folder))}"
        time.sleep(0.2)


def run(folder: Path, *, kills: int, seed: int, tell: bool = True) -> tuple[Campaign, Evidence]:
    """Run a whole campaign in an empty folder.

    Parameters
    ----------
    folder
        Holds settings, spool, log and one of the destinations.
    kills, seed
        How often, and which random times.
    tell
        Whether a line is printed now and then.
    """
    template, tally, campaign = Template(), Tally(), Campaign()

    def next_series() -> Series | None:
        if sum(states(folder)[state] for state in OPEN_STATES) >= MOST_ON_THEIR_WAY:
            return None
        with tally.lock:
            tally.number += 1
            return template.series(tally.number)

    with HostilePeer(_obey).running() as archive:
        port = free_port()
        settings = settings_file(folder, port=port, archive=archive.port, quiet_seconds=0.5)
        node = Node(settings, port)
        senders = [Sender(port, tally, next_series, seed=seed + n) for n in range(N_SENDERS)]
        for sender in senders:
            sender.start()
        try:
            chance = random.Random(seed)  # noqa: S311 - a campaign that can be repeated
            for each in torture(node, folder, kills, chance, campaign):
                if tell and each.kills % 10 == 0:
                    print(f"{each.kills} kills, {len(tally.acknowledged)} acknowledged", flush=True)
            settle(folder, senders)
        finally:
            node.kill()
        arrived = [
            (uid, dataset)
            for wire in archive.wires
            for uid, dataset in zip(wire.sop_instance_uids, wire.datasets, strict=True)
        ]
    pseudonyms = Pseudonyms(read_key(folder / "pseudonym.key"))
    return campaign, judge(tally, pseudonyms, arrived=arrived, folder=folder)


def _obey(wire: Wire, _number: int) -> None:
    """Take everything, but slowly, that kills fall into sending."""
    wire.accept()
    while (request := wire.request()) is not None:
        time.sleep(ANSWER_SECONDS)
        wire.answer(request, 0)
    if wire.kinds[-1:] == [5]:
        wire.send(RELEASE_RP)


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", type=Path, help="folder for spool and log; a new one by default")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = arguments.keep or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        campaign, evidence = run(folder, kills=arguments.kills, seed=arguments.seed)
    during = ", ".join(f"{state} {n}" for state, n in campaign.during.most_common())
    print(f"{campaign.kills} kills with SIGKILL; of these found a series (or the node): {during}")
    print(f"{campaign.worker_kills} more kills of the process that works on series alone")
    for name, count in evidence.rows():
        print(f"{count:8}  {name}")
    return 0 if evidence.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
