"""Datasets as the bytes of a DICOM Part 10 file, with a preamble and file meta of our own."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pydicom import dcmwrite
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian

from deid_node.dicom.uids import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME

if TYPE_CHECKING:
    from pydicom import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedInstance:
    """One instance as it will lie on disk and go over the wire.

    Parameters
    ----------
    sop_class_uid, sop_instance_uid, transfer_syntax_uid : str
        As in the file meta information. The SOP Instance UID is a pseudonym.
    part10 : bytes
        Preamble, ``DICM``, file meta information and dataset (PS3.10 section 7).
    """

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    part10: bytes


def encode(dataset: Dataset) -> EncodedInstance:
    """Write a dataset as Explicit VR Little Endian.

    The preamble is zeros and the file meta information is made anew, so nothing of the
    sender's survives in either (PS3.15 E.1.1).

    Parameters
    ----------
    dataset : Dataset
        With uncompressed Pixel Data in little endian order.

    Returns
    -------
    EncodedInstance
        Equal datasets give equal bytes.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    part10 = FileDataset("", dataset, preamble=bytes(128), file_meta=meta)
    buffer = io.BytesIO()
    dcmwrite(buffer, part10, enforce_file_format=True)
    return EncodedInstance(
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        transfer_syntax_uid=str(ExplicitVRLittleEndian),
        part10=buffer.getvalue(),
    )
