"""The face mask as a DICOM Segmentation that refers to the defaced instances."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import highdicom as hd
from pydicom.sr.codedict import codes

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray
    from pydicom import Dataset

SEGMENT_LABEL: Final = "Face"
SEGMENT_COLOUR_RGB: Final = (230, 120, 40)
"""Recommended Display CIELab Value, before conversion: a warm orange."""

SERIES_NUMBER_OFFSET: Final = 9000
"""Added to the Series Number of the source, so that mask and source sort side by side."""

LARGEST_IS: Final = 2**31 - 1
"""Largest value of VR IS, PS3.5 section 6.2."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SegmentationIdentity:
    """What the SEG says of itself and of the algorithm.

    Parameters
    ----------
    series_instance_uid, sop_instance_uid, dimension_organization_uid : str
        UIDs of the new series, its one instance and its dimensions.
    algorithm_name, algorithm_version, weights_sha256 : str
        Identification of the model that drew the mask.
    software_version : str
        Version of this node.
    """

    series_instance_uid: str
    sop_instance_uid: str
    dimension_organization_uid: str
    algorithm_name: str
    algorithm_version: str
    weights_sha256: str
    software_version: str


def encode_segmentation(
    mask: NDArray[np.bool_], instances: Sequence[Dataset], identity: SegmentationIdentity
) -> Dataset:
    """Encode the face mask as a binary SEG.

    Parameters
    ----------
    mask : (slices, rows, columns) ndarray of bool
        True where a voxel was replaced.
    instances : sequence of Dataset
        The defaced, scrubbed instances, in stack order: the SEG refers to their new UIDs
        and lies in their Frame of Reference.
    identity : SegmentationIdentity
        UIDs and algorithm.

    Returns
    -------
    Dataset
        Segmentation Storage (PS3.3 A.51) with the one segment `SEGMENT_LABEL`. Equal
        arguments give equal datasets: dates are those of the source, not of a clock.
    """
    source = instances[0]
    series_number = min(int(source.get("SeriesNumber") or 0) + SERIES_NUMBER_OFFSET, LARGEST_IS)
    with warnings.catch_warnings():
        # A pseudonym has one name component, which highdicom doubts.
        warnings.filterwarnings("ignore", "The string .* is unlikely to represent")
        segmentation = _segmentation(mask, instances, identity, series_number)
    return _without_chance(segmentation, source, identity.dimension_organization_uid)


def _segmentation(
    mask: NDArray[np.bool_],
    instances: Sequence[Dataset],
    identity: SegmentationIdentity,
    series_number: int,
) -> hd.seg.Segmentation:
    """Call highdicom; its dates are those of a clock, one UID is random."""
    return hd.seg.Segmentation(
        source_images=instances,
        pixel_array=mask.astype("uint8"),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_face_segment(identity)],
        series_instance_uid=identity.series_instance_uid,
        series_number=series_number,
        sop_instance_uid=identity.sop_instance_uid,
        instance_number=1,
        manufacturer="deid-node",
        manufacturer_model_name="deid-node",
        software_versions=identity.software_version,
        device_serial_number=identity.weights_sha256[:16],
        content_label="FACE_MASK",
        content_description="Voxels replaced to remove the face",
        series_description="Face mask",
    )


def _face_segment(identity: SegmentationIdentity) -> hd.seg.SegmentDescription:
    """Describe the one segment, its algorithm and its weights."""
    return hd.seg.SegmentDescription(
        segment_number=1,
        segment_label=SEGMENT_LABEL,
        segmented_property_category=codes.SCT.AnatomicalStructure,
        segmented_property_type=codes.SCT.Face,
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=hd.AlgorithmIdentificationSequence(
            name=identity.algorithm_name,
            family=codes.DCM.ArtificialIntelligence,
            version=identity.algorithm_version,
            source="deid-node",
            parameters={"weights_sha256": identity.weights_sha256},
        ),
        display_color=hd.color.CIELabColor.from_rgb(*SEGMENT_COLOUR_RGB),
    )


def _without_chance(segmentation: Dataset, source: Dataset, dimensions_uid: str) -> Dataset:
    """Replace what highdicom took from a clock or drew at random: equal input, equal bytes."""
    for keyword in ("InstanceCreationDate", "InstanceCreationTime"):
        if keyword in segmentation:
            delattr(segmentation, keyword)
    for part, unknown in (("Date", "19000101"), ("Time", "000000")):
        known = [source.get(stem + part) for stem in ("Content", "Series", "Study")]
        setattr(segmentation, f"Content{part}", next((v for v in known if v), unknown))
    for item in (*segmentation.DimensionOrganizationSequence, *segmentation.DimensionIndexSequence):
        item.DimensionOrganizationUID = dimensions_uid
    for item in segmentation.get("ContributingEquipmentSequence") or ():
        item.pop("ContributionDateTime", None)
    return segmentation
