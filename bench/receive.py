"""Receiving beside its peers, in one run: instances and associations a second, CPU, memory, idling.

Usage: python bench/receive.py [--instances 1000] [--only NAME ...] [--deleting]

Senders are dcmtk's storescu, one and four at a time; TCP_NODELAY=1 for every dcmtk program.
CPU-seconds are the receiver's own (user and system, children included), start-up left out.
"not durable" is ours with every sync left out: it is for comparing with receivers that sync
nothing, and no setting of the node does that.

What a receiver kept stays until the end, unless `--deleting`: ext4 looks the longer for an inode
the more were set free in the last minutes, and each file of the next receiver would pay for it.

    python bench/receive.py serve FOLDER PORT [--not-durable] [--encrypted]

runs ours alone.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROJECT: Final = Path(__file__).parents[1]
sys.path.insert(0, str(PROJECT))

N_SERIES: Final = 5
N_ASSOCIATIONS: Final = 300
N_IDLE: Final = 200
IDLE_SECONDS: Final = 10
TICKS: Final = os.sysconf("SC_CLK_TCK")
ENVIRONMENT: Final = {**os.environ, "TCP_NODELAY": "1"}


@dataclass(frozen=True, kw_only=True)
class Receiver:
    """How a receiver is started in a folder and on a port."""

    name: str
    command: Callable[[Path, int], list[str]]
    takes_idle: bool = True


@dataclass(kw_only=True)
class Figures:
    """What was measured of one receiver."""

    rates: dict[int, float] = field(default_factory=dict)
    cpu: dict[int, float] = field(default_factory=dict)
    peak_mib: dict[int, float] = field(default_factory=dict)
    associations: float = 0.0
    idle_percent: float | None = None
    idle_mib: float = 0.0


def main() -> None:
    """Measure every receiver and print the table."""
    if sys.argv[1:2] == ["serve"]:
        serve(
            Path(sys.argv[2]),
            int(sys.argv[3]),
            durable="--not-durable" not in sys.argv,
            encrypted="--encrypted" in sys.argv,
        )
        return
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--instances", type=int, default=1000)
    parser.add_argument("--only", nargs="*", default=[], help="names of receivers")
    parser.add_argument("--deleting", action="store_true", help="delete after each")
    arguments = parser.parse_args()
    rows: list[tuple[str, Figures]] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        draw(folder / "source", arguments.instances)
        for receiver in RECEIVERS:
            if not arguments.only or receiver.name in arguments.only:
                print(receiver.name, "…", file=sys.stderr)
                figures = measure(
                    receiver, folder, arguments.instances, deleting=arguments.deleting
                )
                rows.append((receiver.name, figures))
    show(rows, arguments.instances)


def draw(folder: Path, n: int) -> None:
    """Write instances of 256 x 256 cells of noise, 140 kB each, in as many folders as series."""
    import numpy as np
    from pydicom import dcmwrite
    from pydicom.uid import UID

    from tests.fakes.series import mr_series

    rng = np.random.default_rng(1)
    template = mr_series(rng.integers(0, 4096, (1, 256, 256), dtype=np.uint16))[0]
    template.ImageComments = "x" * 8000
    for k in range(n):
        series = k * N_SERIES // n
        uid = UID(f"1.2.826.0.1.3680043.8.498.5.{series + 1}.{k + 1}")
        template.SOPInstanceUID = template.file_meta.MediaStorageSOPInstanceUID = uid
        template.SeriesInstanceUID = f"1.2.826.0.1.3680043.8.498.5.{series + 1}"
        where = folder / str(k % 4)
        where.mkdir(parents=True, exist_ok=True)
        dcmwrite(where / f"{k:06}.dcm", template, enforce_file_format=True)


def measure(receiver: Receiver, scratch: Path, n: int, *, deleting: bool) -> Figures:
    """Run one receiver through everything."""
    figures = Figures()
    for n_senders in (1, 4):
        with running(receiver, scratch, deleting=deleting) as (port, process):
            before, began = cpu_seconds(process), time.perf_counter()
            send(scratch / "source", port, n_senders)
            figures.rates[n_senders] = n / (time.perf_counter() - began)
            echo(port)
            figures.cpu[n_senders] = cpu_seconds(process) - before
            figures.peak_mib[n_senders] = memory_mib(process, "VmHWM")
    with running(receiver, scratch, deleting=deleting) as (port, process):
        began = time.perf_counter()
        for _ in range(N_ASSOCIATIONS):
            release(associate(port))
        figures.associations = N_ASSOCIATIONS / (time.perf_counter() - began)
    if receiver.takes_idle:
        with running(receiver, scratch, deleting=deleting) as (port, process):
            idle = [associate(port) for _ in range(N_IDLE)]
            time.sleep(1)
            before = cpu_seconds(process)
            time.sleep(IDLE_SECONDS)
            figures.idle_percent = 100 * (cpu_seconds(process) - before) / IDLE_SECONDS
            figures.idle_mib = memory_mib(process, "VmRSS")
            for each in idle:
                each.close()
    return figures


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


def send(source: Path, port: int, n_senders: int) -> None:
    """Send everything with storescu, divided among the senders."""
    folders = sorted(source.iterdir())
    shares = [folders[k::n_senders] for k in range(n_senders)]
    peer = ["storescu", "-aet", "PACS", "-aec", "DEIDNODE", "127.0.0.1", str(port), "+sd"]
    senders = [
        subprocess.Popen([*peer, *map(str, share)], env=ENVIRONMENT, stderr=subprocess.DEVNULL)
        for share in shares
    ]
    codes = [sender.wait() for sender in senders]
    if any(codes):
        sys.exit("a sender failed")


def echo(port: int) -> None:
    """Let receivers that fork count their children."""
    for _ in range(2):
        release(associate(port))
        time.sleep(0.1)


def associate(port: int) -> socket.socket:
    """Open an association for Verification, as cheaply as can be."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(request())
    head = connection.recv(6, socket.MSG_WAITALL)
    if head[:1] != b"\2":
        sys.exit(f"no association: {head!r}")
    connection.recv(struct.unpack(">I", head[2:])[0], socket.MSG_WAITALL)
    return connection


def release(connection: socket.socket) -> None:
    """Release an association and wait for the answer."""
    connection.sendall(b"\5\0\0\0\0\4\0\0\0\0")
    connection.recv(10, socket.MSG_WAITALL)
    connection.close()


def request() -> bytes:
    """Write an A-ASSOCIATE-RQ for Verification, PS3.8 section 9.3.2."""

    def element(kind: int, value: bytes) -> bytes:
        return struct.pack(">BxH", kind, len(value)) + value

    context = element(0x30, b"1.2.840.10008.1.1") + element(0x40, b"1.2.840.10008.1.2")
    user = element(0x51, struct.pack(">I", 16384)) + element(0x52, b"1.2.826.0.1.3680043.8.498.1")
    items = (
        element(0x10, b"1.2.840.10008.3.1.1.1")
        + element(0x20, b"\1\0\0\0" + context)
        + element(0x50, user)
    )
    fixed = struct.pack(">HH16s16s32x", 1, 0, b"DEIDNODE".ljust(16), b"PACS".ljust(16))
    return struct.pack(">BxI", 1, len(fixed + items)) + fixed + items


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
    return [sys.executable, __file__, "serve", str(folder), str(port)]


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
        Node(port=port, callers=("PACS",), max_associations=N_IDLE + 10),
        spool=Spool(folder / "received", reserve_bytes=0, sealing=open_sealing(folder, key)),
        ledger=ledger,
        assembly=by_silence(3600, max_open_seconds=3600),
        pseudonyms=Pseudonyms(bytes(range(32))),
    )
    scp.start()
    signal.sigwait(stopping)
    scp.stop()


def show(rows: list[tuple[str, Figures]], n: int) -> None:
    """Print the table."""
    columns = ("inst/s", "CPU s", "peak MiB", "inst/s", "CPU s", "peak MiB", "assoc/s", "idle")
    table = Table("receiver", *columns, title=f"{n} x 140 kB; with 1 sender, then with 4")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, figures in rows:
        per_sender = [
            text
            for k in (1, 4)
            for text in (
                f"{figures.rates[k]:.0f}",
                f"{figures.cpu[k]:.2f}",
                f"{figures.peak_mib[k]:.0f}",
            )
        ]
        idle = "–"
        if figures.idle_percent is not None:
            idle = f"{figures.idle_percent:.1f} %, {figures.idle_mib:.0f} MiB"
        table.add_row(name, *per_sender, f"{figures.associations:.0f}", idle)
    Console(width=130).print(table)
    print(f"idle: {N_IDLE} associations that say nothing, in per cent of a core, and memory")


if __name__ == "__main__":
    main()
