"""The single path that the node and the command line take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from deid_node.dicom.part10 import EncodedInstance
    from deid_node.dicom.series import Series
    from deid_node.dicom.volume import Volume
    from deid_node.pipeline.recipe import Recipe
    from deid_node.pipeline.record import Record


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """What a person needs to judge the result; it shows the face and never leaves the node."""

    before: Volume
    after: Volume
    mask: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DeidentifiedSeries:
    """What may leave the node, and the evidence that stays.

    Parameters
    ----------
    instances : tuple of EncodedInstance
        The defaced instances, in stack order.
    segmentation : EncodedInstance
        The SEG of the mask.
    record : Record
        What was done; holds no identifier.
    evidence : Evidence
        Before, after and mask; stays on the trusted side.
    """

    instances: tuple[EncodedInstance, ...]
    segmentation: EncodedInstance
    record: Record
    evidence: Evidence


def deidentify(series: Series, recipe: Recipe) -> DeidentifiedSeries:
    """De-identify one series."""
    raise NotImplementedError
