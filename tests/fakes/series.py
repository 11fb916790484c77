"""Plain MR instances with chosen geometry and pixels; nobody's scan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom import Dataset
from pydicom.dataset import FileDataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

ROOT = "1.2.826.0.1.3680043.8.498."
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def mr_series(
    stored: NDArray[np.integer[Any]],
    *,
    orientation: ArrayLike = AXIAL,
    origin: ArrayLike = (0.0, 0.0, 0.0),
    pixel_spacing: ArrayLike = (1.0, 1.0),
    gap_mm: float = 1.0,
    bits_stored: int | None = None,
) -> list[Dataset]:
    """Give one instance for each slice of `stored` (slices, rows, columns), in stack order."""
    x, y = np.asarray(orientation, dtype=np.float64).reshape(2, 3)
    normal = np.cross(x, y)
    cells = 8 * stored.itemsize
    series = []
    for k, pixels in enumerate(stored):
        instance = _header(k)
        instance.ImageOrientationPatient = [*x, *y]
        instance.ImagePositionPatient = list(np.asarray(origin) + k * gap_mm * normal)
        instance.PixelSpacing = list(np.asarray(pixel_spacing, dtype=np.float64))
        instance.Rows, instance.Columns = pixels.shape
        instance.BitsAllocated = cells
        instance.BitsStored = bits_stored or cells
        instance.HighBit = instance.BitsStored - 1
        instance.PixelRepresentation = int(np.issubdtype(stored.dtype, np.signedinteger))
        little = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
        instance.add_new("PixelData", "OW", little + b"\0" * (len(little) % 2))
        series.append(instance)
    return series


def _header(k: int) -> Dataset:
    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = UID(f"{ROOT}9.{k + 1}")
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    instance = FileDataset("", Dataset(), preamble=bytes(128), file_meta=meta)
    instance.SOPClassUID = MRImageStorage
    instance.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    instance.StudyInstanceUID = f"{ROOT}1"
    instance.SeriesInstanceUID = f"{ROOT}2"
    instance.FrameOfReferenceUID = f"{ROOT}3"
    instance.Modality = "MR"
    instance.PatientName = "NOBODY^DRAWN"
    instance.PatientID = "DRAWN-0001"
    instance.PatientBirthDate = "19870605"
    instance.PatientSex = "O"
    instance.StudyDate = "20240229"
    instance.StudyTime = "101112"
    instance.AccessionNumber = "ACC7654321"
    instance.ReferringPhysicianName = "REFERRER^QUINCE"
    instance.StudyID = "77"
    instance.SeriesNumber = 3
    instance.InstanceNumber = k + 1
    instance.Manufacturer = "Drawn"
    instance.PositionReferenceIndicator = ""
    instance.ImageType = ["ORIGINAL", "PRIMARY", "M"]
    instance.ScanningSequence = "GR"
    instance.SequenceVariant = "SP"
    instance.ScanOptions = ""
    instance.MRAcquisitionType = "3D"
    instance.EchoTime = 3.0
    instance.EchoTrainLength = 1
    instance.RepetitionTime = 2000.0
    instance.SliceThickness = 1.0
    instance.SamplesPerPixel = 1
    instance.PhotometricInterpretation = "MONOCHROME2"
    return instance
