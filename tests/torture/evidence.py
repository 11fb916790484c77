"""What the receiving ends hold, against what was sent and acknowledged."""

from __future__ import annotations

import hashlib
import sqlite3
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Final

from pydicom.uid import SegmentationStorage

from deid_node.errors import ProcessDied
from tests.torture.traffic import identifiers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from deid_node.headers.pseudonyms import Pseudonyms
    from tests.torture.traffic import Tally

_PREAMBLE: Final = 132
_HELD: Final = "SELECT series, error FROM series WHERE state IN ('held', 'refused')"


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """Counts; those named in `WRONG` must be 0."""

    series: int
    acknowledged: int
    stored: int
    sent_again: int
    segmentations: int
    canaries: int
    witnesses: int
    held_series: int
    held_instances: int
    held_otherwise: int
    lost: int
    missing_at_one: int
    other_bytes: int
    identified: int
    with_face: int
    changed: int
    leftovers: int

    @property
    def is_clean(self) -> bool:
        """Whether nothing went wrong."""
        return not any(getattr(self, name) for name in WRONG)

    def rows(self) -> Iterator[tuple[str, int]]:
        """Give what each count is, and the count."""
        for each in fields(self):
            mark = "  <- must be 0" if each.name in WRONG else ""
            yield NAMES[each.name] + mark, getattr(self, each.name)


NAMES: Final = {
    "series": "series sent",
    "acknowledged": "instances answered with 0x0000",
    "stored": "C-STOREs at the archive",
    "sent_again": "of these of an instance that it had, byte for byte the same",
    "segmentations": "SEGs at the archive",
    "canaries": "series whose slices bore pixels to be found within a face",
    "witnesses": "slices whose brain was looked at",
    "held_series": "series held, for the process died over each too often",
    "held_instances": "acknowledged instances that wait in them",
    "held_otherwise": "series held or refused for another reason, such as slices that came late",
    "lost": "acknowledged, but neither delivered nor held",
    "missing_at_one": "delivered to one destination and not to the other",
    "other_bytes": "SOP Instance UIDs that came with different bytes",
    "identified": "byte streams with an identifier or a UID of the source",
    "with_face": "byte streams with pixels from within a face",
    "changed": "slices in which the brain changed",
    "leftovers": "half-written files in the spool",
}
WRONG: Final = (
    *("lost", "missing_at_one", "other_bytes", "identified", "with_face", "changed", "leftovers"),
)


def judge(
    tally: Tally, pseudonyms: Pseudonyms, *, arrived: Sequence[tuple[str, bytes]], folder: Path
) -> Evidence:
    """Count.

    Parameters
    ----------
    tally
        What was sent and acknowledged.
    pseudonyms
        Of the node: they tell what an instance is called at the other end.
    arrived
        SOP Instance UID and dataset of each C-STORE at the archive.
    folder
        Of the node: its spool, and the folder that is the other destination.
    """
    begun = tally.begun
    copies = {path.name: path.read_bytes() for path in (folder / "copies").rglob("*.dcm")}
    versions: dict[str, set[bytes]] = defaultdict(set)
    for uid, dataset in arrived:
        versions[uid].add(hashlib.sha256(dataset).digest())
    new_uid = {uid: pseudonyms.uid(uid) for each in begun for uid in each.datasets}
    in_copies = {uid for uid in new_uid.values() if f"{uid}.dcm" in copies}
    held = _held(folder)
    waiting = {
        uid for each in begun for uid in each.datasets if pseudonyms.series_key(each.uid) in held
    }
    streams = [*(dataset for _, dataset in arrived), *copies.values()]
    canaries = [each.canary for each in begun]
    by_uid = dict(arrived)
    acknowledged = tally.acknowledged
    delivered = {uid for uid in acknowledged if new_uid[uid] in versions}
    return Evidence(
        series=len(begun),
        acknowledged=len(acknowledged),
        stored=len(arrived),
        sent_again=len(arrived) - sum(len(each) for each in versions.values()),
        segmentations=sum(SegmentationStorage.encode() in each for each in by_uid.values()),
        canaries=sum(any(each.canary in raw for raw in each.datasets.values()) for each in begun),
        witnesses=sum(new_uid[uid] in by_uid for each in begun for uid in each.witnesses),
        held_series=sum(errors == {ProcessDied.__name__} for errors in held.values()),
        held_instances=len(waiting & acknowledged - delivered),
        held_otherwise=sum(errors != {ProcessDied.__name__} for errors in held.values()),
        lost=len(acknowledged - delivered - waiting),
        missing_at_one=sum((new_uid[uid] in in_copies) != (uid in delivered) for uid in new_uid),
        other_bytes=sum(len(each) > 1 for each in versions.values()),
        identified=sum(any(value in each for value in identifiers()) for each in streams),
        with_face=sum(any(canary in each for canary in canaries) for each in streams),
        changed=sum(
            each.witness not in by_uid[new_uid[uid]]
            for each in begun
            for uid in each.witnesses
            if new_uid[uid] in by_uid
        ),
        leftovers=sum(1 for path in (folder / "spool").rglob("*.part") if path.is_file()),
    )


def _held(folder: Path) -> dict[str, set[str]]:
    """Give the reasons for which each series is held, by their classes."""
    held: dict[str, set[str]] = defaultdict(set)
    with closing(sqlite3.connect(folder / "spool" / "ledger.sqlite")) as ledger:
        for series, error in ledger.execute(_HELD):
            held[series].add(error)
    return held
