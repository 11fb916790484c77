"""A connection that gives whole PDUs: bounded in length, limited in time, one send for each.

Time limits are the socket's own (SO_RCVTIMEO): an idle connection costs one sleeping thread
and no polling, and a receive is one system call.
"""

from __future__ import annotations

import mmap
import socket
import struct
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from deid_node.node.receive.pdu import (
    ABORT,
    ASSOCIATE_RQ,
    HEAD_LENGTH,
    LONGEST,
    P_DATA_TF,
    REASON_UNEXPECTED_PDU,
    REASON_UNRECOGNIZED_PDU,
    RELEASE_RQ,
    PeerGone,
    Violation,
    read_head,
)

if TYPE_CHECKING:
    import ssl

PIECE: Final = 16384
"""A request for an association is read in pieces: no memory is set aside for a mere claim."""
PARTING_SECONDS: Final = 3.0
PARTING_BYTES: Final = 65536
_LEAST_SECONDS: Final = 0.001
"""Time limits are kept to this."""
_QUICKACK: Final = getattr(socket, "TCP_QUICKACK", None)
_timeval = struct.Struct("@ll").pack


class Channel:
    """Reads and writes on one connection; used by one thread.

    Parameters
    ----------
    connection
        Connected and blocking; over TLS after the handshake.
    pdu_seconds
        Time from the first byte of a PDU to its last, and for a PDU to be sent.
    idle_seconds
        Time that nothing may come.
    """

    def __init__(
        self, connection: socket.socket, *, pdu_seconds: float, idle_seconds: float
    ) -> None:
        self._socket = connection
        self._pdu_seconds = pdu_seconds
        self._idle_seconds = idle_seconds
        self._start = self._end = 0
        self._view: memoryview | None = None
        self._patience = -1.0
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _limit(connection, socket.SO_SNDTIMEO, pdu_seconds)

    def request(self, deadline: float) -> bytes:
        """Read the A-ASSOCIATE-RQ that a peer begins with, as a whole PDU.

        Parameters
        ----------
        deadline
            On the monotonic clock, in seconds.

        Raises
        ------
        Violation
            If it is another PDU, or too long; its body is not read.
        PeerGone
            If the peer leaves or the time is up.
        """
        begun = self._exactly(HEAD_LENGTH, deadline)
        kind, length = read_head(begun)
        if kind != ASSOCIATE_RQ:
            known = ASSOCIATE_RQ < kind <= ABORT
            raise Violation(REASON_UNEXPECTED_PDU if known else REASON_UNRECOGNIZED_PDU)
        if length > LONGEST:
            raise Violation
        return begun + self._exactly(length, deadline)

    def receive(self) -> list[tuple[int, memoryview]]:
        """Wait for PDUs; give all that are here, by type and body.

        The bodies are valid until the next call: they lie in the buffer of this channel.

        Raises
        ------
        Violation
            If a PDU is too long or of no known type; its body is not waited for.
        PeerGone
            If the peer leaves or the time is up.
        """
        if self._view is None:
            # Pages that are never written to take no memory: an idle association has none.
            self._view = memoryview(mmap.mmap(-1, HEAD_LENGTH + LONGEST))
        view, left = self._view, self._end - self._start
        view[:left] = view[self._start : self._end]
        self._start, self._end = 0, left
        deadline = time.monotonic() + (self._pdu_seconds if left else self._idle_seconds)
        while True:
            self._end += self._receive_into(view[self._end :], deadline)
            if pdus := self._whole(view):
                return pdus
            if not left:
                left, deadline = self._end, time.monotonic() + self._pdu_seconds

    def send(self, pdus: bytes) -> None:
        """Send whole PDUs in one piece.

        Raises
        ------
        PeerGone
            If the peer left or does not read.
        """
        try:
            self._socket.sendall(pdus)
        except OSError:
            raise PeerGone from None

    def part(self, last: bytes, *, peer_closes: bool) -> None:
        """Send a last PDU, and give the peer a moment to read it and to close.

        Closing at once, with bytes of the peer unread, would destroy what was just sent.

        Parameters
        ----------
        peer_closes
            Whether closing is the peer's part, as after a release: some peers break where
            this side is the first (PS3.8 section 9.2, state 13).
        """
        with suppress(OSError):
            self._socket.sendall(last)
            if not peer_closes:
                # Not SSLSocket's own: it would forget the session, and wait for the peer's end.
                socket.socket.shutdown(self._socket, socket.SHUT_WR)
            deadline, read = time.monotonic() + PARTING_SECONDS, 0
            piece = bytearray(PIECE)
            while read < PARTING_BYTES and (left := deadline - time.monotonic()) > 0:
                _limit(self._socket, socket.SO_RCVTIMEO, left)
                got = socket.socket.recv_into(self._socket, piece)
                if not got:
                    return
                read += got

    def _whole(self, view: memoryview) -> list[tuple[int, memoryview]]:
        pdus = []
        while self._end - self._start >= HEAD_LENGTH:
            kind, length = read_head(view, self._start)
            if length > LONGEST:
                raise Violation
            if kind not in {P_DATA_TF, RELEASE_RQ, ABORT}:
                known = ASSOCIATE_RQ <= kind <= ABORT
                raise Violation(REASON_UNEXPECTED_PDU if known else REASON_UNRECOGNIZED_PDU)
            body = self._start + HEAD_LENGTH
            if body + length > self._end:
                break
            self._start = body + length
            pdus.append((kind, view[body : body + length]))
        return pdus

    def _exactly(self, n: int, deadline: float) -> bytes:
        got = bytearray()
        piece = bytearray(min(n, PIECE))
        while len(got) < n:
            room = memoryview(piece)[: n - len(got)]
            got += piece[: self._receive_into(room, deadline)]
        return bytes(got)

    def _receive_into(self, room: memoryview, deadline: float) -> int:
        left = deadline - time.monotonic()
        if left <= 0:
            raise PeerGone
        if abs(left - self._patience) > _LEAST_SECONDS:
            _limit(self._socket, socket.SO_RCVTIMEO, left)
            self._patience = left
        try:
            got = self._socket.recv_into(room)
            if got and _QUICKACK is not None:
                # Peers that write a message in two parts wait for our acknowledgement of the
                # first: 40 ms for each instance. Linux forgets the option, so it comes each time.
                self._socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
        except OSError:
            raise PeerGone from None
        if not got:
            raise PeerGone
        return got


def shake_hands(connection: ssl.SSLSocket, deadline: float) -> None:
    """Begin TLS; the whole handshake ends before the deadline.

    Raises
    ------
    PeerGone
        If the peer leaves, takes too long, or cannot show what is asked for.
    """
    try:
        connection.settimeout(max(deadline - time.monotonic(), _LEAST_SECONDS))
        connection.do_handshake()
        connection.settimeout(None)
    except (OSError, ValueError):
        raise PeerGone from None


def _limit(connection: socket.socket, option: int, seconds: float) -> None:
    whole, part = divmod(max(seconds, _LEAST_SECONDS), 1)
    connection.setsockopt(socket.SOL_SOCKET, option, _timeval(int(whole), int(part * 1e6)))
