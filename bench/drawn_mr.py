"""MR instances as a scanner and a PACS leave them, with planted tokens; nobody's data.

Each has 256 by 256 cells, some 270 elements (200 of them at the top level), nested sequences,
two private elements of 11 kB like Siemens' CSA headers, and `N_TOKENS` different words that no
de-identified output should hold: in descriptions, names, IDs, UIDs, sequences, private and
unknown elements, file meta, preamble and padding.
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Final

import numpy as np
from pydicom import Dataset, FileDataset, dcmwrite
from pydicom.datadict import dictionary_VR
from pydicom.dataset import FileMetaDataset
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRLittleEndian, MRImageStorage

from tests.planted import NAME, mr_instance

if TYPE_CHECKING:
    from pathlib import Path

N_TOKENS: Final = 100
SIZE: Final = 256
CSA_BYTES: Final = 11_000
ROOT: Final = "1.2.826.0.1.3680043.8.498.77"

_PLACES: Final = """
    AccessionNumber InstitutionName InstitutionAddress StationName ReferringPhysicianAddress
    ReferringPhysicianTelephoneNumbers StudyDescription SeriesDescription
    InstitutionalDepartmentName PhysiciansOfRecord PerformingPhysicianName
    NameOfPhysiciansReadingStudy OperatorsName AdmittingDiagnosesDescription
    ManufacturerModelName DerivationDescription OtherPatientIDs PatientAddress MedicalAlerts
    Allergies PatientTelephoneNumbers Occupation AdditionalPatientHistory
    PatientReligiousPreference PatientComments ContrastBolusAgent DeviceSerialNumber
    SoftwareVersions ProtocolName ReceiveCoilName TransmitCoilName SequenceName StudyID
    ImageComments PerformedStationAETitle PerformedStationName PerformedLocation
    PerformedProcedureStepID PerformedProcedureStepDescription
    CommentsOnThePerformedProcedureStep RequestedProcedureID RequestedProcedureDescription
    RequestingPhysician RequestingService CurrentPatientLocation PatientInstitutionResidence
    VisitComments AdmissionID IdentifyingComments InterpretationText ResultsComments
    ClinicalTrialSponsorName ClinicalTrialProtocolID ClinicalTrialProtocolName
    ClinicalTrialSiteID ClinicalTrialSiteName ClinicalTrialSubjectID
    ClinicalTrialSubjectReadingID ClinicalTrialTimePointID AcquisitionComments ServiceEpisodeID
"""
"""Text attributes that get a token each."""

_FIGURES: Final[dict[str, object]] = {
    "SeriesTime": "101530",
    "AcquisitionTime": "101602.45",
    "ContentTime": "101603",
    "TimezoneOffsetFromUTC": "+0100",
    "PatientSize": "1.71",
    "BodyPartExamined": "HEAD",
    "ImagedNucleus": "1H",
    "NumberOfPhaseEncodingSteps": "224",
    "PercentSampling": "100",
    "PercentPhaseFieldOfView": "87.5",
    "AcquisitionMatrix": [0, 256, 224, 0],
    "InPlanePhaseEncodingDirection": "ROW",
    "TemporalPositionIdentifier": "1",
    "NumberOfTemporalPositions": "1",
    "PixelPaddingValue": 0,
    "RescaleIntercept": "0",
    "RescaleSlope": "1",
    "RescaleType": "US",
    "LossyImageCompression": "00",
    "BurnedInAnnotation": "NO",
    "PerformedProcedureStepStartDate": "20240229",
    "PerformedProcedureStepStartTime": "101112",
    "PerformedProcedureStepEndDate": "20240229",
    "PerformedProcedureStepEndTime": "104112",
    "AcquisitionDuration": 262.5,
    "ParallelReductionFactorInPlane": 2.0,
    "EffectiveEchoTime": 87.5,
    "IrradiationEventUID": f"{ROOT}.9",
    "RetrieveAETitle": "PACS1",
    "ReferringPhysicianName": NAME,
    "PatientMotherBirthName": NAME,
    "PatientBirthName": NAME,
    "OtherPatientNames": NAME,
}

_NESTED: Final = {
    "AnatomicRegionSequence": ("CodeMeaning", "StationName"),
    "RequestAttributesSequence": (
        "RequestedProcedureID",
        "ScheduledProcedureStepID",
        "ScheduledProcedureStepDescription",
    ),
    "OriginalAttributesSequence": ("ModifyingSystem", "SourceOfPreviousValues"),
    "SourceImageSequence": ("ReferencedSOPInstanceUID",),
    "ReferencedImageSequence": ("ReferencedSOPInstanceUID",),
    "ReferencedStudySequence": ("ReferencedSOPInstanceUID",),
    "ReferencedPerformedProcedureStepSequence": ("ReferencedSOPInstanceUID",),
    "ReferringPhysicianIdentificationSequence": ("InstitutionName", "PersonAddress"),
    "OtherPatientIDsSequence": ("PatientID", "IssuerOfPatientID"),
    "PerformedProtocolCodeSequence": ("CodeValue", "CodeMeaning"),
    "ProcedureCodeSequence": ("CodeValue", "CodeMeaning"),
}


def write_instances(folder: Path, count: int, *, strangers: bool = False) -> list[str]:
    """Write `count` instances of one series and tell the tokens.

    Parameters
    ----------
    folder
        Is made; gets ``ZEBRAFISH-0001.dcm`` and so on, as a PACS export names its files.
    count
        How many.
    strangers
        Whether each is of another patient and study instead: nothing is like what came before.

    Returns
    -------
    list of str
        `N_TOKENS` words, the same in every instance.
    """
    folder.mkdir(parents=True)
    tokens: list[str] = []
    for number in range(1, count + 1):
        content, tokens = instance(number, patient=number if strangers else 0)
        (folder / f"ZEBRAFISH-{number:04}.dcm").write_bytes(content)
    return tokens


def instance(number: int, *, patient: int = 0) -> tuple[bytes, list[str]]:
    """Draw one instance: its Part 10 bytes, and its tokens."""
    dataset, planter = mr_instance(), _Planter()
    for keyword, value in _FIGURES.items():
        setattr(dataset, keyword, value)
    for keyword in _PLACES.split():
        planter.put(dataset, keyword)
    _nest(dataset, planter)
    _add_private(dataset, planter)
    _add_oddities(dataset, planter)
    _number(dataset, number)
    if patient:
        _give_to(dataset, patient)
    return _written(dataset, planter)


class _Planter:
    """Plants tokens and remembers them."""

    def __init__(self) -> None:
        self.tokens: list[str] = []

    def token(self, vr: str = "LO") -> str:
        """Make a word that is a valid value of a string VR and stands nowhere else."""
        number = len(self.tokens)
        letters = "".join(chr(ord("A") + number // 26**k % 26) for k in range(3))
        made = {"UI": f"1.2.826.0.1.{777000 + number}.99", "CS": f"QZVEX{letters}"}.get(vr)
        made = made or (f"QZVEX{letters}^MIRA" if vr == "PN" else f"qzvex{letters.lower()}")
        self.tokens.append(made.split("^")[0])
        return made

    def put(self, dataset: Dataset, keyword: str) -> None:
        """Plant a token at an attribute; in a text between words of MR."""
        vr = dictionary_VR(keyword)
        token = self.token(vr)
        text = f"T2 {token} brain" if vr in {"LO", "UC", "LT", "ST", "UT"} else token
        dataset.add_new(keyword, vr, text)


def _nest(dataset: Dataset, planter: _Planter) -> None:
    for keyword, inside in _NESTED.items():
        entry = Dataset()
        if "Code" in keyword or keyword.startswith("Anatomic"):
            entry.CodeValue, entry.CodingSchemeDesignator = "69536005", "SCT"
            entry.CodeMeaning = "Head"
        if inside[0] == "ReferencedSOPInstanceUID":
            entry.ReferencedSOPClassUID = MRImageStorage
        entry.PatientName, entry.PatientID = NAME, "MRN-0815-77"
        for name in inside:
            planter.put(entry, name)
        setattr(dataset, keyword, Sequence([entry]))
    concept, deep, context = Dataset(), Dataset(), Dataset()
    concept.CodeValue, concept.CodingSchemeDesignator = "109054", "DCM"
    concept.CodeMeaning = "Patient State"
    deep.ConceptNameCodeSequence = Sequence([concept])
    deep.ValueType = "TEXT"
    planter.put(deep, "TextValue")
    context.ValueType, context.ContentItemModifierSequence = "PNAME", Sequence([deep])
    context.PersonName = NAME
    dataset.AcquisitionContextSequence = Sequence([context])


def _add_private(dataset: Dataset, planter: _Planter) -> None:
    numbers = np.random.default_rng(7).integers(0, 256, 2 * CSA_BYTES, dtype=np.uint8).tobytes()
    csa = dataset.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    for element, part in ((0x10, numbers[:CSA_BYTES]), (0x20, numbers[CSA_BYTES:])):
        words = planter.token().encode() + b"\0"
        csa.add_new(
            element, "OB", b"SV10" + part[: CSA_BYTES // 2] + words + part[CSA_BYTES // 2 :]
        )
        csa.add_new(element - 2, "CS", "IMAGE NUM 4")
    header = dataset.private_block(0x0019, "SIEMENS MR HEADER", create=True)
    for element, vr, value in (
        (0x0A, "US", 1),
        (0x0B, "DS", "0.5"),
        (0x0C, "IS", "1000"),
        (0x0D, "CS", "DIRECTIONAL"),
        (0x0E, "FD", [0.0, 0.6, 0.8]),
        (0x27, "FD", [0.0, 0, 0, 360, 480, 640]),
        (0x28, "FD", 28.5),
        (0x15, "FD", [-90.5, -120.0, 33.25]),
    ):
        header.add_new(element, vr, value)
    text = dataset.private_block(0x0051, "SIEMENS MR HEADER", create=True)
    for element, value in enumerate(("SCT", "TA 04.22", "FoV 240*240", "p2", "M/ND"), start=0x0A):
        text.add_new(element, "LO", value)
    text.add_new(0x0F, "LO", planter.token())
    unknown = dataset.private_block(0x0077, planter.token(), create=True)
    nested = Dataset()
    planter.put(nested, "PatientName")
    unknown.add_new(0x01, "SQ", Sequence([nested]))
    unknown.add_new(0x02, "UN", planter.token().encode())
    dataset.add_new(0x00791001, "LO", planter.token())  # a private element without a creator
    dataset.AnatomicRegionSequence[0].private_block(0x0011, "PLANTED", create=True).add_new(
        0x01, "LT", planter.token()
    )


def _add_oddities(dataset: Dataset, planter: _Planter) -> None:
    def raw(at: Dataset, tag: int, vr: str) -> None:
        at.add_new(tag, vr, planter.token().encode())

    for tag, vr in ((0x60003000, "OW"), (0xFFFCFFFC, "OB"), (0x00109999, "UN")):
        raw(dataset, tag, vr)
    for tag in (0x60000022, 0x60001500):
        dataset.add_new(tag, "LO", planter.token())
    for tag, vr, value in (
        (0x60000010, "US", 8),
        (0x60000011, "US", 8),
        (0x60000040, "CS", "G"),
        (0x60000050, "SS", [1, 1]),
        (0x60000100, "US", 1),
        (0x60000102, "US", 0),
    ):
        dataset.add_new(tag, vr, value)
    icon = Dataset()
    icon.Rows = icon.Columns = 4
    raw(icon, 0x7FE00010, "OW")
    dataset.IconImageSequence = Sequence([icon])
    signature = Dataset()
    raw(signature, 0x04000115, "OB")
    dataset.add_new(0xFFFAFFFA, "SQ", Sequence([signature]))


def _number(dataset: Dataset, number: int) -> None:
    """Make an instance one of a series: its own UID, place and pixels."""
    dataset.PatientName = NAME
    dataset.SOPInstanceUID = UID(f"{ROOT}.1.{number}")
    dataset.InstanceNumber = number
    dataset.ImagePositionPatient = [round(-90.5 + 3.3 * number, 2), -120, 33.25]
    dataset.SliceLocation = round(-90.5 + 3.3 * number, 2)
    dataset.Rows = dataset.Columns = SIZE
    dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 15, 1
    cells = np.random.default_rng(number).normal(600, 200, (SIZE, SIZE))
    dataset.PixelData = cells.astype("<i2").tobytes()


def _give_to(dataset: Dataset, patient: int) -> None:
    """Make an instance another patient's, of another day and study."""
    dataset.PatientName, dataset.PatientID = f"{NAME}{patient:04}", f"MRN-0815-{patient:04}"
    dataset.PatientBirthDate = f"{1930 + patient % 60}{1 + patient % 12:02}{1 + patient % 28:02}"
    day = f"{2010 + patient % 14}{1 + patient % 11:02}{1 + patient % 27:02}"
    for keyword in ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate"):
        setattr(dataset, keyword, day)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "FrameOfReferenceUID"):
        setattr(dataset, keyword, UID(f"{dataset[keyword].value}.{patient}"))


def _written(dataset: Dataset, planter: _Planter) -> tuple[bytes, list[str]]:
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = MRImageStorage
    meta.MediaStorageSOPInstanceUID = UID(dataset.SOPInstanceUID)
    for keyword in ("SourceApplicationEntityTitle", "SendingApplicationEntityTitle"):
        planter.put(meta, keyword)
    meta.PrivateInformationCreatorUID = UID(f"{ROOT}.2")
    meta.PrivateInformation = planter.token().encode() + b"\0"
    preamble = planter.token().encode().ljust(128, b"\0")
    buffer = io.BytesIO()
    dcmwrite(
        buffer,
        FileDataset(buffer, dataset, file_meta=meta, preamble=preamble),
        enforce_file_format=True,
    )
    return buffer.getvalue(), planter.tokens
