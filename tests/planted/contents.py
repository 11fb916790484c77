"""Tokens in the places that only one SOP Class has."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.sequence import Sequence
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code
from pydicom.uid import MRImageStorage

from tests.planted.building import BRAIN, coded, dataset_of, reference
from tests.planted.report import item, measured

if TYPE_CHECKING:
    from pydicom import Dataset

    from tests.planted.planter import Planter


def plant_by_class(kind: str, dataset: Dataset, planter: Planter) -> None:
    """Plant what only instances of this class can hold."""
    planting = {
        "Enhanced MR": _plant_functional_groups,
        "SEG": _plant_segments,
        "SR": _plant_content,
        "SC": _plant_capture,
    }.get(kind)
    if planting is not None:
        planting(dataset, planter)


def _local(planter: Planter) -> Code:
    return Code(planter.token()[:16], "99QZ", planter.token())


def _plant_functional_groups(dataset: Dataset, planter: Planter) -> None:
    shared = dataset.SharedFunctionalGroupsSequence[0]
    coil = shared.MRReceiveCoilSequence[0]
    planter.put(coil, "ReceiveCoilName", "ReceiveCoilManufacturerName")
    element = dataset_of({"MultiCoilElementUsed": "YES"})
    planter.put(element, "MultiCoilElementName")
    coil.MultiCoilDefinitionSequence = Sequence([element])
    coil.private_block(0x0011, planter.token(), create=True).add_new(0x01, "LT", planter.token())
    planter.put(shared.MRTransmitCoilSequence[0], "TransmitCoilName")
    shared.FrameAnatomySequence[0].AnatomicRegionSequence.append(coded(_local(planter)))
    pointer = reference(MRImageStorage, planter.token("UI"))
    pointer.PurposeOfReferenceCodeSequence = Sequence([coded(_local(planter))])
    shared.ReferencedImageSequence = Sequence([pointer])
    for frame in dataset.PerFrameFunctionalGroupsSequence:
        content = frame.FrameContentSequence[0]
        planter.put(content, "FrameComments", "FrameLabel", "StackID")
        planter.put(content, "FrameAcquisitionDateTime", "FrameReferenceDateTime")
        frame.private_block(0x0021, planter.token(), create=True).add_new(1, "OB", planter.octets())
        unassigned = dataset_of({"ConceptNameCodeSequence": [coded(codes.DCM.Comment)]})
        unassigned.ValueType = "TEXT"
        planter.put(unassigned, "TextValue")
        frame.UnassignedSharedConvertedAttributesSequence = Sequence([unassigned])
    planter.put(dataset.DimensionIndexSequence[0], "DimensionDescriptionLabel")


def _plant_segments(dataset: Dataset, planter: Planter) -> None:
    planter.put(dataset, "ContentLabel", "ContentDescription", "ContentCreatorName")
    creator = dataset_of({})
    planter.put(creator, "InstitutionName", "PersonTelephoneNumbers")
    dataset.ContentCreatorIdentificationCodeSequence = Sequence([creator])
    segment = dataset.SegmentSequence[0]
    planter.put(segment, "SegmentLabel", "SegmentDescription", "SegmentAlgorithmName")
    planter.put(segment, "TrackingID", "TrackingUID")
    algorithm = dataset_of({"AlgorithmFamilyCodeSequence": [coded(_local(planter))]})
    planter.put(algorithm, "AlgorithmName", "AlgorithmVersion", "AlgorithmParameters")
    segment.SegmentationAlgorithmIdentificationSequence = Sequence([algorithm])
    segment.SegmentedPropertyTypeModifierCodeSequence = Sequence([coded(_local(planter))])
    source = dataset.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0]
    planter.put(source, "DerivationDescription")
    planter.put(source.SourceImageSequence[0], "PatientID")
    planter.put(dataset.ReferencedSeriesSequence[0], "SeriesDescription")


def _plant_content(dataset: Dataset, planter: Planter) -> None:
    observer = dataset.VerifyingObserverSequence[0]
    planter.put(observer, "VerifyingObserverName", "VerifyingOrganization")
    planter.put(observer, "VerificationDateTime")
    observer.VerifyingObserverIdentificationCodeSequence = Sequence([coded(_local(planter))])
    series = dataset.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]
    planter.put(series, "RetrieveAETitle", "StorageMediaFileSetID")
    inner: list[Dataset] = []
    for depth in range(4):
        items = [*_items(planter), *inner]
        heading = codes.DCM.Findings if depth % 2 else _local(planter)
        box = item(
            "CONTAINER", heading, ContinuityOfContent="SEPARATE", ContentSequence=list(items)
        )
        planter.put(box, "ObservationUID", "ObservationDateTime")
        inner = [box]
    dataset.ContentSequence.extend(inner)


def _items(planter: Planter) -> list[Dataset]:
    """Give items of every Value Type, each with a token in what tells its value or its name."""
    comment, volume = codes.DCM.Comment, codes.SCT.Volume
    pointer = reference(MRImageStorage, planter.token("UI"))
    qualified = measured(1.5, Code(planter.token()[:16], "UCUM", planter.token()))
    by_reference = dataset_of(
        {"RelationshipType": "INFERRED FROM", "ReferencedContentItemIdentifier": [1, 2]}
    )
    planter.put(by_reference, "TextValue")
    return [
        item("TEXT", comment, TextValue=planter.text()),
        item("TEXT", _local(planter), TextValue="T2 brain"),
        item("PNAME", codes.DCM.PersonObserverName, PersonName=planter.token("PN")),
        item("UIDREF", codes.DCM.TrackingUniqueIdentifier, UID=planter.token("UI")),
        item("DATETIME", codes.DCM.StudyDate, DateTime=planter.token("DT")),
        item("DATE", codes.DCM.StudyDate, Date=planter.token("DA")),
        item("CODE", codes.DCM.Finding, ConceptCodeSequence=[coded(_local(planter))]),
        item(
            "CODE",
            codes.DCM.Finding,
            ConceptCodeSequence=[coded(Code(BRAIN.value, "SCT", planter.token()))],
        ),
        item("NUM", volume, MeasuredValueSequence=qualified),
        item("IMAGE", codes.DCM.SourceImageForSegmentation, ReferencedSOPSequence=[pointer]),
        item(planter.token("CS"), comment, TextValue=planter.text()),
        by_reference,
    ]


def _plant_capture(dataset: Dataset, planter: Planter) -> None:
    planter.put(
        dataset,
        "SecondaryCaptureDeviceID",
        "SecondaryCaptureDeviceManufacturer",
        "SecondaryCaptureDeviceManufacturerModelName",
        "SecondaryCaptureDeviceSoftwareVersions",
    )
    planter.put(dataset, "DateOfSecondaryCapture", "VideoImageFormatAcquired")
