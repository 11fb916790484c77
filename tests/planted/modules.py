"""Modules that the instances of one study share."""

from __future__ import annotations

import numpy as np

from tests.planted.mr import NAME

STUDY = "1.2.3.4.5.2"
FRAME_OF_REFERENCE = "1.2.3.4.5.4"


def patient_and_study(sop_class_uid: str, modality: str, number: int) -> dict[str, object]:
    """Give the modules that all instances of the study share."""
    return {
        "SOPClassUID": sop_class_uid,
        "SOPInstanceUID": f"1.2.3.4.5.{number}.1",
        "StudyDate": "20240229",
        "SeriesDate": "20240229",
        "ContentDate": "20240229",
        "StudyTime": "101112.5",
        "SeriesTime": "101112.5",
        "ContentTime": "101112.5",
        "AccessionNumber": "A4711",
        "Modality": modality,
        "Manufacturer": "SIEMENS",
        "ReferringPhysicianName": "",
        "PatientName": NAME,
        "PatientID": "MRN-0815-77",
        "PatientBirthDate": "19420707",
        "PatientSex": "F",
        "PatientAge": "081Y",
        "StudyInstanceUID": STUDY,
        "SeriesInstanceUID": f"1.2.3.4.5.{number}",
        "StudyID": "4711",
        "SeriesNumber": str(number),
        "InstanceNumber": "1",
    }


def pixels(rows: int = 8, frames: int = 1, bits: int = 16) -> dict[str, object]:
    """Give the pixel module of unsigned grey values."""
    stored = np.arange(rows * rows * frames, dtype="<u2" if bits == 16 else "u1")
    return {
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": rows,
        "Columns": rows,
        "BitsAllocated": bits,
        "BitsStored": 12 if bits == 16 else 8,
        "HighBit": 11 if bits == 16 else 7,
        "PixelRepresentation": 0,
        "PixelData": stored.tobytes(),
    }


def frame_of_reference() -> dict[str, object]:
    """Give the Frame of Reference module."""
    return {"FrameOfReferenceUID": FRAME_OF_REFERENCE, "PositionReferenceIndicator": ""}
