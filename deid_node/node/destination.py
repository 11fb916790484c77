"""Hand a de-identified series to a destination: a storage SCP or a folder."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Final, Protocol

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from deid_node.config import schema
from deid_node.errors import NotDicom, OutputUnwritable, SettingsInvalid, SpoolFull
from deid_node.node.durable import full_disk_named, make_private_folder, write_file
from deid_node.node.storage_scu import StorageSCU, unobserved

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from deid_node.config.schema import DestinationSettings, Settings
    from deid_node.dicom.part10 import EncodedInstance

    Progress = Callable[[int], None]

TARGET: Final = re.compile(
    r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+):(\d{1,5})/([\x20-\x5b\x5d-\x7e]{1,16})"
)
"""``host:port/AET``; an IPv6 address stands in brackets."""
UID_SYNTAX: Final = re.compile(r"[0-9.]{1,64}")
"""PS3.5 section 9.1, as far as it matters for a file's name."""


class Destination(Protocol):
    """Takes whole series."""

    @property
    def name(self) -> str:
        """Name in the settings file."""

    def deliver(
        self, instances: Sequence[EncodedInstance], *, progress: Progress = unobserved
    ) -> None:
        """Hand over all instances of a series; doing it twice does no harm.

        Parameters
        ----------
        instances
            The instances, then the SEG.
        progress
            Called after each instance with the number that are over there by now.

        Raises
        ------
        PeerUnreachable, OutputUnwritable
            If it may work later. Some instances may be over there.
        PeerRefusedInstance
            If the destination will never take one of them.
        """

    def echo(self) -> None:
        """Ask whether the destination would take something now.

        Raises
        ------
        PeerUnreachable, OutputUnwritable
            If not.
        """


class FolderDestination:
    """Writes ``<folder>/<study>/<series>/<instance>.dcm``, named by the new UIDs.

    A file appears under its name when all of it is on disk, never before.
    """

    def __init__(self, *, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder

    def deliver(
        self, instances: Sequence[EncodedInstance], *, progress: Progress = unobserved
    ) -> None:
        """Write every instance; see `Destination.deliver`."""
        for count, instance in enumerate(instances, start=1):
            try:
                self._write(instance)
            except (OSError, SpoolFull):
                raise OutputUnwritable(f"destination {self.name}: cannot write there") from None
            progress(count)

    def echo(self) -> None:
        """Write and delete a file; see `Destination.echo`."""
        probe = self._folder / ".deid-node-echo"
        try:
            make_private_folder(self._folder)
            write_file(probe, [b""])
            probe.unlink()
        except OSError:
            raise OutputUnwritable(f"destination {self.name}: cannot write there") from None

    def _write(self, instance: EncodedInstance) -> None:
        study, series = _study_and_series(instance)
        folder = self._folder / study / series
        with full_disk_named(self._folder.parent):
            make_private_folder(folder)
            write_file(folder / f"{_name(instance.sop_instance_uid)}.dcm", [instance.part10])


def make_destination(settings: DestinationSettings) -> Destination:
    """Make the destination that a section of the settings describes."""
    match settings:
        case schema.DicomDestination():
            return StorageSCU(settings)
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


def _study_and_series(instance: EncodedInstance) -> tuple[str, str]:
    try:
        dataset = dcmread(
            io.BytesIO(instance.part10),
            stop_before_pixels=True,
            specific_tags=["StudyInstanceUID", "SeriesInstanceUID"],
        )
    except InvalidDicomError:
        raise NotDicom("an instance of the result is not a Part 10 file") from None
    return _name(dataset.StudyInstanceUID), _name(dataset.SeriesInstanceUID)


def _name(uid: str) -> str:
    """Let nothing but a UID become a part of a path."""
    if not UID_SYNTAX.fullmatch(uid) or set(uid) == {"."}:
        raise NotDicom("an instance of the result has no valid UID")
    return uid
