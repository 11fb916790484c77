"""Listen for what destinations report to have committed to (PS3.4 section J.3.3)."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from pynetdicom import AE, evt
from pynetdicom.sop_class import StorageCommitmentPushModel

from deid_node.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from deid_node.errors import SettingsInvalid
from deid_node.log import event
from deid_node.node.send.commitment import read_report

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pynetdicom.events import Event

    from deid_node.config.schema import Commitment
    from deid_node.node.send.commitments import Commitments

logger = logging.getLogger(__name__)

SUCCESS: Final = 0x0000
PROCESSING_FAILURE: Final = 0x0110
UNKNOWN_TRANSACTION: Final = 0x0112
"""No such object instance."""
MAX_ASSOCIATIONS: Final = 8
QUIET_SECONDS: Final = 30


class CommitmentListener:
    """The port for reports.

    Parameters
    ----------
    settings
        Where to listen.
    callers
        Calling AE titles that may report: those of the destinations.
    commitments
        What takes the reports.
    """

    def __init__(
        self, settings: Commitment, *, callers: Sequence[str], commitments: Sequence[Commitments]
    ) -> None:
        self._commitments = tuple(commitments)
        ae = AE("DEIDNODE")
        ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        ae.require_calling_aet = list(callers)
        ae.maximum_associations = MAX_ASSOCIATIONS
        ae.network_timeout = ae.acse_timeout = ae.dimse_timeout = QUIET_SECONDS
        # The destination calls, and is the SCP all the same.
        ae.add_supported_context(StorageCommitmentPushModel, scu_role=True, scp_role=True)
        try:
            self._server = ae.start_server(
                (settings.bind, settings.port or 0),
                block=False,
                evt_handlers=[(evt.EVT_N_EVENT_REPORT, self._on_report)],
            )
        except OSError:
            raise SettingsInvalid(
                f"commitment: cannot listen on {settings.bind}:{settings.port}"
            ) from None
        self.port = int(self._server.server_address[1])

    def stop(self) -> None:
        """Close the port."""
        self._server.shutdown()

    def _on_report(self, report_event: Event) -> tuple[int, None]:
        """Take a report; Success only once it is durable."""
        try:
            report = read_report(report_event.event_information)
            if report is None:
                return PROCESSING_FAILURE, None
            is_known = any(each.reported(report) for each in self._commitments)
        except Exception as error:  # noqa: BLE001 - pynetdicom would log the dataset
            event(logger, "report-failed", level=logging.ERROR, error=type(error).__name__)
            return PROCESSING_FAILURE, None
        return (SUCCESS if is_known else UNKNOWN_TRANSACTION), None
