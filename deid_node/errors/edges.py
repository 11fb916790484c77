"""Disk, destinations and records."""

from __future__ import annotations

from deid_node.errors.base import DeidNodeError, Disposition


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
    next_step = "ask the destination why, then `deid-node retry SERIES`"

    def __init__(self, *, destination: str, status: int, n_instances: int) -> None:
        super().__init__(
            f"destination {destination} refused {n_instances} instances, status 0x{status:04X}"
        )


class NoCommonSyntax(DeliveryFailed):
    """A destination takes none of the Transfer Syntaxes an instance can have without loss."""

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

    def __init__(self, *, destination: str, why: str) -> None:
        super().__init__(f"destination {destination}: {why}")


class NotCommitted(DeliveryFailed):
    """A destination has instances but has not promised to keep them."""

    next_step = "the node asks again by itself; ask the destination about storage commitment"

    def __init__(self, *, destination: str, why: str) -> None:
        super().__init__(f"destination {destination} has not committed: {why}")


class DeliveryGivenUp(DeliveryFailed):
    """A destination did not take a series for so long that a person must look."""

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

    exit_code = 64
    next_step = "take the key from `deid-node status`, with more of its letters"

    def __init__(self, *, n_found: int) -> None:
        super().__init__(f"{n_found or 'no'} series have a key that begins so")


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
