"""One association, from the first byte of a peer to its last."""

from __future__ import annotations

import logging
import socket
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deid_node.log import event
from deid_node.node.assembly import Visit
from deid_node.node.receive.channel import Channel, shake_hands
from deid_node.node.receive.dialogue import Dialogue
from deid_node.node.receive.negotiation import (
    LOCAL_LIMIT_EXCEEDED,
    Negotiator,
    Rejected,
    calling_title,
)
from deid_node.node.receive.pdu import (
    ABORT,
    P_DATA_TF,
    REASON_UNEXPECTED_PDU,
    RELEASE_RESPONSE,
    PeerGone,
    Violation,
    abort,
    reject,
)

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from deid_node.config.schema import Node
    from deid_node.headers.pseudonyms import Pseudonyms
    from deid_node.node.receive.counts import ReceiveCounts
    from deid_node.node.receive.keeping import Keeping

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Desk:
    """What all associations share.

    Parameters
    ----------
    settings
        Of the node: time limits.
    negotiator
        Says who is let in, and for what.
    keeping, pseudonyms
        Where instances go, and under which names.
    tls
        Server side of TLS; None speaks DICOM in the clear.
    has_room
        Whether instances can be kept now.
    counts
        What is counted.
    """

    settings: Node
    negotiator: Negotiator
    keeping: Keeping
    pseudonyms: Pseudonyms
    tls: ssl.SSLContext | None
    has_room: Callable[[], bool]
    counts: ReceiveCounts


class Association:
    """A peer; `run` is one thread, and the rest is for others.

    Parameters
    ----------
    connection
        Just accepted.
    desk
        Of the node.
    """

    def __init__(self, connection: socket.socket, desk: Desk) -> None:
        self._socket = connection
        self._desk = desk
        self._dialogue: Dialogue | None = None
        self._visit: Visit | None = None
        self._is_released = False
        self._is_stopping = False

    def run(self, *, admit: Callable[[], bool], dismiss: Callable[[], None]) -> None:
        """Serve the peer until one of the two has enough.

        Parameters
        ----------
        admit
            Makes this one of the associations that are counted; False if there are too many.
        dismiss
            Takes it out again, before the peer learns that it is over.
        """
        deadline = time.monotonic() + self._desk.settings.associate_seconds
        try:
            channel = self._open(deadline)
            last = self._last_pdu(channel, deadline, admit)
            dismiss()
            if last:
                channel.part(last, peer_closes=last[0] != ABORT)
        except (PeerGone, OSError):
            return
        finally:
            self._socket.close()

    def finish_soon(self) -> None:
        """End after the message that is being received; at once if there is none."""
        self._is_stopping = True
        if self._dialogue is None or self._dialogue.is_between_messages:
            with suppress(OSError):
                # Wakes the thread that waits; what it has to say can still be sent.
                socket.socket.shutdown(self._socket, socket.SHUT_RD)

    def cut(self) -> None:
        """End at once, whatever is going on."""
        with suppress(OSError):
            socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def _open(self, deadline: float) -> Channel:
        if self._desk.tls is not None:
            secure = self._desk.tls.wrap_socket(
                self._socket, server_side=True, do_handshake_on_connect=False
            )
            self._socket = secure
            shake_hands(secure, deadline)
        settings = self._desk.settings
        return Channel(
            self._socket, pdu_seconds=settings.pdu_seconds, idle_seconds=settings.idle_seconds
        )

    def _last_pdu(self, channel: Channel, deadline: float, admit: Callable[[], bool]) -> bytes:
        """Serve; give the last PDU that the peer is to get, if it is to get one."""
        try:
            return self._serve(channel, deadline, admit)
        except PeerGone:
            return b""
        except Rejected as rejected:
            event(logger, "association-rejected")
            self._desk.counts.association("rejected")
            return reject(*rejected.code)
        except Violation as violation:
            event(logger, "association-aborted", error=type(violation).__name__)
            self._desk.counts.association("aborted")
            return abort(violation.reason)
        except Exception as error:  # noqa: BLE001 - whatever a peer sends, the node goes on
            event(logger, "association-failed", level=logging.ERROR, error=type(error).__name__)
            self._desk.counts.association("aborted")
            return abort()
        finally:
            if self._dialogue is not None:
                self._dialogue.break_off()
            if self._visit is not None:
                self._desk.keeping.ended(self._visit, released=self._is_released)

    def _serve(self, channel: Channel, deadline: float, admit: Callable[[], bool]) -> bytes:
        request = channel.request(deadline)
        agreement = self._desk.negotiator.negotiate(request)
        if not self._desk.has_room() or not admit():
            raise Rejected(*LOCAL_LIMIT_EXCEEDED)
        self._visit = Visit(calling_title(request))
        self._dialogue = dialogue = Dialogue(
            agreement,
            visit=self._visit,
            keeping=self._desk.keeping,
            pseudonyms=self._desk.pseudonyms,
            send=channel.send,
            counts=self._desk.counts,
        )
        self._desk.counts.association("accepted")
        channel.send(agreement.accept(request))
        while True:
            try:
                pdus = channel.receive()
            except PeerGone:
                return abort()
            for kind, body in pdus:
                if kind != P_DATA_TF:
                    return self._end(kind, dialogue)
                dialogue.take(body)
            dialogue.flush()
            if self._is_stopping and dialogue.is_between_messages:
                return abort()

    def _end(self, kind: int, dialogue: Dialogue) -> bytes:
        """Answer an A-RELEASE-RQ; an A-ABORT needs none."""
        if kind == ABORT:
            return b""
        if not dialogue.is_between_messages:
            raise Violation(REASON_UNEXPECTED_PDU)
        self._is_released = True
        return RELEASE_RESPONSE
