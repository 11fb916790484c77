"""Datasets as the bytes of a DICOM Part 10 file, with a preamble and file meta of our own."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from pydicom import dcmwrite
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian

from deid_node.dicom.uids import (
    IMPLEMENTATION_CLASS_UID,
    IMPLEMENTATION_VERSION_NAME,
    written_syntax,
)

if TYPE_CHECKING:
    from pydicom import DataElement


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


def encode(
    dataset: Dataset, *, transfer_syntax_uid: str = ExplicitVRLittleEndian
) -> EncodedInstance:
    """Write a dataset as Explicit VR Little Endian.

    The preamble is zeros and the file meta information is made anew, so nothing of the
    sender's survives in either (PS3.15 E.1.1).

    Parameters
    ----------
    dataset : Dataset
        With uncompressed Pixel Data in little endian order, or with encapsulated Pixel Data.
    transfer_syntax_uid : str
        That of encapsulated Pixel Data.

    Returns
    -------
    EncodedInstance
        Equal datasets give equal bytes.
    """
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    meta.ImplementationClassUID = UID(IMPLEMENTATION_CLASS_UID)
    meta.ImplementationVersionName = IMPLEMENTATION_VERSION_NAME
    part10 = FileDataset("", dataset, preamble=bytes(128), file_meta=meta)
    buffer = io.BytesIO()
    dcmwrite(buffer, part10, enforce_file_format=True)
    return EncodedInstance(
        sop_class_uid=str(dataset.SOPClassUID),
        sop_instance_uid=str(dataset.SOPInstanceUID),
        transfer_syntax_uid=str(transfer_syntax_uid),
        part10=buffer.getvalue(),
    )


def encode_like(dataset: Dataset, source: Dataset) -> EncodedInstance:
    """Write a dataset that holds the Pixel Data of a source as the source holds it.

    Encapsulated Pixel Data keeps its Transfer Syntax and every bit. All else becomes
    Explicit VR Little Endian; cells of a big endian source are turned round.

    Parameters
    ----------
    dataset : Dataset
        What is written; it is not changed.
    source : Dataset
        As it was read, with its file meta information.

    Returns
    -------
    EncodedInstance
        Equal datasets give equal bytes.
    """
    syntax = str(source.file_meta.get("TransferSyntaxUID", ExplicitVRLittleEndian))
    written = written_syntax(syntax)
    if written != ExplicitVRLittleEndian:
        return encode(dataset, transfer_syntax_uid=written)
    if syntax != ExplicitVRBigEndian or "PixelData" not in dataset:
        return encode(dataset)
    turned = Dataset()
    turned.update(dataset)
    pixels = dataset["PixelData"]
    turned.add_new("PixelData", pixels.VR, turned_round(pixels, int(dataset.BitsAllocated)))
    return encode(turned)


def turned_round(pixels: DataElement, bits_allocated: int) -> bytes:
    """Turn the cells of big endian Pixel Data round, PS3.5 section 8.1.1 and A.3."""
    cell = max(16, bits_allocated) if pixels.VR == "OW" else 8
    words = np.frombuffer(pixels.value, np.dtype(f">u{cell // 8}"))
    return words.astype(words.dtype.newbyteorder("<")).tobytes()
