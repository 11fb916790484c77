"""A whole, valid instance of each SOP Class that the tests plant in, all of one study.

dciodvfy finds no error in any but the MR instance: that one has no Laterality and an
Inversion Time beside a spin echo.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.uid import CTImageStorage, SecondaryCaptureImageStorage

from tests.planted.building import dataset_of
from tests.planted.modules import frame_of_reference, patient_and_study, pixels
from tests.planted.mr import mr_instance
from tests.planted.multiframe import enhanced_mr_instance, segmentation_instance
from tests.planted.report import structured_report_instance

if TYPE_CHECKING:
    from pydicom import Dataset


def ct_instance() -> Dataset:
    """Give a CT instance."""
    return dataset_of(
        patient_and_study(CTImageStorage, "CT", 21)
        | pixels()
        | frame_of_reference()
        | {
            "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
            "AcquisitionNumber": "1",
            "AcquisitionDate": "20240229",
            "AcquisitionTime": "101113",
            "KVP": "120",
            "SliceThickness": "2",
            "PatientPosition": "HFS",
            "Laterality": "",
            "ImagePositionPatient": ["-90.5", "-120", "33.25"],
            "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
            "PixelSpacing": ["0.5", "0.5"],
            "RescaleIntercept": "-1024",
            "RescaleSlope": "1",
            "RescaleType": "HU",
            "WindowCenter": "40",
            "WindowWidth": "80",
            "ConvolutionKernel": "STANDARD",
        }
    )


def secondary_capture_instance() -> Dataset:
    """Give a Secondary Capture instance."""
    return dataset_of(
        patient_and_study(SecondaryCaptureImageStorage, "OT", 22)
        | pixels(bits=8)
        | {
            "ImageType": ["DERIVED", "SECONDARY"],
            "ConversionType": "WSD",
            "DateOfSecondaryCapture": "20240229",
            "TimeOfSecondaryCapture": "101114",
            "SecondaryCaptureDeviceManufacturer": "SIEMENS",
            "BurnedInAnnotation": "NO",
            "Laterality": "",
            "PatientOrientation": "",
        }
    )


INSTANCES = {
    "MR": mr_instance,
    "Enhanced MR": enhanced_mr_instance,
    "CT": ct_instance,
    "SEG": segmentation_instance,
    "SR": structured_report_instance,
    "SC": secondary_capture_instance,
}
"""What makes a valid instance of each class, by a short name of the class."""
