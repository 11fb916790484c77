"""The storage service: a port that takes C-STORE and C-ECHO.

An instance is written as it came, undecoded but for its UIDs, and Success is sent only
when spool and ledger have it. What the instance holds is looked at later, by the worker:
a SOP Class that cannot be defaced is taken and held, so that a sender that forwards whole
studies is never stuck and nothing is lost.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from deid_node.node.receive.association import Desk
from deid_node.node.receive.counts import ReceiveCounts
from deid_node.node.receive.keeping import Keeping
from deid_node.node.receive.listener import Listener
from deid_node.node.receive.negotiation import Negotiator
from deid_node.node.receive.tls import tls_context

if TYPE_CHECKING:
    from deid_node.config.schema import Node
    from deid_node.headers.pseudonyms import Pseudonyms
    from deid_node.node.assembly import Assembly
    from deid_node.node.ledger import Ledger
    from deid_node.node.spool import Spool


class StorageSCP:
    """The storage service; each association is one thread, and costs nothing while it waits."""

    def __init__(
        self,
        settings: Node,
        *,
        spool: Spool,
        ledger: Ledger,
        assembly: Assembly,
        pseudonyms: Pseudonyms,
        counts: ReceiveCounts | None = None,
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._keeping = Keeping(spool=spool, ledger=ledger, assembly=assembly)
        self._pseudonyms = pseudonyms
        self._counts = counts or ReceiveCounts()
        self._listener: Listener | None = None

    def start(self) -> None:
        """Listen, and return at once.

        Raises
        ------
        SettingsInvalid
            If the address is not ours or its port is taken, or TLS cannot be spoken.
        """
        node = self._settings
        self._listener = Listener(
            Desk(
                settings=node,
                negotiator=Negotiator(ae_title=node.ae_title, callers=node.callers),
                keeping=self._keeping,
                pseudonyms=self._pseudonyms,
                tls=None if node.tls is None else tls_context(node.tls),
                has_room=self._spool.has_room,
                counts=self._counts,
            )
        )

    @property
    def port(self) -> int:
        """Port that is listened on."""
        return self._settings.port if self._listener is None else self._listener.port

    @property
    def is_listening(self) -> bool:
        """Whether connections are accepted."""
        return self._listener is not None and self._listener.is_listening

    @property
    def n_associations(self) -> int:
        """How many associations are open."""
        return 0 if self._listener is None else self._listener.n_associations

    def stop(self) -> None:
        """Close the port and every association; what is being received may still end."""
        if self._listener is not None:
            self._listener.stop()
            self._listener = None
