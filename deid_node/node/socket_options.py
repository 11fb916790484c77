"""Socket options that keep two peers from waiting for each other."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pynetdicom.events import Event


def send_at_once(event: Event) -> None:
    """Let no part of a message wait for the peer's acknowledgement (Nagle's algorithm)."""
    transport = event.assoc.dul.socket
    if transport is not None and transport.socket is not None:
        transport.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def acknowledge_at_once(event: Event) -> None:
    """Acknowledge the first part of what comes next without delay.

    dcmtk and Orthanc write a message in two parts with Nagle's algorithm on: the second
    waits for our acknowledgement of the first, 40 ms for each instance. Linux forgets the
    option as soon as something is sent, so it is set after that, every time.
    """
    transport = event.assoc.dul.socket
    quick = getattr(socket, "TCP_QUICKACK", None)
    if quick is not None and transport is not None and transport.socket is not None:
        transport.socket.setsockopt(socket.IPPROTO_TCP, quick, 1)
