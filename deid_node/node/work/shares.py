"""Share devices and cores among the processes that work on series."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deid_node.config.schema import Settings


def n_processes(settings: Settings) -> int:
    """Tell how many processes work on series."""
    return settings.work.processes or len(settings.face.device)


def share_of(settings: Settings, number: int, *, n_cores: int) -> Settings:
    """Give the settings by which one of the processes works.

    Parameters
    ----------
    settings
        Of the node.
    number
        Of the process, from 0. They take the devices in turn.
    n_cores
        Where no number of threads is set, several processes share so many.

    Returns
    -------
    Settings
        With one device.
    """
    face, n = settings.face, n_processes(settings)
    cores = max(1, n_cores // n) if n > 1 else 0
    device = face.device[number % len(face.device)]
    own = face.model_copy(update={"device": (device,), "threads": face.threads or cores})
    return settings.model_copy(update={"face": own})
