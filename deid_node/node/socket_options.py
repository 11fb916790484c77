"""Socket options that keep two peers from waiting for each other."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pynetdicom.events import Event

_QUICKACK: Final[int | None] = getattr(socket, "TCP_QUICKACK", None)


def send_at_once(event: Event) -> None:
    """Let no part of a message wait for the peer's acknowledgement (Nagle's algorithm)."""
    transport = event.assoc.dul.socket
    if transport is not None and transport.socket is not None:
        hurry_send(transport.socket)


def acknowledge_at_once(event: Event) -> None:
    """Acknowledge the first part of what comes next without delay."""
    transport = event.assoc.dul.socket
    if transport is not None and transport.socket is not None:
        hurry_acknowledgement(transport.socket)


def hurry_send(connection: socket.socket) -> None:
    """Switch Nagle's algorithm off."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def hurry_acknowledgement(connection: socket.socket) -> None:
    """Acknowledge what comes next without delay.

    dcmtk and Orthanc write a message in two parts with Nagle's algorithm on: the second
    waits for our acknowledgement of the first, 40 ms for each instance. Linux forgets the
    option as soon as something is sent, so it is set around every receive.
    """
    if _QUICKACK is not None:
        connection.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
