"""A series, or one instance of it, needs a person's decision."""

from __future__ import annotations

from deid_node.errors.base import DeidNodeError, Disposition, Release


class SeriesHeld(DeidNodeError):
    """The series needs a person's decision before it may leave the node."""

    release = Release.AGAIN
    disposition = Disposition.HOLD
    exit_code = 65
    next_step = "look at the series on the trusted side; it was not passed on"


class TooFewSlices(SeriesHeld):
    """Too few instances for a volume in which a face can be found."""

    release = Release.AGAIN
    next_step = "send the whole series; localizers and single slices are held by design"

    def __init__(self, *, n_slices: int, needed: int) -> None:
        super().__init__(f"{n_slices} slices where a volume needs at least {needed}")


class UnevenSlices(SeriesHeld):
    """Slice positions are not evenly spaced, so the series is not one volume."""

    release = Release.AGAIN
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

    release = Release.AGAIN
    next_step = "split the series by echo, phase or time point, and send each by itself"

    def __init__(self, *, n_positions: int, n_slices: int) -> None:
        super().__init__(f"{n_slices} instances share {n_positions} slice positions")


class DuplicateInstance(SeriesHeld):
    """Two instances bear one SOP Instance UID but differ."""

    release = Release.AGAIN
    next_step = "find out at the source which of the two is right"

    def __init__(self, *, n_instances: int) -> None:
        super().__init__(f"{n_instances} instances bear a SOP Instance UID that another one has")


class LateInstances(SeriesHeld):
    """Instances came after the rest of their series had been de-identified and sent."""

    release = Release.AGAIN
    next_step = "have the whole series sent anew by `deid-node hold release SERIES`, or refuse it"

    def __init__(self) -> None:
        super().__init__("instances arrived after the rest of the series had left the node")


class OriginalsMissing(SeriesHeld):
    """Instances that a series needs are not in the spool any more."""

    release = Release.AGAIN
    next_step = "send the whole series to the node again; it goes on by itself"

    def __init__(self, *, n_instances: int) -> None:
        super().__init__(f"{n_instances} instances were deleted after their delivery")


class SeriesIncomplete(SeriesHeld):
    """The source has more instances of the series than it sent."""

    release = Release.AGAIN
    next_step = "send the missing instances, or release what is there"

    def __init__(self, *, n_expected: int, n_received: int) -> None:
        super().__init__(f"{n_received} instances came, the source has {n_expected}")


class RefusedByPerson(SeriesHeld):
    """A person decided that the series is not to leave the node."""

    release = Release.AGAIN
    next_step = "delete its files with `deid-node purge SERIES`"

    def __init__(self, *, error: str | None) -> None:
        """Say what it was before.

        Parameters
        ----------
        error
            Class of the error that had stopped the series, if one had.
        """
        super().__init__(f"refused by a person{f'; before that: {error}' if error else ''}")


class MixedSeries(SeriesHeld):
    """An attribute that must be the same in the whole series is not."""

    release = Release.AGAIN
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

    release = Release.AGAIN
    next_step = "repair the instances at their source"

    def __init__(self, *, keyword: str, n_instances: int) -> None:
        self.keyword = keyword
        super().__init__(f"{keyword} is missing or unusable in {n_instances} instances")


class PixelsUnusable(SeriesHeld):
    """Pixel data cannot be decoded, or is not of the kind that can be worked on."""

    release = Release.AGAIN
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

    release = Release.AGAIN
    next_step = "look at the pixels; `scrub` makes regions black that a profile declares"

    def __init__(self, *, n_instances: int) -> None:
        super().__init__(f"Burned In Annotation is YES in {n_instances} instances")


class RegionNotCleaned(SeriesHeld):
    """The profile says that text is drawn into the pixels, and defacing leaves it there."""

    release = Release.AGAIN
    next_step = "use `deid-node scrub` for these, or a profile without the region"

    def __init__(self, *, n_instances: int) -> None:
        super().__init__(
            f"{n_instances} instances match a pixel region of the profile; "
            "defacing does not clean it"
        )


class ImplausibleFaceMask(SeriesHeld):
    """What the model found cannot be a whole face, so the face may still be there."""

    release = Release.ACCEPT
    next_step = (
        "look at its picture, `deid-node hold show SERIES` names it; the face may still be there"
    )

    def __init__(self, *, why: str) -> None:
        """Say which check failed.

        Parameters
        ----------
        why
            A fixed phrase with measured figures and units.
        """
        super().__init__(f"the face mask is implausible: {why}")


class ModelsDisagree(SeriesHeld):
    """Of two models that looked for the face, one did not find what the other one did."""

    release = Release.AGAIN
    next_step = "look at the series on the trusted side; one of the two models is wrong about it"

    def __init__(self, *, model: str, why: str) -> None:
        """Say what differs.

        Parameters
        ----------
        model
            Name of the imported model.
        why
            A fixed phrase with measured figures and units.
        """
        super().__init__(f"model {model} and the default model disagree: {why}")


class ModelStopped(SeriesHeld):
    """The process of an imported model gave no answer for the series."""

    release = Release.AGAIN
    next_step = "give [face] more seconds or memory_gib, or release the series to try it again"

    def __init__(self, *, model: str, why: str) -> None:
        """Say how it ended.

        Parameters
        ----------
        model
            Name of the imported model.
        why
            A fixed phrase with figures and units.
        """
        super().__init__(f"model {model} gave no answer: {why}")


class ProcessDied(SeriesHeld):
    """The node died over a series, again and again."""

    release = Release.AGAIN
    next_step = "see what ended the process: memory, or a fault of a library; then send it again"

    def __init__(self, *, n_times: int) -> None:
        super().__init__(f"the node's process ended {n_times} times while it worked on the series")


class StageStuck(SeriesHeld):
    """A series took far longer than any does; the process that worked on it was ended."""

    release = Release.AGAIN
    next_step = "release the series to try it once more; report it if it is held again"

    def __init__(self, *, seconds: float) -> None:
        super().__init__(f"the series was worked on for more than {seconds:.0f} s")
        self.seconds = seconds


class PixelsNotRestored(SeriesHeld):
    """A voxel outside the mask changed on the way back into the instances."""

    release = Release.AGAIN
    next_step = "report this: it is a fault of the node; nothing was passed on"

    def __init__(self, *, n_voxels: int) -> None:
        super().__init__(f"{n_voxels} voxels outside the mask changed")


class ResidualIdentifier(SeriesHeld):
    """One of the patient's own identifiers was found in what would have been sent."""

    release = Release.AGAIN
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

    release = Release.AGAIN
    next_step = "add the patient to the profile's table of patients and release the series"

    def __init__(self) -> None:
        super().__init__("the patient is not in the profile's table of patients")


class InstanceThereAlready(SeriesHeld):
    """The output folder holds another instance of that name."""

    release = Release.RETRY
    next_step = "name an empty output folder; one folder takes one profile and one version"

    def __init__(self) -> None:
        super().__init__("another instance of this name is in the output folder already")


class SpooledFileDamaged(SeriesHeld):
    """An encrypted file of the spool is not what was written, or its key was erased."""

    release = Release.AGAIN
    next_step = (
        "look after the spool's disk and who may write to it; then have the series sent again"
    )

    def __init__(self) -> None:
        super().__init__("an encrypted file of the spool was changed or damaged, or has no key")
