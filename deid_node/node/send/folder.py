"""Write instances to a folder, so that what has its name is whole and survives a power failure."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from deid_node.errors import InstanceThereAlready, NotDicom, OutputUnwritable, SpoolError
from deid_node.node.durable import (
    DiskFailuresNamed,
    make_private_folder,
    write_file,
)
from deid_node.node.send.storage_scu import SUCCESS, unobserved
from deid_node.node.send.store_status import DUPLICATE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from deid_node.node.outgoing import Outgoing

UID_SYNTAX: Final = re.compile(r"[0-9.]{1,64}")
"""PS3.5 section 9.1, as far as it matters for a file's name."""
BLOCK_BYTES: Final = 2**20


class FolderDestination:
    """Writes ``<folder>/<study>/<series>/<instance>.dcm``, named by the new UIDs.

    A file appears under its name when all of it is on disk, never before; one that is there
    with other contents is replaced by a later generation of the same series, and by nothing else.
    """

    def __init__(self, *, name: str, folder: Path) -> None:
        self.name = name
        self._folder = folder

    def deliver(
        self,
        instances: Sequence[Outgoing],
        *,
        answered: Callable[[int, int], None] = unobserved,
        is_repeat: bool = False,  # noqa: ARG002 - equal contents are no clash, whoever wrote them
    ) -> None:
        """Write every instance; see `deid_node.node.send.destination.Destination.deliver`."""
        is_clash = False
        for instance in instances:
            try:
                status = self._write(instance)
            except (OSError, SpoolError):
                raise self._unwritable() from None
            is_clash |= status != SUCCESS
            answered(instance.number, status)
        if is_clash:
            raise InstanceThereAlready

    def echo(self) -> None:
        """Write and delete a file; see `deid_node.node.send.destination.Destination.echo`."""
        probe = self._folder / ".deid-node-echo"
        try:
            make_private_folder(self._folder)
            write_file(probe, [b""])
            probe.unlink()
        except OSError:
            raise self._unwritable() from None

    def rest(self) -> None:
        """Do nothing: no file stays open."""

    def close(self) -> None:
        """Do nothing: no file stays open."""

    def _write(self, instance: Outgoing) -> int:
        study, series = _study_and_series(instance)
        place = self._folder / study / series / f"{_name(instance.sop_instance_uid)}.dcm"
        if place.exists():
            if _holds(place, instance):
                return SUCCESS
            if not instance.replaces:
                return DUPLICATE
        with DiskFailuresNamed(self._folder.parent):
            make_private_folder(place.parent)
            write_file(place, instance.blocks(BLOCK_BYTES))
        return SUCCESS

    def _unwritable(self) -> OutputUnwritable:
        return OutputUnwritable(f"destination {self.name}: cannot write there")


def _holds(place: Path, instance: Outgoing) -> bool:
    """Tell whether a file has the bytes of an instance."""
    if place.stat().st_size != instance.length:
        return False
    with place.open("rb", buffering=0) as file:
        return all(file.read(len(block)) == block for block in instance.blocks(BLOCK_BYTES))


def _study_and_series(instance: Outgoing) -> tuple[str, str]:
    source = instance.source
    try:
        dataset = dcmread(
            source if isinstance(source, Path) else io.BytesIO(source),
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
