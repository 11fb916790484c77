"""What a person has to say about a mask that the checks doubt."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from deid_node.dicom.volume import Volume
    from deid_node.errors import ImplausibleFaceMask


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Evidence:
    """What a person needs to judge the result; it shows the face and never leaves the node."""

    before: Volume
    after: Volume
    mask: NDArray[np.bool_]

    def digest(self) -> str:
        """Name exactly this result: SHA-256 in hexadecimal over all voxels, geometry and mask."""
        told = hashlib.sha256(str((self.mask.shape, self.before.stored.dtype)).encode())
        for array in (self.before.affine, self.before.stored, self.after.stored, self.mask):
            told.update(np.ascontiguousarray(array).data)
        return told.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Review:
    """How a doubtful mask comes before a person, and what the person said.

    Parameters
    ----------
    accepted
        Digest of the evidence that was accepted; None where nobody did.
    show
        Puts the evidence of a doubt where a person can see it.
    """

    accepted: str | None
    show: Callable[[Evidence], object]

    def refuse_unless_accepted(self, doubt: ImplausibleFaceMask, evidence: Evidence) -> None:
        """Hold a doubtful result, unless it is the one that was accepted.

        A mask that removes nothing cannot be accepted: the face would leave as it came.

        Raises
        ------
        ImplausibleFaceMask
            The doubt.
        """
        is_accepted = self.accepted is not None and self.accepted == evidence.digest()
        if not is_accepted or not evidence.mask.any():
            self.show(evidence)
            raise doubt
