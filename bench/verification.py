"""An association for Verification, opened and released as cheaply as can be."""

from __future__ import annotations

import socket
import struct
import sys


def associate(port: int) -> socket.socket:
    """Open an association for Verification, as cheaply as can be."""
    connection = socket.create_connection(("127.0.0.1", port))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    connection.sendall(request())
    head = connection.recv(6, socket.MSG_WAITALL)
    if head[:1] != b"\2":
        sys.exit(f"no association: {head!r}")
    connection.recv(struct.unpack(">I", head[2:])[0], socket.MSG_WAITALL)
    return connection


def release(connection: socket.socket) -> None:
    """Release an association and wait for the answer."""
    connection.sendall(b"\5\0\0\0\0\4\0\0\0\0")
    connection.recv(10, socket.MSG_WAITALL)
    connection.close()


def request() -> bytes:
    """Write an A-ASSOCIATE-RQ for Verification, PS3.8 section 9.3.2."""

    def element(kind: int, value: bytes) -> bytes:
        return struct.pack(">BxH", kind, len(value)) + value

    context = element(0x30, b"1.2.840.10008.1.1") + element(0x40, b"1.2.840.10008.1.2")
    user = element(0x51, struct.pack(">I", 16384)) + element(0x52, b"1.2.826.0.1.3680043.8.498.1")
    items = (
        element(0x10, b"1.2.840.10008.3.1.1.1")
        + element(0x20, b"\1\0\0\0" + context)
        + element(0x50, user)
    )
    fixed = struct.pack(">HH16s16s32x", 1, 0, b"DEIDNODE".ljust(16), b"PACS".ljust(16))
    return struct.pack(">BxI", 1, len(fixed + items)) + fixed + items
