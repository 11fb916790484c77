"""MR instances as four makers write them, with the numbers that research needs; nobody's scan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydicom import Dataset
from pydicom.sequence import Sequence
from pydicom.uid import EnhancedMRImageStorage

from tests.planted import mr_instance

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

Private = dict[tuple[int, str], dict[int, tuple[str, Any]]]
"""VR and value by low byte, by group and Private Creator."""

SIEMENS: Final[Private] = {
    (0x0019, "SIEMENS MR HEADER"): {
        0x0A: ("US", 36),
        0x0B: ("DS", "62.5"),
        0x0C: ("IS", "1000"),
        0x0D: ("CS", "DIRECTIONAL"),
        0x0E: ("FD", [0.0, 0.6, 0.8]),
        0x16: ("DS", "7.085"),
        0x17: ("DS", "1"),
        0x18: ("IS", "2800"),
        0x27: ("FD", [0.0, 0.0, 0.0, 360.0, 480.0, 640.0]),
        0x28: ("FD", 28.409),
        0x29: ("FD", [0.0, 1065.0, 62.5, 1127.5]),
    }
}
GE: Final[Private] = {
    (0x0019, "GEMS_ACQU_01"): {
        0xBB: ("DS", "0.6"),
        0xBC: ("DS", "-0.8"),
        0xBD: ("DS", "0"),
    },
    (0x0021, "GEMS_RELA_01"): {0x4F: ("SS", 36), 0x5E: ("DS", "1.25")},
    (0x0043, "GEMS_PARM_01"): {
        0x2C: ("SS", 588),
        0x2F: ("SS", 0),
        0x39: ("IS", [1000, 8, 0, 0]),
        0x6F: ("DS", [4, 0, 0]),
        0x83: ("DS", ["0.5", "1"]),
    },
}
PHILIPS: Final[Private] = {
    (0x2001, "Philips Imaging DD 001"): {
        0x03: ("FL", 1000.0),
        0x04: ("CS", "O"),
        0x08: ("IS", "1"),
        0x0A: ("IS", "3"),
        0x0B: ("CS", "TRANSVERSAL"),
        0x13: ("SL", 47),
        0x18: ("SL", 36),
        0x1B: ("FL", 372.75),
        0x22: ("FL", 12.25),
        0x81: ("IS", "2"),
    },
    (0x2005, "Philips MR Imaging DD 001"): {
        0x0D: ("FL", 0.0),
        0x0E: ("FL", 0.0078125),
        0x30: ("FL", 2500.0),
        0xB0: ("FL", 0.0),
        0xB1: ("FL", 0.5),
        0xB2: ("FL", -0.75),
    },
    (0x2005, "Philips MR Imaging DD 005"): {
        0x09: ("DS", "0"),
        0x0A: ("DS", "1.5"),
        0x12: ("IS", "2"),
        0x13: ("IS", "7"),
    },
}
UNITED: Final[Private] = {
    (0x0065, "Image Private Header"): {0x09: ("FD", 1000.0), 0x37: ("FD", [0.0, 0.6, 0.8])}
}


def siemens() -> Dataset:
    """Write as Siemens does: a mosaic of diffusion MR."""
    return _of_maker(
        SIEMENS,
        {
            "ImageType": ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE", "ND", "MOSAIC"],
            "Manufacturer": "SIEMENS",
            "ManufacturerModelName": "Prisma_fit",
            "SoftwareVersions": "syngo MR E11",
            "ScanningSequence": "EP",
            "ScanOptions": ["PFP", "FS"],
            "SequenceName": "*ep_b1000#12",
            "AngioFlag": "N",
            "SeriesDescription": "ep2d diff DTI b1000",
            "ProtocolName": "ep2d diff DTI b1000",
            "TransmitCoilName": "Body",
            "ReceiveCoilName": "Head_32",
            "VariableFlipAngleFlag": "N",
            "PercentSampling": "100",
            "PercentPhaseFieldOfView": "100",
            "NumberOfPhaseEncodingSteps": "95",
            "AcquisitionMatrix": [128, 0, 0, 96],
            "InPlanePhaseEncodingDirection": "COL",
            "dBdt": "0",
            "ImagedNucleus": "1H",
            "BodyPartExamined": "HEAD",
        },
    )


def ge() -> Dataset:
    """Write as GE does."""
    return _of_maker(
        GE,
        {
            "ImageType": ["ORIGINAL", "PRIMARY", "OTHER"],
            "Manufacturer": "GE MEDICAL SYSTEMS",
            "ManufacturerModelName": "DISCOVERY MR750",
            "ScanningSequence": ["EP", "RM"],
            "SequenceVariant": "NONE",
            "ScanOptions": ["EPI_GEMS", "FAST_GEMS"],
            "SeriesDescription": "AX DTI",
            "ProtocolName": "BRAIN",
            "ReceiveCoilName": "8HRBRAIN",
            "TransmitCoilName": "BODY",
            "HeartRate": "0",
            "TriggerWindow": "0",
            "ReconstructionDiameter": "240",
            "ImagesInAcquisition": "36",
            "TemporalResolution": "9000",
            "InPlanePhaseEncodingDirection": "COL",
            "ParallelReductionFactorInPlane": 2.0,
            "EffectiveEchoTime": 87.5,
            "RescaleIntercept": "0",
            "RescaleSlope": "1",
            "RescaleType": "US",
        },
    )


def philips() -> Dataset:
    """Write as Philips does: attributes of Enhanced MR in classic MR, and three slopes."""
    return _of_maker(
        PHILIPS,
        {
            "ImageType": ["ORIGINAL", "PRIMARY", "M_SE", "M", "SE"],
            "Manufacturer": "Philips Medical Systems",
            "ManufacturerModelName": "Ingenia",
            "SoftwareVersions": "5.4.1.1",
            "SeriesDescription": "T2 FLAIR",
            "ProtocolName": "T2 FLAIR SENSE",
            "ReceiveCoilName": "SENSE-Head-8",
            "TransmitCoilName": "Body",
            "TriggerTime": "0",
            "NumberOfTemporalPositions": "2",
            "TemporalPositionIdentifier": "1",
            "PartialFourier": "NO",
            "ParallelAcquisition": "YES",
            "ParallelAcquisitionTechnique": "SENSE",
            "MagnetizationTransfer": "NONE",
            "Spoiling": "NONE",
            "T2Preparation": "NO",
            "EchoPulseSequence": "SPIN",
            "SpatialPresaturation": "SLAB",
            "TransmitterFrequency": 127.731031,
            "GradientEchoTrainLength": 0,
            "RFEchoTrainLength": 16,
            "RescaleIntercept": "0",
            "RescaleSlope": "1.5",
            "RescaleType": "normalized",
            "RealWorldValueMappingSequence": [
                {
                    "RealWorldValueFirstValueMapped": 0,
                    "RealWorldValueLastValueMapped": 4095,
                    "RealWorldValueIntercept": 0.0,
                    "RealWorldValueSlope": 1.5,
                }
            ],
        },
    )


def united() -> Dataset:
    """Write as United Imaging does."""
    return _of_maker(UNITED, {"Manufacturer": "UIH", "ManufacturerModelName": "uMR Omega"})


def enhanced() -> Dataset:
    """Write Enhanced MR: one shared and two per-frame functional groups."""
    instance = mr_instance()
    for keyword in ("DiffusionBValue", "DiffusionGradientOrientation", "SliceLocation"):
        del instance[keyword]
    shared = {
        "PixelMeasuresSequence": [
            {"SliceThickness": "3", "SpacingBetweenSlices": "3.3", "PixelSpacing": ["0.5", "0.5"]}
        ],
        "PlaneOrientationSequence": [{"ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"]}],
        "FrameVOILUTSequence": [{"WindowCenter": "40", "WindowWidth": "80"}],
        "PixelValueTransformationSequence": [
            {"RescaleIntercept": "0", "RescaleSlope": "1.5", "RescaleType": "US"}
        ],
        "MRImageFrameTypeSequence": [
            {
                "FrameType": ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE"],
                "PixelPresentation": "MONOCHROME",
                "VolumetricProperties": "VOLUME",
                "VolumeBasedCalculationTechnique": "NONE",
                "ComplexImageComponent": "MAGNITUDE",
                "AcquisitionContrast": "DIFFUSION",
            }
        ],
        "MRTimingAndRelatedParametersSequence": [
            {
                "RepetitionTime": "9000",
                "FlipAngle": "90",
                "EchoTrainLength": "47",
                "RFEchoTrainLength": 0,
                "GradientEchoTrainLength": 47,
                "GradientOutputType": "DB_DT",
                "GradientOutput": 12.5,
                "SpecificAbsorptionRateSequence": [
                    {
                        "SpecificAbsorptionRateDefinition": "IEC_HEAD",
                        "SpecificAbsorptionRateValue": 0.7,
                    }
                ],
                "OperatingModeSequence": [
                    {"OperatingModeType": "GRADIENT", "OperatingMode": "IEC_NORMAL"}
                ],
            }
        ],
        "MRFOVGeometrySequence": [
            {
                "InPlanePhaseEncodingDirection": "COLUMN",
                "MRAcquisitionFrequencyEncodingSteps": 128,
                "MRAcquisitionPhaseEncodingStepsInPlane": 95,
                "PercentSampling": "100",
                "PercentPhaseFieldOfView": "100",
            }
        ],
        "MRModifierSequence": [
            {
                "InversionRecovery": "NO",
                "InversionTimes": [2500.0],
                "FlowCompensation": "NONE",
                "Spoiling": "NONE",
                "T2Preparation": "NO",
                "SpectrallySelectedExcitation": "WATER",
                "SpatialPresaturation": "NONE",
                "PartialFourier": "YES",
                "PartialFourierDirection": "PHASE",
                "ParallelAcquisition": "YES",
                "ParallelAcquisitionTechnique": "GRAPPA",
                "ParallelReductionFactorInPlane": 2.0,
                "ParallelReductionFactorOutOfPlane": 1.0,
            }
        ],
        "MRImagingModifierSequence": [
            {
                "MagnetizationTransfer": "NONE",
                "BloodSignalNulling": "NO",
                "Tagging": "NONE",
                "TransmitterFrequency": 123.25,
                "PixelBandwidth": "1502",
            }
        ],
        "MRReceiveCoilSequence": [
            {
                "ReceiveCoilName": "HeadNeck_20",
                "ReceiveCoilManufacturerName": "SIEMENS",
                "ReceiveCoilType": "MULTICOIL",
                "QuadratureReceiveCoil": "NO",
            }
        ],
        "MRTransmitCoilSequence": [
            {
                "TransmitCoilName": "Body",
                "TransmitCoilManufacturerName": "SIEMENS",
                "TransmitCoilType": "BODY",
            }
        ],
        "MRAveragesSequence": [{"NumberOfAverages": "2"}],
    }
    _set(instance, _ENHANCED | {"SharedFunctionalGroupsSequence": [shared]})
    _set(instance, {"PerFrameFunctionalGroupsSequence": [_frame(k) for k in range(2)]})
    return instance


STYLES: Final[dict[str, Callable[[], Dataset]]] = {
    "siemens": siemens,
    "ge": ge,
    "philips": philips,
    "united": united,
}

_ENHANCED: Final = {
    "SOPClassUID": EnhancedMRImageStorage,
    "NumberOfFrames": "2",
    "PulseSequenceName": "EPI",
    "EchoPulseSequence": "SPIN",
    "EchoPlanarPulseSequence": "YES",
    "MultipleSpinEcho": "NO",
    "SteadyStatePulseSequence": "NONE",
    "SaturationRecovery": "NO",
    "SpectrallySelectedSuppression": "FAT",
    "PhaseContrast": "NO",
    "TimeOfFlightContrast": "NO",
    "GeometryOfKSpaceTraversal": "RECTILINEAR",
    "SegmentedKSpaceTraversal": "SINGLE",
    "RectilinearPhaseEncodeReordering": "LINEAR",
    "CoverageOfKSpace": "FULL",
    "NumberOfKSpaceTrajectories": 1,
    "OversamplingPhase": "2D",
    "ResonantNucleus": "1H",
    "KSpaceFiltering": "NONE",
    "AcquisitionDuration": 262.5,
    "VolumetricProperties": "VOLUME",
    "ComplexImageComponent": "MAGNITUDE",
    "AcquisitionContrast": "DIFFUSION",
    "ImageType": ["ORIGINAL", "PRIMARY", "DIFFUSION", "NONE"],
    "PixelData": bytes(256),
}


def _frame(number: int) -> dict[str, object]:
    return {
        "FrameContentSequence": [
            {
                "FrameAcquisitionNumber": 1,
                "FrameAcquisitionDuration": 62.5,
                "TemporalPositionIndex": number + 1,
                "InStackPositionNumber": 1,
                "DimensionIndexValues": [1, number + 1],
            }
        ],
        "PlanePositionSequence": [{"ImagePositionPatient": ["-90.5", "-120", "33.25"]}],
        "MREchoSequence": [{"EffectiveEchoTime": 87.5}],
        "MRDiffusionSequence": [
            {
                "DiffusionBValue": 1000.0 * number,
                "DiffusionDirectionality": "DIRECTIONAL" if number else "NONE",
                "DiffusionGradientDirectionSequence": [
                    {"DiffusionGradientOrientation": [0.0, 0.6, 0.8]}
                ],
                "DiffusionBMatrixSequence": [
                    {
                        "DiffusionBValueXX": 0.0,
                        "DiffusionBValueYY": 360.0,
                        "DiffusionBValueYZ": 480.0,
                    }
                ],
            }
        ],
    }


def _of_maker(private: Private, standard: Mapping[str, object]) -> Dataset:
    instance = mr_instance()
    _set(instance, standard)
    add_private(instance, private)
    return instance


def add_private(dataset: Dataset, private: Private) -> None:
    """Add private blocks."""
    for (group, creator), elements in private.items():
        block = dataset.private_block(group, creator, create=True)
        for element, (vr, value) in elements.items():
            block.add_new(element, vr, value)


def _set(dataset: Dataset, values: Mapping[str, object]) -> None:
    """Set attributes; a list of mappings becomes a sequence."""
    for keyword, value in values.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            items = [Dataset() for _ in value]
            for item, inside in zip(items, value, strict=True):
                _set(item, inside)
            setattr(dataset, keyword, Sequence(items))
        else:
            setattr(dataset, keyword, value)
