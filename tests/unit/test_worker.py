"""Every series a worker claims ends in a state with a reason; nothing half-done is sent."""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from pydicom import dcmwrite
from pydicom.uid import UID

from deid_node.dicom.part10 import EncodedInstance
from deid_node.errors import (
    AuditUnusable,
    ImplausibleFaceMask,
    NotDicom,
    ProcessDied,
    SpoolFull,
    SpoolUnwritable,
    StageStuck,
    TooFewSlices,
    UnsupportedSOPClass,
    WeightsUnusable,
)
from deid_node.headers.pseudonyms import InstanceKey, Pseudonyms, SeriesKey
from deid_node.node.evidence import Pictures
from deid_node.node.ledger import Ledger
from deid_node.node.open_series import give_back
from deid_node.node.outbox import Outbox
from deid_node.node.records.series_records import SeriesRecords
from deid_node.node.retention import Retention
from deid_node.node.send.delivery_rows import DeliveryRows
from deid_node.node.spool import Spool
from deid_node.node.states import Generation, State
from deid_node.node.work.worker import FULL_DISK_SECONDS, MAX_CRASHES, Worker
from deid_node.pipeline.deidentify import DeidentifiedSeries
from tests.fakes.clock import FakeClock
from tests.fakes.series import mr_series

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from deid_node.dicom.series import Readable
    from deid_node.pipeline.review import Review

SERIES = SeriesKey("k7q2m4x9tz3a")
FIRST = Generation(series=SERIES, number=1)
CANARY = "DOE^JANE"


def encoded(number: int) -> EncodedInstance:
    instance = mr_series(np.full((1, 4, 4), number, np.uint16))[0]
    instance.file_meta.MediaStorageSOPInstanceUID = UID(f"2.25.{number}")
    instance.SOPInstanceUID = UID(f"2.25.{number}")
    buffer = io.BytesIO()
    dcmwrite(buffer, instance, enforce_file_format=True)
    return EncodedInstance(
        sop_class_uid=instance.SOPClassUID,
        sop_instance_uid=instance.SOPInstanceUID,
        transfer_syntax_uid=instance.file_meta.TransferSyntaxUID,
        part10=buffer.getvalue(),
    )


def kept_in(outbox: Outbox) -> list[bytes]:
    return [each.part10() for each in outbox.instances(SERIES)]


def result(n_instances: int = 2) -> DeidentifiedSeries:
    nothing: Any = None
    return DeidentifiedSeries(
        instances=tuple(encoded(n) for n in range(1, n_instances + 1)),
        segmentation=encoded(99),
        record=nothing,
        evidence=nothing,
    )


class Node:
    """A worker with real stores and a scripted `deidentify`."""

    def __init__(self, folder: Path, deidentify: Callable[[], DeidentifiedSeries]) -> None:
        self.clock = FakeClock()
        self.ledger = Ledger(folder / "ledger.sqlite", now=self.clock)
        self.spool = Spool(folder / "received", reserve_bytes=0)
        self.outbox = Outbox(folder / "outbox")
        self.pictures: list[str] = []
        self.seen: list[bytes] = []
        self.deidentify = deidentify
        self.start_worker()

    def start_worker(self) -> None:
        self.worker = Worker(
            ledger=self.ledger,
            spool=self.spool,
            outbox=self.outbox,
            deidentify=self._deidentify,
            keep_picture=self._keep_picture,
            destinations=["archive"],
            records=SeriesRecords(pseudonyms=Pseudonyms(bytes(range(32)))),
        )

    def _keep_picture(self, name: str, _evidence: object) -> str:
        self.pictures.append(name)
        return "digest"

    def _deidentify(
        self, paths: Sequence[Readable], review: Review, caller: str | None
    ) -> DeidentifiedSeries:
        self.review, self.caller = review, caller
        self.seen = [path.read_bytes() for path in paths]
        return self.deidentify()

    def receive(self, *contents: bytes, caller: str | None = None) -> None:
        for content in contents:
            kept = self.spool.keep(SERIES, InstanceKey(f"i{content.decode()}"), [content])
            self.ledger.arrived(kept, caller)
        self.ledger.received(SERIES)

    @property
    def state(self) -> State:
        return self.ledger.states()[FIRST]

    def reason(self) -> tuple[str, str, str | None]:
        row = self.ledger.database.connection.execute("SELECT error, reason, error_id FROM series")
        error, reason, error_id = row.fetchone()
        return error, reason, error_id


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    node = Node(tmp_path, result)
    yield node
    node.ledger.close()


def failing(error: Exception) -> Callable[[], DeidentifiedSeries]:
    def fail() -> DeidentifiedSeries:
        raise error

    return fail


def test_worker_without_a_series_is_done(node: Node) -> None:
    assert node.worker.step() is None
    assert node.worker.step(FIRST) is None


def test_result_is_in_the_outbox_and_owed_with_the_segmentation_last(node: Node) -> None:
    node.receive(b"1", b"2")

    pause = node.worker.step()

    assert pause is None
    assert node.seen == [b"1", b"2"]
    assert node.state is State.READY
    assert kept_in(node.outbox) == [encoded(n).part10 for n in (1, 2, 99)]
    assert node.pictures == [SERIES]
    assert node.caller is None
    assert DeliveryRows(node.ledger).owed_to("archive") == [FIRST]


def test_work_learns_who_sent_the_series(node: Node) -> None:
    node.receive(b"1", caller="CHILDREN")

    node.worker.step()

    assert node.caller == "CHILDREN"


def test_nothing_is_owed_before_the_whole_result_is_durable(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    node.receive(b"1")
    states: list[State] = []
    keep = node.outbox.keep

    def watched(series: SeriesKey, instances: Sequence[EncodedInstance]) -> None:
        states.append(node.state)
        keep(series, instances)
        states.append(node.state)

    monkeypatch.setattr(node.outbox, "keep", watched)
    node.worker.step()

    assert states == [State.CLAIMED, State.CLAIMED]
    assert node.state is State.READY


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (TooFewSlices(n_slices=1, needed=3), State.HELD),
        (UnsupportedSOPClass(sop_class="CT Image Storage"), State.HELD),
        (NotDicom("a file is not DICOM"), State.REFUSED),
        (WeightsUnusable("the card is gone"), State.HELD),
    ],
)
def test_error_of_the_series_ends_in_its_state_with_its_message(
    node: Node, error: Exception, state: State
) -> None:
    node.deidentify = failing(error)
    node.receive(b"1")

    node.worker.step()

    assert node.state is state
    assert node.reason() == (type(error).__name__, str(error), None)
    assert DeliveryRows(node.ledger).owed_to("archive") == []
    assert len(node.spool.recover()) == 1


def test_unexpected_fault_holds_the_series_without_its_text(
    node: Node, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    node.deidentify = failing(ValueError(f"Invalid value {CANARY}"))
    node.receive(b"1")

    node.worker.step()

    error, reason, error_id = node.reason()
    assert (node.state, error) == (State.HELD, "ValueError")
    assert CANARY not in reason
    assert CANARY not in caplog.text
    assert error_id in {record.fields.get("error_id") for record in caplog.records}  # type: ignore[attr-defined]


def doubtful(node: Node) -> Callable[[], DeidentifiedSeries]:
    def doubt() -> DeidentifiedSeries:
        node.review.show(None)  # type: ignore[arg-type]
        raise ImplausibleFaceMask(why="a test")

    return doubt


def test_picture_of_a_doubtful_mask_is_kept_and_what_was_accepted_comes_with_the_claim(
    node: Node,
) -> None:
    node.deidentify = doubtful(node)
    node.receive(b"1")
    node.worker.step()
    database = node.ledger.database.connection
    [picture] = database.execute("SELECT picture FROM series").fetchone()
    before = (node.state, list(node.pictures), node.review.accepted)
    database.execute("UPDATE series SET accepted = picture, state = 'received'")

    node.worker.step()

    assert before == (State.HELD, [SERIES], None)
    assert node.review.accepted == picture == "digest"


def test_doubtful_mask_is_held_though_its_picture_cannot_be_kept(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_name: str, _evidence: object) -> str:
        raise OSError

    monkeypatch.setattr(node.worker, "_keep_picture", fail)
    node.deidentify = doubtful(node)
    node.receive(b"1")

    node.worker.step()

    assert node.reason()[0] == "ImplausibleFaceMask"
    assert node.ledger.database.connection.execute("SELECT picture FROM series").fetchone() == (
        None,
    )


@pytest.mark.parametrize("what", ["missing", "changed"])
def test_instances_that_are_missing_or_there_twice_are_named_before_anything_is_read(
    node: Node, what: str
) -> None:
    node.receive(b"1")
    if what == "missing":
        node.spool.discard(node.spool.recover())
    else:
        node.ledger.arrived(node.spool.keep(SERIES, InstanceKey("i1"), [b"other"]))
        node.ledger.received(SERIES)

    node.worker.step()

    expected = {"missing": "OriginalsMissing", "changed": "DuplicateInstance"}
    assert node.reason()[0] == expected[what]
    assert node.seen == []


def test_picture_that_cannot_be_kept_holds_the_series(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(_series: SeriesKey, _evidence: object) -> None:
        raise OSError

    monkeypatch.setattr(node.worker, "_keep_picture", fail)
    node.receive(b"1")

    node.worker.step()

    assert node.state is State.HELD
    assert DeliveryRows(node.ledger).owed_to("archive") == []


def test_series_that_cannot_be_put_on_record_does_not_leave_and_is_tried_again(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object) -> None:
        raise AuditUnusable("the audit log cannot be written")

    node.receive(b"1")
    with monkeypatch.context() as patch:
        patch.setattr(SeriesRecords, "ready", fail)
        pause = node.worker.step()
    waits = (
        node.state,
        DeliveryRows(node.ledger).owed_to("archive"),
        node.outbox.instances(SERIES),
    )

    node.worker.step()

    assert pause == FULL_DISK_SECONDS
    assert waits == (State.RECEIVED, [], [])
    assert node.state is State.READY


def test_series_is_not_set_aside_before_that_is_on_record(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    states: list[object] = []

    def note(_records: SeriesRecords, series: str, **what: object) -> None:
        states.append((node.state, series, what))

    monkeypatch.setattr(SeriesRecords, "set_aside", note)
    node.deidentify = failing(TooFewSlices(n_slices=1, needed=3))
    node.receive(b"1")

    node.worker.step()

    told = {"state": "held", "error": "TooFewSlices", "n_instances": 1}
    assert states == [(State.CLAIMED, SERIES, told)]
    assert node.state is State.HELD


def test_next_series_is_worked_on_after_a_fault(node: Node) -> None:
    node.deidentify = failing(ValueError())
    node.receive(b"1")
    node.worker.step()
    node.deidentify = result
    other = SeriesKey("other")
    node.ledger.arrived(node.spool.keep(other, InstanceKey("x"), [b"x"]))
    node.ledger.received(other)

    node.worker.step()

    assert node.ledger.states()[Generation(series=other, number=1)] is State.READY


@pytest.mark.parametrize(
    "error", [SpoolFull(free_bytes=0, reserve_bytes=1), SpoolUnwritable(code="EROFS")]
)
def test_series_that_found_the_disk_full_or_read_only_is_worked_on_again(
    node: Node, error: Exception
) -> None:
    node.deidentify = failing(error)
    node.receive(b"1")

    pause = node.worker.step()
    waits = node.state
    node.deidentify = result
    node.worker.step()

    assert pause == FULL_DISK_SECONDS
    assert waits is State.RECEIVED
    assert node.state is State.READY


def test_instance_that_comes_meanwhile_makes_the_result_void(node: Node) -> None:
    def late() -> DeidentifiedSeries:
        node.ledger.arrived(node.spool.keep(SERIES, InstanceKey("late"), [b"3"]))
        return result()

    node.deidentify = late
    node.receive(b"1", b"2")
    node.worker.step()
    between = (
        node.state,
        DeliveryRows(node.ledger).owed_to("archive"),
        node.outbox.instances(SERIES),
    )
    node.deidentify = result
    node.ledger.received(SERIES)
    node.worker.step()

    assert between == (State.RECEIVING, [], [])
    assert sorted(node.seen) == [b"1", b"2", b"3"]
    assert node.state is State.READY


def test_claim_that_a_broken_ledger_left_is_taken_up_by_the_next_step(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_arguments: object, **_more: object) -> bool:
        raise OSError("broken")

    node.receive(b"1")
    with monkeypatch.context() as patch:
        patch.setattr(node.ledger, "ready", broken)
        with pytest.raises(OSError, match="broken"):
            node.worker.step()
    stuck = node.state

    node.worker.step()

    assert stuck is State.CLAIMED
    assert node.state is State.READY


def crash(node: Node) -> None:
    """Begin to work, and start again as after the death of the process."""

    def die() -> DeidentifiedSeries:
        raise KeyboardInterrupt

    node.deidentify = die
    with pytest.raises(KeyboardInterrupt):
        node.worker.step()
    give_back([FIRST], ledger=node.ledger)
    node.start_worker()
    node.deidentify = result


def test_series_that_ends_the_process_again_and_again_is_held(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    recorded: list[object] = []
    monkeypatch.setattr(
        SeriesRecords, "set_aside", lambda _self, series, **what: recorded.append((series, what))
    )
    node.receive(b"1")
    for _ in range(MAX_CRASHES):
        crash(node)
    node.seen = []

    node.worker.step()

    assert node.state is State.HELD
    assert node.reason() == ("ProcessDied", str(ProcessDied(n_times=MAX_CRASHES)), None)
    assert node.seen == []
    told = {"state": "held", "error": "ProcessDied", "n_instances": 1}
    assert recorded == [(SERIES, told)]


def test_series_over_which_the_process_died_less_often_is_worked_on(node: Node) -> None:
    node.receive(b"1")
    for _ in range(MAX_CRASHES - 1):
        crash(node)

    node.worker.step()

    assert node.state is State.READY


def test_crashes_before_an_orderly_end_are_forgotten(node: Node) -> None:
    node.receive(b"1")
    for _ in range(MAX_CRASHES - 1):
        crash(node)
    node.deidentify = failing(SpoolFull(free_bytes=0, reserve_bytes=1))
    node.worker.step()
    crash(node)

    node.worker.step()

    assert node.state is State.READY


def test_orderly_stop_is_no_crash(node: Node) -> None:
    node.receive(b"1")
    node.deidentify = stopped
    given_back = []
    for _ in range(MAX_CRASHES):
        with pytest.raises(SystemExit):
            node.worker.step()
        node.worker.give_back()
        given_back.append(node.state)
    node.deidentify = result

    node.worker.step()

    assert set(given_back) == {State.RECEIVED}
    assert node.state is State.READY


def stopped() -> DeidentifiedSeries:
    raise SystemExit


def test_crashes_are_remembered_while_the_hold_cannot_be_recorded(
    node: Node, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_what: object) -> None:
        raise AuditUnusable("the audit log cannot be written")

    node.receive(b"1")
    for _ in range(MAX_CRASHES):
        crash(node)
    node.seen = []
    with monkeypatch.context() as patch:
        patch.setattr(SeriesRecords, "set_aside", fail)
        with pytest.raises(AuditUnusable):
            node.worker.step()

    node.worker.step()

    assert node.state is State.HELD
    assert node.seen == []


def test_series_is_held_without_being_worked_on_once_more(node: Node) -> None:
    node.receive(b"1")
    crash(node)
    node.seen = []

    node.worker.hold(FIRST, StageStuck(seconds=10))

    assert node.state is State.HELD
    assert node.reason()[0] == "StageStuck"
    assert node.seen == []
    [left] = node.ledger.database.connection.execute("SELECT count(*) FROM crash").fetchone()
    assert left == 0


def test_series_that_does_not_wait_is_not_held(node: Node) -> None:
    node.receive(b"1")
    node.worker.step()

    node.worker.hold(FIRST, StageStuck(seconds=10))

    assert node.state is State.READY


def test_unfinished_result_of_an_earlier_run_is_replaced(node: Node) -> None:
    node.outbox.keep(SERIES, [encoded(n) for n in (7, 8, 9, 10)])
    node.receive(b"1")

    node.worker.step()

    assert kept_in(node.outbox) == [encoded(n).part10 for n in (1, 2, 99)]


@pytest.mark.parametrize("keep_seconds", [0.0, 3600.0])
def test_originals_are_deleted_when_their_time_is_over_and_not_before(
    node: Node, tmp_path: Path, keep_seconds: float
) -> None:
    retention = Retention(
        ledger=node.ledger,
        spool=node.spool,
        outbox=node.outbox,
        pictures=Pictures(tmp_path),
        keep_seconds=keep_seconds,
        keep_picture_seconds=keep_seconds,
        now=node.clock,
    )
    node.receive(b"1")
    node.worker.step()
    retention.step()
    before_delivery = len(node.spool.recover())
    DeliveryRows(node.ledger).settled(FIRST, "archive")
    node.clock.advance(max(0, keep_seconds - 1))
    if keep_seconds:
        retention.step()
    before_time = len(node.spool.recover())
    node.clock.advance(1)
    retention.step()

    assert (before_delivery, before_time) == (1, 1)
    assert node.state is State.PURGED
    assert node.spool.recover() == []
    assert node.outbox.instances(SERIES) == []
