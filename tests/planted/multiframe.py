"""Multi-frame instances: Enhanced MR and Segmentation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydicom.sr.codedict import codes
from pydicom.uid import EnhancedMRImageStorage, SegmentationStorage

from tests.planted.building import BRAIN, coded, dataset_of, reference
from tests.planted.modules import frame_of_reference, patient_and_study, pixels
from tests.planted.mr import mr_instance

if TYPE_CHECKING:
    from pydicom import Dataset


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
        patient_and_study(EnhancedMRImageStorage, "MR", 23)
        | pixels(frames=2)
        | frame_of_reference()
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
        patient_and_study(SegmentationStorage, "SEG", 24)
        | pixels()
        | frame_of_reference()
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
