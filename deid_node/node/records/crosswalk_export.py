"""What an honest broker does with a crosswalk: open it, and write tables of it."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PublicKey

from deid_node.errors import CrosswalkUnusable, OutputUnwritable
from deid_node.node.durable import make_private_folder, write_file
from deid_node.node.records.broker_key import read_broker_key
from deid_node.node.records.crosswalk_file import (
    HEAD_LENGTH,
    KEY_LENGTH,
    SESSION,
    START,
    Chain,
    Frame,
    frames,
    nonce,
    session_cipher,
    start_of,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
    from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

    Rows = Sequence[Sequence[str]]

MAPPING: Final = ("id_old", "id_new")


@dataclass(slots=True, kw_only=True, repr=False)
class Opened:
    """What a crosswalk holds; each link once, in the order of the file.

    Parameters
    ----------
    links
        Kind, old and new identifier.
    days
        New Patient ID, and days that were added to its dates.
    n_open
        Sessions without an end: killed, still at work, or cut off.
    torn
        Whether a last record broke off, and was dropped.
    """

    links: dict[tuple[str, str, str], None] = field(default_factory=dict)
    days: dict[tuple[str, int], None] = field(default_factory=dict)
    n_open: int = 0
    torn: bool = False

    def __repr__(self) -> str:
        """Never show an identifier."""
        return f"Opened({len(self.links)} links)"

    def n_ambiguous(self) -> int:
        """Count old identifiers that have more than one new one: several keys were at work."""
        pairs = {(kind == "patient", old, new) for kind, old, new in self.links}
        olds = Counter(pair[:2] for pair in pairs)
        return sum(n > 1 for n in olds.values())


def open_crosswalk(path: Path, key: Path) -> Opened:
    """Decrypt a whole crosswalk.

    Raises
    ------
    CrosswalkUnusable
        If it is damaged or was changed anywhere, or is not for this key.
    """
    private = read_broker_key(key)
    start = start_of(private.public_key())
    try:
        with path.open("rb") as file:
            if file.read(START) != start:
                raise CrosswalkUnusable(f"{path} is no crosswalk for this key")
            reader = _Reader(private, start)
            for frame in frames(file):
                reader.take(frame)
            reader.opened.torn = reader.end < file.seek(0, io.SEEK_END)
    except OSError:
        raise CrosswalkUnusable(f"crosswalk {path} cannot be read") from None
    reader.opened.n_open = sum(not session.ended for session in reader.sessions)
    return reader.opened


@dataclass(slots=True, kw_only=True)
class _Session:
    cipher: ChaCha20Poly1305
    n_records: int = 0
    ended: bool = False


class _Reader:
    def __init__(self, private: X25519PrivateKey, start: bytes) -> None:
        self._private = private
        self._recipient = private.public_key().public_bytes_raw()
        self._chain = Chain(start)
        self._n_frames = 0
        self.sessions: list[_Session] = []
        self.opened = Opened()
        self.end = len(start)

    def take(self, frame: Frame) -> None:
        """Open one frame."""
        self._n_frames += 1
        if frame.kind == SESSION:
            if frame.session != len(self.sessions):
                raise self._wrong()
            if len(frame.body) != KEY_LENGTH:
                raise self._wrong()
            theirs = X25519PublicKey.from_public_bytes(frame.body)
            cipher = session_cipher(
                self._private, theirs, ephemeral=frame.body, recipient=self._recipient
            )
            self.sessions.append(_Session(cipher=cipher))
        else:
            self._note(self._opened(frame))
        self._chain.add(frame.head() + frame.body)
        self.end += HEAD_LENGTH + len(frame.body)

    def _opened(self, frame: Frame) -> dict[str, object]:
        if frame.session >= len(self.sessions):
            raise self._wrong()
        session = self.sessions[frame.session]
        bound = self._chain.bound(frame.head())
        try:
            plain = session.cipher.decrypt(nonce(session.n_records), frame.body, bound)
        except InvalidTag:
            raise self._wrong() from None
        content: dict[str, object] = json.loads(plain)
        session.ended = "end" in content
        session.n_records += 1
        return content

    def _note(self, content: dict[str, object]) -> None:
        for kind, old, new in content.get("links", ()):  # type: ignore[attr-defined]
            self.opened.links[kind, old, new] = None
        for patient, days in content.get("days", ()):  # type: ignore[attr-defined]
            self.opened.days[patient, days] = None

    def _wrong(self) -> CrosswalkUnusable:
        return CrosswalkUnusable(
            f"frame {self._n_frames} does not open: it, or something before it, was changed"
        )


def write_tables(opened: Opened, folder: Path, *, midi: bool, force: bool) -> list[Path]:
    """Write CSV tables, private to their owner.

    Parameters
    ----------
    midi
        Whether to write exactly the two tables that the MIDI-B validator reads.
    force
        Whether to replace tables that are there.

    Raises
    ------
    CrosswalkUnusable
        If `midi` asks for one new identifier each, and there are several.
    OutputUnwritable
        If a table exists, or cannot be written.
    """
    if midi and opened.n_ambiguous():
        raise CrosswalkUnusable(
            f"{opened.n_ambiguous()} identifiers have several pseudonyms: several keys were at work"
        )
    tables = {folder / name: text for name, text in _tables(opened, midi=midi).items()}
    for path in tables:
        if path.exists() and not force:
            raise OutputUnwritable(f"{path} exists; --force replaces it")
    try:
        make_private_folder(folder)
        for path, text in tables.items():
            write_file(path, [text.encode("utf-8", "surrogatepass")])
    except OSError:
        raise OutputUnwritable(f"{folder} cannot be written") from None
    return list(tables)


def _tables(opened: Opened, *, midi: bool) -> dict[str, str]:
    patients = [(old, new) for kind, old, new in opened.links if kind == "patient"]
    uids = [(old, new, kind) for kind, old, new in opened.links if kind != "patient"]
    if midi:
        return {
            "patient_id_mapping.csv": _csv(MAPPING, patients),
            "uid_mapping.csv": _csv(MAPPING, dict.fromkeys(row[:2] for row in uids)),
        }
    return {
        "patients.csv": _csv(MAPPING, patients),
        "uids.csv": _csv((*MAPPING, "kind"), uids),
        "dates.csv": _csv(
            ("patient_id_new", "days_added"), [(new, str(days)) for new, days in opened.days]
        ),
    }


def _csv(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue()
