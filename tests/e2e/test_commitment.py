"""A series is let go when its destination has committed to it, and not before."""

from __future__ import annotations

import json
import struct
import subprocess
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from pydicom import Dataset
from pydicom.sequence import Sequence as DicomSequence
from pynetdicom import AE, build_role
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from deid_node.config.schema import Commitment
from deid_node.node.purge_rows import PurgeRows
from deid_node.node.send import commitments as commitments_module
from deid_node.node.send.commitment import Report, decoded, encoded, read_report
from deid_node.node.states import State
from tests.fakes.hostile import ABORT, HostilePeer, Wire, p_data
from tests.fakes.node import eventually, free_port, is_open
from tests.fakes.sender import NO_PORT, Sender, archive_at, some_instances

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from deid_node.dicom.part10 import EncodedInstance

PUSH_MODEL = "1.2.840.10008.1.20.1"
UNSAID = -1


@pytest.fixture(autouse=True)
def quick_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commitments_module, "FIRST_PAUSE_SECONDS", 0.1)
    monkeypatch.setattr(commitments_module, "WAIT_SECONDS", 0.3)
    monkeypatch.setattr(commitments_module, "SHORT_WAIT_SECONDS", 0.1)


@pytest.fixture
def instances() -> list[EncodedInstance]:
    return some_instances(3)


def report(transaction_uid: str, committed: list[str], failed: dict[str, int]) -> Dataset:
    """Fill in Event Information by hand."""

    def reference(uid: str, reason: int | None = None) -> Dataset:
        each = Dataset()
        each.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
        each.ReferencedSOPInstanceUID = uid
        if reason is not None:
            each.FailureReason = reason
        return each

    information = Dataset()
    information.TransactionUID = transaction_uid
    information.ReferencedSOPSequence = DicomSequence([reference(uid) for uid in committed])
    if failed:
        information.FailedSOPSequence = DicomSequence([reference(*each) for each in failed.items()])
    return information


class Archive:
    """Stores what comes, and reports on the association of the question as `fails` says.

    Parameters
    ----------
    fails
        Failure Reason by SOP Instance UID for the n-th question, or `UNSAID` for one that the
        report leaves out; None reports nothing.
    offers
        Whether storage commitment is offered at all.
    """

    def __init__(
        self, fails: Callable[[int], dict[str, int] | None], *, offers: bool = True
    ) -> None:
        self._fails = fails
        self._offers = offers
        self.stored: list[str] = []
        self.questions: list[Dataset] = []
        self.answers: list[bytes] = []

    def __call__(self, wire: Wire, _number: int) -> None:
        refused = 0 if self._offers else 3
        wire.accept(result=lambda sop_class, _s: refused if sop_class == PUSH_MODEL else 0)
        if wire.proposed[0][0] != PUSH_MODEL:
            wire.serve()
            self.stored += wire.sop_instance_uids
            return
        request = wire.request()
        if request is None:
            return
        question = decoded(wire.datasets[-1])
        assert question is not None
        self.questions.append(question)
        wire.answer(request, 0, field=0x8130)
        failed = self._fails(len(self.questions) - 1)
        if failed is not None:
            uids = [str(each.ReferencedSOPInstanceUID) for each in question.ReferencedSOPSequence]
            committed = [uid for uid in uids if uid not in failed]
            failed = {uid: reason for uid, reason in failed.items() if reason != UNSAID}
            wire.send(event_report(report(str(question.TransactionUID), committed, failed)))
            self.answers.append(wire.pdu()[1])
        if wire.pdu()[0] == 5:
            wire.send(b"\x06\0\0\0\0\x04\0\0\0\0")


def event_report(information: Dataset) -> bytes:
    """Write an N-EVENT-REPORT-RQ with its dataset."""
    body = struct.pack("<HHI", 0, 2, 20) + PUSH_MODEL.encode()
    for number, value in ((0x100, 0x0100), (0x110, 7), (0x800, 0)):
        body += struct.pack("<HHIH", 0, number, 2, value)
    body += struct.pack("<HHI", 0, 0x1000, 22) + b"1.2.840.10008.1.20.1.1"
    body += struct.pack("<HHIH", 0, 0x1002, 2, 1)
    command = struct.pack("<HHII", 0, 0, 4, len(body)) + body
    return p_data(1, command) + p_data(1, encoded(information), control=2)


@contextmanager
def sending(
    sender: Sender, port: int, *, asks: str, commitment: Commitment = NO_PORT, **more: object
) -> Iterator[None]:
    """Send to the archive for a while."""
    done = threading.Event()
    thread = threading.Thread(
        target=sender.send,
        args=([archive_at(port, idle_seconds=0, commitment=asks, **more)],),
        kwargs={"until": done, "commitment": commitment},
    )
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join(30)


@pytest.fixture
def sender(tmp_path: Path) -> Iterator[Sender]:
    sender = Sender(tmp_path)
    yield sender
    sender.close()


def test_series_is_let_go_with_the_report_on_the_same_association(
    sender: Sender, instances: list[EncodedInstance]
) -> None:
    generation = sender.owe("one", instances, ["archive"])
    archive = Archive(lambda _n: {})
    with HostilePeer(archive).running() as peer, sending(sender, peer.port, asks="before-purge"):
        eventually(lambda: sender.states() == {State.DELIVERED})

    [question] = archive.questions
    asked = [str(each.ReferencedSOPInstanceUID) for each in question.ReferencedSOPSequence]
    assert asked == [each.sop_instance_uid for each in instances] == archive.stored
    assert {str(each.ReferencedSOPClassUID) for each in question.ReferencedSOPSequence} == {
        "1.2.840.10008.5.1.4.1.1.4"
    }
    assert b"\x00\x00\x00\x09\x02\x00\x00\x00\x00\x00" in archive.answers[0]
    assert b"\x00\x00\x00\x01\x02\x00\x00\x00\x00\x81" in archive.answers[0]
    assert PurgeRows(sender.ledger).delivered_before(time.time()) == [generation]


@pytest.mark.parametrize("reason", [0x0112, UNSAID], ids=["failed", "left out"])
def test_instance_that_will_not_be_kept_is_sent_again_and_asked_about_anew(
    sender: Sender, instances: list[EncodedInstance], reason: int
) -> None:
    sender.owe("one", instances, ["archive"])
    lost = instances[1].sop_instance_uid
    archive = Archive(lambda n: {lost: reason} if n == 0 else {})
    with HostilePeer(archive).running() as peer, sending(sender, peer.port, asks="before-purge"):
        eventually(lambda: sender.states() == {State.DELIVERED})

    assert archive.stored == [*(each.sop_instance_uid for each in instances), lost]
    uids = [str(question.TransactionUID) for question in archive.questions]
    assert len(uids) == len(set(uids)) == 2


@pytest.mark.parametrize(
    ("archive", "why"),
    [
        (Archive(lambda _n: None), "no report yet"),
        (Archive(lambda _n: {}, offers=False), "does not offer storage commitment"),
    ],
    ids=["silent", "not offered"],
)
@pytest.mark.parametrize("asks", ["ask", "before-purge"])
def test_without_a_report_a_series_is_let_go_only_where_none_is_needed(
    sender: Sender, instances: list[EncodedInstance], archive: Archive, why: str, asks: str
) -> None:
    sender.owe("one", instances, ["archive"])
    n_before = len(archive.stored)

    def reason() -> str:
        row = sender.ledger.database.connection.execute("SELECT reason FROM delivery").fetchone()
        return str(row[0])

    with HostilePeer(archive).running() as peer, sending(sender, peer.port, asks=asks):
        if asks == "ask":
            eventually(lambda: sender.states() == {State.DELIVERED})
        else:
            eventually(lambda: why in reason())
    states = sender.states()

    assert states == {State.DELIVERED if asks == "ask" else State.READY}
    assert len(archive.stored) == n_before + 3


def test_destination_that_never_commits_makes_a_dead_letter(
    sender: Sender, instances: list[EncodedInstance]
) -> None:
    sender.owe("one", instances, ["archive"])
    with (
        HostilePeer(Archive(lambda _n: None)).running() as peer,
        sending(sender, peer.port, asks="before-purge", give_up_hours=1e-6),
    ):
        eventually(lambda: sender.states() == {State.HELD})

    row = sender.ledger.database.connection.execute("SELECT error, reason FROM series").fetchone()
    assert row[0] == "DeliveryGivenUp"
    assert "has not committed: no report yet" in row[1]


@pytest.mark.parametrize(
    "news",
    [
        ABORT,
        p_data(1, b"garbage!"),
        event_report(Dataset()),
        event_report(report("2.25.1", [], {})),
    ],
    ids=["abort", "no message", "empty", "of another question"],
)
def test_report_that_is_none_leaves_a_series_where_it_is(
    sender: Sender, instances: list[EncodedInstance], news: bytes
) -> None:
    sender.owe("one", instances, ["archive"])
    n_questions = 0

    def script(wire: Wire, _number: int) -> None:
        nonlocal n_questions
        wire.accept()
        if wire.proposed[0][0] != PUSH_MODEL:
            wire.serve()
            return
        wire.answer(wire.request(), 0, field=0x8130)
        wire.send(news)
        n_questions += 1
        wire.pdu()

    with HostilePeer(script).running() as peer, sending(sender, peer.port, asks="before-purge"):
        eventually(lambda: n_questions > 2)

    assert sender.states() == {State.READY}


def tell(
    port: int, information: Dataset, *, calling: str = "ARCHIVE", proposes_role: bool = True
) -> int | None:
    """Report as an archive that calls; None if it is not let in."""
    ae = AE(calling)
    ae.add_requested_context(StorageCommitmentPushModel, "1.2.840.10008.1.2")
    roles = [build_role(StorageCommitmentPushModel, scp_role=True)] if proposes_role else []
    association = ae.associate("127.0.0.1", port, ext_neg=roles)
    if not association.is_established:
        return None
    status, _ = association.send_n_event_report(
        information, 1, StorageCommitmentPushModel, StorageCommitmentPushModelInstance
    )
    association.release()
    return int(status.Status)


@pytest.mark.parametrize("proposes_role", [True, False])
def test_report_that_comes_later_by_another_association_is_taken_from_those_who_may(
    tmp_path: Path,
    instances: list[EncodedInstance],
    proposes_role: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    first = Sender(tmp_path)
    first.owe("one", instances, ["archive"])
    archive = Archive(lambda _n: None)
    port = Commitment(bind="127.0.0.1", port=free_port())
    assert port.port
    with HostilePeer(archive).running() as peer:
        with sending(first, peer.port, commitment=port, asks="before-purge"):
            eventually(lambda: archive.questions)
        first.close()
        again = Sender(tmp_path)
        question = archive.questions[0]
        uids = [each.sop_instance_uid for each in instances]
        good = report(str(question.TransactionUID), uids, {})
        with sending(again, peer.port, commitment=port, asks="before-purge"):
            eventually(lambda: is_open(port.port or 0))
            stranger = tell(port.port, good, calling="STRANGER")
            unknown = tell(port.port, report("2.25.1", uids, {}))
            unreadable = tell(port.port, _without_transaction(good))
            before = again.states()
            status = tell(port.port, good, proposes_role=proposes_role)
            after = again.states()
        again.close()

    assert (stranger, unknown, unreadable) == (None, 0x0112, 0x0110)
    assert before == {State.READY}
    assert status == 0x0000
    assert after == {State.DELIVERED}


def _without_transaction(information: Dataset) -> Dataset:
    changed = Dataset()
    changed.ReferencedSOPSequence = information.ReferencedSOPSequence
    return changed


def test_report_is_read_as_the_standard_lays_it_out() -> None:
    information = report("2.25.5", ["2.25.6", "2.25.7"], {"2.25.7": 0x0119, "2.25.8": 0x0112})

    assert read_report(decoded(encoded(information))) == Report(
        transaction_uid="2.25.5",
        committed=frozenset({"2.25.6"}),
        failed={"2.25.7": 0x0119, "2.25.8": 0x0112},
    )


@pytest.mark.peer
def test_orthanc_commits_to_what_it_has(
    sender: Sender, instances: list[EncodedInstance], tmp_path: Path, peer: Callable[[str], str]
) -> None:
    port, dicom, http = free_port(), free_port(), free_port()
    settings = {
        "StorageDirectory": str(tmp_path / "orthanc"),
        "DicomAet": "ARCHIVE",
        "DicomPort": dicom,
        "HttpPort": http,
        "DicomModalities": {"node": ["DEIDNODE", "127.0.0.1", port]},
    }
    (tmp_path / "orthanc.json").write_text(json.dumps(settings))
    sender.owe("one", instances, ["archive"])
    with subprocess.Popen(
        [peer("Orthanc"), str(tmp_path / "orthanc.json")],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        eventually(lambda: is_open(dicom))
        with sending(
            sender,
            dicom,
            commitment=Commitment(bind="127.0.0.1", port=port),
            asks="before-purge",
        ):
            eventually(lambda: sender.states() == {State.DELIVERED})
        process.kill()
