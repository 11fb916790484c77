"""Accept C-STORE and C-ECHO, and answer with the right status.

An instance is written as it came, undecoded but for its UIDs, and Success is sent only
when spool and ledger have it. What the instance holds is looked at later, by the worker:
a SOP Class that cannot be defaced is taken and held, so that a sender that forwards whole
studies is never stuck and nothing is lost.
"""

from __future__ import annotations

import io
import logging
import re
import secrets
from typing import TYPE_CHECKING, Final

from pydicom import dcmread, uid
from pynetdicom import AE, evt
from pynetdicom import sop_class as sop

from deid_node.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from deid_node.errors import DeidNodeError, SettingsInvalid, UndecodableInstance
from deid_node.log import event as log_event
from deid_node.node.socket_options import acknowledge_at_once, send_at_once
from deid_node.node.states import State

if TYPE_CHECKING:
    from pydicom import Dataset
    from pynetdicom.events import Event
    from pynetdicom.transport import ThreadedAssociationServer

    from deid_node.config.schema import Node
    from deid_node.headers.pseudonyms import Pseudonyms
    from deid_node.node.assembly import Assembly
    from deid_node.node.ledger import Ledger
    from deid_node.node.spool import Spool

logger = logging.getLogger(__name__)

SUCCESS: Final = 0x0000
PROCESSING_FAILURE: Final = 0x0110
"""PS3.7 C.5.5."""

SOP_CLASSES: Final = (
    sop.MRImageStorage,
    sop.EnhancedMRImageStorage,
    sop.EnhancedMRColorImageStorage,
    sop.LegacyConvertedEnhancedMRImageStorage,
    sop.MRSpectroscopyStorage,
    sop.RawDataStorage,
    sop.CTImageStorage,
    sop.EnhancedCTImageStorage,
    sop.PositronEmissionTomographyImageStorage,
    sop.EnhancedPETImageStorage,
    sop.NuclearMedicineImageStorage,
    sop.UltrasoundImageStorage,
    sop.ComputedRadiographyImageStorage,
    sop.DigitalXRayImageStorageForPresentation,
    sop.SecondaryCaptureImageStorage,
    sop.MultiFrameGrayscaleByteSecondaryCaptureImageStorage,
    sop.MultiFrameGrayscaleWordSecondaryCaptureImageStorage,
    sop.MultiFrameTrueColorSecondaryCaptureImageStorage,
    sop.GrayscaleSoftcopyPresentationStateStorage,
    sop.ColorSoftcopyPresentationStateStorage,
    sop.KeyObjectSelectionDocumentStorage,
    sop.BasicTextSRStorage,
    sop.EnhancedSRStorage,
    sop.ComprehensiveSRStorage,
    sop.EncapsulatedPDFStorage,
    sop.SegmentationStorage,
    sop.SpatialRegistrationStorage,
    sop.RTStructureSetStorage,
)
"""What a PACS may forward of a study with MR in it. Not every storage SOP Class: pynetdicom
copies the whole table for each association (all of them: 7 associations a second)."""

TRANSFER_SYNTAXES: Final = (
    uid.ExplicitVRLittleEndian,
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.JPEGLosslessSV1,
    uid.JPEGLossless,
    uid.JPEGLSLossless,
    uid.JPEG2000Lossless,
    uid.RLELossless,
    uid.JPEGBaseline8Bit,
    uid.JPEGExtended12Bit,
    uid.JPEGLSNearLossless,
    uid.JPEG2000,
)
"""Decoded by the worker, or held there. Deflated is left out: a few bytes of it can swell
to any size, and every sender that has it can send another."""

UID_SYNTAX: Final = re.compile(r"[0-9]+(\.[0-9]+)*")
UID_LENGTH: Final = 64
"""PS3.5 section 9.1."""


class StorageSCP:
    """The storage service; pynetdicom calls `on_c_store` from one thread per association."""

    def __init__(
        self,
        settings: Node,
        *,
        spool: Spool,
        ledger: Ledger,
        assembly: Assembly,
        pseudonyms: Pseudonyms,
    ) -> None:
        self._settings = settings
        self._spool = spool
        self._ledger = ledger
        self._assembly = assembly
        self._pseudonyms = pseudonyms
        self._server: ThreadedAssociationServer | None = None

    def start(self) -> None:
        """Listen, and return at once.

        Raises
        ------
        SettingsInvalid
            If the address is not ours or its port is taken.
        """
        node = self._settings
        ae = AE(node.ae_title)
        ae.implementation_class_uid = IMPLEMENTATION_CLASS_UID
        ae.implementation_version_name = IMPLEMENTATION_VERSION_NAME
        ae.require_called_aet = True
        # An empty list would let everybody in; a title that nobody can guess lets in nobody.
        ae.require_calling_aet = list(node.callers) or [secrets.token_hex(8)]
        ae.maximum_associations = node.max_associations
        ae.add_supported_context(sop.Verification)
        for sop_class in SOP_CLASSES:
            ae.add_supported_context(sop_class, list(TRANSFER_SYNTAXES))
        try:
            self._server = ae.start_server(
                (node.bind, node.port),
                block=False,
                evt_handlers=[
                    (evt.EVT_CONN_OPEN, send_at_once),
                    (evt.EVT_DATA_SENT, acknowledge_at_once),
                    (evt.EVT_C_STORE, self.on_c_store),
                    (evt.EVT_REJECTED, _on_rejected),
                ],
            )
        except OSError:
            raise SettingsInvalid(f"cannot listen on {node.bind}:{node.port}") from None

    @property
    def port(self) -> int:
        """Port that is listened on."""
        return self._settings.port if self._server is None else self._server.server_address[1]

    def stop(self) -> None:
        """Close the port and every association."""
        if self._server is not None:
            self._server.shutdown()
            self._server = None

    def on_c_store(self, event: Event) -> int:
        """Keep one instance.

        Returns
        -------
        int
            A C-STORE status of PS3.4 Table B.2-1; 0x0000 only if the instance is durable.
        """
        try:
            self._keep(event)
        except DeidNodeError as error:
            log_event(logger, "instance-refused", error=type(error).__name__)
            return error.dimse_status
        except Exception as error:  # noqa: BLE001 - the sender must get an answer and keep its copy
            log_event(logger, "instance-failed", level=logging.ERROR, error=type(error).__name__)
            return PROCESSING_FAILURE
        return SUCCESS

    def _keep(self, event: Event) -> None:
        part10 = event.encoded_dataset()
        sop_instance_uid, series_instance_uid = _uids(part10)
        if sop_instance_uid != str(event.request.AffectedSOPInstanceUID):
            raise UndecodableInstance("the dataset is not the instance that was announced")
        series = self._pseudonyms.series_key(series_instance_uid)
        kept = self._spool.keep(series, self._pseudonyms.instance_key(sop_instance_uid), [part10])
        arrival = self._ledger.arrived(kept)
        if arrival.state is State.RECEIVING:
            self._assembly.arrived(series)
        elif arrival.state is State.PURGED:
            self._spool.discard([kept])


def _uids(part10: bytes) -> tuple[str, str]:
    """Read SOP Instance UID and Series Instance UID, and nothing else."""
    try:
        dataset = dcmread(
            io.BytesIO(part10),
            stop_before_pixels=True,
            specific_tags=["SOPInstanceUID", "SeriesInstanceUID"],
        )
    except Exception:  # noqa: BLE001 - pydicom raises many kinds, and quotes values in them
        raise UndecodableInstance("the dataset cannot be parsed") from None
    return _uid(dataset, "SOPInstanceUID"), _uid(dataset, "SeriesInstanceUID")


def _uid(dataset: Dataset, keyword: str) -> str:
    """Take the bytes of a UID as they are, so that no library judges or reports them."""
    raw = dataset.get_item(keyword).value if keyword in dataset else b""
    text = raw.decode("ascii", "replace").rstrip("\0 ") if isinstance(raw, bytes) else str(raw)
    if len(text) > UID_LENGTH or not UID_SYNTAX.fullmatch(text):
        raise UndecodableInstance(f"{keyword} is missing or is no UID")
    return text


def _on_rejected(_event: Event) -> None:
    """Tell that a peer was turned away; its AE title is its own word and stays out."""
    log_event(logger, "association-rejected")
