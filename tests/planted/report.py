"""A structured report with an item of every Value Type that matters here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.sr.codedict import codes
from pydicom.uid import ComprehensiveSRStorage, MRImageStorage

from tests.planted.building import BRAIN, coded, dataset_of, reference
from tests.planted.modules import STUDY, patient_and_study
from tests.planted.mr import mr_instance

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.sr.coding import Code


def structured_report_instance() -> Dataset:
    """Give a Comprehensive SR with an item of every Value Type that matters here."""
    source = mr_instance()
    return dataset_of(
        patient_and_study(ComprehensiveSRStorage, "SR", 25)
        | {
            "ManufacturerModelName": "Prisma",
            "DeviceSerialNumber": "4711",
            "SoftwareVersions": "XA30",
            "ReferencedPerformedProcedureStepSequence": [],
            "CompletionFlag": "COMPLETE",
            "VerificationFlag": "VERIFIED",
            "VerifyingObserverSequence": [
                dataset_of(
                    {
                        "VerifyingObserverName": "ADA^DR",
                        "VerifyingObserverIdentificationCodeSequence": [],
                        "VerifyingOrganization": "Spital",
                        "VerificationDateTime": "20240229120000",
                    }
                )
            ],
            "CurrentRequestedProcedureEvidenceSequence": [
                dataset_of(
                    {
                        "StudyInstanceUID": STUDY,
                        "ReferencedSeriesSequence": [
                            dataset_of(
                                {
                                    "SeriesInstanceUID": source.SeriesInstanceUID,
                                    "ReferencedSOPSequence": [
                                        reference(MRImageStorage, source.SOPInstanceUID)
                                    ],
                                }
                            )
                        ],
                    }
                )
            ],
            "PerformedProcedureCodeSequence": [],
            "ValueType": "CONTAINER",
            "ContinuityOfContent": "SEPARATE",
            "ConceptNameCodeSequence": [coded(codes.DCM.ImagingMeasurementReport)],
            "ContentTemplateSequence": [
                dataset_of({"MappingResource": "DCMR", "TemplateIdentifier": "1500"})
            ],
            "ContentSequence": _content(source),
        }
    )


def item(
    value_type: str, concept: Code, relationship: str = "CONTAINS", **value: object
) -> Dataset:
    """Write a content item."""
    return dataset_of(
        {
            "RelationshipType": relationship,
            "ValueType": value_type,
            "ConceptNameCodeSequence": [coded(concept)],
            **value,
        }
    )


def measured(value: float, unit: Code) -> list[Dataset]:
    """Write the measured value of a NUM item."""
    return [dataset_of({"NumericValue": str(value), "MeasurementUnitsCodeSequence": [coded(unit)]})]


def _content(source: Dataset) -> list[Dataset]:
    image = item(
        "IMAGE",
        codes.DCM.SourceImageForSegmentation,
        ReferencedSOPSequence=[reference(source.SOPClassUID, source.SOPInstanceUID)],
    )
    finding = item("CODE", codes.DCM.Finding, ConceptCodeSequence=[coded(BRAIN)])
    finding.ContentSequence = [
        item("TEXT", codes.DCM.Comment, "HAS PROPERTIES", TextValue="T2 brain"),
    ]
    measurements = item(
        "CONTAINER",
        codes.DCM.ImagingMeasurements,
        ContinuityOfContent="SEPARATE",
        ContentSequence=[
            item(
                "CONTAINER",
                codes.DCM.MeasurementGroup,
                ContinuityOfContent="SEPARATE",
                ContentSequence=[
                    item(
                        "TEXT", codes.DCM.TrackingIdentifier, "HAS OBS CONTEXT", TextValue="brain"
                    ),
                    item(
                        "UIDREF",
                        codes.DCM.TrackingUniqueIdentifier,
                        "HAS OBS CONTEXT",
                        UID="1.2.3.4.5.25.9",
                    ),
                    finding,
                    image,
                    item(
                        "NUM",
                        codes.SCT.Volume,
                        MeasuredValueSequence=measured(12.5, codes.UCUM.CubicMillimeter),
                    ),
                    item("DATETIME", codes.DCM.StudyDate, DateTime="20240229101112"),
                    item("DATE", codes.DCM.StudyDate, Date="20240229"),
                    item("TIME", codes.DCM.StudyTime, Time="101112"),
                    item(
                        "COMPOSITE",
                        codes.DCM.SourceSeriesForSegmentation,
                        ReferencedSOPSequence=[
                            reference(source.SOPClassUID, source.SOPInstanceUID)
                        ],
                    ),
                ],
            )
        ],
    )
    return [
        item(
            "CODE",
            codes.DCM.ObserverType,
            "HAS OBS CONTEXT",
            ConceptCodeSequence=[coded(codes.DCM.Person)],
        ),
        item("PNAME", codes.DCM.PersonObserverName, "HAS OBS CONTEXT", PersonName="ADA^DR"),
        item("TEXT", codes.DCM.Comment, TextValue="T2 FLAIR of the brain by Dr. Ada"),
        measurements,
    ]
