"""From one file to a draft of its scrubbed instance, or to the reason why there is none.

Runs in the command's own process or in one of several; nothing is published here.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from deid_node.errors import (
    DeidNodeError,
    Disposition,
    MissingAttribute,
    NotDicom,
    OutputUnwritable,
    SettingsInvalid,
    UndecodableInstance,
)
from deid_node.node.output_folder import write_draft
from deid_node.node.records.audit_entry import held_entry, written_entry
from deid_node.pipeline.header_only import HeaderScrubber

if TYPE_CHECKING:
    from pathlib import Path

    from deid_node.headers.profile import Profile
    from deid_node.headers.pseudonyms import Pseudonyms
    from deid_node.node.records.audit_entry import Entry
    from deid_node.pipeline.linkage import Kind, Linkage

PREFIX_END: Final = 132
"""Preamble and ``DICM``, PS3.10 section 7.1: enough to tell a photo from an instance."""

META_END: Final = 512
"""The second element of the file meta information lies well before this."""
DIRECTORY: Final = b"\x02\x00\x02\x00UI\x14\x00" + b"1.2.840.10008.1.3.10"
"""Media Storage SOP Class UID (0002,0002) of a DICOMDIR, PS3.10 section 8.6."""
NOT_DICOM: Final = "not DICOM"
"""State of a file that is no instance: no failure, but nothing of it is written."""

_LEVELS: Final[tuple[tuple[Kind, str], ...]] = (
    ("study", "StudyInstanceUID"),
    ("series", "SeriesInstanceUID"),
    ("instance", "SOPInstanceUID"),
)
_UID: Final = re.compile(r"(?=.{1,64}$)[0-9]+(\.[0-9]+)*")
_PATIENT: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What a process needs to scrub files.

    Parameters
    ----------
    profile, pseudonyms
        What is done, and the key.
    drafts
        Folder for drafts.
    durable
        Whether a draft must reach the disk.
    audited
        Whether to account for what was done.
    """

    profile: Profile
    pseudonyms: Pseudonyms
    drafts: Path
    durable: bool
    audited: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """A scrubbed instance that has no name yet.

    Parameters
    ----------
    path
        The source, as the operator typed it.
    draft
        The file.
    place
        Its name to be, below the output folder: new identifiers only.
    linkage
        Old and new identifiers.
    entry
        Line of the audit log, if one is kept.
    """

    path: Path
    draft: Path
    place: PurePath
    linkage: Linkage
    entry: Entry | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NotWritten:
    """A file of which nothing is written.

    Parameters
    ----------
    path
        The source, as the operator typed it.
    state
        ``held``, ``refused``, or `NOT_DICOM`.
    error
        Class of the error.
    reason, next_step
        For a person.
    entry
        Line of the audit log, if one is kept.
    """

    path: Path
    state: str
    error: str
    reason: str
    next_step: str
    entry: Entry | None = None


class FileScrubber:
    """Scrubs one file after another."""

    def __init__(self, task: Task) -> None:
        self._task = task
        self._scrubber = HeaderScrubber(task.profile, task.pseudonyms)

    def run(self, number: int, path: Path) -> Draft | NotWritten:
        """Scrub one file.

        Parameters
        ----------
        number
            Names the draft; no other file of the run has it.
        path
            The file.

        Raises
        ------
        OutputUnwritable
            If the draft cannot be written.
        SettingsInvalid
            If no file at all can be scrubbed.
        """
        content = b""
        try:
            content = read_part10(path)
            scrubbed = self._scrubber.run(content)
            place = place_of(scrubbed.linkage)
            entry = written_entry(scrubbed, self._task.pseudonyms) if self._task.audited else None
        except SettingsInvalid:
            raise
        except Exception as error:  # noqa: BLE001 - one file's fault must not stop the others
            found = not_written(path, error)
            if not self._task.audited or found.state == NOT_DICOM:
                return found
            return replace(
                found, entry=held_entry(found.state, found.error, content, self._task.pseudonyms)
            )
        draft = self._task.drafts / str(number)
        try:
            write_draft(draft, scrubbed.encoded.part10, durable=self._task.durable)
        except OSError:
            raise OutputUnwritable(f"{self._task.drafts.parent} cannot be written") from None
        return Draft(path=path, draft=draft, place=place, linkage=scrubbed.linkage, entry=entry)


def read_part10(path: Path) -> bytes:
    """Read a file, but not the whole of one that is no DICOM.

    Raises
    ------
    NotDicom
        If it lacks the prefix, or is the index of a disk.
    UndecodableInstance
        If it cannot be read.
    """
    try:
        with path.open("rb", buffering=0) as file:
            start = file.read(PREFIX_END)
            if not start.endswith(b"DICM") or len(start) < PREFIX_END:
                raise NotDicom("not a DICOM file: the DICM prefix is missing")
            content = start + file.readall()
    except OSError:
        raise UndecodableInstance("the file cannot be read") from None
    if DIRECTORY in content[:META_END]:
        raise NotDicom("a DICOMDIR: an index of files, and no instance")
    return content


def place_of(linkage: Linkage) -> PurePath:
    """Name an instance: patient, study, series, instance; new identifiers only.

    A Patient ID that stayed, or that is no name for a folder, makes no folder.

    Raises
    ------
    MissingAttribute
        If a UID is missing or is none.
    """
    parts = []
    patient = linkage.of("patient")
    if patient.new != patient.old and _PATIENT.fullmatch(patient.new):
        parts.append(patient.new)
    for kind, keyword in _LEVELS:
        uid = linkage.of(kind).new
        if not _UID.fullmatch(uid):
            raise MissingAttribute(keyword=keyword, n_instances=1)
        parts.append(uid)
    return PurePath(*parts[:-1], f"{parts[-1]}.dcm")


def not_written(path: Path, error: Exception) -> NotWritten:
    """Tell why a file is not written; of a foreign error its class alone."""
    if isinstance(error, DeidNodeError):
        known, reason = error, str(error)
    else:
        known = DeidNodeError()
        reason = f"internal error, error_id e-{uuid.uuid4().hex[:8]}"
    state = "refused" if known.disposition is Disposition.REFUSE else "held"
    return NotWritten(
        path=path,
        state=NOT_DICOM if isinstance(error, NotDicom) else state,
        error=type(error).__name__,
        reason=reason,
        next_step=known.next_step,
    )
