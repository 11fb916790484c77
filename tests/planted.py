"""An MR instance with a unique token in every place where peers were seen to leak.

The places are those of a comparison of thirteen de-identifiers: nested, private, retired,
mistyped, structural. Everything here is made up.
"""

from __future__ import annotations

import io
from itertools import count

import numpy as np
from pydicom import Dataset, FileDataset, dcmwrite
from pydicom.datadict import dictionary_VR, keyword_for_tag, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, ImplicitVRLittleEndian, MRImageStorage

NAME = "ZEBRAFISH^QUENTIN"
TEXT_PLACES = [
    "AccessionNumber",
    "InstitutionName",
    "InstitutionAddress",
    "ReferringPhysicianName",
    "StationName",
    "ReferringPhysicianAddress",
    "ReferringPhysicianTelephoneNumbers",
    "StudyDescription",
    "SeriesDescription",
    "InstitutionalDepartmentName",
    "PhysiciansOfRecord",
    "PerformingPhysicianName",
    "NameOfPhysiciansReadingStudy",
    "OperatorsName",
    "AdmittingDiagnosesDescription",
    "ManufacturerModelName",
    "Manufacturer",
    "DerivationDescription",
    "OtherPatientIDs",
    "OtherPatientNames",
    "PatientBirthName",
    "PatientAddress",
    "PatientMotherBirthName",
    "MilitaryRank",
    "BranchOfService",
    "MedicalAlerts",
    "Allergies",
    "CountryOfResidence",
    "RegionOfResidence",
    "PatientTelephoneNumbers",
    "EthnicGroup",
    "Occupation",
    "AdditionalPatientHistory",
    "PatientReligiousPreference",
    "PatientComments",
    "ContrastBolusAgent",
    "DeviceSerialNumber",
    "SoftwareVersions",
    "ProtocolName",
    "ReceiveCoilName",
    "TransmitCoilName",
    "SequenceName",
    "StudyID",
    "ImageComments",
    "PerformedStationAETitle",
    "PerformedStationName",
    "PerformedLocation",
    "PerformedProcedureStepID",
    "PerformedProcedureStepDescription",
    "CommentsOnThePerformedProcedureStep",
    "RequestedProcedureID",
    "RequestedProcedureDescription",
    "RequestingPhysician",
    "RequestingService",
    "StudyComments",
    "CurrentPatientLocation",
    "PatientInstitutionResidence",
    "VisitComments",
    "AdmissionID",
    "IssuerOfPatientID",
    "IdentifyingComments",
    "InterpretationText",
    "ResultsComments",
    "Impressions",
    "ClinicalTrialSponsorName",
    "ClinicalTrialProtocolID",
    "ClinicalTrialProtocolName",
    "ClinicalTrialSiteID",
    "ClinicalTrialSiteName",
    "ClinicalTrialSubjectID",
    "ClinicalTrialSubjectReadingID",
    "ClinicalTrialTimePointID",
    "ClinicalTrialSeriesID",
    "PositionReferenceIndicator",
    "AcquisitionComments",
    "ImagePresentationComments",
    "TextComments",
    "PatientState",
    "SpecialNeeds",
    "PreMedication",
    "ServiceEpisodeID",
    "PersonName",
    "PersonAddress",
    "DeviceID",
    "GantryID",
    "FilterMaterial",
    "RescaleType",
    "DeidentificationMethod",
    "ImagedNucleus",
    "BodyPartExamined",
    "ScanOptions",
    "ImageType",
    "PatientSex",
    "AcquisitionMatrixText",
    "VariableFlipAngleFlag",
    "AngioFlag",
    "Laterality",
]
LONG_TEXT = frozenset({"LT", "ST", "UT"})


def mr_instance() -> Dataset:
    """Give a whole, valid MR instance of 8 by 8 pixels with the attributes research needs."""
    values: dict[str, object] = {
        "ImageType": ["ORIGINAL", "PRIMARY", "M", "ND"],
        "SOPClassUID": MRImageStorage,
        "SOPInstanceUID": "1.2.3.4.5.1",
        "StudyDate": "20240229",
        "SeriesDate": "20240229",
        "AcquisitionDate": "20240229",
        "ContentDate": "20240229",
        "StudyTime": "101112.5",
        "AcquisitionDateTime": "20240229101112.250000+0100",
        "AccessionNumber": "A4711",
        "Modality": "MR",
        "Manufacturer": "SIEMENS",
        "ManufacturerModelName": "Prisma",
        "SeriesDescription": "T2 FLAIR sag 3mm",
        "ReferringPhysicianName": "",
        "PatientName": NAME,
        "PatientID": "MRN-0815-77",
        "PatientBirthDate": "19420707",
        "PatientSex": "F",
        "PatientAge": "093Y",
        "PatientWeight": "71.5",
        "ScanningSequence": "SE",
        "SequenceVariant": ["SK", "SP"],
        "ScanOptions": "FS",
        "MRAcquisitionType": "2D",
        "SliceThickness": "3",
        "RepetitionTime": "9000",
        "EchoTime": "87.5",
        "InversionTime": "2500",
        "NumberOfAverages": "1",
        "ImagingFrequency": "123.25",
        "EchoNumbers": "1",
        "MagneticFieldStrength": "3",
        "SpacingBetweenSlices": "3.3",
        "EchoTrainLength": "16",
        "PixelBandwidth": "220",
        "FlipAngle": "150",
        "SAR": "0.7",
        "PatientPosition": "HFS",
        "DiffusionBValue": 1000.0,
        "DiffusionGradientOrientation": [0.0, 0.6, 0.8],
        "StudyInstanceUID": "1.2.3.4.5.2",
        "SeriesInstanceUID": "1.2.3.4.5.3",
        "StudyID": "4711",
        "SeriesNumber": "7",
        "AcquisitionNumber": "1",
        "InstanceNumber": "12",
        "ImagePositionPatient": ["-90.5", "-120", "33.25"],
        "ImageOrientationPatient": ["0", "1", "0", "0", "0", "-1"],
        "FrameOfReferenceUID": "1.2.3.4.5.4",
        "PositionReferenceIndicator": "",
        "SliceLocation": "12.5",
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": 8,
        "Columns": 8,
        "PixelSpacing": ["0.5", "0.5"],
        "BitsAllocated": 16,
        "BitsStored": 12,
        "HighBit": 11,
        "PixelRepresentation": 0,
        "WindowCenter": "40",
        "WindowWidth": "80",
        "PixelData": np.arange(64, dtype="<u2").tobytes(),
    }
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


SURVIVE = [
    "ScanningSequence",
    "SequenceVariant",
    "ScanOptions",
    "MRAcquisitionType",
    "SliceThickness",
    "RepetitionTime",
    "EchoTime",
    "InversionTime",
    "NumberOfAverages",
    "ImagingFrequency",
    "EchoNumbers",
    "MagneticFieldStrength",
    "SpacingBetweenSlices",
    "EchoTrainLength",
    "PixelBandwidth",
    "FlipAngle",
    "SAR",
    "PatientPosition",
    "SeriesNumber",
    "AcquisitionNumber",
    "InstanceNumber",
    "ImagePositionPatient",
    "ImageOrientationPatient",
    "SliceLocation",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "PixelSpacing",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "WindowCenter",
    "WindowWidth",
    "PixelData",
    "Modality",
    "ImageType",
    "SOPClassUID",
    "Manufacturer",
]
"""Attributes that an MR researcher needs, under every shipped profile."""


class Planter:
    """Plants tokens and remembers them."""

    def __init__(self) -> None:
        self.tokens: list[str] = []
        self._numbers = count()

    def token(self, vr: str = "LO") -> str:
        """Make a token that is a valid value of a string VR."""
        number = next(self._numbers)
        letters = "".join(chr(ord("A") + number // 26**k % 26) for k in range(3))
        made = {
            "UI": f"1.2.826.0.1.{777000 + number}.99",
            "DA": f"{1930 + number % 60}{1 + number % 12:02}{1 + number % 28:02}",
            "CS": f"QZVEX{letters}",
            "PN": f"QZVEX{letters}^MIRA",
        }.get(vr, f"qzvex{letters.lower()}")
        self.tokens.append(made.split("^")[0])
        return made

    def put(self, dataset: Dataset, keyword: str) -> None:
        """Plant a token at an attribute, with a known word beside it."""
        tag = tag_for_keyword(keyword)
        if tag is None:
            return
        vr = dictionary_VR(tag)
        token = self.token(vr)
        text = f"T2 {token} brain" if vr in {"LO", "UC", *LONG_TEXT} else token
        dataset.add_new(tag, vr, [text] if keyword == "ImageType" else text)


def planted() -> tuple[Dataset, list[str]]:
    """Give an instance with tokens planted everywhere, and the tokens."""
    dataset, planter = mr_instance(), Planter()
    for keyword in TEXT_PLACES:
        planter.put(dataset, keyword)
    _plant_sequences(dataset, planter)
    _plant_private(dataset, planter)
    _plant_structures(dataset, planter)
    return dataset, [*planter.tokens, "ZEBRAFISH", "QUENTIN", "MRN-0815-77", "19420707"]


def _plant_sequences(dataset: Dataset, planter: Planter) -> None:
    code = Dataset()
    for keyword in ("CodeValue", "CodingSchemeDesignator", "CodeMeaning", "PatientName"):
        planter.put(code, keyword)
    dataset.AnatomicRegionSequence = Sequence([code])
    deep = Dataset()
    planter.put(deep, "TextValue")
    deep.ConceptNameCodeSequence = Sequence([_copy(code)])
    context = Dataset()
    planter.put(context, "PersonName")
    context.ContentItemModifierSequence = Sequence([deep])
    dataset.AcquisitionContextSequence = Sequence([context])
    for keyword, inside in {
        "RequestAttributesSequence": ("RequestedProcedureID", "ScheduledProcedureStepDescription"),
        "OriginalAttributesSequence": ("ModifyingSystem", "SourceOfPreviousValues"),
        "SourceImageSequence": ("ReferencedSOPInstanceUID", "PatientName"),
        "ReferencedImageSequence": ("ReferencedSOPInstanceUID", "PatientID"),
        "ReferringPhysicianIdentificationSequence": ("InstitutionName", "PersonAddress"),
        "OtherPatientIDsSequence": ("PatientID", "IssuerOfPatientID"),
        "PerformedProtocolCodeSequence": ("CodeValue", "CodeMeaning"),
        "ReferencedPatientSequence": ("ReferencedSOPInstanceUID",),
        "UDISequence": ("UniqueDeviceIdentifier", "DeviceDescription"),
    }.items():
        entry = Dataset()
        for name in inside:
            planter.put(entry, name)
        setattr(dataset, keyword, Sequence([entry]))


def _plant_private(dataset: Dataset, planter: Planter) -> None:
    for group, creator in ((0x0029, "SIEMENS CSA HEADER"), (0x0019, "SIEMENS MR HEADER")):
        block = dataset.private_block(group, creator, create=True)
        block.add_new(0x10, "OB", planter.token().encode() + b"\0")
        block.add_new(0x0C, "LO", planter.token())
    unknown = dataset.private_block(0x0077, planter.token(), create=True)
    nested = Dataset()
    planter.put(nested, "PatientName")
    unknown.add_new(0x01, "SQ", Sequence([nested]))
    unknown.add_new(0x02, "UN", planter.token().encode() + b"\0")
    dataset.add_new(0x00791001, "LO", planter.token())  # no creator
    public = dataset.AnatomicRegionSequence[0]
    public.private_block(0x0011, "PLANTED", create=True).add_new(0x01, "LT", planter.token())


def _plant_structures(dataset: Dataset, planter: Planter) -> None:
    def raw(tag: int, vr: str) -> None:
        dataset.add_new(tag, vr, planter.token().encode() + b"\0")

    for tag, vr in (
        (0x60003000, "OW"),
        (0x50003000, "OW"),
        (0xFFFCFFFC, "OB"),
        (0x00109999, "UN"),
        (0x00420011, "OB"),
        (0x00281408, "OW"),
        (0x00283006, "OW"),
    ):
        raw(tag, vr)
    for number in (0x60004000, 0x60000022, 0x60001500, 0x50000022, 0x00104000, 0x40080042):
        dataset.add_new(number, "LO", planter.token())
    icon = Dataset()
    icon.add_new(0x7FE00010, "OW", planter.token().encode() + b"\0")
    dataset.IconImageSequence = Sequence([icon])
    signature = Dataset()
    signature.add_new(0x04000115, "OB", planter.token().encode() + b"\0")
    dataset.add_new(0xFFFAFFFA, "SQ", Sequence([signature]))
    for keyword in ("InstanceCreatorUID", "DeviceUID", "SynchronizationFrameOfReferenceUID"):
        planter.put(dataset, keyword)
    for keyword, vr in (("EchoTime", "LT"), ("Rows", "OB")):
        wrong = Dataset()  # a known attribute with another VR than the dictionary's
        known = tag_for_keyword(keyword)
        assert known is not None
        text = planter.token()
        wrong.add(DataElement(known, vr, text if vr == "LT" else text.encode() + b"\0"))
        dataset.add_new(0x00081199 if keyword == "Rows" else 0x00081115, "SQ", Sequence([wrong]))


def _copy(dataset: Dataset) -> Dataset:
    copy = Dataset()
    copy.update(dataset)
    return copy


def written(
    dataset: Dataset, *, implicit: bool = False, syntax: str = ExplicitVRLittleEndian
) -> bytes:
    """Write a dataset as a Part 10 file."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ImplicitVRLittleEndian if implicit else UID(syntax)
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = UID(dataset.SOPInstanceUID)
    buffer = io.BytesIO()
    file = FileDataset(buffer, dataset, file_meta=meta, preamble=b"\0" * 128)
    dcmwrite(buffer, file, enforce_file_format=True)
    return buffer.getvalue()


def keywords(dataset: Dataset) -> set[str]:
    """Name every attribute at the top level."""
    return {keyword_for_tag(tag) for tag in dataset.keys()}  # noqa: SIM118 - values stay raw
