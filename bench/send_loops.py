"""One sender of `bench/send.py`, in a process of its own: python bench/send_loops.py NAME PORT AET FOLDER.

Prints wall and CPU seconds of the sending itself, without imports, as JSON.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

PROJECT = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT))

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deid_node.config.schema import DicomDestination


def main() -> None:
    """Run the sender that the command line names."""
    name, port, ae_title, folder = sys.argv[1:]
    paths = sorted(Path(folder).iterdir())
    send = {"pynetdicom": stock_pynetdicom, "ours": ours, "node": node}[name](
        int(port), ae_title, paths
    )
    wall, cpu = time.perf_counter(), time.process_time()
    n_stored = send()
    took = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"seconds": took[0], "cpu": took[1], "stored": n_stored}))


def stock_pynetdicom(port: int, ae_title: str, paths: Sequence[Path]) -> Callable[[], int]:
    """Send as its documentation shows: one association, `send_c_store` with each path."""
    from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
    from pynetdicom import AE

    def send() -> int:
        ae = AE("BENCH")
        ae.add_requested_context(MRImageStorage, ExplicitVRLittleEndian)
        association = ae.associate("127.0.0.1", port, ae_title=ae_title)
        # On a busy machine its own loop takes an answer now and then; the status is empty then.
        statuses = [association.send_c_store(path).get("Status") for path in paths]
        association.release()
        return statuses.count(0)

    return send


def ours(port: int, ae_title: str, paths: Sequence[Path]) -> Callable[[], int]:
    """Send by the SCU alone, as `deid-node send` does."""
    from deid_node.node.outgoing import from_file
    from deid_node.node.send.storage_scu import StorageSCU

    def send() -> int:
        answers: list[int] = []
        with closing(StorageSCU(_settings(port, ae_title))) as scu:
            instances = [from_file(path, number=n) for n, path in enumerate(paths, start=1)]
            scu.deliver(instances, answered=lambda _n, status: answers.append(status))
        return answers.count(0)

    return send


def node(port: int, ae_title: str, paths: Sequence[Path]) -> Callable[[], int]:
    """Go the node's whole way out: outbox, a row in the ledger for each answer, settling."""
    from deid_node.dicom.part10 import EncodedInstance
    from deid_node.headers.pseudonyms import InstanceKey, SeriesKey
    from deid_node.node.kept import Kept
    from deid_node.node.ledger import Ledger
    from deid_node.node.outbox import Outbox
    from deid_node.node.send.delivery import Delivery
    from deid_node.node.send.storage_scu import StorageSCU
    from deid_node.node.states import Generation

    folder = Path(tempfile.mkdtemp(dir=paths[0].parents[1]))
    ledger, outbox = Ledger(folder / "ledger.sqlite"), Outbox(folder / "outbox")
    series = SeriesKey("bench")
    outbox.keep(
        series,
        [
            EncodedInstance(
                sop_class_uid="",
                sop_instance_uid="",
                transfer_syntax_uid="",
                part10=path.read_bytes(),
            )
            for path in paths
        ],
    )
    ledger.arrived(Kept(series=series, instance=InstanceKey("i"), digest="d"))
    ledger.received(series)
    ledger.claim()
    ledger.ready(Generation(series=series, number=1), ["bench"])

    def send() -> int:
        with closing(StorageSCU(_settings(port, ae_title))) as scu:
            Delivery(scu, ledger=ledger, outbox=outbox).step()
        row = ledger.database.connection.execute(
            "SELECT count(*) FROM delivery_instance WHERE status = 0"
        ).fetchone()
        return int(row[0])

    return send


def _settings(port: int, ae_title: str) -> DicomDestination:
    from deid_node.config.schema import DicomDestination

    return DicomDestination(
        kind="dicom", name="bench", ae_title=ae_title, host="127.0.0.1", port=port
    )


if __name__ == "__main__":
    main()
