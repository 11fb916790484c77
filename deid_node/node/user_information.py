"""What either side says of itself when an association is negotiated (PS3.7 Annex D.3.3)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pydicom.uid import UID
from pynetdicom.pdu_primitives import (
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
)

from deid_node.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

if TYPE_CHECKING:
    from pynetdicom.pdu_primitives import A_ASSOCIATE

APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
"""The only one of DICOM, PS3.7 Annex A.2.1."""


def introduce(primitive: A_ASSOCIATE, *, max_pdu_bytes: int) -> None:
    """Write application context and user information into a request or an answer.

    Parameters
    ----------
    primitive
        Gets them.
    max_pdu_bytes
        Longest PDU that this side takes.
    """
    primitive.application_context_name = APPLICATION_CONTEXT
    length = MaximumLengthNotification()
    length.maximum_length_received = max_pdu_bytes
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = UID(IMPLEMENTATION_CLASS_UID)
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    primitive.user_information = [length, implementation, version]
