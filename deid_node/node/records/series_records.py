"""What is put on record of each instance: the audit log, and the crosswalk of a broker."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from deid_node.errors import SettingsInvalid
from deid_node.node.records.audit import AuditLog
from deid_node.node.records.audit_entry import Entry, series_entry

if TYPE_CHECKING:
    from contextlib import ExitStack
    from pathlib import Path

    from deid_node.config.schema import Settings
    from deid_node.headers.profile import Profile
    from deid_node.headers.pseudonyms import Pseudonyms
    from deid_node.node.records.crosswalk import Crosswalk
    from deid_node.pipeline.deidentify import DeidentifiedSeries
    from deid_node.pipeline.recipe import Recipe


@dataclass(frozen=True, slots=True, kw_only=True)
class SeriesRecords:
    """Puts series on record, before they may leave.

    Parameters
    ----------
    audit, crosswalk
        Open, or None where none is kept.
    pseudonyms
        The key.
    """

    pseudonyms: Pseudonyms
    audit: AuditLog | None = None
    crosswalk: Crosswalk | None = None

    def ready(self, series: str, result: DeidentifiedSeries) -> None:
        """Record a series that was de-identified.

        Raises
        ------
        AuditUnusable, CrosswalkUnusable
            If it cannot be recorded; then it must not leave.
        """
        if self.crosswalk is not None:
            self.crosswalk.append(result.linkages)
        if self.audit is not None:
            self.audit.append([series_entry(series, result, self.pseudonyms)])

    def set_aside(self, series: str, *, state: str, error: str, n_instances: int) -> None:
        """Record a series that stays.

        Raises
        ------
        AuditUnusable
            If it cannot be recorded.
        """
        if self.audit is not None:
            self.audit.append(
                [Entry(disposition=state, reason=error, series=series, n_instances=n_instances)]
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Records:
    """Which records are kept, and where.

    Parameters
    ----------
    profile, pseudonyms
        What is done, and the key.
    audit
        The audit log; None keeps none.
    crosswalk, recipient
        The crosswalk and the broker's public key; None keeps none.

    Raises
    ------
    SettingsInvalid
        If a crosswalk has no recipient, or a recipient no crosswalk.
    """

    profile: Profile
    pseudonyms: Pseudonyms
    audit: Path | None
    crosswalk: Path | None
    recipient: Path | None

    def __post_init__(self) -> None:
        if (self.crosswalk is None) != (self.recipient is None):
            raise SettingsInvalid("a crosswalk needs a file and the broker's public key, both")

    def open_for_series(self, stack: ExitStack, *, verb: str) -> SeriesRecords:
        """Open what is kept of each series; the stack closes it."""
        return SeriesRecords(
            pseudonyms=self.pseudonyms,
            audit=self.open_audit(stack, verb=verb, durable=True),
            crosswalk=self.open_crosswalk(stack, durable=True),
        )

    def open_audit(self, stack: ExitStack, *, verb: str, durable: bool) -> AuditLog | None:
        """Open the audit log, if one is kept; the stack closes it."""
        if self.audit is None:
            return None
        log = AuditLog(self.audit, self.profile, self.pseudonyms, verb=verb, durable=durable)
        return stack.enter_context(log)

    def open_crosswalk(self, stack: ExitStack, *, durable: bool) -> Crosswalk | None:
        """Open the crosswalk, if one is kept; the stack closes it."""
        if self.crosswalk is None or self.recipient is None:
            return None
        # Loading the cryptography is for those who use it.
        from deid_node.node.records.crosswalk import Crosswalk  # noqa: PLC0415 - see above

        return stack.enter_context(
            Crosswalk(
                self.crosswalk,
                self.recipient,
                fingerprint=self.pseudonyms.fingerprint(),
                durable=durable,
            )
        )


def records_of(settings: Settings, recipe: Recipe) -> Records:
    """Say what the settings want on record."""
    return Records(
        profile=recipe.profile,
        pseudonyms=recipe.pseudonyms,
        audit=settings.audit.file,
        crosswalk=settings.crosswalk.file,
        recipient=settings.crosswalk.recipient,
    )
