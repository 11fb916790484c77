"""Answer an A-ASSOCIATE-RQ: by the rules of this node, with pynetdicom's negotiation."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from pydicom import uid
from pynetdicom import build_context
from pynetdicom import sop_class as sop
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import A_ASSOCIATE
from pynetdicom.presentation import negotiate_as_acceptor

from deid_node.node.receive.pdu import ASSOCIATE_AC, HEAD_LENGTH, OFFERED_LENGTH, Violation, head
from deid_node.node.user_information import APPLICATION_CONTEXT, introduce

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
"""What a PACS may forward of a study with MR in it."""

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

SUPPORTED: Final = (
    build_context(sop.Verification),
    *(build_context(sop_class, list(TRANSFER_SYNTAXES)) for sop_class in SOP_CLASSES),
)
"""One table for all associations; the negotiation only reads it."""

REJECTED_PERMANENTLY: Final = 1
BY_USER: Final = 1
BY_ACSE: Final = 2
APPLICATION_CONTEXT_NOT_SUPPORTED: Final = 2
CALLING_AE_TITLE_NOT_RECOGNIZED: Final = 3
CALLED_AE_TITLE_NOT_RECOGNIZED: Final = 7
PROTOCOL_VERSION_NOT_SUPPORTED: Final = 2
LOCAL_LIMIT_EXCEEDED: Final = (2, 3, 2)
"""Rejected for a while, by the provider's presentation layer: PS3.8 Table 9-21."""

_PROTOCOL_VERSION: Final = 1
_FIXED: Final = slice(HEAD_LENGTH, HEAD_LENGTH + 68)
_CALLED: Final = slice(HEAD_LENGTH + 4, HEAD_LENGTH + 20)
_CALLING: Final = slice(HEAD_LENGTH + 20, HEAD_LENGTH + 36)
_TITLES: Final = slice(4, 68)
_REMEMBERED: Final = 32


class Rejected(Exception):
    """The association is not to be.

    Parameters
    ----------
    result, source, reason
        As PS3.8 Table 9-21 numbers them.
    """

    def __init__(self, result: int, source: int, reason: int) -> None:
        super().__init__(f"result {result}, source {source}, reason {reason}")
        self.code = (result, source, reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """A presentation context that was accepted."""

    sop_class_uid: str
    transfer_syntax_uid: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """What was negotiated.

    Parameters
    ----------
    contexts
        By ID; those that were accepted.
    longest
        Maximum length that the peer receives, in bytes; 0 if any.
    items
        Encoded answer behind the fixed fields of its PDU.
    """

    contexts: Mapping[int, Context]
    longest: int
    items: bytes

    def accept(self, request: bytes) -> bytes:
        """Write the A-ASSOCIATE-AC; the peer's titles go back to it as they came."""
        fixed = request[_FIXED]
        body = bytes((0, _PROTOCOL_VERSION, 0, 0)) + fixed[_TITLES] + self.items
        return head(ASSOCIATE_AC, len(body)) + body


class Negotiator:
    """Judges and answers requests; keeps the last answers, since a peer asks the same each time.

    Parameters
    ----------
    ae_title
        Called AE title of this node.
    callers
        Calling AE titles that are let in.
    """

    def __init__(self, *, ae_title: str, callers: Sequence[str]) -> None:
        self._ae_title = ae_title.strip()
        self._callers = {caller.strip() for caller in callers}
        self._known: dict[bytes, Agreement] = {}

    def negotiate(self, request: bytes) -> Agreement:
        """Judge who calls whom, before anything of variable length is decoded; then negotiate.

        Parameters
        ----------
        request
            The whole A-ASSOCIATE-RQ.

        Raises
        ------
        Rejected
            If the peer is not to be let in.
        Violation
            If the request cannot be decoded.
        """
        fixed = request[_FIXED]
        if len(fixed) < _FIXED.stop - _FIXED.start:
            raise Violation
        if not fixed[1] & _PROTOCOL_VERSION:
            raise Rejected(REJECTED_PERMANENTLY, BY_ACSE, PROTOCOL_VERSION_NOT_SUPPORTED)
        if _title(request[_CALLED]) != self._ae_title:
            raise Rejected(REJECTED_PERMANENTLY, BY_USER, CALLED_AE_TITLE_NOT_RECOGNIZED)
        if calling_title(request) not in self._callers:
            raise Rejected(REJECTED_PERMANENTLY, BY_USER, CALLING_AE_TITLE_NOT_RECOGNIZED)
        items = request[_FIXED.stop :]
        # By its digest: a request may hold a password.
        digest = hashlib.sha256(items).digest()
        agreement = self._known.get(digest)
        if agreement is None:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            agreement = self._known[digest] = _negotiate(items)
        return agreement


def calling_title(request: bytes) -> str:
    """Read the calling AE title of an A-ASSOCIATE-RQ."""
    return _title(request[_CALLING])


def _negotiate(items: bytes) -> Agreement:
    request = A_ASSOCIATE_RQ()
    try:
        # Under titles of our own: the peer's were judged, and are answered as bytes.
        request.decode(_with_titles(items))
        asked = request.to_primitive()
        results, _ = negotiate_as_acceptor(
            asked.presentation_context_definition_list, list(SUPPORTED), {}
        )
        longest = int(asked.maximum_length_received or 0)
    except Exception:  # noqa: BLE001 - pynetdicom raises many kinds, and quotes the peer in them
        raise Violation from None
    if asked.application_context_name != APPLICATION_CONTEXT:
        raise Rejected(REJECTED_PERMANENTLY, BY_USER, APPLICATION_CONTEXT_NOT_SUPPORTED)
    contexts = {
        result.context_id: Context(
            sop_class_uid=str(result.abstract_syntax),
            transfer_syntax_uid=str(result.transfer_syntax[0]),
        )
        for result in results
        if result.result == 0
    }
    return Agreement(
        contexts=MappingProxyType(contexts), longest=longest, items=_encoded_answer(results)
    )


def _encoded_answer(results: list[object]) -> bytes:
    """Encode application context, results and user information as pynetdicom does."""
    answer = A_ASSOCIATE()
    introduce(answer, max_pdu_bytes=OFFERED_LENGTH)
    answer.calling_ae_title = answer.called_ae_title = "-"
    answer.result = 0
    answer.presentation_context_definition_results_list = results
    pdu = A_ASSOCIATE_AC()
    pdu.from_primitive(answer)
    return bytes(pdu.encode()[_FIXED.stop :])


def _with_titles(items: bytes) -> bytes:
    fixed = bytes((0, _PROTOCOL_VERSION, 0, 0)) + b"-".ljust(16) * 2 + bytes(32)
    return head(1, len(fixed) + len(items)) + fixed + items


def _title(encoded: bytes) -> str:
    return encoded.decode("ascii", "replace").strip()
