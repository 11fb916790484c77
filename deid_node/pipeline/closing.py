"""The last look before anything may leave: unmasked voxels, and identifiers that are left."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from deid_node.errors import PixelsNotRestored, ResidualIdentifier
from deid_node.headers.needles import joined
from deid_node.headers.residue import identifiers_of
from deid_node.headers.search import Search

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from pydicom import Dataset

    from deid_node.dicom.part10 import EncodedInstance
    from deid_node.dicom.pixels import Words
    from deid_node.dicom.series import Series


def refuse_changed_voxels(
    defaced: Sequence[Dataset], words: Sequence[Words], mask: NDArray[np.bool_]
) -> None:
    """Compare the Pixel Data that will leave with the cells that came.

    Parameters
    ----------
    defaced : sequence of Dataset
        Instances with their new Pixel Data, in stack order.
    words : sequence of (rows, columns) ndarray
        Pixel cells as they came.
    mask : (slices, rows, columns) ndarray of bool
        Where they may differ.

    Raises
    ------
    PixelsNotRestored
        If a cell outside the mask is not the same bits.
    """
    n_voxels = 0
    for instance, came, here in zip(defaced, words, mask, strict=True):
        leaves = np.frombuffer(
            instance.PixelData, came.dtype.newbyteorder("<"), count=came.size
        ).reshape(came.shape)
        n_voxels += int(np.count_nonzero((leaves != came) & ~here))
    if n_voxels:
        raise PixelsNotRestored(n_voxels=n_voxels)


def refuse_residue(
    series: Series, encoded: Sequence[EncodedInstance], *, kept: frozenset[str]
) -> None:
    """Search the written bytes for the identifiers of the series they were made from.

    Parameters
    ----------
    series : Series
        As it came.
    encoded : sequence of EncodedInstance
        What was made of it, the SEG too.
    kept : frozenset of str
        Keywords of the attributes that the profile keeps as they are: their values are
        found, and rightly so.

    Raises
    ------
    ResidualIdentifier
        If one of them holds an identifier.
    """
    search = Search(joined(identifiers_of(each, kept=kept) for each in series.instances))
    found = [search.run(each.part10) for each in encoded]
    keywords = {finding.keyword for findings in found for finding in findings}
    if keywords:
        raise ResidualIdentifier(
            keywords=tuple(sorted(keywords)), n_instances=sum(map(bool, found))
        )
