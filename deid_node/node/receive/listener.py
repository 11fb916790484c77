"""The port: who is connected, how many may be, and how it is closed.

The thread that accepts does nothing else: TLS, negotiation and all waiting for a peer happen
in the thread of that peer.
"""

from __future__ import annotations

import errno
import logging
import resource
import selectors
import socket
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from deid_node.errors import SettingsInvalid
from deid_node.log import event
from deid_node.node.receive.association import Association

if TYPE_CHECKING:
    from deid_node.node.receive.association import Desk

logger = logging.getLogger(__name__)

MOST_SILENT: Final = 256
"""Connections without an association; the one that was silent longest makes room for the next."""
BACKLOG: Final = 512
FINISH_SECONDS: Final = 1.5
"""What the messages that are being received are given when the node stops."""
CUT_SECONDS: Final = 0.5
PAUSE_SECONDS: Final = 0.1
_SCARCE: Final = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
_FILES_OF_THE_NODE: Final = 256


class Listener:
    """Listens from its making until `stop`.

    Parameters
    ----------
    desk
        What associations share.

    Raises
    ------
    SettingsInvalid
        If the address is not ours or its port is taken.
    """

    def __init__(self, desk: Desk) -> None:
        node = desk.settings
        self._desk = desk
        self._most = node.max_associations
        self._lock = threading.Lock()
        self._silent: dict[Association, None] = {}
        self._associated: set[Association] = set()
        self._threads: set[threading.Thread] = set()
        _let_open(2 * (self._most + MOST_SILENT) + _FILES_OF_THE_NODE)
        family = socket.AF_INET6 if ":" in node.bind else socket.AF_INET
        try:
            self._socket = socket.create_server(
                (node.bind, node.port), family=family, backlog=BACKLOG
            )
        except OSError:
            raise SettingsInvalid(f"cannot listen on {node.bind}:{node.port}") from None
        # A peer may be gone again before it is accepted; that must not stop the thread.
        self._socket.setblocking(False)  # noqa: FBT003 - the standard library's own
        self.port = int(self._socket.getsockname()[1])
        self._wake, self._woken = socket.socketpair()
        self._thread = threading.Thread(target=self._accept, name="accept", daemon=True)
        self._thread.start()

    @property
    def is_listening(self) -> bool:
        """Whether connections are accepted."""
        return self._thread.is_alive()

    @property
    def n_associations(self) -> int:
        """How many associations are open."""
        return len(self._associated)

    def stop(self) -> None:
        """Close the port; let each peer end its message, and then cut what is left."""
        self._wake.close()
        self._thread.join()
        with self._lock:
            everyone = [*self._silent, *self._associated]
            threads = list(self._threads)
        for association in everyone:
            association.finish_soon()
        _join(threads, FINISH_SECONDS)
        for association in everyone:
            association.cut()
        _join(threads, CUT_SECONDS)

    def _accept(self) -> None:
        with self._socket, self._woken, selectors.DefaultSelector() as selector:
            selector.register(self._socket, selectors.EVENT_READ)
            selector.register(self._woken, selectors.EVENT_READ)
            while self._woken not in {key.fileobj for key, _ in selector.select()}:
                try:
                    connection, _ = self._socket.accept()
                    connection.setblocking(True)  # noqa: FBT003 - the standard library's own
                    self._meet(Association(connection, self._desk))
                except (OSError, RuntimeError) as error:
                    # Neither descriptors nor threads are left: whoever says nothing must go.
                    if getattr(error, "errno", None) in _SCARCE or isinstance(error, RuntimeError):
                        event(logger, "connections-exhausted", level=logging.WARNING)
                        self._send_oldest_away()
                        time.sleep(PAUSE_SECONDS)

    def _meet(self, association: Association) -> None:
        with self._lock:
            is_full = len(self._silent) >= MOST_SILENT
        if is_full:
            self._send_oldest_away()
        thread = threading.Thread(target=self._serve, args=(association,), daemon=True)
        with self._lock:
            self._silent[association] = None
            self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:
            with self._lock:
                self._silent.pop(association, None)
                self._threads.discard(thread)
            association.cut()
            raise

    def _serve(self, association: Association) -> None:
        try:
            association.run(
                admit=lambda: self._admit(association), dismiss=lambda: self._dismiss(association)
            )
        finally:
            with self._lock:
                self._silent.pop(association, None)
                self._associated.discard(association)
                self._threads.discard(threading.current_thread())

    def _admit(self, association: Association) -> bool:
        with self._lock:
            if len(self._associated) >= self._most:
                return False
            self._silent.pop(association, None)
            self._associated.add(association)
            return True

    def _dismiss(self, association: Association) -> None:
        with self._lock:
            self._associated.discard(association)
            self._silent[association] = None

    def _send_oldest_away(self) -> None:
        with self._lock:
            oldest = next(iter(self._silent), None)
            if oldest is not None:
                del self._silent[oldest]
        if oldest is not None:
            oldest.cut()


def _join(threads: list[threading.Thread], seconds: float) -> None:
    """Wait for all of them, together this long."""
    end = time.monotonic() + seconds
    for thread in threads:
        thread.join(max(end - time.monotonic(), 0))


def _let_open(files: int) -> None:
    """Allow this process so many open files, as far as the system lets it."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = files if most == resource.RLIM_INFINITY else min(files, most)
    if now != resource.RLIM_INFINITY and now < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
