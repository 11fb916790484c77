"""Instances of several associations become durable together, and each learns what became of it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, NoReturn

import pytest

from deid_node.errors import SpoolFull
from deid_node.headers.pseudonyms import InstanceKey, SeriesKey
from deid_node.node.assembly import Origin, Visit
from deid_node.node.ledger import Ledger
from deid_node.node.receive.keeping import Keeping
from deid_node.node.spool import Spool
from tests.fakes.assembly import by_silence
from tests.fakes.node import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deid_node.node.spool import Draft

SERIES = SeriesKey("k7q2m4x9tz3a")


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    ledger = Ledger(tmp_path / "ledger.sqlite")
    yield ledger
    ledger.close()


@pytest.fixture
def keeping(tmp_path: Path, ledger: Ledger) -> Keeping:
    return Keeping(
        spool=Spool(tmp_path / "received", reserve_bytes=0),
        ledger=ledger,
        assembly=by_silence(1, max_open_seconds=1),
    )


def files(folder: Path) -> list[bytes]:
    return sorted(path.read_bytes() for path in (folder / "received").rglob("*") if path.is_file())


def draft(keeping: Keeping, content: bytes) -> Draft:
    begun = keeping.draft(SERIES, InstanceKey(f"i{content.decode()}"))
    begun.write([content])
    return begun


def origin_of(caller: str) -> Origin:
    return Origin(visit=Visit(caller), study_instance_uid="1", series_instance_uid="1.1")


def full(_instances: object) -> NoReturn:
    raise SpoolFull(free_bytes=0, reserve_bytes=0)


def failing(_instances: object) -> NoReturn:
    raise OSError("input/output error")


def test_what_a_full_disk_did_not_let_be_noted_is_deleted_unless_it_was_there_before(
    keeping: Keeping, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping.keep(draft(keeping, b"before"))
    monkeypatch.setattr(ledger, "arrived_together", full)

    for content in (b"before", b"new"):
        with pytest.raises(SpoolFull):
            keeping.keep(draft(keeping, content))

    assert files(tmp_path) == [b"before"]


def test_what_may_have_been_noted_stays(
    keeping: Keeping, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "arrived_together", failing)

    with pytest.raises(OSError, match="input/output"):
        keeping.keep(draft(keeping, b"new"))

    assert files(tmp_path) == [b"new"]


@pytest.mark.parametrize("fails", [False, True])
def test_those_that_wait_share_one_transaction_and_its_outcome(
    keeping: Keeping,
    ledger: Ledger,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    fails: bool,
) -> None:
    groups: list[int] = []
    arrived = ledger.arrived_together

    def recording(instances: list[object]) -> object:
        groups.append(len(instances))
        return full(instances) if fails else arrived(instances)  # type: ignore[arg-type]

    def keep(content: bytes) -> None:
        try:
            keeping.keep(draft(keeping, content))
            outcomes.append(True)
        except SpoolFull:
            outcomes.append(False)

    monkeypatch.setattr(ledger, "arrived_together", recording)
    outcomes: list[bool] = []
    threads = [threading.Thread(target=keep, args=(b"%d" % n,)) for n in range(5)]
    with keeping._committing:
        for thread in threads:
            thread.start()
        eventually(lambda: len(keeping._waiting) == 5)
    for thread in threads:
        thread.join()

    assert groups == [5]
    assert outcomes == [not fails] * 5
    assert files(tmp_path) == ([] if fails else [b"0", b"1", b"2", b"3", b"4"])


def test_ledger_learns_who_sent_each(keeping: Keeping, ledger: Ledger) -> None:
    keeping.keep(draft(keeping, b"first"))
    keeping.keep(draft(keeping, b"second"), origin_of("CHILDREN"))
    keeping.keep(draft(keeping, b"third"), origin_of("PACS"))
    ledger.received(SERIES)

    claim = ledger.claim()

    assert claim is not None
    assert claim.caller == "CHILDREN"
