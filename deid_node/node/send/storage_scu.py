"""Send instances by C-STORE.

The bytes of an instance go from its file to the wire as they are; only for a peer that does
not take their Transfer Syntax are they given in another one, without loss.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydicom.uid import ImplicitVRLittleEndian
from pynetdicom.sop_class import Verification

from deid_node.errors import (
    NoCommonSyntax,
    PeerBusy,
    PeerRefusedInstance,
    PeerUnreachable,
)
from deid_node.node.send import pdu
from deid_node.node.send.association_pool import AssociationPool
from deid_node.node.send.negotiation import MAX_CONTEXTS
from deid_node.node.send.store_status import (
    DUPLICATE,
    SOP_CLASS_NOT_SUPPORTED,
    Verdict,
    meaning_of,
    verdict_on,
)
from deid_node.node.send.tls import client_context
from deid_node.node.send.transcode import dataset_given_in, ways_to_give

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deid_node.config.destinations import DicomDestination
    from deid_node.node.outgoing import Outgoing
    from deid_node.node.send.association import Association
    from deid_node.node.send.association_pool import Loan
    from deid_node.node.send.negotiation import Pair

SUCCESS: Final = 0x0000
LOW_PRIORITY: Final = 2
ECHO: Final[Pair] = (str(Verification), str(ImplicitVRLittleEndian))


def unobserved(_number: int, _status: int) -> None:
    """Take answers that nobody notes."""


class StorageSCU:
    """A destination reached by C-STORE.

    Raises
    ------
    SettingsInvalid
        If a file of its TLS settings cannot be used.
    """

    def __init__(self, settings: DicomDestination) -> None:
        self.name = settings.name
        self.tls = (
            None if settings.tls is None else client_context(settings.tls, destination=self.name)
        )
        self.pool = AssociationPool(settings, self.tls)

    def deliver(
        self,
        instances: Sequence[Outgoing],
        *,
        answered: Callable[[int, int], None] = unobserved,
        is_repeat: bool = False,
    ) -> None:
        """Send every instance; see `deid_node.node.send.destination.Destination.deliver`."""
        refused: list[int] = []
        n_without_syntax = 0
        with self.pool.lend(proposals(instances)) as loan:
            for instance in instances:
                answer = self._store(loan, instance)
                n_without_syntax += answer is None
                status = SOP_CLASS_NOT_SUPPORTED if answer is None else answer
                # One instance at a time is under way: the first may be over there already.
                verdict = verdict_on(status, is_repeat=is_repeat and instance is instances[0])
                if verdict is Verdict.LATER:
                    raise PeerBusy(destination=self.name, why=meaning_of(status))
                if verdict is Verdict.NEVER:
                    refused.append(status)
                answered(instance.number, status if verdict is Verdict.NEVER else SUCCESS)
        if n_without_syntax:
            raise NoCommonSyntax(destination=self.name, n_instances=n_without_syntax)
        if refused:
            raise PeerRefusedInstance(
                destination=self.name, status=refused[0], n_instances=len(refused)
            )

    def echo(self) -> None:
        """Send C-ECHO; see `deid_node.node.send.destination.Destination.echo`."""
        with self.pool.lend([ECHO]) as loan:
            association = loan.association()
            context_id = association.accepted.get(ECHO)
            answer = context_id and association.request(
                context_id,
                {
                    pdu.AFFECTED_SOP_CLASS: ECHO[0],
                    pdu.COMMAND_FIELD: pdu.C_ECHO_RQ,
                    pdu.DATASET_TYPE: pdu.NO_DATASET,
                },
            )
        self.close()
        if not answer or answer.number(pdu.STATUS) != SUCCESS:
            raise PeerUnreachable(destination=self.name, why="no answer to C-ECHO")

    def rest(self) -> None:
        """Release associations that were not used for a while."""
        self.pool.rest()

    def close(self) -> None:
        """Release every association."""
        self.pool.close()

    def _store(self, loan: Loan, instance: Outgoing) -> int | None:
        """Send one instance; once more, if the association had lain idle too long."""
        association = loan.association()
        is_stale = self.pool.is_stale(association)
        try:
            return self._store_over(association, instance)
        except PeerUnreachable:
            if not is_stale:
                raise
        loan.abort()
        status = self._store_over(loan.association(), instance)
        return SUCCESS if status == DUPLICATE else status

    def _store_over(self, association: Association, instance: Outgoing) -> int | None:
        """Send one instance over an association.

        Returns
        -------
        int or None
            Its status; None if no accepted Transfer Syntax would do.
        """
        contexts = {
            syntax: context_id
            for (sop_class, syntax), context_id in association.accepted.items()
            if sop_class == instance.sop_class_uid
        }
        ways = ways_to_give(instance.transfer_syntax_uid)
        syntax = next((way for way in ways if way in contexts), None)
        if syntax is None:
            return None
        if syntax == instance.transfer_syntax_uid:
            length = instance.dataset_length
            blocks = instance.blocks(association.block_bytes, start=instance.dataset_at)
        else:
            dataset = memoryview(dataset_given_in(instance, syntax))
            size, length = association.block_bytes, len(dataset)
            blocks = (dataset[at : at + size] for at in range(0, length, size))
        answer = association.request(
            contexts[syntax],
            {
                pdu.AFFECTED_SOP_CLASS: instance.sop_class_uid,
                pdu.COMMAND_FIELD: pdu.C_STORE_RQ,
                pdu.PRIORITY: LOW_PRIORITY,
                pdu.DATASET_TYPE: 0,
                pdu.AFFECTED_SOP_INSTANCE: instance.sop_instance_uid,
            },
            blocks,
            length=length,
        )
        status = answer.number(pdu.STATUS)
        if status is None:
            raise PeerUnreachable(destination=self.name, why="it answered without a status")
        return status


def proposals(instances: Sequence[Outgoing]) -> list[Pair]:
    """Propose each SOP Class in every Transfer Syntax that its instances can be given in."""
    pairs = dict.fromkeys(
        (instance.sop_class_uid, syntax)
        for instance in instances
        for syntax in ways_to_give(instance.transfer_syntax_uid)
    )
    own = dict.fromkeys((each.sop_class_uid, each.transfer_syntax_uid) for each in instances)
    return list({**own, **pairs})[:MAX_CONTEXTS]
