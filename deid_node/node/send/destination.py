"""Hand a de-identified series to a destination: a storage SCP, a DICOMweb server or a folder."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Protocol

from deid_node.config import schema
from deid_node.errors import SettingsInvalid
from deid_node.node.send.folder import FolderDestination
from deid_node.node.send.storage_scu import StorageSCU, unobserved
from deid_node.node.send.stow import StowRS

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deid_node.config.schema import DestinationSettings, Settings
    from deid_node.node.outgoing import Outgoing

    Answered = Callable[[int, int], None]

TARGET: Final = re.compile(
    r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})/([\x20-\x5b\x5d-\x7e]{1,16})"
)
"""``host:port/AET``; an IPv6 address stands in brackets."""


class Destination(Protocol):
    """Takes whole series."""

    @property
    def name(self) -> str:
        """Name in the settings file."""

    def deliver(
        self,
        instances: Sequence[Outgoing],
        *,
        answered: Answered = unobserved,
        is_repeat: bool = False,
    ) -> None:
        """Hand over instances of a series; doing it twice does no harm.

        Parameters
        ----------
        instances
            Those that the destination has not answered for yet.
        answered
            Called with number and status of each instance that is over there, or refused for
            good, as soon as that is known.
        is_repeat
            Whether an attempt broke off: what was under way then may have arrived.

        Raises
        ------
        PeerUnreachable, OutputUnwritable
            If nothing can be delivered now.
        PeerBusy
            If this series cannot be delivered now.
        PeerRefusedInstance, NoCommonSyntax, InstanceThereAlready
            If the destination will never take some of them. It has all others.
        """

    def echo(self) -> None:
        """Ask whether the destination would take something now.

        Raises
        ------
        PeerUnreachable, OutputUnwritable
            If not.
        """

    def rest(self) -> None:
        """Give up what is kept open but was not used for a while."""

    def close(self) -> None:
        """Give up everything that is kept open; it opens again by itself."""


def make_destination(settings: DestinationSettings) -> Destination:
    """Make the destination that a section of the settings describes."""
    match settings:
        case schema.DicomDestination():
            return StorageSCU(settings)
        case schema.StowDestination():
            return StowRS(settings)
        case schema.FolderDestination():
            return FolderDestination(name=settings.name, folder=settings.folder)


def find_destination(target: str, settings: Settings) -> Destination:
    """Make the destination that is called so, or that ``host:port/AET`` describes.

    Raises
    ------
    SettingsInvalid
        If `target` is neither.
    """
    return make_destination(parse_target(target, settings.destinations))


def parse_target(text: str, destinations: Sequence[DestinationSettings]) -> DestinationSettings:
    """Find a destination by its name, or read ``host:port/AET``.

    Raises
    ------
    SettingsInvalid
        If the text is neither.

    Examples
    --------
    >>> parse_target("pacs.example.org:104/ARCHIVE", ()).port
    104
    """
    for destination in destinations:
        if destination.name == text:
            return destination
    found = TARGET.fullmatch(text)
    if found is None or not 0 < int(found[2]) < 2**16:
        known = ", ".join(destination.name for destination in destinations) or "none"
        raise SettingsInvalid(
            f"no destination is called so (known: {known}), and it is not host:port/AET"
        )
    return schema.DicomDestination(
        kind="dicom",
        name=re.sub(r"[^A-Za-z0-9._-]", "-", text).strip("-.")[:64],
        host=found[1].strip("[]"),
        port=int(found[2]),
        ae_title=found[3],
    )
