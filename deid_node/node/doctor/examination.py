"""All checks, in the order in which they are shown."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from deid_node.node.doctor import machine, network, spool, work
from deid_node.node.doctor.finding import Bad, Finding, Good, found

if TYPE_CHECKING:
    from collections.abc import Iterator

    from deid_node.config.schema import Settings
    from deid_node.node.doctor.finding import Answer


def examine(settings: Settings, *, network_too: bool) -> Iterator[Finding]:
    """Make every check, one after the other.

    Parameters
    ----------
    settings
        Of the node.
    network_too
        Whether destinations are asked.

    Yields
    ------
    Finding
        As soon as it is known.
    """
    node, monitor = settings.node, settings.monitor
    yield found("settings", partial(_settings, settings))
    yield found("versions", machine.versions)
    yield found("account", partial(machine.account, settings))
    yield found("pseudonym key", partial(spool.pseudonym_key, settings))
    yield found("spool folder", partial(spool.folder, settings))
    yield found("encryption at rest", partial(spool.encryption, settings))
    yield found("ledger", partial(spool.ledger, settings))
    yield found("file system", partial(spool.file_system, settings))
    yield found("free space", partial(spool.room, settings))
    yield found("sync", partial(spool.syncing, settings))
    yield found("clock", partial(machine.clock, settings))
    yield found("core dumps", machine.core_dumps)
    yield found("swap", machine.swap)
    yield found("profile", partial(work.profile, settings))
    yield found("weights", partial(work.weights, settings))
    yield found("model", partial(work.model, settings))
    yield found("callers", partial(network.callers, settings))
    yield found("port", partial(network.port, settings, node.bind, node.port))
    if monitor.port is not None:
        yield found("monitor port", partial(network.port, settings, monitor.bind, monitor.port))
    for each in settings.destinations if network_too else ():
        yield found(f"to {each.name}", partial(network.destination, each))


def _settings(settings: Settings) -> Answer:
    if not settings.destinations:
        return Bad("no destination is named", "name at least one in [[destinations]]")
    return Good(f"valid, {len(settings.destinations)} destinations")
