"""What the processor knows."""

from __future__ import annotations

from pathlib import Path
from typing import Final

CPUINFO: Final = Path("/proc/cpuinfo")

BYTES: Final = frozenset({"avx512_vnni", "avx_vnni", "amx_int8"})
"""Flags of which any tells that products of bytes are added up in 32 bits. Without them they pass
through 16, which overflow."""


def multiplies_bytes(cpuinfo: Path = CPUINFO) -> bool:
    """Tell whether the processor adds up products of bytes fast and without overflow.

    Parameters
    ----------
    cpuinfo
        Where Linux tells it; elsewhere the answer is no.
    """
    try:
        lines = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.startswith("flags")), "")
    return not BYTES.isdisjoint(flags.split())
