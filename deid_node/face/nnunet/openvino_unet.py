"""The U-Net of an imported model on OpenVINO, built from its weights alone; torch is not needed."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from deid_node.errors import WeightsUnusable
from deid_node.face.nnunet.arithmetic import Bytes, Floats, composed
from deid_node.face.openvino_model import import_engine
from deid_node.face.processor import multiplies_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from deid_node.face.nnunet.arithmetic import Arithmetic
    from deid_node.face.nnunet.network import Topology

_EPSILON = 1e-5
_SLOPE = 1e-2
_SPATIAL = (2, 3, 4)


def openvino_unet(
    tensors: Mapping[str, NDArray[np.float32]],
    net: Topology,
    *,
    patch: tuple[int, ...],
    precision: str,
    softmax: bool,
    threads: int = 0,
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Make a network ready for windows of one size.

    Parameters
    ----------
    tensors
        Weights, by the names of nnunetv2.
    net
        The topology that they have.
    patch
        Size of a window.
    precision
        "f32"; "i8": in bytes where the processor multiplies them, in float32 elsewhere; or "bf16",
        which only processors with tiles (AMX) do faster than float32.
    softmax
        Whether probabilities are given, or logits.
    threads
        CPU threads; 0 leaves the choice to the engine.

    Returns
    -------
    callable
        From (i, j, k) values to the (c, i, j, k) answer of its finest output, both float32.

    Raises
    ------
    WeightsUnusable
        If the engine cannot run the network.
    """
    engine = import_engine()
    settings: dict[str, Any] = {
        "INFERENCE_PRECISION_HINT": "f32" if precision == "i8" else precision,
        "PERFORMANCE_HINT": "LATENCY",
    }
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    in_bytes = precision == "i8" and multiplies_bytes()
    try:
        arithmetic = (Bytes if in_bytes else Floats)(engine.opset13)
        graph = _Graph(engine, tensors, net, arithmetic).whole(patch, softmax=softmax)
        compiled = engine.Core().compile_model(graph, "CPU", settings)
    except Exception:  # noqa: BLE001 - the engine raises bare RuntimeError, and its text may name anything
        raise WeightsUnusable("OpenVINO cannot run the network of the imported model") from None

    def answer(values: NDArray[np.float32]) -> NDArray[np.float32]:
        out: NDArray[np.float32] = np.array(compiled(values[None, None])[0][0], np.float32)
        return out

    return answer


@dataclass(frozen=True, slots=True, eq=False)
class _Signal:
    """Values between two layers, each channel divided by its scale.

    Only where they were normed is it known that the scale is a bound.
    """

    node: Any
    scale: NDArray[np.float32]
    normed: bool = True


class _Graph:
    """Convolution, instance norm, leaky ReLU; strided down, transposed up, joined in between."""

    def __init__(
        self,
        engine: Any,  # noqa: ANN401 - OpenVINO has no types
        tensors: Mapping[str, NDArray[np.float32]],
        net: Topology,
        arithmetic: Arithmetic,
    ) -> None:
        self._engine = engine
        self._op = engine.opset13
        self._w = tensors
        self._net = net
        self._arithmetic = arithmetic
        self._slope = self._op.constant(np.array([_SLOPE], np.float32))
        self._axes = self._op.constant(np.array(_SPATIAL, np.int64))

    def whole(self, patch: tuple[int, ...], *, softmax: bool) -> Any:  # noqa: ANN401 - as above
        """Give the model, from values to its answer."""
        net, op = self._net, self._op
        values = op.parameter([1, net.channels, *patch], np.float32)
        x, skips = _Signal(values, np.ones(net.channels, np.float32), normed=False), []
        for s, stride in enumerate(net.strides):
            for c in range(net.convolutions[s]):
                x = self._block(x, f"encoder.stages.{s}.0.convs.{c}", (1, 1, 1) if c else stride)
            skips.append(x)
        last = len(net.strides) - 2
        for s in range(last + 1):
            x = self._raised(x, skips[last - s], s)
            for c in range(1, net.decoder_convolutions[s]):
                x = self._block(x, f"decoder.stages.{s}.convs.{c}", (1, 1, 1))
        logits = self._head(x, f"decoder.seg_layers.{last}")
        answer = op.softmax(logits, 1) if softmax else logits
        return self._engine.Model([answer], [values])

    def _block(self, x: _Signal, name: str, stride: tuple[int, ...]) -> _Signal:
        node = self._convolved(x, self._w[f"{name}.conv.weight"], stride)
        return self._normed(node, name)

    def _raised(self, x: _Signal, skip: _Signal, s: int) -> _Signal:
        """Raise what comes from below, join the skip, convolve and norm.

        The convolution of both is the sum of one of each; that of what was raised is one
        transposed convolution with it.
        """
        op, name = self._op, f"decoder.stages.{s}.convs.0"
        raising, bias = (self._w[f"decoder.transpconvs.{s}.{key}"] for key in ("weight", "bias"))
        kernel = self._w[f"{name}.conv.weight"]
        between = raising.shape[1]
        node, scale = x.node, x.scale
        if bias.any():
            # a channel of ones carries the bias, as far as the edge and not beyond
            ones = np.ones((1, 1, *node.shape[2:]), np.float32)
            node = op.concat([node, op.constant(ones)], 1)
            scale = np.append(scale, np.float32(1))
            constant = np.broadcast_to(bias.reshape(1, -1, 1, 1, 1), (1, *raising.shape[1:]))
            raising = np.concatenate([raising, constant])
        both = composed(raising, kernel[:, :between]) * scale.reshape(-1, 1, 1, 1, 1)
        cut = [n // 2 for n in kernel.shape[2:]]
        below = op.convolution_backprop_data(
            self._arithmetic.signed(node),
            self._arithmetic.kernel(both, 1),
            list(self._net.strides[-1 - s]),
            pads_begin=cut,
            pads_end=cut,
        )
        beside = self._convolved(skip, np.ascontiguousarray(kernel[:, between:]), (1, 1, 1))
        return self._normed(op.add(below, beside), name)

    def _convolved(self, x: _Signal, kernel: NDArray[np.float32], stride: tuple[int, ...]) -> Any:  # noqa: ANN401 - as above
        """Convolve, without the bias."""
        pads = [n // 2 for n in kernel.shape[2:]]
        kernel = kernel * x.scale.reshape(1, -1, 1, 1, 1)
        if x.normed:
            node, weight = self._arithmetic.values(x.node), self._arithmetic.kernel(kernel, 0)
        else:
            node, weight = x.node, self._op.constant(kernel)
        return self._op.convolution(node, weight, list(stride), pads, pads, [1, 1, 1])

    def _normed(self, node: Any, name: str) -> _Signal:  # noqa: ANN401 - as above
        """Norm, which takes the bias of a convolution out again, and leave a little of the negative."""
        op, weight, bias = self._op, self._w[f"{name}.norm.weight"], self._w[f"{name}.norm.bias"]
        scale = self._arithmetic.scale(weight, bias)
        x = op.mvn(node, self._axes, normalize_variance=True, eps=_EPSILON, eps_mode="inside_sqrt")
        x = op.add(op.multiply(x, self._vector(weight / scale)), self._vector(bias / scale))
        return _Signal(op.prelu(x, self._slope), scale)

    def _head(self, x: _Signal, name: str) -> Any:  # noqa: ANN401 - as above
        """Give the logits: in float32, since nothing norms them."""
        x = replace(x, normed=False)
        out = self._convolved(x, self._w[f"{name}.weight"], (1, 1, 1))
        return self._op.add(out, self._vector(self._w[f"{name}.bias"]))

    def _vector(self, values: NDArray[np.float32]) -> Any:  # noqa: ANN401 - as above
        return self._op.constant(values.astype(np.float32).reshape(1, -1, 1, 1, 1))
