"""The machine under the node: programs, memory, clock."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final

from deid_node import __version__
from deid_node.node.doctor.finding import Answer, Bad, Doubtful, Good
from deid_node.node.ledger_database import reading
from deid_node.node.own_process import keep_memory_private, memory_is_private
from deid_node.node.status import LEDGER

if TYPE_CHECKING:
    from deid_node.config.schema import Settings

PACKAGES: Final = ("pydicom", "pynetdicom", "highdicom", "numpy", "openvino", "cryptography")
SWAPS: Final = Path("/proc/swaps")
BLOCK_DEVICES: Final = Path("/sys/class/block")
BACK_SECONDS: Final = 5.0
"""A clock that is this far behind the last entry was set back, or was never set."""


def versions() -> Answer:
    """Say what runs; a package that is not there cannot be imported later either."""
    told = [f"deid-node {__version__}", f"Python {platform.python_version()}"]
    try:
        told += [f"{name} {importlib.metadata.version(name)}" for name in PACKAGES]
    except importlib.metadata.PackageNotFoundError as error:
        return Bad(f"package {error.name} is not installed", "install deid-node again")
    return Good(", ".join(told))


def account(settings: Settings) -> Answer:
    """Find out whether this is asked as the account that the node runs under."""
    folder = settings.spool.folder
    if not folder.is_dir():
        return Good(f"user id {os.geteuid()}; the spool will be made for it")
    owner = folder.stat().st_uid
    if owner == os.geteuid():
        return Good(f"user id {owner}, which the spool belongs to")
    return Doubtful(
        f"user id {os.geteuid()}, but the spool belongs to {owner}",
        "ask as the account of the node: what root may do says nothing of it",
    )


def clock(settings: Settings, now: float | None = None) -> Answer:
    """Compare the clock with the last entry of the ledger."""
    path = settings.spool.folder / LEDGER
    moment = time.time() if now is None else now
    if not path.exists():
        return Good(time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(moment)))
    with reading(path) as database:
        last = database.execute("SELECT max(changed_at) FROM series").fetchone()[0] or 0.0
    if moment < last - BACK_SECONDS:
        return Bad(
            f"the clock is {last - moment:.0f} s behind the last entry of the ledger",
            "set the clock and keep it with NTP: waiting times and retention go by it",
        )
    return Good(f"ahead of the ledger by {moment - last:.0f} s" if last else "the ledger is empty")


def swap(swaps: Path = SWAPS, devices: Path = BLOCK_DEVICES) -> Answer:
    """Find swap space that pixels could be written to in the clear."""
    try:
        lines = swaps.read_text().splitlines()[1:]
    except OSError:
        return Doubtful("swap space cannot be listed", "see to it that swap is off or encrypted")
    bare = [line.split()[0] for line in lines if not _is_safe(line.split()[0], devices)]
    if bare:
        return Doubtful(
            f"memory may be written in the clear to {', '.join(bare)}",
            "encrypt swap, or keep the node out of it (MemorySwapMax=0 in the unit does)",
        )
    return Good("none that is not encrypted or in memory")


def _is_safe(device: str, devices: Path) -> bool:
    name = Path(device).resolve().name
    if name.startswith("zram"):
        return True
    try:
        return (devices / name / "dm" / "uuid").read_text().startswith("CRYPT-")
    except OSError:
        return False


def core_dumps() -> Answer:
    """Try it out in a process of its own: what the node does at its start must have effect."""
    child = os.fork()
    if child == 0:
        keep_memory_private()
        os._exit(0 if memory_is_private() else 1)
    _, status = os.waitpid(child, 0)
    if status:
        return Bad("this system does not let a process refuse core dumps", "set LimitCORE=0")
    return Good("off while the node runs")
