"""A drawn head as a series of classic MR instances of a patient who does not exist."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from drawn_head.head import Head

PRIVATE_CREATOR = "DRAWN HEAD 1.0"


@dataclass(frozen=True, slots=True, kw_only=True)
class FakePatient:
    """An identity made up to be found, or not found, in what a node sends on."""

    name: str = "DEMO^PATIENT"
    patient_id: str = "DEMO-4711-Q"
    birth_date: str = "19710823"
    age: str = "055Y"
    address: str = "12 Nowhere Lane, Erewhon"
    telephone: str = "+000 555 0199"
    mother: str = "DEMO^MAIDEN"
    accession: str = "ACC-90210-Z"
    study_id: str = "ST-31337"
    institution: str = "Saint Nowhere General Hospital"
    department: str = "Erewhon Radiology"
    referrer: str = "REFERRER^RITA"
    operator: str = "OPERATOR^OTTO"
    radiologist: str = "READER^ROSA"
    station: str = "NOWHERE-MR-3"
    serial: str = "SN-0042-4711"
    study_date: str = "20260814"
    study_time: str = "093017.250000"

    def identifiers(self) -> tuple[str, ...]:
        """Every string that must not come out at the other end of a de-identification."""
        return tuple(getattr(self, field.name) for field in fields(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class PixelFormat:
    """How signal becomes stored values.

    Parameters
    ----------
    bits
        Bits Stored; 8 bits are allocated for up to 8, else 16.
    signed
        Two's complement; the middle of the signal is then stored as 0.
    slope, intercept
        Rescale Slope and Intercept, written where they are not 1 and 0.
    slope_by_slice
        Scale each slice to its own maximum, as some vendors do.
    """

    bits: int = 12
    signed: bool = False
    slope: float = 1.0
    intercept: float = 0.0
    slope_by_slice: bool = False


def dicom_series(
    head: Head,
    *,
    patient: FakePatient | None = None,
    pixels: PixelFormat | None = None,
    series_number: int = 3,
) -> list[Dataset]:
    """Write a head as MR Image Storage instances.

    Parameters
    ----------
    head
        What to write; its affine gives plane, position and spacing.
    patient
        Whose it pretends to be.
    pixels
        How it is stored.
    series_number
        Tells several series of one seed apart: they share study, Frame of Reference and
        patient.

    Returns
    -------
    list of Dataset
        One instance per slice in stack order, each with its file meta information.
    """
    patient = patient or FakePatient()
    pixels = pixels or PixelFormat()
    common = Dataset()
    for fill in (_add_patient, _add_study, _add_equipment, _add_private):
        fill(common, patient)
    _add_series(common, head, patient, series_number)
    _add_acquisition(common, head)
    return [_instance(common, head, pixels, n) for n in range(len(head.values))]


def uid(*what: object) -> str:
    """Make a UID that is the same for the same words, under the arc for UUIDs."""
    digest = hashlib.sha256("/".join(map(str, what)).encode()).digest()
    return f"2.25.{int.from_bytes(digest[:16], 'big') >> 1}"


def _add_patient(ds: Dataset, patient: FakePatient) -> None:
    ds.PatientName = patient.name
    ds.PatientID = patient.patient_id
    ds.PatientBirthDate = patient.birth_date
    ds.PatientSex = "O"
    ds.PatientAge = patient.age
    ds.PatientWeight = "71"
    ds.PatientAddress = patient.address
    ds.PatientTelephoneNumbers = patient.telephone
    ds.PatientMotherBirthName = patient.mother
    ds.OtherPatientIDsSequence = [Dataset()]
    ds.OtherPatientIDsSequence[0].PatientID = patient.patient_id
    ds.OtherPatientIDsSequence[0].TypeOfPatientID = "TEXT"
    ds.PatientComments = f"{patient.name} came with {patient.mother}"


def _add_study(ds: Dataset, patient: FakePatient) -> None:
    ds.StudyDate = ds.SeriesDate = ds.AcquisitionDate = ds.ContentDate = patient.study_date
    ds.StudyTime = ds.SeriesTime = ds.AcquisitionTime = ds.ContentTime = patient.study_time
    ds.AccessionNumber = patient.accession
    ds.StudyID = patient.study_id
    ds.ReferringPhysicianName = patient.referrer
    ds.NameOfPhysiciansReadingStudy = patient.radiologist
    ds.StudyDescription = f"MR head, asked for by {patient.referrer}"
    ds.OperatorsName = patient.operator
    ds.ImageComments = f"Repeat for {patient.name}, {patient.accession}"
    request = Dataset()
    request.RequestedProcedureID = patient.accession
    request.RequestedProcedureDescription = f"Head of {patient.name}"
    request.ScheduledProcedureStepID = patient.study_id
    ds.RequestAttributesSequence = [request]


def _add_equipment(ds: Dataset, patient: FakePatient) -> None:
    ds.Manufacturer = "Drawn by code"
    ds.ManufacturerModelName = "Implicit 3T"
    ds.InstitutionName = patient.institution
    ds.InstitutionAddress = patient.address
    ds.InstitutionalDepartmentName = patient.department
    ds.StationName = patient.station
    ds.DeviceSerialNumber = patient.serial
    ds.SoftwareVersions = "1.0"
    ds.MagneticFieldStrength = "3"


def _add_private(ds: Dataset, patient: FakePatient) -> None:
    block = ds.private_block(0x0029, PRIVATE_CREATOR, create=True)
    block.add_new(0x10, "LO", patient.name)
    block.add_new(0x11, "OB", f"operator {patient.operator}\0".encode().ljust(32, b"\0"))
    inner = Dataset()
    inner.private_block(0x0029, PRIVATE_CREATOR, create=True).add_new(0x12, "PN", patient.name)
    block.add_new(0x20, "SQ", [inner])


def _add_series(ds: Dataset, head: Head, patient: FakePatient, series_number: int) -> None:
    person = (patient.patient_id, patient.accession, head.seed)
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID = MRImageStorage
    ds.Modality = "MR"
    ds.StudyInstanceUID = uid("study", *person)
    ds.FrameOfReferenceUID = uid("frame of reference", *person)
    ds.SeriesInstanceUID = uid("series", *person, head.contrast, series_number)
    ds.SeriesNumber = series_number
    ds.SeriesDescription = f"{head.contrast} head"
    ds.ProtocolName = f"{head.contrast} head"
    ds.BodyPartExamined = "HEAD"
    ds.PatientPosition = "HFS"
    ds.PositionReferenceIndicator = ""


def _add_acquisition(ds: Dataset, head: Head) -> None:
    sequence, variant, options, tr, te, ti, flip = _ACQUISITIONS[head.contrast]
    ds.ImageType = ["ORIGINAL", "PRIMARY", "M", "ND"]
    ds.ScanningSequence = sequence.split("\\")
    ds.SequenceVariant = variant.split("\\")
    ds.ScanOptions = options
    ds.MRAcquisitionType = "3D"
    ds.RepetitionTime = tr
    ds.EchoTime = te
    if ti:
        ds.InversionTime = ti
    ds.FlipAngle = flip
    ds.EchoTrainLength = 1
    ds.NumberOfAverages = "1"
    ds.ImagingFrequency = "123.2"
    ds.ImagedNucleus = "1H"
    if head.contrast == "T1CE":
        ds.ContrastBolusAgent = "GADOLINIUM"
        ds.ContrastBolusRoute = "IV"
    spacing = np.linalg.norm(head.affine[:3, :3], axis=0)
    ds.SliceThickness = _decimal(spacing[0])
    ds.SpacingBetweenSlices = _decimal(spacing[0])
    ds.PixelSpacing = [_decimal(spacing[1]), _decimal(spacing[2])]
    row, column = head.affine[:3, 2] / spacing[2], head.affine[:3, 1] / spacing[1]
    ds.ImageOrientationPatient = [_decimal(v) for v in (*row, *column)]


#              sequence  variant      options TR     TE     TI    flip
_ACQUISITIONS = {
    "T1": ("GR\\IR", "SP\\MP", "", "2300", "2.9", "900", "9"),
    "T1CE": ("GR\\IR", "SP\\MP", "", "2300", "2.9", "900", "9"),
    "T2": ("SE", "SK\\SP", "", "3200", "408", "", "120"),
    "FLAIR": ("SE\\IR", "SK\\SP\\MP", "", "5000", "388", "1800", "120"),
}


def _instance(common: Dataset, head: Head, pixels: PixelFormat, n: int) -> Dataset:
    ds = Dataset()
    ds.update(common)
    ds.SOPInstanceUID = uid(common.SeriesInstanceUID, "instance", n)
    ds.InstanceNumber = n + 1
    ds.AcquisitionNumber = 1
    position = head.affine[:3, 3] + n * head.affine[:3, 0]
    ds.ImagePositionPatient = [_decimal(v) for v in position]
    normal = np.cross(head.affine[:3, 2], head.affine[:3, 1])
    ds.SliceLocation = _decimal(float(position @ normal / np.linalg.norm(normal)))
    _add_pixels(ds, head.values[n], float(head.values.max()), pixels)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = MRImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


def _add_pixels(
    ds: Dataset, values: NDArray[np.float32], brightest: float, pixels: PixelFormat
) -> None:
    allocated = 8 if pixels.bits <= 8 else 16
    low = -(1 << (pixels.bits - 1)) if pixels.signed else 0
    high = low + (1 << pixels.bits) - 1
    slope, intercept = pixels.slope, pixels.intercept
    if pixels.slope_by_slice:
        slope = float(np.ceil(max(float(values.max()), 1.0) / (high - low) * 1e6) / 1e6)
        intercept = -low * slope
    elif pixels.bits <= 8:
        slope *= brightest / (high - low)
    stored = np.clip(np.round((values - intercept) / slope), low, high)
    kind = f"{'i' if pixels.signed else 'u'}{allocated // 8}"
    stored = stored.astype(f"<{kind}")
    ds.Rows, ds.Columns = stored.shape
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.BitsAllocated = allocated
    ds.BitsStored = pixels.bits
    ds.HighBit = pixels.bits - 1
    ds.PixelRepresentation = int(pixels.signed)
    ds.SmallestImagePixelValue = int(stored.min())
    ds.LargestImagePixelValue = int(stored.max())
    if (slope, intercept) != (1.0, 0.0):
        ds.RescaleSlope = _decimal(slope)
        ds.RescaleIntercept = _decimal(intercept)
        ds.RescaleType = "US"
    ds.WindowCenter = "450"
    ds.WindowWidth = "900"
    ds.PixelData = stored.tobytes() + b"\0" * (stored.nbytes % 2)


def _decimal(number: float) -> str:
    """Write a decimal string of at most 16 characters, without a negative zero."""
    return f"{round(float(number), 9) + 0.0:.10g}"
