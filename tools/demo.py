"""The main job in one go: a drawn head goes in over DICOM, and comes out without a face.

Draws a head, starts the node with a key and settings of its own, sends the head by
C-STORE as a PACS would, and waits until the defaced series and its SEG have arrived.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage
from pynetdicom import AE
from rich.console import Console
from rich.progress import track

from deid_node.config.load import create_key

if TYPE_CHECKING:
    from collections.abc import Iterator

PROJECT: Final = Path(__file__).parents[1]
DEMO: Final = PROJECT / "demo"
LONGEST_WAIT_S: Final = 180
console = Console(highlight=False, soft_wrap=True)

SETTINGS: Final = """\
schema_version = 1
profile        = "research-mr"
pseudonym_key  = "pseudonym.key"

[node]
ae_title = "DEIDNODE"
port     = {port}
callers  = ["DEMOPACS"]

[series]
quiet_seconds = 2

[spool]
folder      = "spool"
reserve_gib = 0.1
keep_pictures_hours = 24

[[destinations]]
kind   = "folder"
name   = "research-archive"
folder = "archive"
"""


def main() -> int:
    """Run the demo; return its exit code."""
    shutil.rmtree(DEMO, ignore_errors=True)
    DEMO.mkdir()
    port = free_port()
    (DEMO / "deid-node.toml").write_text(SETTINGS.format(port=port))
    create_key(DEMO / "pseudonym.key")

    console.print("[bold]1[/]  draw a head: nobody's scan, smooth surfaces and MR contrast")
    incoming = DEMO / "incoming"
    run([sys.executable, str(PROJECT / "tools" / "synth_head.py"), "--out", str(incoming)])
    console.print(f"[bold]2[/]  start the node, and send it {count(incoming)} instances by C-STORE")
    with serving(port):
        send(incoming, port)
        console.print("[bold]3[/]  wait while the node removes face and name")
        arrived = wait_for_seg(DEMO / "archive")
    if arrived is None:
        return explain_failure()
    report(arrived)
    return 0


def send(folder: Path, port: int) -> None:
    """Send every file of a folder as a PACS would."""
    pacs = AE("DEMOPACS")
    pacs.add_requested_context(MRImageStorage, ExplicitVRLittleEndian)
    association = pacs.associate("127.0.0.1", port, ae_title="DEIDNODE")
    if not association.is_established:
        sys.exit("the node did not accept the association")
    for path in track(sorted(folder.rglob("*.dcm")), "   C-STORE", console=console, transient=True):
        status = association.send_c_store(path).Status
        if status != 0:
            sys.exit(f"C-STORE answered 0x{status:04X}")
    association.release()


def wait_for_seg(archive: Path) -> Path | None:
    """Wait for the SEG, which is sent last; return the study's folder."""
    end = time.monotonic() + LONGEST_WAIT_S
    while time.monotonic() < end:
        for path in archive.rglob("*.dcm"):
            if dcmread(path, stop_before_pixels=True).Modality == "SEG":
                return path.parents[1]
        time.sleep(0.5)
    return None


def report(study: Path) -> None:
    """Say what came out and where to look."""
    instances = [dcmread(p, stop_before_pixels=True) for p in sorted(study.rglob("*.dcm"))]
    images = [each for each in instances if each.Modality == "MR"]
    source = dcmread(next((DEMO / "incoming").rglob("*.dcm")), stop_before_pixels=True)
    pictures = sorted((DEMO / "spool").rglob("before-after.png"))
    first = images[0]
    console.print(f"[bold]4[/]  {len(images)} defaced instances and 1 SEG arrived in {study}\n")
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "StudyDate", "AccessionNumber"):
        console.print(f"   {keyword:24} {source.get(keyword)!s:24} → {first.get(keyword)!s:.40}")
    for keyword in ("ImageType", "RecognizableVisualFeatures", "PatientIdentityRemoved"):
        console.print(f"   {keyword:24} {'':24} → {first.get(keyword)!s:.60}", markup=False)
    codes = [item.CodeValue for item in first.DeidentificationMethodCodeSequence]
    console.print(f"   {'method codes, CID 7050':24} {'':24} → {', '.join(codes)}")
    console.print(f"\n   before/after picture: [bold]{pictures[0]}[/]")
    console.print("   it shows a face; on a real node it stays on the trusted side")


def explain_failure() -> int:
    """Show why nothing arrived."""
    run([sys.executable, "-m", "deid_node", "status", "-c", str(DEMO / "deid-node.toml")])
    console.print(f"nothing arrived; the node's log is {DEMO / 'node.log'}")
    return 1


@contextmanager
def serving(port: int) -> Iterator[None]:
    """Run `deid-node serve` for a while."""
    command = [sys.executable, "-m", "deid_node", "serve", "-c", str(DEMO / "deid-node.toml")]
    with (DEMO / "node.log").open("wb") as log:
        node = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603 - our own program
    try:
        wait_for_port(node, port)
        yield
    finally:
        node.send_signal(signal.SIGTERM)
        node.wait(timeout=30)


def wait_for_port(node: subprocess.Popen[bytes], port: int) -> None:
    """Wait until the node listens."""
    end = time.monotonic() + LONGEST_WAIT_S
    while time.monotonic() < end and node.poll() is None:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.2)
    sys.exit(f"the node did not start; its log is {DEMO / 'node.log'}")


def free_port() -> int:
    """Find a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def run(command: list[str]) -> None:
    """Run a program; its failure is ours."""
    subprocess.run(command, check=True)  # noqa: S603 - our own programs


def count(folder: Path) -> int:
    """Count the instances of a folder."""
    return sum(1 for _ in folder.rglob("*.dcm"))


if __name__ == "__main__":
    sys.exit(main())
