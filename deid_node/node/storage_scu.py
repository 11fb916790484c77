"""Send instances by C-STORE, one association for each series.

The bytes of an instance go over the wire as they are; only a peer that does not take
their transfer syntax gets them in another lossless one.
"""

from __future__ import annotations

import io
import queue
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from pydicom import dcmread, dcmwrite
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE, evt
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.sop_class import Verification

from deid_node.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from deid_node.errors import PeerRefusedInstance, PeerUnreachable
from deid_node.node.socket_options import acknowledge_at_once, send_at_once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from pynetdicom.association import Association

    from deid_node.config.schema import DicomDestination
    from deid_node.dicom.part10 import EncodedInstance

FALLBACK_SYNTAXES: Final = (ExplicitVRLittleEndian, ImplicitVRLittleEndian)
"""What else is offered; every SCP takes the second (PS3.5 section 10.1)."""
CONNECT_SECONDS: Final = 10
ANSWER_SECONDS: Final = 120
"""A peer may write an instance to slow storage before it answers."""
SUCCESS: Final = 0x0000
WARNINGS: Final = range(0xB000, 0xC000)
"""The instance is stored, PS3.4 Table B.2-1."""
OUT_OF_RESOURCES: Final = range(0xA700, 0xA800)
SOP_CLASS_NOT_SUPPORTED: Final = 0x0122


def unobserved(_count: int) -> None:
    """Take progress that nobody looks at."""


class StorageSCU:
    """A destination reached by C-STORE."""

    def __init__(self, settings: DicomDestination) -> None:
        self.name = settings.name
        self._settings = settings

    def deliver(
        self, instances: Sequence[EncodedInstance], *, progress: Callable[[int], None] = unobserved
    ) -> None:
        """Send every instance; see `deid_node.node.destination.Destination.deliver`."""
        refused: list[int] = []
        with self._association(_contexts(instances)) as association:
            for count, instance in enumerate(instances, start=1):
                status = self._store(association, instance)
                if status != SUCCESS and status not in WARNINGS:
                    refused.append(status)
                progress(count - len(refused))
        if refused:
            raise PeerRefusedInstance(
                destination=self.name, status=refused[0], n_instances=len(refused)
            )

    def echo(self) -> None:
        """Send C-ECHO; see `deid_node.node.destination.Destination.echo`."""
        with self._association([(Verification, [ImplicitVRLittleEndian])]) as association:
            answer = association.send_c_echo() if association.accepted_contexts else None
        if answer is None or answer.get("Status") != SUCCESS:
            raise self._unreachable("no answer to C-ECHO")

    @contextmanager
    def _association(self, contexts: Sequence[tuple[UID, Sequence[UID]]]) -> Iterator[Association]:
        ae = AE(self._settings.calling_ae_title)
        ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        ae.connection_timeout = CONNECT_SECONDS
        ae.acse_timeout = CONNECT_SECONDS
        ae.dimse_timeout = ANSWER_SECONDS
        ae.network_timeout = ANSWER_SECONDS
        for abstract_syntax, transfer_syntaxes in contexts:
            ae.add_requested_context(abstract_syntax, list(transfer_syntaxes))
        association = ae.associate(
            self._settings.host,
            self._settings.port,
            ae_title=self._settings.ae_title,
            evt_handlers=[
                (evt.EVT_CONN_OPEN, send_at_once),
                (evt.EVT_DATA_SENT, acknowledge_at_once),
            ],
        )
        if not association.is_established:
            rejected = association.is_rejected
            raise self._unreachable(
                "it rejected the association" if rejected else "no association with it"
            )
        try:
            yield association
        finally:
            if association.is_established:
                association.release()

    def _store(self, association: Association, instance: EncodedInstance) -> int:
        """Send one instance; return its status."""
        chosen = _context_for(association, instance)
        if chosen is None:
            return SOP_CLASS_NOT_SUPPORTED
        context_id, transfer_syntax = chosen
        status = _request(association, context_id, instance, _encoded(instance, transfer_syntax))
        if status is None:
            raise self._unreachable("the association broke off")
        if status in OUT_OF_RESOURCES:
            raise self._unreachable(f"out of resources, status 0x{status:04X}")
        return status

    def _unreachable(self, why: str) -> PeerUnreachable:
        return PeerUnreachable(destination=self.name, why=why)


def _contexts(instances: Sequence[EncodedInstance]) -> list[tuple[UID, list[UID]]]:
    """Propose each SOP Class with the transfer syntaxes its instances have, then the others.

    One context for each pair: a peer that is offered several syntaxes in one context picks
    for itself, and may pick one that would have to be transcoded.
    """
    pairs = {(one.sop_class_uid, one.transfer_syntax_uid): None for one in instances}
    for sop_class_uid in dict.fromkeys(one.sop_class_uid for one in instances):
        for fallback in FALLBACK_SYNTAXES:
            pairs[sop_class_uid, fallback] = None
    return [(UID(sop_class), [UID(syntax)]) for sop_class, syntax in pairs]


def _context_for(association: Association, instance: EncodedInstance) -> tuple[int, UID] | None:
    """Choose the accepted context that changes the instance least."""
    accepted = {
        str(context.transfer_syntax[0]): context.context_id
        for context in association.accepted_contexts
        if context.abstract_syntax == instance.sop_class_uid
    }
    for syntax in (instance.transfer_syntax_uid, *FALLBACK_SYNTAXES):
        if syntax in accepted:
            return accepted[syntax], UID(syntax)
    return None


def _encoded(instance: EncodedInstance, transfer_syntax: UID) -> bytes:
    """Take the dataset out of its Part 10 file, transcoded only where it must be."""
    if transfer_syntax == instance.transfer_syntax_uid:
        return _without_file_meta(instance.part10)
    dataset = dcmread(io.BytesIO(instance.part10))
    if UID(instance.transfer_syntax_uid).is_encapsulated:
        dataset.decompress(generate_instance_uid=False)
    dataset.file_meta.TransferSyntaxUID = transfer_syntax
    plain = io.BytesIO()
    dcmwrite(plain, dataset, enforce_file_format=True)
    return _without_file_meta(plain.getvalue())


def _without_file_meta(part10: bytes) -> bytes:
    """Cut off preamble, prefix and group 2, whose length stands at byte 140 (PS3.10 7.1)."""
    group_length = int.from_bytes(part10[140:144], "little")
    return part10[144 + group_length :]


def _request(
    association: Association, context_id: int, instance: EncodedInstance, encoded: bytes
) -> int | None:
    """Send a C-STORE request with a dataset that is encoded already; return the status.

    `Association.send_c_store` would decode and encode it again.
    """
    request = C_STORE()
    request.MessageID = 1
    request.Priority = 2
    request.AffectedSOPClassUID = instance.sop_class_uid
    request.AffectedSOPInstanceUID = instance.sop_instance_uid
    request.DataSet = io.BytesIO(encoded)
    _keep_answers(association)
    if not association.is_established:
        return None
    association.dimse.send_msg(request, context_id)
    answer = _answer(association)
    return int(answer.Status) if isinstance(answer, C_STORE) and answer.Status is not None else None


def _keep_answers(association: Association) -> None:
    """Let the association's own loop take no message: it would drop an answer as a request.

    `Association.send_c_store` pauses that loop for each message, but a loop that was about
    to look for a message still looks, and on a busy machine it then takes the answer.
    """
    association.dimse.get_msg = _no_message


def _no_message(*, block: bool = False) -> tuple[None, None]:  # noqa: ARG001 - pynetdicom's name
    return None, None


def _answer(association: Association) -> object:
    """Wait for the answer; None if the connection is gone or nothing comes."""
    for _ in range(ANSWER_SECONDS):
        try:
            return association.dimse.msg_queue.get(timeout=1)[1]
        except queue.Empty:
            if not association.dul.is_alive():
                return None
    association.abort()
    return None
