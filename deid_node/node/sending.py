"""The steps that bring results out of the node: what runs, over and over, for each destination."""

from __future__ import annotations

from typing import TYPE_CHECKING

from deid_node.config.schema import DicomDestination
from deid_node.node.delivery import Delivery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from deid_node.config.schema import DestinationSettings
    from deid_node.node.destination import Destination
    from deid_node.node.ledger import Ledger
    from deid_node.node.outbox import Outbox


def sending_steps(
    settings: Sequence[DestinationSettings],
    destinations: Sequence[Destination],
    *,
    ledger: Ledger,
    outbox: Outbox,
) -> Iterator[tuple[str, Callable[[], float]]]:
    """Make the steps of every destination; each wants a thread of its own.

    Parameters
    ----------
    settings, destinations
        In the same order.
    ledger, outbox
        What is owed, and where it lies.

    Yields
    ------
    str, callable
        Name of the thread, and what gives the seconds until it is worth calling again.
    """
    for chosen, destination in zip(settings, destinations, strict=True):
        n_associations = chosen.associations if isinstance(chosen, DicomDestination) else 1
        delivery = Delivery(
            destination,
            ledger=ledger,
            outbox=outbox,
            give_up_seconds=chosen.give_up_hours * 3600,
        )
        for number in range(n_associations):
            yield f"to-{chosen.name}-{number}", delivery.step
