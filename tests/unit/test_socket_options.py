"""Nothing waits in the kernel: neither what is sent nor the acknowledgement of what comes."""

from __future__ import annotations

import re
import socket
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from deid_node.node.outgoing import from_encoded
from deid_node.node.send import connection
from deid_node.node.send.storage_scu import StorageSCU
from deid_node.node.socket_options import hurry_acknowledgement, hurry_send
from tests.fakes.hostile import HostilePeer, Wire
from tests.fakes.sender import archive_at, some_instances

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def sock() -> Iterator[socket.socket]:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as sock,
    ):
        yield sock


def test_options_reach_the_kernel(sock: socket.socket) -> None:
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK, 0)

    hurry_send(sock)
    hurry_acknowledgement(sock)

    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
    assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_QUICKACK) == 1


def test_acknowledgement_is_hurried_around_every_receive(monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[str] = []
    send, fill = connection.Connection.send, connection.Connection._fill

    def sent(self: connection.Connection, parts: list[bytes | memoryview]) -> None:
        send(self, parts)
        events.append("sent")

    def filled(self: connection.Connection, n_bytes: int, deadline: float) -> None:
        fill(self, n_bytes, deadline)
        events.append("received")

    monkeypatch.setattr(connection.Connection, "send", sent)
    monkeypatch.setattr(connection.Connection, "_fill", filled)
    monkeypatch.setattr(connection, "hurry_acknowledgement", lambda _sock: events.append("hurry"))

    def script(wire: Wire, _number: int) -> None:
        wire.accept()
        wire.serve()

    with HostilePeer(script).running() as peer, closing(StorageSCU(archive_at(peer.port))) as scu:
        scu.deliver(from_encoded(some_instances(3)))
        story = " ".join(events)

    assert re.fullmatch(r"(sent( hurry){2,} received received ?){4}", story), story
