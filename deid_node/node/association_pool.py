"""The associations that are open with one destination, kept between one series and the next."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from deid_node.node.association import Association

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterator, Sequence

    from deid_node.config.destinations import DicomDestination
    from deid_node.node.negotiation import Pair

_FRESH_SECONDS: Final = 1.0
"""A peer's own idle limit is longer than this."""


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
    def lend(self, pairs: Sequence[Pair]) -> Iterator[Association]:
        """Lend an association on which all of `pairs` were proposed.

        It comes back when the context is left; aborted, if that is by an exception.

        Raises
        ------
        PeerUnreachable
            If a new one is needed and cannot be opened.
        """
        association = self._take(pairs) or Association(self._settings, pairs, self._tls)
        try:
            yield association
        except BaseException:
            association.abort()
            raise
        association.last_used = self._now()
        with self._lock:
            self._idle.append(association)

    def is_stale(self, association: Association) -> bool:
        """Tell whether the peer may have closed it for want of use, just as it was lent."""
        return self._now() - association.last_used > _FRESH_SECONDS

    def rest(self) -> None:
        """Release what was not used for the idle time of the settings."""
        self._release_unused_since(self._now() - self._settings.idle_seconds)

    def close(self) -> None:
        """Release everything."""
        self._release_unused_since(float("inf"))

    def _take(self, pairs: Sequence[Pair]) -> Association | None:
        """Find one that is open still, covers `pairs` and is under the limit."""
        while True:
            with self._lock:
                if not self._idle:
                    return None
                association = self._idle.pop()
            if self._is_of_use(association, pairs):
                return association
            association.release()

    def _is_of_use(self, association: Association, pairs: Sequence[Pair]) -> bool:
        limit = self._settings.instances_per_association
        return (
            association.proposed.issuperset(pairs)
            and (not limit or association.n_requests < limit)
            and association.is_quiet()
        )

    def _release_unused_since(self, moment: float) -> None:
        with self._lock:
            unused = [each for each in self._idle if each.last_used <= moment]
            self._idle = [each for each in self._idle if each.last_used > moment]
        for association in unused:
            association.release()
