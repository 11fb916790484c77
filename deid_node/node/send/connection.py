"""PDUs over one TCP or TLS connection to a destination, in as few writes as can be.

Nothing here waits without a limit: not for a connection, not for room in the peer's window,
not for the rest of half an answer.
"""

from __future__ import annotations

import fcntl
import select
import socket
import ssl
import struct
import termios
import time
from typing import TYPE_CHECKING, Final, NoReturn

from deid_node.errors import PeerUnreachable
from deid_node.node.send import pdu
from deid_node.node.socket_options import hurry_acknowledgement, hurry_send

if TYPE_CHECKING:
    from collections.abc import Sequence

    from deid_node.config.destinations import DicomDestination

_PDU_HEAD: Final = struct.Struct(">BxI")
_INT: Final = struct.Struct("i")
_RECEIVE_BYTES: Final = 65_536
_LOOK_SECONDS: Final = 1.0
"""How often it is looked whether a slow peer has taken more."""


class Connection:
    """A connection to a storage SCP.

    Every failure closes it and raises `PeerUnreachable`.

    Parameters
    ----------
    settings
        Of the destination.
    tls
        What checks the peer's certificate; None for a bare connection.
    """

    def __init__(self, settings: DicomDestination, tls: ssl.SSLContext | None) -> None:
        self._settings = settings
        self._buffer = bytearray()
        try:
            self._socket = socket.create_connection(
                (settings.host, settings.port), timeout=settings.connect_seconds
            )
        except (OSError, UnicodeError):
            raise self._unreachable("no association with it") from None
        hurry_send(self._socket)
        if tls is not None:
            self._socket = self._secured(tls)

    def _secured(self, tls: ssl.SSLContext) -> ssl.SSLSocket:
        name = self._settings.tls.host_name if self._settings.tls else None
        try:
            return tls.wrap_socket(self._socket, server_hostname=name or self._settings.host)
        except ssl.SSLCertVerificationError:
            why = "its certificate is not trusted, or not of that name"
        except (OSError, ValueError):
            why = "no TLS with it"
        self._socket.close()
        raise self._unreachable(why) from None

    def send(self, parts: Sequence[bytes | memoryview]) -> None:
        """Write all of `parts`; in one system call where the peer has room."""
        try:
            self._socket.settimeout(self._settings.stall_seconds)
            if isinstance(self._socket, ssl.SSLSocket):
                self._socket.sendall(b"".join(parts))
                return
            unsent = list(parts)
            while unsent:
                unsent = _without_first(unsent, self._socket.sendmsg(unsent))
        except TimeoutError:
            self.fail("it takes no more bytes")
        except OSError:
            self.fail("the association broke off")

    def wait_until_taken(self) -> None:
        """Return when the peer has all that was written, or says something.

        What this system holds for it may be minutes of a slow line: no time for its answer
        runs out meanwhile.
        """
        hurry_acknowledgement(self._socket)
        untaken, since = self._untaken(), time.monotonic()
        while untaken and self.is_quiet(min(_LOOK_SECONDS, self._settings.stall_seconds)):
            rest, now = self._untaken(), time.monotonic()
            if rest < untaken:
                untaken, since = rest, now
            elif now - since >= self._settings.stall_seconds:
                self.fail("it takes no more bytes")

    def _untaken(self) -> int:
        """Count the bytes that the peer has not acknowledged (SIOCOUTQ of tcp(7))."""
        try:
            raw = fcntl.ioctl(self._socket, termios.TIOCOUTQ, bytes(_INT.size))
        except OSError:
            return 0  # it is gone, which the next read tells
        return int(_INT.unpack(raw)[0])

    def receive(self, deadline: float, *, at_most: int) -> tuple[int, bytes]:
        """Read one PDU.

        Parameters
        ----------
        deadline
            Moment of the monotonic clock at which all of it must be there.
        at_most
            Longest PDU that is taken, in bytes.

        Returns
        -------
        int, bytes
            Its kind, and what follows the six bytes of its head.
        """
        self._fill(_PDU_HEAD.size, deadline)
        kind, length = _PDU_HEAD.unpack_from(self._buffer)
        if length > at_most:
            self.fail("it sent a PDU that is too long")
        end = _PDU_HEAD.size + length
        self._fill(end, deadline)
        body = bytes(self._buffer[_PDU_HEAD.size : end])
        del self._buffer[:end]
        return kind, body

    def is_quiet(self, seconds: float = 0) -> bool:
        """Tell whether the peer has sent nothing meanwhile: no abort, no release, no end.

        Parameters
        ----------
        seconds
            Wait for so long that it does.
        """
        poll = select.poll()
        poll.register(self._socket, select.POLLIN)
        return not self._buffer and not poll.poll(seconds * 1000)

    def fail(self, why: str) -> NoReturn:
        """Abort, hang up, and say why.

        Raises
        ------
        PeerUnreachable
            Always.
        """
        self.close(pdu.ABORT)
        raise self._unreachable(why) from None

    def close(self, last_words: bytes = b"") -> None:
        """Hang up; say one last thing if the peer can take it without a wait."""
        try:
            if last_words:
                self._socket.settimeout(0)
                self._socket.send(last_words)
        except (OSError, ValueError):
            pass
        finally:
            self._socket.close()

    def _fill(self, n_bytes: int, deadline: float) -> None:
        """Read on until the buffer holds so much."""
        while len(self._buffer) < n_bytes:
            left = deadline - time.monotonic()
            if left <= 0:
                self.fail("it does not answer")
            try:
                self._socket.settimeout(left)
                hurry_acknowledgement(self._socket)
                piece = self._socket.recv(_RECEIVE_BYTES)
                hurry_acknowledgement(self._socket)
            except TimeoutError:
                self.fail("it does not answer")
            except OSError:
                self.fail("the association broke off")
            if not piece:
                self.fail("the association broke off")
            self._buffer += piece

    def _unreachable(self, why: str) -> PeerUnreachable:
        return PeerUnreachable(destination=self._settings.name, why=why)


def _without_first(parts: list[bytes | memoryview], n_bytes: int) -> list[bytes | memoryview]:
    """Drop what was written; of a part that was half written, the first half."""
    for index, part in enumerate(parts):
        if n_bytes < len(part):
            return [memoryview(part)[n_bytes:], *parts[index + 1 :]]
        n_bytes -= len(part)
    return []
