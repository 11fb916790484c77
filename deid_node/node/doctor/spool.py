"""The spool folder and what is under it: whether an instance can be kept so that it survives."""

from __future__ import annotations

import os
import sqlite3
import stat
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Final

from deid_node.config.load import read_key
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.node.at_rest.opening import open_sealing
from deid_node.node.doctor.finding import Answer, Bad, Doubtful, Good
from deid_node.node.durable import DRAFT_SUFFIX, DiskFailuresNamed
from deid_node.node.ledger_database import reading
from deid_node.node.status import LEDGER

if TYPE_CHECKING:
    from deid_node.config.schema import Settings

GIB: Final = 2**30
MOUNTS: Final = Path("/proc/self/mountinfo")
JOURNALING: Final = frozenset({"ext3", "ext4", "xfs", "btrfs", "zfs", "f2fs", "bcachefs", "jfs"})
WITHOUT_BARRIER: Final = frozenset({"nobarrier", "barrier=0"})
FEW_NAMES: Final = 10_000
N_SYNCS: Final = 7
FASTEST_SYNC_SECONDS: Final = 20e-6
"""A disk that answers sooner has not written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mount:
    """A mounted file system."""

    place: str
    kind: str
    options: frozenset[str]


def pseudonym_key(settings: Settings) -> Answer:
    """Read the key, and compare it with the one that the spool was filled under."""
    fingerprint = Pseudonyms(read_key(settings.pseudonym_key)).fingerprint()
    path = settings.spool.folder / LEDGER
    if path.exists():
        with reading(path) as database:
            row = database.execute("SELECT key_fingerprint FROM node").fetchone()
        if row is not None and row[0] != fingerprint:
            return Bad(
                f"{settings.pseudonym_key} is not the key that the spool was filled under",
                "put the old key back, or name another spool folder",
            )
        if row is not None:
            return Good(f"{settings.pseudonym_key} is private and that of the spool")
    return Good(f"{settings.pseudonym_key} is private; the spool is new")


def encryption(settings: Settings) -> Answer:
    """Find out whether the spool can be read."""
    if open_sealing(settings.spool.folder, settings.spool.encrypt_key) is None:
        return Good("off: the spool relies on the disk's own")
    return Good(f"on, and {settings.spool.encrypt_key} opens every series")


def folder(settings: Settings) -> Answer:
    """Find out whether the spool can be written, by nobody else."""
    path = settings.spool.folder
    place = nearest(path)
    if not os.access(place, os.W_OK | os.X_OK):
        return Bad(f"{place} cannot be written by user id {os.geteuid()}", "chown it to the node")
    if place != path:
        return Good(f"{path} will be made")
    if stat.S_IMODE(path.stat().st_mode) & 0o077:
        return Doubtful(f"{path} may be entered by others", f"chmod 700 {path}")
    return Good(f"{path} can be written, and entered by nobody else")


def ledger(settings: Settings) -> Answer:
    """Look through the ledger's pages."""
    path = settings.spool.folder / LEDGER
    if not path.exists():
        return Good("none yet")
    try:
        with reading(path) as database:
            verdict = database.execute("PRAGMA quick_check(1)").fetchone()[0]
            n_series = database.execute("SELECT count(*) FROM series").fetchone()[0]
    except sqlite3.DatabaseError:
        verdict, n_series = "unreadable", 0
    if verdict != "ok":
        return Bad(f"{path} is damaged", "stop the node; docs/operations.md, restore")
    return Good(f"whole, {n_series} series")


def file_system(settings: Settings, mounts: Path = MOUNTS) -> Answer:
    """Find out whether the file system keeps what it says it kept."""
    place = nearest(settings.spool.folder).resolve()
    mount = mount_of(place, mounts)
    if mount is None:
        return Doubtful(f"no mount of {place} is listed", "see to a local, journaling file system")
    if mount.options & WITHOUT_BARRIER:
        return Doubtful(
            f"{mount.kind} at {mount.place} is mounted without barriers",
            "mount it with barriers, or be sure of the battery behind its cache",
        )
    if mount.kind not in JOURNALING:
        return Doubtful(
            f"{mount.kind} at {mount.place} is no local, journaling file system that is known here",
            "use ext4, XFS, Btrfs or ZFS on a local disk: Success must survive a power failure",
        )
    return Good(f"{mount.kind} at {mount.place}")


def room(settings: Settings) -> Answer:
    """Compare space and names with the reserve."""
    disk = os.statvfs(nearest(settings.spool.folder))
    free, reserve = disk.f_bavail * disk.f_frsize / GIB, settings.spool.reserve_gib
    told = f"{free:.1f} GiB free, {reserve:g} in reserve"
    if free < reserve:
        return Bad(told, "free space, or choose a smaller reserve_gib: nothing is accepted now")
    if disk.f_files and disk.f_favail < FEW_NAMES:
        return Bad(f"{disk.f_favail} names for files are left", "delete files, or use another disk")
    if free < 2 * reserve:
        return Doubtful(told, "free space before the node stops accepting")
    return Good(told)


def syncing(settings: Settings) -> Answer:
    """Sync a file, and see whether that took the time that writing takes."""
    preloaded = os.environ.get("LD_PRELOAD", "")
    if "eatmydata" in preloaded:
        return Bad("libeatmydata takes the place of fdatasync", "unset LD_PRELOAD")
    place = nearest(settings.spool.folder)
    with (
        DiskFailuresNamed(place),
        tempfile.NamedTemporaryFile(dir=place, suffix=DRAFT_SUFFIX) as file,
    ):
        seconds = [_sync_once(file.fileno()) for _ in range(N_SYNCS)]
    told = f"fdatasync takes {1000 * median(seconds):.2f} ms"
    if median(seconds) < FASTEST_SYNC_SECONDS:
        return Doubtful(told + ", too fast to have written", "see what the disk does with a sync")
    return Good(told)


def nearest(path: Path) -> Path:
    """Find the folder, or the lowest above it that there is."""
    while not path.is_dir():
        path = path.parent
    return path


def mount_of(place: Path, mounts: Path = MOUNTS) -> Mount | None:
    """Find the file system that holds a folder (proc_pid_mountinfo(5))."""
    best: Mount | None = None
    for line in mounts.read_text().splitlines():
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        mounted = fields[4].encode().decode("unicode_escape")
        if place.is_relative_to(mounted) and (best is None or len(mounted) >= len(best.place)):
            options = frozenset({*fields[5].split(","), *kind[2].split(",")})
            best = Mount(place=mounted, kind=kind[0], options=options)
    return best


def _sync_once(file: int) -> float:
    os.pwrite(file, os.urandom(4096), 0)
    began = time.perf_counter()
    os.fdatasync(file)
    return time.perf_counter() - began
