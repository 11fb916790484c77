"""The parts that bring results out of the node: what runs, over and over, for each destination."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deid_node.config.schema import DicomDestination
from deid_node.node.send.commitment_listener import CommitmentListener
from deid_node.node.send.commitments import Commitments
from deid_node.node.send.delivery import Delivery
from deid_node.node.send.destination import make_destination
from deid_node.node.send.storage_scu import StorageSCU

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from deid_node.config.schema import Commitment, DestinationSettings
    from deid_node.node.ledger import Ledger
    from deid_node.node.outbox import Outbox


class Sending:
    """Every destination, and the port where they report what they commit to.

    Parameters
    ----------
    destinations
        Their settings.
    commitment
        Where to listen for reports.
    ledger, outbox
        What is owed, and where it lies.

    Raises
    ------
    SettingsInvalid
        If a secret, a certificate or the port cannot be used.
    """

    def __init__(
        self,
        destinations: Sequence[DestinationSettings],
        commitment: Commitment,
        *,
        ledger: Ledger,
        outbox: Outbox,
    ) -> None:
        self._settings = tuple(destinations)
        self._destinations = [make_destination(each) for each in destinations]
        self._deliveries = [
            Delivery(
                destination,
                ledger=ledger,
                outbox=outbox,
                give_up_seconds=chosen.give_up_hours * 3600,
                awaits_commitment=_is_asked(chosen),
            )
            for chosen, destination in zip(self._settings, self._destinations, strict=True)
        ]
        self._commitments = [
            Commitments(
                chosen,
                destination,
                ledger=ledger,
                outbox=outbox,
                has_port=commitment.port is not None,
            )
            for chosen, destination in zip(self._settings, self._destinations, strict=True)
            if isinstance(chosen, DicomDestination)
            and isinstance(destination, StorageSCU)
            and _is_asked(chosen)
        ]
        self._listener = None
        if commitment.port is not None:
            callers = [
                each.ae_title for each in self._settings if isinstance(each, DicomDestination)
            ]
            self._listener = CommitmentListener(
                commitment, callers=callers, commitments=self._commitments
            )

    def steps(self) -> Iterator[tuple[str, Callable[[], float]]]:
        """List what is to be called again and again, each in a thread of its own.

        Yields
        ------
        str, callable
            Name of the thread, and what gives the seconds until it is worth calling again.
        """
        for chosen, delivery in zip(self._settings, self._deliveries, strict=True):
            n_associations = chosen.associations if isinstance(chosen, DicomDestination) else 1
            for number in range(n_associations):
                yield f"to-{chosen.name}-{number}", delivery.step
        for commitments in self._commitments:
            yield f"commitments-{commitments.name}", commitments.step

    def close(self) -> None:
        """Release every association, and close the port."""
        if self._listener is not None:
            self._listener.stop()
        for destination in self._destinations:
            destination.close()


def _is_asked(settings: DestinationSettings) -> bool:
    return isinstance(settings, DicomDestination) and settings.commitment != "none"
