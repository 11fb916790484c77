"""How a network of an imported model is added up: in float32, or in bytes.

Processors since 2019 multiply bytes four times as fast as float32. What that needs is a range for
the values of each channel, and nobody has to look at an image for it: behind an instance norm a
channel has mean 0 and deviation 1, so its weight and its bias say how far it reaches.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

REACH: Final = 10.0
"""Deviations of a channel that its bytes reach to; what is farther counts as that far."""

MOST: Final = 127
"""The greatest byte of a kernel; its least is as far from 0."""

STEPS: Final = 255
"""From the least byte of a value to its greatest."""

ZERO: Final = 3
"""The byte that means 0 before a convolution: below it is what leaky ReLU leaves of the negative."""

_TINY: Final = 1e-6


class Arithmetic(Protocol):
    """What a graph asks of the numbers that its convolutions are added up in."""

    def scale(self, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> NDArray[np.float32]:
        """Give what each channel behind an instance norm is divided by."""
        ...

    def values(self, node: Any) -> Any:  # noqa: ANN401 - OpenVINO has no types
        """Prepare a signal that was divided so for a convolution."""
        ...

    def signed(self, node: Any) -> Any:  # noqa: ANN401 - as above
        """Prepare such a signal for a transposed convolution."""
        ...

    def kernel(self, weight: NDArray[np.float32], axis: int) -> Any:  # noqa: ANN401 - as above
        """Prepare a kernel whose channels of output lie along `axis`."""
        ...


class Floats:
    """Float32, as it is.

    Parameters
    ----------
    op
        OpenVINO's operations.
    """

    def __init__(self, op: Any) -> None:  # noqa: ANN401 - OpenVINO has no types
        self._op = op

    def scale(
        self,
        weight: NDArray[np.float32],
        bias: NDArray[np.float32],  # noqa: ARG002 - of the protocol
    ) -> NDArray[np.float32]:
        """Divide by nothing."""
        return np.ones_like(weight)

    def values(self, node: Any) -> Any:  # noqa: ANN401 - as above
        """Change nothing."""
        return node

    def signed(self, node: Any) -> Any:  # noqa: ANN401 - as above
        """Change nothing."""
        return node

    def kernel(self, weight: NDArray[np.float32], axis: int) -> Any:  # noqa: ANN401, ARG002 - as above
        """Change nothing."""
        return self._op.constant(weight)


class Bytes:
    """Values in 256 steps up to `REACH` deviations, kernels in 255 for each channel of output.

    OpenVINO runs a convolution between two such `FakeQuantize` in bytes, and adds up in 32 bits; a
    transposed one only where the middle byte means 0, so that it has half as many steps.

    Parameters
    ----------
    op
        OpenVINO's operations.
    """

    def __init__(self, op: Any) -> None:  # noqa: ANN401 - OpenVINO has no types
        self._op = op

    def scale(self, weight: NDArray[np.float32], bias: NDArray[np.float32]) -> NDArray[np.float32]:
        """Divide so that what is farthest becomes 1."""
        return np.maximum(np.abs(bias) + REACH * np.abs(weight), _TINY).astype(np.float32)

    def values(self, node: Any) -> Any:  # noqa: ANN401 - as above
        """Round to bytes, nearly all of them for what is positive."""
        return self._rounded(node, -ZERO / (STEPS - ZERO), STEPS + 1)

    def signed(self, node: Any) -> Any:  # noqa: ANN401 - as above
        """Round to bytes with a sign."""
        return self._rounded(node, -1, STEPS)

    def kernel(self, weight: NDArray[np.float32], axis: int) -> Any:  # noqa: ANN401 - as above
        """Round to bytes with a sign."""
        others = tuple(a for a in range(weight.ndim) if a != axis)
        step = np.maximum(np.abs(weight).max(axis=others, keepdims=True), _TINY) / MOST
        whole = np.rint(weight / step).astype(np.int8)
        return self._op.multiply(
            self._op.convert(self._op.constant(whole), np.float32), self._constant(step)
        )

    def _rounded(self, node: Any, least: float, n_values: int) -> Any:  # noqa: ANN401 - as above
        low, high = self._constant(least), self._constant(1)
        return self._op.fake_quantize(node, low, high, low, high, n_values)

    def _constant(self, values: NDArray[np.float32] | float) -> Any:  # noqa: ANN401 - as above
        return self._op.constant(np.asarray(values, np.float32))


def composed(raising: NDArray[np.float32], kernel: NDArray[np.float32]) -> NDArray[np.float32]:
    """Join a transposed convolution and the convolution behind it to one transposed convolution.

    Parameters
    ----------
    raising : (in, between, a, b, c) ndarray of float32
        Transposed; its stride is its size.
    kernel : (out, between, p, q, r) ndarray of float32
        Of odd sizes, padded by half of them with zeros.

    Returns
    -------
    (in, out, a + p - 1, b + q - 1, c + r - 1) ndarray of float32
        To be used with the stride of `raising`, and cut by half of `kernel` on all sides.
    """
    size, reach = raising.shape[2:], kernel.shape[2:]
    spatial = (2, 3, 4)
    raised = np.ascontiguousarray(np.moveaxis(raising, spatial, (0, 1, 2)))
    taps = np.ascontiguousarray(np.moveaxis(np.flip(kernel, spatial), spatial, (0, 1, 2)))
    taps = taps.swapaxes(-2, -1)
    shape = tuple(n + k - 1 for n, k in zip(size, reach, strict=True))
    whole = np.zeros((*shape, len(raising), len(kernel)), np.float32)
    for at in np.ndindex(size):
        box = tuple(slice(a, a + k) for a, k in zip(at, reach, strict=True))
        whole[box] += raised[at] @ taps
    return np.ascontiguousarray(np.moveaxis(whole, (0, 1, 2), spatial))
