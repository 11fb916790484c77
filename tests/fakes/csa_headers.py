"""CSA headers of Siemens drawn for tests, and an oracle that wants every byte of one explained."""

from __future__ import annotations

import re
import struct
import warnings
from dataclasses import dataclass, field
from typing import Any, Final

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # nibabel calls its reader experimental
    from nibabel.nicom import csareader

MAGIC: Final = b"SV10\4\3\2\1"
DIFFUSION: Final = {
    "EchoLinePosition": ("IS", 1, ["64      "]),
    "ICE_Dims": ("LO", 1, ["X_1_1_1_1_1_4_1_1_1_1_1_4"]),
    "B_value": ("IS", 1, ["1000    "]),
    "ProtocolSliceNumber": ("IS", 1, ["8       "]),
    "PixelFile": ("UN", 1, []),
    "RealDwellTime": ("IS", 1, ["2800    "]),
    "SliceMeasurementDuration": ("DS", 1, ["90.00000000"]),
    "PhaseEncodingDirectionPositive": ("IS", 1, ["1       "]),
    "NumberOfImagesInMosaic": ("US", 1, ["35      "]),
    "DiffusionGradientDirection": ("FD", 3, ["-0.70710001", "0.00000000", "0.70710001"]),
    "SliceNormalVector": ("FD", 3, ["0.00000000", "-0.10799944", "0.99415095"]),
    "DiffusionDirectionality": ("CS", 1, ["DIRECTIONAL"]),
    "TimeAfterStart": ("DS", 1, ["597.51500000"]),
    "ImaCoilString": ("LO", 1, ["C:HEA;HEP"]),
    "B_matrix": ("FD", 6, ["1.0", "-2.0", "3.0", "4.0", "-5.0", "6.0"]),
    "BandwidthPerPixelPhaseEncode": ("FD", 1, ["19.05500000"]),
    "MosaicRefAcqTimes": ("FD", 0, [f"{62.5 * n:.8f}" for n in range(35)]),
    "ImageHistory": ("LO", 0, ["ChannelMixing:ND=true_CMM=1_CDM=1", "ACC1"]),
}
"""Tags as a scanner writes them: VR, value multiplicity, values."""
NUMBERS: Final = frozenset(DIFFUSION) - {
    "EchoLinePosition",
    "ICE_Dims",
    "PixelFile",
    "ImaCoilString",
    "ImageHistory",
}
"""Those that are to stay."""


@dataclass(slots=True, kw_only=True)
class Drawn:
    """A header to be written.

    Parameters
    ----------
    tags
        VR, value multiplicity and values by name.
    csa1
        The old layout.
    planted
        A word for each place that readers pass over: ``name``, ``vm``, ``vr``, ``type``,
        ``item``, ``padding``, ``end``.
    """

    tags: dict[str, tuple[str, int, list[str]]] = field(default_factory=lambda: dict(DIFFUSION))
    csa1: bool = False
    planted: dict[str, bytes] = field(default_factory=dict)

    def written(self) -> bytes:
        """Write it as a scanner does: six items and more if any, terminated, in fours."""
        head = b"" if self.csa1 else MAGIC
        parts = [head, struct.pack("<2I", len(self.tags), 77)]
        first = self._n_items(next(iter(self.tags.values()), ("", 0, []))[2])
        parts += [self._tag(name, *tag, first) for name, tag in self.tags.items()]
        return b"".join(parts) + self.planted.get("end", bytes(4))

    def _n_items(self, values: list[str]) -> int:
        return max(6, len(values)) if values else 0

    def _tag(self, name: str, vr: str, multiplicity: int, values: list[str], first: int) -> bytes:
        empty = self._n_items(values) - len(values)
        head = struct.pack(
            "<64s4s4s4s2I",
            (name.encode() + b"\0" + self.planted.get("name", b"")).ljust(64, b"\0"),
            self.planted.get("vm", struct.pack("<I", multiplicity)),
            (vr.encode() + b"\0" + self.planted.get("vr", b""))[:4].ljust(4, b"\0"),
            self.planted.get("type", struct.pack("<I", 6)),
            self._n_items(values),
            77 if values else 205,
        )
        items = [self._item(each.encode() + b"\0", first) for each in values]
        return head + b"".join(items) + self._item(b"", first) * empty

    def _item(self, value: bytes, first: int) -> bytes:
        length = struct.pack("<I", len(value))
        leading = struct.pack("<I", len(value) + first) if self.csa1 else self.planted.get("item")
        second = self.planted.get("item", length) if self.csa1 else length
        mark = struct.pack("<I", 77 if value else 205)
        item = (leading or length) + second + mark + self.planted.get("item", length)
        filler = self.planted.get("padding", bytes(4))
        return item + value + filler[: -len(value) % 4]


_TAG: Final = re.compile(
    rb"(?P<name>[A-Za-z_]+)\0+.{4}(?P<vr>(IS|US|DS|FD|CS))\0\0[\3\4\6\x0a\x10]\0\0\0(.{4})M\0\0\0",
    re.DOTALL,
)
_NUMBER: Final = re.compile(rb"-?\d+(\.\d+)?|NONE|DIRECTIONAL|ISOTROPIC|BMATRIX")


def tags_by_nibabel(header: bytes) -> dict[str, dict[str, Any]]:
    """Read a header of either layout with a program of others."""
    found: dict[str, dict[str, Any]] = csareader.read(header)["tags"]
    return found


def numbers_in(header: bytes) -> dict[str, list[str]]:
    """Read a CSA2 header in which every byte is a number, a known code or of the layout.

    Raises
    ------
    AssertionError
        If a byte is anything else.
    """
    assert header[:8] == MAGIC
    n_tags, mark = struct.unpack("<2I", header[8:16])
    assert mark == 77
    found, rest = {}, header[16:]
    for _ in range(n_tags):
        matched = _TAG.fullmatch(rest[:84])
        assert matched
        assert matched["name"].decode() in NUMBERS
        assert int.from_bytes(rest[64:68], "little") in {0, 1, 3, 6}
        n_items, rest = int.from_bytes(rest[76:80], "little"), rest[84:]
        values = []
        for _ in range(n_items):
            first, length, mark, last = struct.unpack("<4I", rest[:16])
            assert (first, last, mark) == (length, length, 77 if length else 205)
            text, filler = rest[16 : 16 + length], rest[16 + length :][: -length % 4]
            assert not filler.strip(b"\0")
            rest = rest[16 + length + len(filler) :]
            if length:
                assert _NUMBER.fullmatch(text[:-1])
                assert text[-1:] == b"\0"
                values.append(text[:-1].decode())
        found[matched["name"].decode()] = values
    assert not rest
    return found
