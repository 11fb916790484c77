"""The stored answers of nnU-Net and nnunetv2: what each case was asked, and by which network."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deid_node.face.nnunet.plans import Planned

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

CASES = (
    *("as it is", "no mirrors", "resampled", "thick slices", "a thick network", "zero air"),
    *("half the spacing", "turned", "smaller than a window"),
)

LAST_BITS = 5e-6
"""Share of the greatest answer by which those of two processors may differ [up to 9e-7]."""


def planned_of(case: dict[str, NDArray[Any]], *, generation: int) -> Planned:
    """Give what the model of a case was trained on."""
    forward = tuple(int(axis) for axis in case["forward"])
    return Planned(
        generation=generation,
        spacing_mm=tuple(float(mm) for mm in case["target"]),
        patch=tuple(int(n) for n in case["patch"]),
        transpose_forward=forward,
        transpose_backward=tuple(forward.index(axis) for axis in range(3)),
        masked_norm=bool(case["masked"]),
        labels=(1,),
        mirror_axes=tuple(int(axis) for axis in case["mirror"]),
    )


def ramp_network(patch: tuple[int, ...]) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Make the network of the stored answers: values times a ramp, against half the ramp."""
    count = int(np.prod(patch))
    rising = np.arange(count, dtype=np.float32).reshape(patch) / np.float32(count)
    return lambda values: np.stack([values * rising, values * 0 + rising * np.float32(0.5)])


def assert_same_network(found: NDArray[np.float32], stored: NDArray[np.float32]) -> None:
    """See that two answers are of one network: equal, but for what another processor rounds.

    Answers were stored on one machine; libraries choose other kernels on another, and sums in
    another order end in other last bits.
    """
    np.testing.assert_allclose(found, stored, rtol=0, atol=LAST_BITS * float(np.abs(stored).max()))
