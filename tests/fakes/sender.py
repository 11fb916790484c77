"""The sending half of a node by itself: here, or as a process that can be killed.

    python -m tests.fakes.sender FOLDER PORT

sends what the outbox in FOLDER holds to a storage SCP on PORT until it is delivered.
"""

from __future__ import annotations

import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from deid_node.config.schema import Commitment, DicomDestination
from deid_node.dicom.part10 import EncodedInstance, encode
from deid_node.headers.pseudonyms import InstanceKey, SeriesKey
from deid_node.node.kept import Kept
from deid_node.node.ledger import Ledger
from deid_node.node.outbox import Outbox
from deid_node.node.send.sending import Sending
from deid_node.node.states import Generation, State
from tests.fakes.series import mr_series

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deid_node.config.schema import DestinationSettings

NO_PORT = Commitment(bind="127.0.0.1", port=None)


def archive_at(port: int, **more: object) -> DicomDestination:
    """Describe a destination on this machine."""
    settings = {"name": "archive", "ae_title": "ARCHIVE", "host": "127.0.0.1", "port": port}
    return DicomDestination.model_validate({"kind": "dicom"} | settings | more)


def some_instances(n_instances: int, *, size: int = 32) -> list[EncodedInstance]:
    """Draw instances of one series that differ in every pixel."""
    voxels = np.arange(n_instances * size * size, dtype=np.uint16)
    return [encode(each) for each in mr_series(voxels.reshape(n_instances, size, size))]


class Sender:
    """A ledger and an outbox, with results that are owed to destinations."""

    def __init__(self, folder: Path) -> None:
        self.ledger = Ledger(folder / "ledger.sqlite")
        self.outbox = Outbox(folder / "outbox")

    def owe(
        self, name: str, instances: Sequence[EncodedInstance], destinations: Sequence[str]
    ) -> Generation:
        """Put a result in the outbox."""
        series = SeriesKey(name)
        self.outbox.keep(series, instances)
        self.ledger.arrived(Kept(series=series, instance=InstanceKey("i"), digest="d"))
        self.ledger.received(series)
        self.ledger.claim()
        generation = Generation(series=series, number=1)
        assert self.ledger.ready(generation, destinations)
        return generation

    def send(
        self,
        settings: Sequence[DestinationSettings],
        *,
        until: threading.Event,
        commitment: Commitment = NO_PORT,
    ) -> None:
        """Run the steps of all destinations, each in a thread, until something happens."""
        sending = Sending(settings, commitment, ledger=self.ledger, outbox=self.outbox)

        def repeat(step: object) -> None:
            pause = 0.0
            while not until.wait(min(pause, 0.05)):
                pause = step()  # type: ignore[operator]

        threads = [threading.Thread(target=repeat, args=(step,)) for _, step in sending.steps()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        sending.close()

    def states(self) -> set[State]:
        """Tell the states of all series."""
        return set(self.ledger.states().values())

    def close(self) -> None:
        """Close the ledger."""
        self.ledger.close()


if __name__ == "__main__":
    sender = Sender(Path(sys.argv[1]))
    chosen = [archive_at(int(sys.argv[2]))]
    out = Sending(chosen, NO_PORT, ledger=sender.ledger, outbox=sender.outbox)
    [(_, step)] = out.steps()
    while sender.states() != {State.DELIVERED}:
        time.sleep(min(step(), 0.05))
