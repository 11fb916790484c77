"""One association of a storage SCU: what was negotiated on it, one request at a time.

Written for what makes sending slow with default receivers: each request leaves in as few
writes as can be, and the first part of an answer is acknowledged at once. pynetdicom encodes
and decodes the negotiation only (docs/adr/0014).
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, NoReturn

from deid_node.errors import PeerUnreachable
from deid_node.node.send import negotiation, pdu
from deid_node.node.send.connection import Connection

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterable, Mapping, Sequence

    from deid_node.config.destinations import DicomDestination
    from deid_node.node.send.negotiation import Pair
    from deid_node.node.send.pdu import Message

MAX_PDU_BYTES: Final = 16_382
"""What this node takes in one PDU. Answers are short."""
_MAX_ASSOCIATE_BYTES: Final = 65_536
"""An A-ASSOCIATE-AC for 128 presentation contexts has less than a tenth of that."""
_MAX_MESSAGE_BYTES: Final = 16 * 2**20
"""Longest message that is taken; a commitment report on 50,000 instances has half of that."""
_MAX_FRAGMENT_BYTES: Final = 131_072
"""Longest fragment that is sent, also to a peer that takes any."""
_PDUS_AT_ONCE: Final = 480
"""Two buffers each, and a command: below the 1,024 buffers of one sendmsg (IOV_MAX)."""
_BYTES_AT_ONCE: Final = 2**20
_RELEASE_SECONDS: Final = 5.0


class Association:
    """An established association.

    Every failure ends it and raises `PeerUnreachable`.

    Parameters
    ----------
    settings
        Of the destination.
    pairs
        SOP Class and Transfer Syntax of each presentation context to propose.
    tls
        What checks the peer's certificate; None for a bare connection.

    Raises
    ------
    PeerUnreachable
        If there is no connection, no trust, or the peer turns the node away.
    """

    def __init__(
        self, settings: DicomDestination, pairs: Sequence[Pair], tls: ssl.SSLContext | None
    ) -> None:
        self.proposed = frozenset(pairs)
        self.n_requests = 0
        self.last_used = time.monotonic()
        self._settings = settings
        request = negotiation.request(settings, pairs, max_pdu_bytes=MAX_PDU_BYTES)
        self._connection = Connection(settings, tls)
        acceptance = self._negotiate(request, pairs)
        self.accepted = acceptance.contexts
        self._fragment = min(pdu.fragment_bytes(acceptance.max_pdu_bytes), _MAX_FRAGMENT_BYTES)

    @property
    def block_bytes(self) -> int:
        """Size of the blocks in which a dataset is best given: one write each."""
        n_pdus = min(_PDUS_AT_ONCE, max(1, _BYTES_AT_ONCE // self._fragment))
        return n_pdus * self._fragment

    def request(
        self,
        context_id: int,
        command: Mapping[int, str | int],
        dataset: Iterable[memoryview] = (),
        *,
        length: int = 0,
    ) -> Message:
        """Send a request, and its dataset if it has one; wait for the answer.

        Parameters
        ----------
        context_id
            An accepted presentation context.
        command
            Elements of the command set but for Message ID.
        dataset
            Blocks of `block_bytes` and a rest.
        length
            Bytes of all blocks together.

        Returns
        -------
        Message
            The answer to this request.
        """
        self.n_requests += 1
        message_id = self.n_requests % 0x10000
        numbered = dict(sorted({**command, pdu.MESSAGE_ID: message_id}.items()))
        self._send(context_id, pdu.command_set(numbered), dataset, length)
        self._connection.wait_until_taken()
        answer = self.receive(self._settings.answer_seconds)
        if (
            answer.number(pdu.COMMAND_FIELD) != int(command[pdu.COMMAND_FIELD]) | pdu.IS_RESPONSE
            or answer.number(pdu.MESSAGE_ID_RESPONDED_TO) != message_id
            or answer.context_id != context_id
        ):
            self._connection.fail("its answer fits no request")
        self.last_used = time.monotonic()
        return answer

    def _send(
        self, context_id: int, command: bytes, dataset: Iterable[memoryview], length: int
    ) -> None:
        parts: list[bytes | memoryview] = [pdu.command_pdu(context_id, command)]
        sent = 0
        for block in dataset:
            sent += len(block)
            parts += pdu.dataset_pdus(
                context_id, block, fragment=self._fragment, is_last=sent == length
            )
            self._connection.send(parts)
            parts = []
        if sent != length:
            self._connection.fail("an instance changed while it was sent")
        if parts:
            self._connection.send(parts)

    def respond(self, context_id: int, command: Mapping[int, str | int]) -> None:
        """Answer a request of the peer."""
        self._send(context_id, pdu.command_set(command), (), 0)

    def receive(self, seconds: float) -> Message:
        """Wait for a whole message, at most so long."""
        deadline = time.monotonic() + seconds
        reader = pdu.MessageReader(max_bytes=_MAX_MESSAGE_BYTES)
        while True:
            kind, body = self._connection.receive(deadline, at_most=MAX_PDU_BYTES)
            if kind != pdu.P_DATA_TF:
                self._end(kind)
            try:
                message = reader.take(body)
            except pdu.Malformed:
                self._connection.fail("it sent something that is no message")
            if message is not None:
                return message

    def _end(self, kind: int) -> NoReturn:
        """End the association for a PDU that is no data."""
        if kind == pdu.A_RELEASE_RQ:
            self._connection.close(pdu.RELEASE_RP)
            raise PeerUnreachable(
                destination=self._settings.name, why="it released the association unasked"
            )
        if kind == pdu.A_ABORT:
            self._connection.fail("it aborted the association")
        self._connection.fail("it sent a PDU out of turn")

    def is_quiet(self) -> bool:
        """Tell whether the peer has sent nothing since the last answer."""
        return self._connection.is_quiet()

    def has_news(self, seconds: float) -> bool:
        """Wait for the peer to send something, at most so long."""
        return not self._connection.is_quiet(seconds)

    def release(self) -> None:
        """End the association in order; a peer that does not answer is left all the same."""
        try:
            self._connection.send([pdu.RELEASE_RQ])
            deadline = time.monotonic() + _RELEASE_SECONDS
            self._connection.receive(deadline, at_most=MAX_PDU_BYTES)
        except PeerUnreachable:
            return
        self._connection.close()

    def abort(self) -> None:
        """End the association at once."""
        self._connection.close(pdu.ABORT)

    def _negotiate(self, request: bytes, pairs: Sequence[Pair]) -> negotiation.Acceptance:
        self._connection.send([request])
        deadline = time.monotonic() + self._settings.connect_seconds
        kind, body = self._connection.receive(deadline, at_most=_MAX_ASSOCIATE_BYTES)
        if kind == pdu.A_ASSOCIATE_RJ:
            self._connection.close()
            raise PeerUnreachable(
                destination=self._settings.name, why=negotiation.read_rejection(body)
            )
        if kind != pdu.A_ASSOCIATE_AC:
            self._end(kind)
        try:
            return negotiation.read_acceptance(body, pairs)
        except pdu.Malformed:
            self._connection.fail("its answer to the association is malformed")
