"""The messages of one association: requests are put together, served and answered in order."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from pynetdicom.sop_class import Verification

from deid_node.node.receive.command import (
    C_CANCEL_RQ,
    C_ECHO_RQ,
    C_STORE_RQ,
    IS_RESPONSE,
    LONGEST_COMMAND,
    Command,
    read_command,
    write_response,
)
from deid_node.node.receive.instance import SUCCESS, IncomingInstance
from deid_node.node.receive.pdu import (
    IS_COMMAND,
    IS_LAST,
    SHORTEST_PDV,
    Violation,
    command_pdus,
    read_pdv,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from deid_node.headers.pseudonyms import Pseudonyms
    from deid_node.node.assembly import Visit
    from deid_node.node.receive.counts import ReceiveCounts
    from deid_node.node.receive.keeping import Keeping
    from deid_node.node.receive.negotiation import Agreement, Context

SOP_CLASS_NOT_SUPPORTED: Final = 0x0122
UNRECOGNIZED_OPERATION: Final = 0x0211
"""PS3.7 annex C.5."""

_PDV_HEAD: Final = 6


@dataclass(slots=True)
class _Message:
    """A request, and the dataset that comes with it."""

    command: Command
    context_id: int
    status: int = SUCCESS
    instance: IncomingInstance | None = None
    n_bytes: int = 0


class Dialogue:
    """What is said on one association.

    Parameters
    ----------
    agreement
        What was negotiated.
    visit
        The association, for what is noted of its instances.
    keeping, pseudonyms
        Where instances go, and under which names.
    send
        Sends whole PDUs.
    counts
        Where answers are counted.
    """

    def __init__(
        self,
        agreement: Agreement,
        *,
        visit: Visit,
        keeping: Keeping,
        pseudonyms: Pseudonyms,
        send: Callable[[bytes], None],
        counts: ReceiveCounts,
    ) -> None:
        self._agreement = agreement
        self._visit = visit
        self._keeping = keeping
        # On an association comes one series after the other.
        self._series_key = lru_cache(maxsize=1)(pseudonyms.series_key)
        self._instance_key = pseudonyms.instance_key
        self._send = send
        self._counts = counts
        self._command = bytearray()
        self._command_context = 0
        self._message: _Message | None = None

    @property
    def is_between_messages(self) -> bool:
        """Whether nothing is half said."""
        return self._message is None and not self._command

    def take(self, body: memoryview) -> None:
        """Take one P-DATA; what it completes is answered.

        Raises
        ------
        Violation
            If its presentation data values do not fit it, or each other.
        PeerGone
            If the answer cannot be sent.
        """
        at = 0
        while at < len(body):
            if at + _PDV_HEAD > len(body):
                raise Violation
            length, context_id, control = read_pdv(body, at)
            stop = at + 4 + length
            if length < SHORTEST_PDV or stop > len(body):
                raise Violation
            fragment, is_last = body[at + _PDV_HEAD : stop], bool(control & IS_LAST)
            if control & IS_COMMAND:
                self._take_command(context_id, fragment, is_last=is_last)
            else:
                self._take_dataset(context_id, fragment, is_last=is_last)
            at = stop

    def flush(self) -> None:
        """Write what was taken; the memory it lies in is used again after that."""
        if self._message is not None and self._message.instance is not None:
            self._message.instance.flush()

    def break_off(self) -> None:
        """Leave nothing behind of an instance that is not whole."""
        if self._message is not None and self._message.instance is not None:
            self._message.instance.abandon()
        self._message = None

    def _take_command(self, context_id: int, fragment: memoryview, *, is_last: bool) -> None:
        """Add to a command; messages do not mix, PS3.8 section 9.3.5 and annex E."""
        context = self._agreement.contexts.get(context_id)
        is_other = bool(self._command) and context_id != self._command_context
        if context is None or is_other or self._message is not None:
            raise Violation
        self._command += fragment
        self._command_context = context_id
        if len(self._command) > LONGEST_COMMAND:
            raise Violation
        if is_last:
            command = read_command(bytes(self._command))
            self._command.clear()
            self._message = self._begin(command, context_id, context)
            if not command.has_dataset:
                self._answer(self._message)

    def _take_dataset(self, context_id: int, fragment: memoryview, *, is_last: bool) -> None:
        message = self._message
        if message is None or context_id != message.context_id:
            raise Violation
        if message.instance is not None:
            message.instance.take(fragment)
        message.n_bytes += len(fragment)
        if is_last:
            self._answer(message)

    def _begin(self, command: Command, context_id: int, context: Context) -> _Message:
        """Decide what becomes of a request; a dataset that nobody wants is read and dropped."""
        if command.field & IS_RESPONSE:
            raise Violation
        message = _Message(command, context_id)
        is_verification = context.sop_class_uid == Verification
        if command.field == C_STORE_RQ and not is_verification:
            if command.sop_class_uid == context.sop_class_uid:
                message.instance = IncomingInstance(
                    command.sop_instance_uid,
                    context,
                    visit=self._visit,
                    keeping=self._keeping,
                    series_key=self._series_key,
                    instance_key=self._instance_key,
                )
            else:
                message.status = SOP_CLASS_NOT_SUPPORTED
        elif command.field != C_ECHO_RQ or not is_verification:
            message.status = UNRECOGNIZED_OPERATION
        return message

    def _answer(self, message: _Message) -> None:
        status = message.status if message.instance is None else message.instance.finish()
        self._message = None
        if message.command.field == C_STORE_RQ:
            self._counts.answered(status, n_bytes=message.n_bytes)
        if message.command.field != C_CANCEL_RQ:
            response = write_response(message.command, status)
            self._send(command_pdus(message.context_id, response, self._agreement.longest))
