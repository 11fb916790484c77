"""Disk, destinations and records."""

from __future__ import annotations

from deid_node.errors.base import DeidNodeError, Disposition, Release


class DeliveryFailed(DeidNodeError):
    """A destination did not take what it was offered."""

    release = Release.RETRY
    disposition = Disposition.RETRY
    exit_code = 75
    next_step = "the node tries again by itself; check the destination with `deid-node echo NAME`"


class PeerUnreachable(DeliveryFailed):
    """No association with a destination, or it broke."""

    release = Release.RETRY

    def __init__(self, *, destination: str, why: str) -> None:
        super().__init__(f"destination {destination}: {why}")


class PeerRefusedInstance(DeliveryFailed):
    """A destination refused an instance for good."""

    release = Release.RETRY
    disposition = Disposition.HOLD
    exit_code = 65
    next_step = "ask the destination why, then `deid-node retry SERIES`"

    def __init__(self, *, destination: str, status: int, n_instances: int) -> None:
        super().__init__(
            f"destination {destination} refused {n_instances} instances, status 0x{status:04X}"
        )


class NoCommonSyntax(DeliveryFailed):
    """A destination takes none of the Transfer Syntaxes an instance can have without loss."""

    release = Release.RETRY
    disposition = Disposition.HOLD
    exit_code = 65
    next_step = (
        "have the destination accept the SOP Class and a syntax, then `deid-node retry SERIES`"
    )

    def __init__(self, *, destination: str, n_instances: int) -> None:
        super().__init__(
            f"destination {destination} takes {n_instances} instances in no Transfer Syntax"
            " that they can have without loss"
        )


class PeerBusy(DeliveryFailed):
    """A destination put an instance off."""

    release = Release.RETRY

    def __init__(self, *, destination: str, why: str) -> None:
        super().__init__(f"destination {destination}: {why}")


class NotCommitted(DeliveryFailed):
    """A destination has instances but has not promised to keep them."""

    release = Release.RETRY
    next_step = "the node asks again by itself; ask the destination about storage commitment"

    def __init__(self, *, destination: str, why: str) -> None:
        super().__init__(f"destination {destination} has not committed: {why}")


class DeliveryGivenUp(DeliveryFailed):
    """A destination did not take a series for so long that a person must look."""

    release = Release.RETRY
    disposition = Disposition.HOLD
    exit_code = 65
    next_step = "repair the destination, then `deid-node retry SERIES`"

    def __init__(self, *, hours: float, last: str) -> None:
        """Say how long it was tried.

        Parameters
        ----------
        hours
            From the first failure to the last, in hours.
        last
            Message of the last failure.
        """
        super().__init__(f"given up after {hours:.1f} hours; {last}")


class NoSuchSeries(DeidNodeError):
    """A key that was typed names no series, or several."""

    release = Release.AGAIN
    exit_code = 64
    next_step = "take the key from `deid-node status`, with more of its letters"

    def __init__(self, *, n_found: int) -> None:
        super().__init__(f"{n_found or 'no'} series have a key that begins so")


class WrongState(DeidNodeError):
    """A series is not where what was asked for can be done to it."""

    release = Release.AGAIN
    exit_code = 64
    next_step = "see `deid-node status SERIES`"

    def __init__(self, *, state: str, why: str) -> None:
        """Say where it is.

        Parameters
        ----------
        state
            Name of the state it is in.
        why
            A fixed phrase: what would be needed.
        """
        super().__init__(f"the series is {state}: {why}")


class NotAcceptable(DeidNodeError):
    """A person wants to accept what no person can vouch for."""

    release = Release.AGAIN
    exit_code = 64
    next_step = "release it without --accept to have it judged again, or refuse it"

    def __init__(self, *, error: str, why: str) -> None:
        """Say why not.

        Parameters
        ----------
        error
            Class of the error that stopped the series.
        why
            A fixed phrase.
        """
        super().__init__(f"{error} cannot be accepted: {why}")


class NotConfirmed(DeidNodeError):
    """Files would be deleted, and nobody said that they may."""

    release = Release.AGAIN
    exit_code = 64
    next_step = "add --yes to delete them for good"

    def __init__(self, *, n_series: int) -> None:
        super().__init__(f"nothing was deleted; the files of {n_series} series would be")


class OutputUnwritable(DeidNodeError):
    """A folder that was asked for cannot be written."""

    release = Release.AGAIN
    exit_code = 74
    next_step = "name a folder that exists, has room and may be written"


class AuditUnusable(DeidNodeError):
    """The audit log cannot be written or read, or is not this key's."""

    release = Release.AGAIN
    disposition = Disposition.RETRY
    exit_code = 74
    next_step = "ask `deid-node audit verify FILE` what is wrong, or name a new file"


class CrosswalkUnusable(DeidNodeError):
    """The crosswalk, or one of its keys, cannot be used."""

    release = Release.AGAIN
    disposition = Disposition.RETRY
    exit_code = 74
    next_step = "keep the file as it is and name a new one; ask who holds the broker's key"


class WorkerNotStarted(DeidNodeError):
    """The process that works on series ends before it can work."""

    release = Release.AGAIN
    exit_code = 75
    next_step = "see what ended it: memory, or a fault of a library; then start the node again"

    def __init__(self, *, how: str) -> None:
        """Say how it ended.

        Parameters
        ----------
        how
            Name of a signal or an error's class, or its exit code.
        """
        super().__init__(f"the process that works on series did not start: {how}")


class SpoolError(DeidNodeError):
    """The spool cannot keep its promise."""

    release = Release.AGAIN
    exit_code = 74
    next_step = "check the disk that holds the spool folder"


class SpoolBusy(SpoolError):
    """The ledger was locked for longer than anyone can wait."""

    release = Release.AGAIN
    disposition = Disposition.RETRY
    exit_code = 75
    dimse_status = 0xA700
    """Out of Resources, PS3.4 Table B.2-1: the failure after which a sender comes again."""
    next_step = "close what else has the ledger open, and try again; a node goes on by itself"

    def __init__(self, *, seconds: float) -> None:
        """Say how long it was waited for.

        Parameters
        ----------
        seconds
            Until it was given up.
        """
        super().__init__(f"the ledger was locked for {seconds:.0f} seconds")


class SpoolUnwritable(SpoolError):
    """The disk that holds the spool is read-only, or fails."""

    release = Release.AGAIN
    disposition = Disposition.RETRY
    exit_code = 75
    dimse_status = 0xA700
    """As for `SpoolFull`: the sender keeps the instance and comes again."""
    next_step = "see the kernel's log about the disk; repair it and mount it writable"

    def __init__(self, *, code: str) -> None:
        """Say what the system said.

        Parameters
        ----------
        code
            Name of its error, as errno.h or SQLite has it.
        """
        super().__init__(f"the spool cannot be written: {code}")


class SpoolFull(SpoolError):
    """Too little free space to accept another instance."""

    release = Release.AGAIN
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
