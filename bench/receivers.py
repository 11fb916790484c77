"""The receivers that `bench/receive.py` measures, ours among them, and how they are run.

    python bench/receivers.py FOLDER PORT [--not-durable] [--encrypted]

runs ours alone.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

MAX_ASSOCIATIONS: Final = 210
TICKS: Final = os.sysconf("SC_CLK_TCK")
ENVIRONMENT: Final = {**os.environ, "TCP_NODELAY": "1"}


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """How a receiver is started in a folder and on a port."""

    name: str
    command: Callable[[Path, int], list[str]]
    takes_idle: bool = True


@contextmanager
def running(
    receiver: Receiver, scratch: Path, *, deleting: bool
) -> Iterator[tuple[int, subprocess.Popen[bytes]]]:
    """Start a receiver with an empty folder; end it, and delete what it kept if so wanted."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    folder = Path(tempfile.mkdtemp(dir=scratch))
    os.sync()
    with (scratch / "log").open("ab") as log:
        process = subprocess.Popen(
            receiver.command(folder, port), cwd=folder, env=ENVIRONMENT, stdout=log, stderr=log
        )
    try:
        while socket.socket().connect_ex(("127.0.0.1", port)):
            if process.poll() is not None:
                sys.exit(f"{receiver.name} did not start: {(scratch / 'log').read_text()[-500:]}")
            time.sleep(0.1)
        time.sleep(0.5)
        yield port, process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if deleting:
            shutil.rmtree(folder)


def cpu_seconds(process: subprocess.Popen[bytes]) -> float:
    """User and system time of a process and of its children that have ended."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return sum(int(each) for each in fields[11:15]) / TICKS


def memory_mib(process: subprocess.Popen[bytes], what: str) -> float:
    """Memory of a process: VmHWM at the peak, VmRSS now."""
    for line in Path(f"/proc/{process.pid}/status").read_text().splitlines():
        if line.startswith(what):
            return int(line.split()[1]) / 1024
    return 0.0


def ours(folder: Path, port: int) -> list[str]:
    return [sys.executable, __file__, str(folder), str(port)]


def orthanc(folder: Path, port: int) -> list[str]:
    settings = {
        "StorageDirectory": str(folder),
        "DicomAet": "DEIDNODE",
        "DicomPort": port,
        "HttpServerEnabled": False,
        "SyncStorageArea": True,
        "Plugins": [],
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    return ["Orthanc", str(folder / "orthanc.json")]


RECEIVERS: Final = (
    Receiver(name="deid-node, durable", command=ours),
    Receiver(name="deid-node, encrypted", command=lambda f, p: [*ours(f, p), "--encrypted"]),
    Receiver(name="deid-node, not durable", command=lambda f, p: [*ours(f, p), "--not-durable"]),
    Receiver(
        name="deid-node, not durable, encrypted",
        command=lambda f, p: [*ours(f, p), "--not-durable", "--encrypted"],
    ),
    Receiver(name="Orthanc, sync on", command=orthanc, takes_idle=False),
    Receiver(
        name="storescp +B --fork",
        command=lambda folder, port: ["storescp", "+B", "--fork", "-od", str(folder), str(port)],
        takes_idle=False,
    ),
    Receiver(
        name="pynetdicom storescp",
        command=lambda folder, port: [
            *(sys.executable, "-m", "pynetdicom", "storescp", "-q", "-od", str(folder), str(port))
        ],
        takes_idle=False,
    ),
)


def serve(folder: Path, port: int, *, durable: bool, encrypted: bool) -> None:
    """Run our receiver alone, until it is told to stop."""
    from deid_node.config.load import create_key
    from deid_node.config.schema import Node
    from deid_node.headers.pseudonyms import Pseudonyms
    from deid_node.node.at_rest.opening import open_sealing
    from deid_node.node.ledger import Ledger
    from deid_node.node.spool import Spool
    from deid_node.node.storage_scp import StorageSCP
    from tests.fakes.assembly import by_silence

    stopping = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stopping)
    ledger = Ledger(folder / "ledger.sqlite")
    if not durable:
        os.fsync = os.fdatasync = lambda _fd: None  # type: ignore[assignment]
        ledger.database.connection.execute("PRAGMA synchronous=OFF")
    key = folder / "spool.key" if encrypted else None
    if key is not None:
        create_key(key, what="spool key")
    scp = StorageSCP(
        Node(port=port, callers=("PACS",), max_associations=MAX_ASSOCIATIONS),
        spool=Spool(folder / "received", reserve_bytes=0, sealing=open_sealing(folder, key)),
        ledger=ledger,
        assembly=by_silence(3600, max_open_seconds=3600),
        pseudonyms=Pseudonyms(bytes(range(32))),
    )
    scp.start()
    signal.sigwait(stopping)
    scp.stop()


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    serve(
        Path(sys.argv[1]),
        int(sys.argv[2]),
        durable="--not-durable" not in sys.argv,
        encrypted="--encrypted" in sys.argv,
    )
