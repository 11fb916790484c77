"""The associations that are open with one destination, kept between one series and the next."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from deid_node.errors import PeerBusy
from deid_node.node.send.association import Association

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Sequence

    from deid_node.config.destinations import DicomDestination
    from deid_node.node.send.negotiation import Pair

_FRESH_SECONDS: Final = 1.0
"""A peer's own idle limit is longer than this."""


class Loan:
    """The association of one series, replaced when it is used up or the peer ends it."""

    def __init__(self, pool: AssociationPool, pairs: Sequence[Pair]) -> None:
        self._pool = pool
        self._pairs = pairs
        self._association: Association | None = None

    def association(self) -> Association:
        """Give the association for the next request.

        Raises
        ------
        PeerUnreachable
            If one must be opened and cannot be.
        """
        if self._association is not None and not self._pool.is_of_use(self._association):
            self._association.release()
            self._association = None
        if self._association is None:
            self._association = self._pool.open(self._pairs)
        return self._association

    def abort(self) -> None:
        """End the association at once, if there is one."""
        if self._association is not None:
            self._association.abort()
            self._association = None

    def end(self) -> Association | None:
        """Give back what can be used again."""
        association, self._association = self._association, None
        return association


class AssociationPool:
    """Lends associations, one borrower at a time each.

    Parameters
    ----------
    settings
        Of the destination.
    tls
        What checks the peer's certificate; None for bare connections.
    now
        A clock that never goes back, in seconds.
    """

    def __init__(
        self,
        settings: DicomDestination,
        tls: ssl.SSLContext | None,
        *,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._settings = settings
        self._tls = tls
        self._now = now
        self._lock = threading.Lock()
        self._idle: list[Association] = []

    @contextmanager
    def lend(self, pairs: Sequence[Pair]) -> Iterator[Loan]:
        """Lend an association on which all of `pairs` are proposed, for one series.

        It is kept when the context is left; aborted, if that is by a fault.
        """
        loan = Loan(self, pairs)
        try:
            yield loan
        except PeerBusy:
            self._keep(loan)
            raise
        except BaseException:
            loan.abort()
            raise
        self._keep(loan)

    def rest(self) -> None:
        """Release what was not used for the idle time of the settings."""
        self._release_unused_since(self._now() - self._settings.idle_seconds)

    def close(self) -> None:
        """Release everything."""
        self._release_unused_since(float("inf"))

    def open(self, pairs: Sequence[Pair]) -> Association:
        """Find an association that is open still and covers `pairs`, or open one.

        Raises
        ------
        PeerUnreachable
            If a new one is needed and cannot be opened.
        """
        while True:
            with self._lock:
                association = self._idle.pop() if self._idle else None
            if association is None:
                return Association(self._settings, pairs, self._tls)
            if self.is_of_use(association) and association.proposed.issuperset(pairs):
                return association
            association.release()

    def is_of_use(self, association: Association) -> bool:
        """Tell whether one more request may go over it."""
        limit = self._settings.instances_per_association
        return (not limit or association.n_requests < limit) and association.is_quiet()

    def is_stale(self, association: Association) -> bool:
        """Tell whether the peer may close it for want of use at this very moment."""
        return self._now() - association.last_used > _FRESH_SECONDS

    def _keep(self, loan: Loan) -> None:
        association = loan.end()
        if association is not None:
            association.last_used = self._now()
            with self._lock:
                self._idle.append(association)

    def _release_unused_since(self, moment: float) -> None:
        with self._lock:
            unused = [each for each in self._idle if each.last_used <= moment]
            self._idle = [each for each in self._idle if each.last_used > moment]
        for association in unused:
            association.release()
