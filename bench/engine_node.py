"""One node of `bench/engine.py` without its sockets: python bench/engine_node.py KIND FOLDER PAUSE.

Says "ready" once it works, and runs until everything is delivered or it is killed. KIND is
"ledger", whose worker thread claims series from the ledger by itself; "dbos", where the work
engine runs the worker; or "dbos-send", where it runs each delivery too.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT))

import numpy as np  # noqa: E402

from deid_node.dicom.part10 import encode  # noqa: E402
from deid_node.headers.pseudonyms import Pseudonyms, SeriesKey  # noqa: E402
from deid_node.node.ledger import Ledger  # noqa: E402
from deid_node.node.open_series import give_back  # noqa: E402
from deid_node.node.outbox import Outbox  # noqa: E402
from deid_node.node.records.series_records import SeriesRecords  # noqa: E402
from deid_node.node.send.delivery import Delivery  # noqa: E402
from deid_node.node.send.delivery_rows import DeliveryRows  # noqa: E402
from deid_node.node.send.storage_scu import unobserved  # noqa: E402
from deid_node.node.spool import Spool  # noqa: E402
from deid_node.node.states import Generation, State  # noqa: E402
from deid_node.node.work.worker import Worker  # noqa: E402
from deid_node.pipeline.deidentify import DeidentifiedSeries  # noqa: E402
from tests.fakes.series import mr_series  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deid_node.dicom.series import Readable
    from deid_node.node.outgoing import Outgoing
    from deid_node.node.work.engine import Stage
    from deid_node.pipeline.review import Review

DESTINATIONS = ("archive", "copies")
SEND_SECONDS = 0.02
N_INSTANCES = 3


class Node:
    """Ledger, worker and deliveries of a node, with a model that only waits."""

    def __init__(self, folder: Path, pause: float) -> None:
        self.folder = folder
        self.pause = pause
        self.ledger = Ledger(folder / "ledger.sqlite")
        give_back(
            [each for each, state in self.ledger.states().items() if state is State.CLAIMED],
            ledger=self.ledger,
        )
        outbox = Outbox(folder / "outbox")
        self._encoded = [
            encode(each) for each in mr_series(np.zeros((N_INSTANCES, 4, 4), np.uint16))
        ]
        self.worker = Worker(
            ledger=self.ledger,
            spool=Spool(folder / "received", reserve_bytes=0),
            outbox=outbox,
            deidentify=self._deidentify,
            keep_picture=lambda *_: "",
            destinations=DESTINATIONS,
            records=SeriesRecords(pseudonyms=Pseudonyms(bytes(range(32)))),
        )
        self.deliveries = {
            name: Delivery(Sink(name, self), ledger=self.ledger, outbox=outbox)
            for name in DESTINATIONS
        }

    def did(self, *words: object) -> None:
        """Write a line that survives a kill."""
        fd = os.open(self.folder / "effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.write(fd, (" ".join(map(str, words)) + "\n").encode())
        os.close(fd)

    def is_done(self) -> bool:
        """Tell whether every series is delivered."""
        return set(self.ledger.states().values()) <= {State.DELIVERED, State.HELD}

    def _deidentify(
        self, sources: Sequence[Readable], _review: Review, _caller: str | None
    ) -> DeidentifiedSeries:
        series = Path(str(sources[0])).parent.name
        self.did("begin", "deidentify", series)
        time.sleep(self.pause)
        self.did("end", "deidentify", series)
        nothing: Any = None
        return DeidentifiedSeries(
            instances=tuple(self._encoded[:-1]),
            segmentation=self._encoded[-1],
            record=nothing,
            evidence=nothing,
        )


class Sink:
    """A destination that only notes what it is given."""

    def __init__(self, name: str, node: Node) -> None:
        self.name = name
        self._node = node

    def deliver(
        self,
        instances: Sequence[Outgoing],
        *,
        answered: Callable[[int, int], None] = unobserved,
        is_repeat: bool = False,  # noqa: ARG002 - a repeat looks the same here
    ) -> None:
        """Take every instance."""
        for each in instances:
            series = Path(str(each.source)).parent.name
            self._node.did("begin", self.name, f"{series}/{each.number}")
            time.sleep(SEND_SECONDS / N_INSTANCES)
            self._node.did("end", self.name, f"{series}/{each.number}")
            answered(each.number, 0)

    def echo(self) -> None:
        """Answer."""

    def rest(self) -> None:
        """Hold nothing."""

    def close(self) -> None:
        """Hold nothing."""


def repeat(step: Callable[[], float | None], idle: float = 0.5) -> None:
    """Run a step over and over, in a thread."""

    def forever() -> None:
        while True:
            pause = step()
            time.sleep(idle if pause is None else pause)

    threading.Thread(target=forever, daemon=True).start()


def by_ledger(node: Node) -> None:
    """Run the worker in a loop that claims by itself, and a loop for each destination."""

    def work() -> float:
        due = node.ledger.due(1)
        return 0.5 if not due else node.worker.step(due[0]) or 0.0

    repeat(work)
    for delivery in node.deliveries.values():
        repeat(delivery.step)


def by_dbos(node: Node, *, sends: bool) -> None:
    """Run the worker, and the deliveries if `sends`, in the work engine."""
    from deid_node.node.work.engine import Engine, Job, Stage

    def work(series: str, number: int) -> float | None:
        return node.worker.step(Generation(series=SeriesKey(series), number=number))

    rows = DeliveryRows(node.ledger)
    due: dict[str, Callable[[int], list[Generation]]] = {"deidentify": node.ledger.due}
    stages = [Stage(name="deidentify", run=work, limit_seconds=3600)]
    for name, delivery in node.deliveries.items():
        if sends:
            stages.append(_sending(name, delivery))
            due[name] = _owed(rows, name)
        else:
            repeat(delivery.step)
    engine = Engine(node.folder / "engine.sqlite", stages)
    engine.start()

    def supply() -> None:
        live = engine.sweep()
        jobs = [Job(name, *_key(each)) for name, listed in due.items() for each in listed(20)]
        for job in jobs:
            if job not in live:
                engine.enqueue(job)

    repeat(supply)


def _sending(name: str, delivery: Delivery) -> Stage:
    from deid_node.node.work.engine import Stage

    def send(_series: str, _number: int) -> None:
        delivery.step()

    return Stage(name=name, run=send, limit_seconds=3600)


def _owed(rows: DeliveryRows, name: str) -> Callable[[int], list[Generation]]:
    return lambda n_series: rows.owed_to(name)[:n_series]


def _key(generation: Generation) -> tuple[str, int]:
    return generation.series, generation.number


def main() -> None:
    """Run one node."""
    kind, folder, pause = sys.argv[1], Path(sys.argv[2]), float(sys.argv[3])
    node = Node(folder, pause)
    if kind == "ledger":
        by_ledger(node)
    else:
        by_dbos(node, sends=kind == "dbos-send")
    print("ready", flush=True)
    while "idle" in sys.argv or not node.is_done():
        time.sleep(0.5)
    os._exit(0)


if __name__ == "__main__":
    main()
