"""Sealed lines: each names the digest of the one before it, and bears a keyed seal.

The seal is HMAC-SHA-256 under a key derived from the pseudonym key, over the line without
its seal. Who lacks the key can neither write a line nor change one. A line that broke off
in a crash stays, and the next line says so; `verify` accepts it only there.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from deid_node.errors import AuditUnusable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from deid_node.headers.pseudonyms import Pseudonyms

Fields = dict[str, object]
"""What a line tells, by name."""

PURPOSE: Final = "audit"
FIRST: Final = b'{"seq":1,'
"""What every log begins with."""
TORN: Final = "torn-line"
"""Event: what stands between this line and the last sealed one broke off in a crash."""
TAIL_MISSING: Final = "tail-missing"
"""Event: lines that had been written are gone."""
HEAD_MISSING: Final = "head-missing"
"""Event: the head is gone or is none, so nobody can tell whether lines are missing here."""

SHORT_SEAL: Final = 16
_SEAL: Final = re.compile(rb',"hmac":"([0-9a-f]{64})"\}')
_SEAL_LENGTH: Final = 75


class Seal:
    """Seals lines, and tells whether a line bears the seal."""

    def __init__(self, pseudonyms: Pseudonyms) -> None:
        self._key = pseudonyms.key_for(PURPOSE)

    def sealed(self, fields: Mapping[str, object]) -> bytes:
        """Write fields as one line of JSON, sealed; without a line feed."""
        body = json.dumps(fields, separators=(",", ":")).encode("ascii")
        return b'%s,"hmac":"%s"}' % (body[:-1], self._of(body))

    def read(self, line: bytes) -> Fields | None:
        """Read a sealed line; None if it is none."""
        found = _SEAL.fullmatch(line[-_SEAL_LENGTH:])
        body = line[:-_SEAL_LENGTH] + b"}"
        if found is None or not hmac.compare_digest(found[1], self._of(body)):
            return None
        fields: Fields = json.loads(body)
        return fields

    def _of(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256").hex().encode("ascii")


def is_torn_first(content: bytes) -> bool:
    """Tell a log whose very first line broke off, once or more, from any other file."""
    return all(
        FIRST.startswith(part[: len(FIRST)]) and not _SEAL.search(part)
        for part in content.split(b"\n")
    )


def digest(content: bytes) -> str:
    """Name what stands before a line."""
    return hashlib.sha256(content).hexdigest()


def head_of(path: Path) -> Path:
    """Name the file beside a log that holds the number of its last line."""
    return path.with_name(f"{path.name}.head")


def read_head(content: bytes, seal: Seal) -> int | None:
    """Read the number of the last line; None if that is no head."""
    fields = seal.read(content.rstrip())
    number = fields.get("head") if fields else None
    return number if isinstance(number, int) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What is found in a log.

    Parameters
    ----------
    n_lines
        Sealed lines up to the end, or up to what is broken.
    torn
        Line feeds counted, from 1: where a line broke off in a crash and the next says so.
    broken
        Number of the first line that is wrong, counted likewise; None if none is.
    why
        What is wrong, or what cannot be told.
    last
        First 16 digits of the last seal: noted elsewhere, it vouches for all lines before it.
    """

    n_lines: int
    torn: tuple[int, ...] = ()
    broken: int | None = None
    why: str = ""
    last: str = ""


def verify(path: Path, pseudonyms: Pseudonyms) -> Verdict:
    """Check each line of a log, their order, and that none is missing at its end.

    Raises
    ------
    AuditUnusable
        If the file cannot be read.
    """
    seal = Seal(pseudonyms)
    try:
        head = head_of(path).read_bytes() if head_of(path).exists() else b""
        with path.open("rb") as lines:
            return _Check(seal).run(lines, read_head(head, seal))
    except OSError:
        raise AuditUnusable(f"audit log {path} cannot be read") from None


class _Check:
    """One walk along a log."""

    def __init__(self, seal: Seal) -> None:
        self._seal = seal
        self._before = b""
        self._n = 0
        self._torn: list[int] = []
        self._loose = 0

    def run(self, lines: Iterable[bytes], head: int | None) -> Verdict:
        number, rest = 0, b""
        for number, line in enumerate(lines, start=1):
            if not line.endswith(b"\n"):
                rest = line
                break
            wrong = self._step(number, line[:-1])
            if wrong:
                return self._verdict(self._loose or number, wrong)
        if self._loose:
            return self._verdict(self._loose, "not sealed under this key")
        if head is not None and head > self._n:
            missing = f"{head - self._n} lines are missing at the end"
            return self._verdict(number + (not rest), missing)
        doubts = []
        if rest:
            doubts.append("the last line broke off; the next run will say so")
        if head is None:
            doubts.append("there is no head: lines may be missing at the end")
        return self._verdict(None, "; ".join(doubts))

    def _step(self, number: int, line: bytes) -> str:
        """Take one line; say what is wrong."""
        fields = self._seal.read(line)
        if fields is None:  # only a line that says so makes up for it
            self._before += b"\n" + line
            self._loose = self._loose or number
            return ""
        event = fields.get("event")
        if self._loose and event != TORN:
            return "not sealed under this key"
        if fields.get("prev") != digest(self._before):
            return "not the successor of the line before it"
        if fields.get("seq") != self._n + 1:
            return f"its number is not {self._n + 1}"
        if event == TAIL_MISSING:
            return "it records that lines before it were missing"
        if event == TORN:
            self._torn.append(number)
        self._loose = 0
        self._n += 1
        self._before = line
        return ""

    def _verdict(self, broken: int | None, why: str) -> Verdict:
        return Verdict(
            n_lines=self._n,
            torn=tuple(self._torn),
            broken=broken,
            why=why,
            last=self._before[-_SEAL_LENGTH:][len(',"hmac":"') :][:SHORT_SEAL].decode("ascii"),
        )
