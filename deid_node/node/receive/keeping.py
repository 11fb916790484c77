"""Make received instances durable and known, several at a time where several are there.

Each association syncs its own file; then one of those that wait does the rest for all of
them: the renames, one sync of each folder, one transaction. With one sender nobody waits.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from deid_node.errors import SpoolBusy, SpoolFull
from deid_node.node.states import State

if TYPE_CHECKING:
    from deid_node.headers.pseudonyms import InstanceKey, SeriesKey
    from deid_node.node.assembly import Assembly, Origin, Visit
    from deid_node.node.ledger import Ledger
    from deid_node.node.spool import Draft, Spool
    from deid_node.node.states import Arrival


@dataclass(slots=True)
class _Entry:
    draft: Draft
    origin: Origin | None
    is_done: bool = False
    error: BaseException | None = None


class Keeping:
    """Spool, ledger and assembly as one; shared by all associations."""

    def __init__(self, *, spool: Spool, ledger: Ledger, assembly: Assembly) -> None:
        self._spool = spool
        self._ledger = ledger
        self._assembly = assembly
        self._waiting: list[_Entry] = []
        self._adding = threading.Lock()
        self._committing = threading.Lock()

    def draft(self, series: SeriesKey, instance: InstanceKey) -> Draft:
        """Begin the file of an instance.

        Raises
        ------
        SpoolFull
            If there is no room.
        SpoolUnwritable
            If the disk is read-only, or fails.
        OSError
            If the file system fails otherwise.
        """
        return self._spool.draft(series, instance)

    def ended(self, visit: Visit, *, released: bool) -> None:
        """Note that an association is over."""
        self._assembly.ended(visit, released=released)

    def keep(self, draft: Draft, origin: Origin | None = None) -> None:
        """Return when the instance would survive a power failure, and the ledger knows it.

        Parameters
        ----------
        draft
            Its file, whole.
        origin
            Where it comes from, as far as that is known.

        Raises
        ------
        SpoolFull, SpoolBusy
            If there is no room, or the ledger is locked; nothing stays.
        Exception
            If disk or database fail. The file may stay, and is taken up at the next start.
        """
        draft.sync()
        entry = _Entry(draft, origin)
        with self._adding:
            self._waiting.append(entry)
        with self._committing:
            if not entry.is_done:
                with self._adding:
                    together, self._waiting = self._waiting, []
                self._commit(together)
        if entry.error is not None:
            raise entry.error

    def _commit(self, together: list[_Entry]) -> None:
        try:
            self._settle(together)
        except BaseException as error:  # noqa: BLE001 - everyone who waits must be told
            for entry in together:
                entry.error = error
        finally:
            for entry in together:
                entry.is_done = True

    def _settle(self, entries: list[_Entry]) -> None:
        settled = self._spool.settle([entry.draft for entry in entries])
        try:
            arrivals = self._ledger.arrived_together(
                [
                    (kept, entry.origin.visit.caller if entry.origin else None)
                    for entry, (kept, _) in zip(entries, settled, strict=True)
                ]
            )
        except (SpoolFull, SpoolBusy):
            # Rolled back for certain, and files that nobody knows of would fill the disk further.
            self._spool.discard(kept for kept, is_new in settled if is_new)
            raise
        for entry, (kept, is_new), arrival in zip(entries, settled, arrivals, strict=True):
            if arrival.state is State.RECEIVING or self._is_wanted_again(arrival, is_new=is_new):
                self._assembly.arrived(kept.series, entry.origin)
            elif arrival.state is State.PURGED:
                self._spool.discard([kept])

    def _is_wanted_again(self, arrival: Arrival, *, is_new: bool) -> bool:
        """Tell whether a known instance, deleted before, may be needed for a later generation.

        When a purged series is sent again, its files wait until it falls silent: what comes
        late may be the last of them.
        """
        if not arrival.is_known or not is_new:
            return False
        if arrival.state is State.HELD:
            return self._ledger.came_back(arrival.generation)
        return arrival.state is State.PURGED and self._ledger.replaces_late
