"""Ask a destination to commit to what it stored, and read its report (PS3.4 Annex J).

The question goes over an association of its own. The report comes over the same one, if the
destination is quick, or later over one that the destination opens to us.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence as DicomSequence
from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.sop_class import StorageCommitmentPushModel, StorageCommitmentPushModelInstance

from deid_node.errors import NotCommitted
from deid_node.node.send import pdu
from deid_node.node.send.association import Association
from deid_node.node.send.store_status import meaning_of

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping, Sequence

    from deid_node.config.destinations import DicomDestination
    from deid_node.node.outgoing import Outgoing
    from deid_node.node.send.negotiation import Pair
    from deid_node.node.send.pdu import Message

PUSH_MODEL: Final[Pair] = (str(StorageCommitmentPushModel), str(ImplicitVRLittleEndian))
WELL_KNOWN: Final = str(StorageCommitmentPushModelInstance)
REQUEST_COMMITMENT: Final = 1
"""Action Type ID, PS3.4 Table J.3.2-1."""
SUCCESS: Final = 0x0000
_PROCESSING_FAILURE: Final = 0x0110


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a destination says about one question.

    Parameters
    ----------
    transaction_uid
        Of the question.
    committed
        SOP Instance UIDs that it will keep.
    failed
        Failure Reason of those that it will not, by SOP Instance UID.
    """

    transaction_uid: str
    committed: frozenset[str]
    failed: Mapping[str, int]


def ask_to_commit(
    settings: DicomDestination,
    tls: ssl.SSLContext | None,
    instances: Sequence[Outgoing],
    *,
    transaction_uid: str,
    wait_seconds: float,
) -> Report | None:
    """Ask a destination to commit to instances, and wait a moment for its report.

    Parameters
    ----------
    settings, tls
        As for `Association`.
    instances
        What it stored.
    transaction_uid
        A new one for each question.
    wait_seconds
        How long the association is kept for the report.

    Returns
    -------
    Report or None
        None if the report is still to come.

    Raises
    ------
    PeerUnreachable
        If there is no association, or it breaks.
    NotCommitted
        If the destination does not take the question.
    """
    association = Association(settings, [PUSH_MODEL], tls)
    try:
        _ask(association, settings.name, instances, transaction_uid)
        report = None
        if association.has_news(wait_seconds):
            message = association.receive(settings.answer_seconds)
            report = report_in(message)
            association.respond(message.context_id, _acknowledgement(message, report))
    except BaseException:
        association.abort()
        raise
    association.release()
    return report


def _ask(
    association: Association, name: str, instances: Sequence[Outgoing], transaction_uid: str
) -> None:
    context_id = association.accepted.get(PUSH_MODEL)
    if context_id is None:
        raise NotCommitted(destination=name, why="it does not offer storage commitment")
    question = memoryview(encoded(_question(instances, transaction_uid)))
    size = association.block_bytes
    answer = association.request(
        context_id,
        {
            pdu.REQUESTED_SOP_CLASS: PUSH_MODEL[0],
            pdu.COMMAND_FIELD: pdu.N_ACTION_RQ,
            pdu.DATASET_TYPE: 0,
            pdu.REQUESTED_SOP_INSTANCE: WELL_KNOWN,
            pdu.ACTION_TYPE: REQUEST_COMMITMENT,
        },
        (question[at : at + size] for at in range(0, len(question), size)),
        length=len(question),
    )
    status = answer.number(pdu.STATUS)
    if status != SUCCESS:
        why = "it answered without a status" if status is None else meaning_of(status)
        raise NotCommitted(destination=name, why=why)


def _question(instances: Sequence[Outgoing], transaction_uid: str) -> Dataset:
    """Fill in Action Information, PS3.4 Table J.3.2-1."""
    question = Dataset()
    question.TransactionUID = transaction_uid
    references = []
    for instance in instances:
        reference = Dataset()
        reference.ReferencedSOPClassUID = instance.sop_class_uid
        reference.ReferencedSOPInstanceUID = instance.sop_instance_uid
        references.append(reference)
    question.ReferencedSOPSequence = DicomSequence(references)
    return question


def report_in(message: Message) -> Report | None:
    """Read an N-EVENT-REPORT request; None if it is something else."""
    if message.number(pdu.COMMAND_FIELD) != pdu.N_EVENT_REPORT_RQ:
        return None
    return read_report(decoded(message.dataset))


def read_report(information: Dataset | None) -> Report | None:
    """Read Event Information, PS3.4 Table J.3.3-1; None if it is none."""
    if information is None:
        return None
    try:
        committed = [
            str(each.ReferencedSOPInstanceUID)
            for each in information.get("ReferencedSOPSequence") or ()
        ]
        failed = {
            str(each.ReferencedSOPInstanceUID): int(each.get("FailureReason", _PROCESSING_FAILURE))
            for each in information.get("FailedSOPSequence") or ()
        }
        return Report(
            transaction_uid=str(information.TransactionUID),
            committed=frozenset(committed) - failed.keys(),
            failed=failed,
        )
    except Exception:  # noqa: BLE001 - pydicom raises what it likes on values of a peer
        return None


def _acknowledgement(message: Message, report: Report | None) -> dict[int, str | int]:
    """Answer an N-EVENT-REPORT, PS3.7 Table 10.3-1."""
    return {
        pdu.AFFECTED_SOP_CLASS: PUSH_MODEL[0],
        pdu.COMMAND_FIELD: pdu.N_EVENT_REPORT_RQ | pdu.IS_RESPONSE,
        pdu.MESSAGE_ID_RESPONDED_TO: message.number(pdu.MESSAGE_ID) or 0,
        pdu.DATASET_TYPE: pdu.NO_DATASET,
        pdu.STATUS: _PROCESSING_FAILURE if report is None else SUCCESS,
        pdu.AFFECTED_SOP_INSTANCE: WELL_KNOWN,
    }


def encoded(dataset: Dataset) -> bytes:
    """Encode as Implicit VR Little Endian."""
    buffer = DicomBytesIO()
    buffer.is_little_endian, buffer.is_implicit_VR = True, True
    write_dataset(buffer, dataset)
    return bytes(buffer.getvalue())


def decoded(raw: bytes) -> Dataset | None:
    """Decode Implicit VR Little Endian; None if that cannot be."""
    try:
        return read_dataset(io.BytesIO(raw), is_implicit_VR=True, is_little_endian=True)
    except Exception:  # noqa: BLE001 - pydicom raises what it likes on bytes of a peer
        return None
