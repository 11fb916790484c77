"""A DICOM peer made of bytes: it can say anything, whole or half, right or wrong.

Written from PS3.7 and PS3.8 alone; nothing of the code under test is used.
"""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    import ssl

VERIFICATION: Final = "1.2.840.10008.1.1"
MR: Final = "1.2.840.10008.5.1.4.1.1.4"
IMPLICIT: Final = "1.2.840.10008.1.2"
EXPLICIT: Final = "1.2.840.10008.1.2.1"
RELEASE: Final = b"\5\0\0\0\0\4\0\0\0\0"
ABORT: Final = b"\7\0\0\0\0\4\0\0\0\0"
CONTEXTS: Final = {1: (VERIFICATION, IMPLICIT), 3: (MR, EXPLICIT)}


class RawPeer:
    """A connection that says what it is told to.

    Parameters
    ----------
    port
        On this machine.
    tls
        Client side of TLS, if it is to be spoken.
    seconds
        Patience for every answer.
    """

    def __init__(
        self, port: int, *, tls: ssl.SSLContext | None = None, seconds: float = 20
    ) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=seconds)
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.socket.close()

    def say(self, *encoded: bytes) -> None:
        """Send bytes as they are."""
        self.socket.sendall(b"".join(encoded))

    def associate(self, contexts: dict[int, tuple[str, str]] | None = None) -> bytes:
        """Ask for an association; give the body of the answer."""
        self.say(associate_rq(contexts or CONTEXTS))
        kind, body = self.hear()
        assert kind == 2, f"no association, but PDU {kind}: {body!r}"
        return body

    def hear(self) -> tuple[int, bytes]:
        """Wait for one PDU: type and body; (0, b"") if the connection was closed instead."""
        head = self._exactly(6)
        if not head:
            return 0, b""
        kind, length = struct.unpack(">BxI", head)
        return kind, self._exactly(length)

    def status(self) -> int:
        """Wait for a response; give its status."""
        return int(elements(self.response())[0x0900])

    def response(self) -> bytes:
        """Wait for a response in one P-DATA; give its command set."""
        kind, body = self.hear()
        assert kind == 4, f"no response, but PDU {kind}: {body!r}"
        length, _, control = struct.unpack_from(">IBB", body)
        assert (length, control) == (len(body) - 4, 3)
        return body[6:]

    def is_closed(self) -> bool:
        """Wait until the other side has closed."""
        try:
            return self.socket.recv(1) == b""
        except ConnectionResetError:
            return True

    def _exactly(self, n: int) -> bytes:
        got = b""
        while len(got) < n:
            try:
                piece = self.socket.recv(n - len(got))
            except ConnectionResetError:
                piece = b""
            if not piece:
                return b""
            got += piece
        return got


def pdu(kind: int, body: bytes, *, claims: int | None = None) -> bytes:
    """Write a PDU; its length may be a lie."""
    return struct.pack(">BxI", kind, len(body) if claims is None else claims) + body


def pdv(context: int, control: int, fragment: bytes) -> bytes:
    """Write a presentation data value; control 1 is a command, 2 the last fragment."""
    return struct.pack(">IBB", len(fragment) + 2, context, control) + fragment


def associate_rq(
    contexts: dict[int, tuple[str, str]] | None = None,
    *,
    calling: str = "PACS",
    called: str = "DEIDNODE",
    version: int = 1,
    application: str = "1.2.840.10008.3.1.1.1",
) -> bytes:
    """Write an A-ASSOCIATE-RQ."""
    contexts = CONTEXTS if contexts is None else contexts
    fixed = struct.pack(
        ">HH16s16s32x", version, 0, called.encode().ljust(16), calling.encode().ljust(16)
    )
    body = fixed + _item(0x10, application.encode())
    for number, (sop_class, syntax) in contexts.items():
        names = _item(0x30, sop_class.encode()) + _item(0x40, syntax.encode())
        body += _item(0x20, bytes((number, 0, 0, 0)) + names)
    user = _item(0x51, struct.pack(">I", 16384)) + _item(0x52, b"1.2.826.0.1.3680043.8.498.1")
    return pdu(1, body + _item(0x50, user))


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BxH", kind, len(value)) + value


def command(field: int, **changes: bytes | None) -> bytes:
    """Write a command set; an element is changed or (None) left out by ``e1000=…``."""
    values: dict[int, bytes | None] = {
        0x0002: _ui(VERIFICATION if field == 0x0030 else MR),
        0x0100: struct.pack("<H", field),
        0x0110: struct.pack("<H", 7),
        0x0700: struct.pack("<H", 0) if field == 1 else None,
        0x0800: struct.pack("<H", 0x0000 if field == 1 else 0x0101),
        0x1000: _ui("1.2.3") if field == 1 else None,
    }
    values |= {int(name[1:], 16): value for name, value in changes.items()}
    body = b"".join(
        struct.pack("<HHI", 0, number, len(value)) + value
        for number, value in sorted(values.items())
        if value is not None and number
    )
    length = values.get(0x0000) or struct.pack("<I", len(body))
    return struct.pack("<HHI", 0, 0, len(length)) + length + body


def store(uid: str, **changes: bytes | None) -> bytes:
    """Write a C-STORE-RQ for an MR image."""
    return command(1, **({"e1000": _ui(uid)} | changes))


def echo(**changes: bytes | None) -> bytes:
    """Write a C-ECHO-RQ."""
    return command(0x0030, **changes)


def dataset(uid: str, *, series: str = "1.2.4", pixels: int = 1000) -> bytes:
    """Write an MR instance in Explicit VR Little Endian, as short as can be."""
    return (
        _explicit(0x0008, 0x0016, _ui(MR))
        + _explicit(0x0008, 0x0018, _ui(uid))
        + _explicit(0x0020, 0x000E, _ui(series))
        + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, pixels)
        + (bytes(range(251)) * (pixels // 251 + 1))[:pixels]
    )


def elements(encoded: bytes) -> dict[int, int | bytes]:
    """Read a command set: numbers as such where they are two bytes long."""
    found: dict[int, int | bytes] = {}
    at = 0
    while at < len(encoded):
        _, number, length = struct.unpack_from("<HHI", encoded, at)
        value = encoded[at + 8 : at + 8 + length]
        found[number] = struct.unpack("<H", value)[0] if length == 2 else value
        at += 8 + length
    return found


def command_pdu(encoded: bytes, *, context: int = 3) -> bytes:
    return pdu(4, pdv(context, 3, encoded))


def data_pdu(fragment: bytes, *, last: bool = True, context: int = 3) -> bytes:
    return pdu(4, pdv(context, 2 if last else 0, fragment))


def echoes(port: int, *, tls: ssl.SSLContext | None = None) -> bool:
    """Tell whether the node serves a peer that behaves."""
    with RawPeer(port, tls=tls) as peer:
        peer.associate()
        peer.say(command_pdu(echo(), context=1))
        status = peer.status()
        peer.say(RELEASE)
        return status == 0 and peer.hear()[0] == 6


def _explicit(group: int, number: int, value: bytes) -> bytes:
    return struct.pack("<HH2sH", group, number, b"UI", len(value)) + value


def _ui(uid: str) -> bytes:
    return uid.encode() + b"\0" * (len(uid) % 2)
