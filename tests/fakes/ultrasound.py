"""A whole, valid US Multi-frame instance with drawn pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.uid import UltrasoundMultiFrameImageStorage

from tests.planted.building import dataset_of
from tests.planted.modules import patient_and_study

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from pydicom import Dataset


def ultrasound_instance(colours: NDArray[np.uint8], photometric: str = "RGB") -> Dataset:
    """Give a US Multi-frame instance.

    Parameters
    ----------
    colours : (frames, rows, columns, 3) ndarray of uint8
        Its pixels.
    photometric
        What they are.
    """
    frames, rows, columns, samples = colours.shape
    content = colours.tobytes()
    return dataset_of(
        patient_and_study(UltrasoundMultiFrameImageStorage, "US", 24)
        | {
            "ImageType": ["ORIGINAL", "PRIMARY", "ABDOMINAL", "0001"],
            "Manufacturer": "ACME MEDICAL",
            "ManufacturerModelName": "Echo 5",
            "Laterality": "",
            "PatientOrientation": "",
            "LossyImageCompression": "00",
            "FrameTime": "40",
            "FrameIncrementPointer": 0x00181063,
            "NumberOfFrames": str(frames),
            "SamplesPerPixel": samples,
            "PhotometricInterpretation": photometric,
            "PlanarConfiguration": 0,
            "Rows": rows,
            "Columns": columns,
            "BitsAllocated": 8,
            "BitsStored": 8,
            "HighBit": 7,
            "PixelRepresentation": 0,
            "SmallestImagePixelValue": 0,
            "LargestImagePixelValue": 255,
            "PixelData": content + b"\0" * (len(content) % 2),
        }
    )
