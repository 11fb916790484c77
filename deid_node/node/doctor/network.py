"""Ports of the node, and destinations."""

from __future__ import annotations

import errno
import socket
from typing import TYPE_CHECKING

from deid_node.node.doctor.finding import Answer, Bad, Doubtful, Good
from deid_node.node.receive.tls import tls_context
from deid_node.node.send.destination import make_destination
from deid_node.node.spool_lock import is_in_use

if TYPE_CHECKING:
    from deid_node.config.schema import DestinationSettings, Settings


def port(settings: Settings, bind: str, number: int) -> Answer:
    """Find out whether a port is free, or has a running node on it."""
    family = socket.AF_INET6 if ":" in bind else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((bind, number))
        except OSError as error:
            return _why(error, settings, f"{bind}:{number}")
    if is_in_use(settings.spool.folder):
        return Bad(f"a node runs, but not on {bind}:{number}", "restart it: its settings changed")
    return Good(f"{bind}:{number} is free; no node runs")


def callers(settings: Settings) -> Answer:
    """Find out whether anybody may send, and how it is protected."""
    node = settings.node
    if node.tls is not None:
        tls_context(node.tls)
    if not node.callers:
        return Doubtful("nobody may send", "name calling AE titles in [node] callers")
    protected = "over TLS" if node.tls else "in the clear"
    return Good(f"{len(node.callers)} calling AE titles may send, {protected}")


def destination(settings: DestinationSettings) -> Answer:
    """Ask a destination whether it is there."""
    chosen = make_destination(settings)
    try:
        chosen.echo()
    finally:
        chosen.close()
    return Good(f"{settings.kind}, answers")


def _why(error: OSError, settings: Settings, address: str) -> Answer:
    if error.errno == errno.EADDRINUSE and is_in_use(settings.spool.folder):
        return Good(f"{address} is in use, and a node runs on this spool")
    if error.errno == errno.EADDRINUSE:
        return Bad(f"{address} is in use by another program", "stop it, or choose another port")
    if error.errno == errno.EACCES:
        return Bad(
            f"{address} may not be listened on by this account",
            "choose a port from 1024 on, or give CAP_NET_BIND_SERVICE",
        )
    return Bad(f"{address} is no address of this machine", "correct bind in the settings")
