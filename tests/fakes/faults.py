"""Faults of the machine: a database that another process locks, a disk that is full."""

from __future__ import annotations

import os
import socket
import sqlite3
import subprocess
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.fakes.node import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Keep everybody else from writing to a database for a while."""
    with closing(sqlite3.connect(path, timeout=60, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def disk(folder: Path, options: str) -> Iterator[Path]:
    """Mount a small disk of its own; skip where that is not allowed."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", f"mode=700,{options}", "tmpfs", str(folder)]
    mounted = subprocess.run(command, capture_output=True, text=True, check=False)
    if mounted.returncode != 0 and os.environ.get("CI"):
        pytest.fail(f"a disk must be mounted in CI: {mounted.stderr.strip()}")
    if mounted.returncode != 0:
        pytest.skip(f"mounting is not allowed here: {mounted.stderr.strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def remounted(folder: Path, how: str) -> None:
    """Make a disk read-only (``ro``) as soon as no file is open for writing, or writable."""

    def has_worked() -> bool:
        command = ["mount", "-o", f"remount,{how}", str(folder)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    eventually(has_worked)


def free_port() -> int:
    """Find a port of this machine that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
