"""An instance cannot be worked on."""

from __future__ import annotations

from deid_node.errors.base import DeidNodeError, Disposition, Release


class InstanceRefused(DeidNodeError):
    """An instance cannot be worked on at all."""

    release = Release.AGAIN
    disposition = Disposition.REFUSE
    exit_code = 65
    next_step = "look at the file with a DICOM tool; it was not passed on"


class NotDicom(InstanceRefused):
    """A file is not a DICOM Part 10 file."""

    release = Release.AGAIN
    dimse_status = 0xC000
    next_step = "remove the file from the folder, or convert it to DICOM first"


class UndecodableInstance(InstanceRefused):
    """A DICOM file breaks off or cannot be parsed."""

    release = Release.AGAIN
    dimse_status = 0xC000
    next_step = "fetch the instance again from its source"


class UnsupportedSOPClass(InstanceRefused):
    """The SOP Class is not one whose face this node can remove."""

    release = Release.AGAIN
    disposition = Disposition.HOLD
    dimse_status = 0x0122
    next_step = "send MR Image Storage only; the instance was not passed on"

    def __init__(self, *, sop_class: str) -> None:
        """Name the class.

        Parameters
        ----------
        sop_class
            Name of a standard SOP Class, or ``"unknown"``; never a raw value.
        """
        super().__init__(f"SOP Class {sop_class} is not supported: only MR Image Storage is")


class SOPClassNotAccepted(InstanceRefused):
    """The profile does not accept the SOP Class, or the standard's tables do not know it."""

    release = Release.AGAIN
    disposition = Disposition.HOLD
    dimse_status = 0x0122
    next_step = "choose a profile that accepts the SOP Class; the instance was not passed on"

    def __init__(self, *, sop_class: str, profile: str) -> None:
        """Name both.

        Parameters
        ----------
        sop_class
            Name of a standard SOP Class, or ``"unknown"``; never a raw value.
        profile
            Name of the profile.
        """
        super().__init__(f"SOP Class {sop_class} is not accepted by profile {profile}")
