"""A whole, valid instance of each SOP Class that the tests plant in, all of one study.

dciodvfy finds no error in any but the MR instance: that one has no Laterality and an
Inversion Time beside a spin echo.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from pydicom.sr.codedict import codes
from pydicom.uid import (
    ComprehensiveSRStorage,
    CTImageStorage,
    EnhancedMRImageStorage,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    SegmentationStorage,
)

from tests.planted.building import BRAIN, coded, dataset_of, reference
from tests.planted.mr import NAME, mr_instance

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.sr.coding import Code

STUDY = "1.2.3.4.5.2"
FRAME_OF_REFERENCE = "1.2.3.4.5.4"


def _patient_and_study(sop_class_uid: str, modality: str, number: int) -> dict[str, object]:
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


def _pixels(rows: int = 8, frames: int = 1, bits: int = 16) -> dict[str, object]:
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


def _frame_of_reference() -> dict[str, object]:
    return {"FrameOfReferenceUID": FRAME_OF_REFERENCE, "PositionReferenceIndicator": ""}


def ct_instance() -> Dataset:
    """Give a CT instance."""
    return dataset_of(
        _patient_and_study(CTImageStorage, "CT", 21)
        | _pixels()
        | _frame_of_reference()
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
        _patient_and_study(SecondaryCaptureImageStorage, "OT", 22)
        | _pixels(bits=8)
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


def enhanced_mr_instance() -> Dataset:
    """Give an Enhanced MR instance of two frames."""
    shared = dataset_of(
        {
            "PixelMeasuresSequence": [
                dataset_of({"SliceThickness": "3", "PixelSpacing": ["0.5", "0.5"]})
            ],
            "PlaneOrientationSequence": [
                dataset_of({"ImageOrientationPatient": ["0", "1", "0", "0", "0", "-1"]})
            ],
            "FrameAnatomySequence": [
                dataset_of({"FrameLaterality": "U", "AnatomicRegionSequence": [coded(BRAIN)]})
            ],
            "MRImageFrameTypeSequence": [
                dataset_of(
                    {
                        "FrameType": ["ORIGINAL", "PRIMARY", "T2", "NONE"],
                        "PixelPresentation": "MONOCHROME",
                        "VolumetricProperties": "VOLUME",
                        "VolumeBasedCalculationTechnique": "NONE",
                        "ComplexImageComponent": "MAGNITUDE",
                        "AcquisitionContrast": "T2",
                    }
                )
            ],
            "PixelValueTransformationSequence": [
                dataset_of({"RescaleIntercept": "0", "RescaleSlope": "1", "RescaleType": "US"})
            ],
            "FrameVOILUTSequence": [dataset_of({"WindowCenter": "40", "WindowWidth": "80"})],
            "MRTimingAndRelatedParametersSequence": [
                dataset_of(
                    {
                        "RepetitionTime": "9000",
                        "FlipAngle": "150",
                        "EchoTrainLength": "16",
                        "RFEchoTrainLength": 16,
                        "GradientEchoTrainLength": 0,
                        "SpecificAbsorptionRateSequence": [
                            dataset_of(
                                {
                                    "SpecificAbsorptionRateDefinition": "IEC_HEAD",
                                    "SpecificAbsorptionRateValue": 0.7,
                                }
                            )
                        ],
                        "GradientOutputType": "DB_DT",
                        "GradientOutput": 12.5,
                        "OperatingModeSequence": [
                            dataset_of(
                                {
                                    "OperatingModeType": "GRADIENT",
                                    "OperatingMode": "IEC_NORMAL",
                                }
                            )
                        ],
                    }
                )
            ],
            "MRFOVGeometrySequence": [
                dataset_of(
                    {
                        "InPlanePhaseEncodingDirection": "ROW",
                        "MRAcquisitionFrequencyEncodingSteps": 8,
                        "MRAcquisitionPhaseEncodingStepsInPlane": 8,
                        "PercentSampling": "100",
                        "PercentPhaseFieldOfView": "100",
                    }
                )
            ],
            "MREchoSequence": [dataset_of({"EffectiveEchoTime": 87.5})],
            "MRModifierSequence": [
                dataset_of(
                    {
                        "InversionRecovery": "NO",
                        "FlowCompensation": "NONE",
                        "Spoiling": "NONE",
                        "T2Preparation": "NO",
                        "SpectrallySelectedExcitation": "NONE",
                        "SpatialPresaturation": "NONE",
                        "PartialFourier": "NO",
                        "ParallelAcquisition": "NO",
                    }
                )
            ],
            "MRImagingModifierSequence": [
                dataset_of(
                    {
                        "MagnetizationTransfer": "NONE",
                        "BloodSignalNulling": "NO",
                        "Tagging": "NONE",
                        "TransmitterFrequency": 123.25,
                        "PixelBandwidth": "220",
                    }
                )
            ],
            "MRReceiveCoilSequence": [
                dataset_of(
                    {
                        "ReceiveCoilName": "HEAD COIL",
                        "ReceiveCoilManufacturerName": "SIEMENS",
                        "ReceiveCoilType": "VOLUME",
                        "QuadratureReceiveCoil": "YES",
                    }
                )
            ],
            "MRTransmitCoilSequence": [
                dataset_of(
                    {
                        "TransmitCoilName": "BODY COIL",
                        "TransmitCoilManufacturerName": "SIEMENS",
                        "TransmitCoilType": "BODY",
                    }
                )
            ],
            "MRAveragesSequence": [dataset_of({"NumberOfAverages": "1"})],
            "MRDiffusionSequence": [
                dataset_of({"DiffusionBValue": 1000.0, "DiffusionDirectionality": "ISOTROPIC"})
            ],
        }
    )
    return dataset_of(
        _patient_and_study(EnhancedMRImageStorage, "MR", 23)
        | _pixels(frames=2)
        | _frame_of_reference()
        | {
            "ImageType": ["ORIGINAL", "PRIMARY", "T2", "NONE"],
            "PixelPresentation": "MONOCHROME",
            "VolumetricProperties": "VOLUME",
            "VolumeBasedCalculationTechnique": "NONE",
            "ComplexImageComponent": "MAGNITUDE",
            "AcquisitionContrast": "T2",
            "AcquisitionNumber": "1",
            "AcquisitionDateTime": "20240229101112.250000",
            "AcquisitionDuration": 12.5,
            "ManufacturerModelName": "Prisma",
            "DeviceSerialNumber": "4711",
            "SoftwareVersions": "XA30",
            "ResonantNucleus": "1H",
            "KSpaceFiltering": "NONE",
            "ApplicableSafetyStandardAgency": "IEC",
            "MagneticFieldStrength": "3",
            "PulseSequenceName": "*tse2d1",
            "MRAcquisitionType": "2D",
            "EchoPulseSequence": "SPIN",
            "MultipleSpinEcho": "NO",
            "MultiPlanarExcitation": "NO",
            "PhaseContrast": "NO",
            "TimeOfFlightContrast": "NO",
            "SteadyStatePulseSequence": "NONE",
            "EchoPlanarPulseSequence": "NO",
            "SaturationRecovery": "NO",
            "SpectrallySelectedSuppression": "NONE",
            "OversamplingPhase": "NONE",
            "GeometryOfKSpaceTraversal": "RECTILINEAR",
            "SegmentedKSpaceTraversal": "SINGLE",
            "RectilinearPhaseEncodeReordering": "LINEAR",
            "NumberOfKSpaceTrajectories": 1,
            "PatientPosition": "HFS",
            "ContentQualification": "PRODUCT",
            "BurnedInAnnotation": "NO",
            "LossyImageCompression": "00",
            "PresentationLUTShape": "IDENTITY",
            "NumberOfFrames": "2",
            "AcquisitionContextSequence": [],
            "DimensionOrganizationSequence": [
                dataset_of({"DimensionOrganizationUID": "1.2.3.4.5.23.7"})
            ],
            "DimensionIndexSequence": [
                dataset_of(
                    {
                        "DimensionIndexPointer": 0x00209057,
                        "FunctionalGroupPointer": 0x00209111,
                        "DimensionOrganizationUID": "1.2.3.4.5.23.7",
                    }
                )
            ],
            "SharedFunctionalGroupsSequence": [shared],
            "PerFrameFunctionalGroupsSequence": [_frame(number) for number in (1, 2)],
        }
    )


def _frame(number: int) -> Dataset:
    """Give the functional groups of one frame of Enhanced MR."""
    return dataset_of(
        {
            "FrameContentSequence": [
                dataset_of(
                    {
                        "FrameAcquisitionNumber": 1,
                        "FrameReferenceDateTime": "20240229101112.250000",
                        "FrameAcquisitionDateTime": "20240229101112.250000",
                        "FrameAcquisitionDuration": 12.5,
                        "DimensionIndexValues": [number],
                        "StackID": "1",
                        "InStackPositionNumber": number,
                    }
                )
            ],
            "PlanePositionSequence": [
                dataset_of({"ImagePositionPatient": ["-90.5", "-120", str(33 + 3 * number)]})
            ],
        }
    )


def segmentation_instance() -> Dataset:
    """Give a Segmentation of one segment on the MR instance."""
    source = mr_instance()
    frame = dataset_of(
        {
            "DerivationImageSequence": [
                dataset_of(
                    {
                        "SourceImageSequence": [_source_of_segmentation(source)],
                        "DerivationCodeSequence": [coded(codes.DCM.Segmentation)],
                    }
                )
            ],
            "FrameContentSequence": [dataset_of({"DimensionIndexValues": [1, 1]})],
            "PlanePositionSequence": [
                dataset_of({"ImagePositionPatient": ["-90.5", "-120", "33.25"]})
            ],
            "SegmentIdentificationSequence": [dataset_of({"ReferencedSegmentNumber": 1})],
        }
    )
    return dataset_of(
        _patient_and_study(SegmentationStorage, "SEG", 24)
        | _pixels()
        | _frame_of_reference()
        | {
            "ImageType": ["DERIVED", "PRIMARY"],
            "BitsAllocated": 1,
            "BitsStored": 1,
            "HighBit": 0,
            "PixelData": bytes(range(8)),
            "LossyImageCompression": "00",
            "ManufacturerModelName": "Prisma",
            "DeviceSerialNumber": "4711",
            "SoftwareVersions": "XA30",
            "ContentLabel": "SEGMENTATION",
            "ContentDescription": "brain mask",
            "ContentCreatorName": "ADA^DR",
            "NumberOfFrames": "1",
            "SegmentationType": "BINARY",
            "SegmentSequence": [
                dataset_of(
                    {
                        "SegmentNumber": 1,
                        "SegmentLabel": "brain",
                        "SegmentDescription": "brain of this patient",
                        "SegmentAlgorithmType": "AUTOMATIC",
                        "SegmentAlgorithmName": "brain",
                        "SegmentedPropertyCategoryCodeSequence": [
                            coded(codes.cid7150.AnatomicalStructure)
                        ],
                        "SegmentedPropertyTypeCodeSequence": [coded(BRAIN)],
                        "TrackingID": "brain",
                        "TrackingUID": "1.2.3.4.5.24.9",
                    }
                )
            ],
            "DimensionOrganizationSequence": [
                dataset_of({"DimensionOrganizationUID": "1.2.3.4.5.24.7"})
            ],
            "DimensionIndexSequence": [
                dataset_of(
                    {
                        "DimensionIndexPointer": pointer,
                        "FunctionalGroupPointer": group,
                        "DimensionOrganizationUID": "1.2.3.4.5.24.7",
                    }
                )
                for pointer, group in ((0x0062000B, 0x0062000A), (0x00200032, 0x00209113))
            ],
            "ReferencedSeriesSequence": [_series_of(source)],
            "SharedFunctionalGroupsSequence": [
                dataset_of(
                    {
                        "PlaneOrientationSequence": [
                            dataset_of({"ImageOrientationPatient": ["0", "1", "0", "0", "0", "-1"]})
                        ],
                        "PixelMeasuresSequence": [
                            dataset_of({"SliceThickness": "3", "PixelSpacing": ["0.5", "0.5"]})
                        ],
                    }
                )
            ],
            "PerFrameFunctionalGroupsSequence": [frame],
        }
    )


def _source_of_segmentation(source: Dataset) -> Dataset:
    pointer = reference(source.SOPClassUID, source.SOPInstanceUID)
    pointer.PurposeOfReferenceCodeSequence = [
        coded(codes.cid7202.SourceImageForImageProcessingOperation)
    ]
    return pointer


def _series_of(source: Dataset) -> Dataset:
    """Point at the series of an instance."""
    return dataset_of(
        {
            "SeriesInstanceUID": source.SeriesInstanceUID,
            "ReferencedInstanceSequence": [reference(source.SOPClassUID, source.SOPInstanceUID)],
        }
    )


def structured_report_instance() -> Dataset:
    """Give a Comprehensive SR with an item of every Value Type that matters here."""
    source = mr_instance()
    return dataset_of(
        _patient_and_study(ComprehensiveSRStorage, "SR", 25)
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


INSTANCES = {
    "MR": mr_instance,
    "Enhanced MR": enhanced_mr_instance,
    "CT": ct_instance,
    "SEG": segmentation_instance,
    "SR": structured_report_instance,
    "SC": secondary_capture_instance,
}
"""What makes a valid instance of each class, by a short name of the class."""
