"""Every error this package raises on purpose.

* DeidNodeError
  + SettingsInvalid          stop      exit 78
    - ProfileInvalid         stop      exit 78
    - ForeignProfileUnreadable  stop   exit 78
    - KeyUnusable            stop      exit 78
  + WeightsUnusable          stop      exit 69
  + InstanceRefused          refuse    exit 65
    - NotDicom               refuse    exit 65    C-STORE 0xC000
    - UndecodableInstance    refuse    exit 65    C-STORE 0xC000
    - UnsupportedSOPClass    hold      exit 65    C-STORE 0x0122
    - SOPClassNotAccepted    hold      exit 65    C-STORE 0x0122
  + SeriesHeld               hold      exit 65
    - TooFewSlices           hold      exit 65
    - UnevenSlices           hold      exit 65
    - DuplicatePosition      hold      exit 65
    - DuplicateInstance      hold      exit 65
    - LateInstances          hold      exit 65
    - MixedSeries            hold      exit 65
    - MissingAttribute       hold      exit 65
    - PixelsUnusable         hold      exit 65
    - BurnedInAnnotation     hold      exit 65
    - RegionNotCleaned       hold      exit 65
    - ImplausibleFaceMask    hold      exit 65
    - PixelsNotRestored      hold      exit 65
    - ResidualIdentifier     hold      exit 65
    - PatientNotInTable      hold      exit 65
    - InstanceThereAlready   hold      exit 65
  + DeliveryFailed           retry     exit 75
    - PeerUnreachable        retry     exit 75
    - PeerRefusedInstance    hold      exit 65
  + OutputUnwritable         stop      exit 74
  + AuditUnusable            retry     exit 74
  + CrosswalkUnusable        retry     exit 74
  + SpoolError               stop      exit 74
    - SpoolFull              retry     exit 75    C-STORE 0xA700

A message may hold counts, units, UIDs of standard classes, tags, keywords, names and
paths that the settings chose, and pseudonyms. It never holds the value of an element.
``tests/unit/test_errors.py`` keeps the tree above in step with the classes.
"""

from __future__ import annotations

import enum
from typing import ClassVar


class Disposition(enum.Enum):
    """What the node does with the work that met an error."""

    RETRY = "retry"
    HOLD = "hold"
    REFUSE = "refuse"
    STOP = "stop"


class DeidNodeError(Exception):
    """Base of every error raised on purpose.

    ``str(error)`` is one line that names the problem; `next_step` is one that tells a
    person what to do about it. Both are safe to log.
    """

    disposition: ClassVar[Disposition] = Disposition.STOP
    exit_code: ClassVar[int] = 70
    dimse_status: ClassVar[int] = 0x0110
    """Processing Failure, PS3.7 C.5.5."""
    next_step: ClassVar[str] = "report this with the log line's error_id"


class SettingsInvalid(DeidNodeError):
    """A settings file cannot be used."""

    exit_code = 78
    next_step = "correct the settings file; `deid-node config schema` lists every key"


class ProfileInvalid(SettingsInvalid):
    """A profile file cannot be used."""

    next_step = "correct the profile; `deid-node profile show NAME` prints a valid one"


class ForeignProfileUnreadable(SettingsInvalid):
    """A file to be imported as a profile is not of the format it is taken for."""

    next_step = "name a CTP anonymizer script or a deid recipe, with --format if need be"


class KeyUnusable(SettingsInvalid):
    """The pseudonym key is missing, too short or readable by others."""

    next_step = "create a key with `deid-node init`, and keep it readable by the node alone"


class WeightsUnusable(DeidNodeError):
    """The face model's files are missing, damaged or not what their card says."""

    exit_code = 69
    next_step = "reinstall the weights, or name another model folder in [face] model"


class InstanceRefused(DeidNodeError):
    """An instance cannot be worked on at all."""

    disposition = Disposition.REFUSE
    exit_code = 65
    next_step = "look at the file with a DICOM tool; it was not passed on"


class NotDicom(InstanceRefused):
    """A file is not a DICOM Part 10 file."""

    dimse_status = 0xC000
    next_step = "remove the file from the folder, or convert it to DICOM first"


class UndecodableInstance(InstanceRefused):
    """A DICOM file breaks off or cannot be parsed."""

    dimse_status = 0xC000
    next_step = "fetch the instance again from its source"


class UnsupportedSOPClass(InstanceRefused):
    """The SOP Class is not one whose face this node can remove."""

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


class SeriesHeld(DeidNodeError):
    """The series needs a person's decision before it may leave the node."""

    disposition = Disposition.HOLD
    exit_code = 65
    next_step = "look at the series on the trusted side; it was not passed on"


class TooFewSlices(SeriesHeld):
    """Too few instances for a volume in which a face can be found."""

    next_step = "send the whole series; localizers and single slices are held by design"

    def __init__(self, *, n_slices: int, needed: int) -> None:
        super().__init__(f"{n_slices} slices where a volume needs at least {needed}")


class UnevenSlices(SeriesHeld):
    """Slice positions are not evenly spaced, so the series is not one volume."""

    next_step = "send the missing instances, or split the series into its volumes"

    def __init__(self, *, expected_mm: float, worst_mm: float, n_slices: int) -> None:
        """Keep the measured gap so that a reviewer can judge it.

        Parameters
        ----------
        expected_mm
            Median distance between neighbouring slices, in millimetres.
        worst_mm
            The distance that differs most from `expected_mm`, in millimetres.
        n_slices
            Number of slices that were compared.
        """
        self.expected_mm = expected_mm
        self.worst_mm = worst_mm
        self.n_slices = n_slices
        super().__init__(
            f"{n_slices} slices: one gap is {worst_mm:.3f} mm "
            f"where {expected_mm:.3f} mm was expected"
        )


class DuplicatePosition(SeriesHeld):
    """Two instances lie at one position, so the series holds more than one volume."""

    next_step = "split the series by echo, phase or time point, and send each by itself"

    def __init__(self, *, n_positions: int, n_slices: int) -> None:
        super().__init__(f"{n_slices} instances share {n_positions} slice positions")


class DuplicateInstance(SeriesHeld):
    """Two instances bear one SOP Instance UID but differ."""

    next_step = "find out at the source which of the two is right"

    def __init__(self, *, n_instances: int) -> None:
        super().__init__(f"{n_instances} instances bear a SOP Instance UID that another one has")


class LateInstances(SeriesHeld):
    """Instances came after the rest of their series had been de-identified and sent."""

    next_step = "send the whole series again under a new Series Instance UID"

    def __init__(self) -> None:
        super().__init__("instances arrived after the rest of the series had left the node")


class MixedSeries(SeriesHeld):
    """An attribute that must be the same in the whole series is not."""

    next_step = "split the series at its source so that each part has one value"

    def __init__(self, *, keyword: str, n_values: int) -> None:
        """Name the attribute.

        Parameters
        ----------
        keyword
            Keyword of the attribute.
        n_values
            How many different values the series holds.
        """
        self.keyword = keyword
        super().__init__(f"{n_values} different values of {keyword} in one series")


class MissingAttribute(SeriesHeld):
    """An attribute without which the series cannot be understood is absent or empty."""

    next_step = "repair the instances at their source"

    def __init__(self, *, keyword: str, n_instances: int) -> None:
        self.keyword = keyword
        super().__init__(f"{keyword} is missing or unusable in {n_instances} instances")


class PixelsUnusable(SeriesHeld):
    """Pixel data cannot be decoded, or is not of the kind that can be worked on."""

    next_step = "fetch the series again, or have its source write it uncompressed"

    def __init__(self, *, why: str, n_instances: int) -> None:
        """Say what is wrong.

        Parameters
        ----------
        why
            A fixed phrase, without any value of the dataset.
        n_instances
            How many instances of the series are concerned.
        """
        super().__init__(f"{n_instances} instances: {why}")


class BurnedInAnnotation(SeriesHeld):
    """The source says that text is drawn into the pixels."""

    next_step = "look at the pixels; `scrub` makes regions black that a profile declares"

    def __init__(self, *, n_instances: int) -> None:
        super().__init__(f"Burned In Annotation is YES in {n_instances} instances")


class RegionNotCleaned(SeriesHeld):
    """The profile says that text is drawn into the pixels, and defacing leaves it there."""

    next_step = "use `deid-node scrub` for these, or a profile without the region"

    def __init__(self, *, n_instances: int) -> None:
        super().__init__(
            f"{n_instances} instances match a pixel region of the profile; "
            "defacing does not clean it"
        )


class ImplausibleFaceMask(SeriesHeld):
    """What the model found cannot be a whole face, so the face may still be there."""

    next_step = "look at the series on the trusted side; the face may still be in it"

    def __init__(self, *, why: str) -> None:
        """Say which check failed.

        Parameters
        ----------
        why
            A fixed phrase with measured figures and units.
        """
        super().__init__(f"the face mask is implausible: {why}")


class PixelsNotRestored(SeriesHeld):
    """A voxel outside the mask changed on the way back into the instances."""

    next_step = "report this: it is a fault of the node; nothing was passed on"

    def __init__(self, *, n_voxels: int) -> None:
        super().__init__(f"{n_voxels} voxels outside the mask changed")


class ResidualIdentifier(SeriesHeld):
    """One of the patient's own identifiers was found in what would have been sent."""

    next_step = "add a rule for the named attributes to the profile and release the series"

    def __init__(self, *, keywords: tuple[str, ...], n_instances: int) -> None:
        """Name the attributes whose original value was found again.

        Parameters
        ----------
        keywords
            Keywords of the *source* attributes, never their values.
        n_instances
            How many output instances hold one of them.
        """
        self.keywords = keywords
        super().__init__(f"original {', '.join(keywords)} found in {n_instances} output instances")


class PatientNotInTable(SeriesHeld):
    """The table that names the site's patients does not have this one."""

    next_step = "add the patient to the profile's table of patients and release the series"

    def __init__(self) -> None:
        super().__init__("the patient is not in the profile's table of patients")


class InstanceThereAlready(SeriesHeld):
    """The output folder holds another instance of that name."""

    next_step = "name an empty output folder; one folder takes one profile and one version"

    def __init__(self) -> None:
        super().__init__("another instance of this name is in the output folder already")


class DeliveryFailed(DeidNodeError):
    """A destination did not take what it was offered."""

    disposition = Disposition.RETRY
    exit_code = 75
    next_step = "the node tries again by itself; check the destination with `deid-node echo NAME`"


class PeerUnreachable(DeliveryFailed):
    """No association with a destination, or it broke."""

    def __init__(self, *, destination: str, why: str) -> None:
        super().__init__(f"destination {destination}: {why}")


class PeerRefusedInstance(DeliveryFailed):
    """A destination refused an instance for good."""

    disposition = Disposition.HOLD
    exit_code = 65
    next_step = "ask the destination why, then retry the series"

    def __init__(self, *, destination: str, status: int, n_instances: int) -> None:
        super().__init__(
            f"destination {destination} refused {n_instances} instances, status 0x{status:04X}"
        )


class OutputUnwritable(DeidNodeError):
    """A folder that was asked for cannot be written."""

    exit_code = 74
    next_step = "name a folder that exists, has room and may be written"


class AuditUnusable(DeidNodeError):
    """The audit log cannot be written or read, or is not this key's."""

    disposition = Disposition.RETRY
    exit_code = 74
    next_step = "ask `deid-node audit verify FILE` what is wrong, or name a new file"


class CrosswalkUnusable(DeidNodeError):
    """The crosswalk, or one of its keys, cannot be used."""

    disposition = Disposition.RETRY
    exit_code = 74
    next_step = "keep the file as it is and name a new one; ask who holds the broker's key"


class SpoolError(DeidNodeError):
    """The spool cannot keep its promise."""

    exit_code = 74
    next_step = "check the disk that holds the spool folder"


class SpoolFull(SpoolError):
    """Too little free space to accept another instance."""

    disposition = Disposition.RETRY
    exit_code = 75
    dimse_status = 0xA700
    """Out of Resources, PS3.4 Table B.2-1."""
    next_step = "free space on the spool's disk; the sender will try again"

    def __init__(self, *, free_bytes: int, reserve_bytes: int) -> None:
        """Say how far below the reserve the spool is.

        Parameters
        ----------
        free_bytes
            Free space on the spool's file system, in bytes.
        reserve_bytes
            Space that the settings keep free, in bytes.
        """
        super().__init__(f"{free_bytes} bytes free, {reserve_bytes} must stay free")
