"""A storage SCP of bare sockets that does whatever a script says, against the standard or not.

It reads and writes bytes by itself, with no code of the node: what it saw is evidence.
"""

from __future__ import annotations

import socket
import struct
import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

RELEASE_RQ = b"\x05\0\0\0\0\x04\0\0\0\0"
RELEASE_RP = b"\x06\0\0\0\0\x04\0\0\0\0"
ABORT = b"\x07\0\0\0\0\x04\0\0\x02\0"


class Wire:
    """One connection from a sender."""

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.kinds: list[int] = []
        """Kind of every PDU that came."""
        self.longest = 0
        """Length of the longest P-DATA-TF PDU."""
        self.datasets: list[bytes] = []
        self.sop_instance_uids: list[str] = []
        self.proposed: list[tuple[str, str]] = []
        self.bytes_at_once = 2**20
        """Most that one read takes."""
        self.rest_seconds = 0.0
        """Pause before each read: how slow it is."""

    def send(self, raw: bytes) -> None:
        self.connection.sendall(raw)

    def pdu(self) -> tuple[int, bytes]:
        """Read one PDU; kind 0 is the end of the connection."""
        head = self._exactly(6)
        if len(head) < 6:
            return 0, b""
        kind, length = head[0], struct.unpack(">I", head[2:])[0]
        self.kinds.append(kind)
        if kind == 4:
            self.longest = max(self.longest, length)
        return kind, self._exactly(length)

    def accept(
        self,
        *,
        max_pdu: int = 16384,
        result: Callable[[str, str], int] = lambda _class, _syntax: 0,
        reply: Callable[[bytes], bytes] = bytes,
    ) -> None:
        """Read an A-ASSOCIATE-RQ and answer it.

        Parameters
        ----------
        max_pdu
            What is announced; 0 is any.
        result
            Result of each presentation context by SOP Class and Transfer Syntax.
        reply
            Spoils the whole answer.

        Raises
        ------
        ConnectionAbortedError
            If there is none: whoever connected is no sender.
        """
        kind, body = self.pdu()
        if kind != 1:
            raise ConnectionAbortedError
        items = b""
        for item, value in _items(body[68:]):
            if item != 0x20:
                continue
            names = [text.decode() for _, text in _items(value[4:])]
            self.proposed.append((names[0], names[1]))
            chosen = _item(0x40, names[1].encode())
            items += _item(0x21, bytes([value[0], 0, result(names[0], names[1]), 0]) + chosen)
        user = _item(0x50, _item(0x51, struct.pack(">I", max_pdu)) + _item(0x52, b"1.2.3.4"))
        answer = body[:68] + _item(0x10, b"1.2.840.10008.3.1.1.1") + items + user
        self.send(reply(b"\x02\0" + struct.pack(">I", len(answer)) + answer))

    def request(self) -> tuple[int, int] | None:
        """Read a request with its dataset: context and Message ID; None if none came."""
        command = dataset = b""
        context_id = 0
        is_whole = False
        while not is_whole:
            kind, body = self.pdu()
            if kind != 4:
                return None
            at = 0
            while at < len(body):
                length, context_id, control = struct.unpack_from(">IBB", body, at)
                piece = body[at + 6 : at + 4 + length]
                at += 4 + length
                if control & 1:
                    command += piece
                else:
                    dataset += piece
                has_dataset = b"\0\0\x00\x08\x02\0\0\0\x01\x01" not in command
                is_whole = bool(control & 2) and (not control & 1 or not has_dataset)
        elements = dict(_elements(command))
        self.datasets.append(dataset)
        self.sop_instance_uids.append(elements.get(0x1000, b"").rstrip(b"\0").decode())
        return context_id, struct.unpack("<H", elements[0x110])[0]

    def answer(self, to: tuple[int, int] | None, status: int, **spoilt: int) -> None:
        """Answer a C-STORE request; `spoilt` overrules context, message or field."""
        if to is not None:
            self.send(store_response(*to, status, **spoilt))

    def serve(self, *statuses: int) -> None:
        """Answer request after request; the last status again and again."""
        queue = list(statuses or (0,))
        while (request := self.request()) is not None:
            self.answer(request, queue.pop(0) if len(queue) > 1 else queue[0])
        if self.kinds[-1:] == [5]:
            self.send(RELEASE_RP)

    def _exactly(self, n_bytes: int) -> bytes:
        got = b""
        while len(got) < n_bytes:
            try:
                time.sleep(self.rest_seconds)
                piece = self.connection.recv(min(n_bytes - len(got), self.bytes_at_once))
            except OSError:
                return got
            if not piece:
                return got
            got += piece
        return got


def store_response(
    context: int, message: int, status: int, *, field: int = 0x8001, element: int = 0x120
) -> bytes:
    """Write a C-STORE-RSP as one PDU."""
    body = b""
    for number, value in ((0x100, field), (element, message), (0x800, 0x101), (0x900, status)):
        body += struct.pack("<HHIH", 0, number, 2, value)
    command = struct.pack("<HHII", 0, 0, 4, len(body)) + body
    return p_data(context, command)


def p_data(context: int, fragment: bytes, *, control: int = 3) -> bytes:
    """Wrap a fragment into one PDU."""
    pdv = struct.pack(">IBB", len(fragment) + 2, context, control) + fragment
    return b"\x04\0" + struct.pack(">I", len(pdv)) + pdv


class HostilePeer:
    """Runs `script` on every connection, in a thread of its own.

    Parameters
    ----------
    script
        Called with each connection and how many came before; the connection ends with it.
    receive_buffer
        What the kernel takes before `script` reads it, in bytes; its own choice by default.
    """

    def __init__(
        self, script: Callable[[Wire, int], object], *, receive_buffer: int | None = None
    ) -> None:
        self._script = script
        self._receive_buffer = receive_buffer
        self.wires: list[Wire] = []
        self.port = 0

    @property
    def sop_instance_uids(self) -> list[str]:
        """Of every request that came whole, in order."""
        return [each for wire in self.wires for each in wire.sop_instance_uids]

    @property
    def datasets(self) -> list[bytes]:
        """Of every request that came whole, in order."""
        return [each for wire in self.wires for each in wire.datasets]

    @contextmanager
    def running(self, port: int = 0) -> Iterator[HostilePeer]:
        """Listen for a while, on any free port by default."""
        with socket.create_server(("127.0.0.1", port)) as server:
            if self._receive_buffer is not None:
                # Before there is a connection: a window that was promised is not taken back.
                server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._receive_buffer)
            self.port = server.getsockname()[1]
            acceptor = threading.Thread(target=self._accept, args=(server,), daemon=True)
            acceptor.start()
            yield self
            server.shutdown(socket.SHUT_RDWR)
        for wire in self.wires:
            wire.connection.close()

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            wire = Wire(connection)
            self.wires.append(wire)
            number = len(self.wires) - 1
            threading.Thread(target=self._run, args=(wire, number), daemon=True).start()

    def _run(self, wire: Wire, number: int) -> None:
        try:
            self._script(wire, number)
        except OSError:
            return
        finally:
            wire.connection.close()


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(value)) + value


def _items(raw: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(raw):
        kind, length = struct.unpack_from(">BxH", raw, at)
        yield kind, raw[at + 4 : at + 4 + length]
        at += 4 + length


def _elements(command: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(command):
        number, length = struct.unpack_from("<HI", command, at + 2)
        yield number, command[at + 8 : at + 8 + length]
        at += 8 + length
