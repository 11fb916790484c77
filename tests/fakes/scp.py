"""The storage service alone, without a worker behind it: in this process, or as one of its own.

python -m tests.fakes.scp FOLDER PORT [SPOOL_KEY]
"""

from __future__ import annotations

import resource
import signal
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deid_node.config.schema import Node
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.node.at_rest.opening import open_sealing
from deid_node.node.ledger import Ledger
from deid_node.node.spool import Spool
from deid_node.node.storage_scp import StorageSCP
from tests.fakes.assembly import by_silence

if TYPE_CHECKING:
    from collections.abc import Iterator

KEYS = Pseudonyms(bytes(range(32)))


@dataclass(frozen=True, kw_only=True)
class Listening:
    """A storage service that listens, and what is behind it."""

    scp: StorageSCP
    spool: Spool
    ledger: Ledger
    folder: Path

    @property
    def port(self) -> int:
        return self.scp.port

    def files(self) -> list[Path]:
        """Everything that lies in the spool, half or whole."""
        return [path for path in (self.folder / "received").rglob("*") if path.is_file()]


@contextmanager
def listening(
    folder: Path,
    *,
    reserve_bytes: int = 0,
    key: Path | None = None,
    **settings: Any,  # noqa: ANN401 - as the settings have them
) -> Iterator[Listening]:
    """Let the service listen on any free port for a while; ``PACS`` may call it.

    The spool is encrypted if there is a `key`.
    """
    chosen = {"ae_title": "DEIDNODE", "bind": "127.0.0.1", "port": 0, "callers": ("PACS",)}
    ledger = Ledger(folder / "ledger.sqlite")
    sealing = open_sealing(folder, key)
    spool = Spool(folder / "received", reserve_bytes=reserve_bytes, sealing=sealing)
    spool.recover()
    scp = StorageSCP(
        Node.model_construct(**{**chosen, **settings}),
        spool=spool,
        ledger=ledger,
        assembly=by_silence(3600, max_open_seconds=3600),
        pseudonyms=KEYS,
    )
    scp.start()
    try:
        yield Listening(scp=scp, spool=spool, ledger=ledger, folder=folder)
    finally:
        scp.stop()
        ledger.close()


def resident_mib() -> float:
    """Tell how much memory this process has."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


if __name__ == "__main__":
    spool_key = Path(sys.argv[3]) if sys.argv[3:] else None
    with listening(Path(sys.argv[1]), port=int(sys.argv[2]), key=spool_key):
        signal.sigwait({signal.SIGTERM})
