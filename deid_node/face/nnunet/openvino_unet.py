"""The U-Net of an imported model on OpenVINO, built from its weights alone; torch is not needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from deid_node.errors import WeightsUnusable
from deid_node.face.openvino_model import import_engine

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

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
        "f32", or "bf16": twice as fast where the processor knows it, and a hint elsewhere.
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
        "INFERENCE_PRECISION_HINT": precision,
        "PERFORMANCE_HINT": "LATENCY",
    }
    if threads:
        settings["INFERENCE_NUM_THREADS"] = threads
    try:
        graph = _Graph(engine, tensors, net).whole(patch, softmax=softmax)
        compiled = engine.Core().compile_model(graph, "CPU", settings)
    except Exception:  # noqa: BLE001 - the engine raises bare RuntimeError, and its text may name anything
        raise WeightsUnusable("OpenVINO cannot run the network of the imported model") from None

    def answer(values: NDArray[np.float32]) -> NDArray[np.float32]:
        out: NDArray[np.float32] = np.array(compiled(values[None, None])[0][0], np.float32)
        return out

    return answer


class _Graph:
    """Convolution, instance norm, leaky ReLU; strided down, transposed up, joined in between."""

    def __init__(
        self,
        engine: Any,  # noqa: ANN401 - OpenVINO has no types
        tensors: Mapping[str, NDArray[np.float32]],
        net: Topology,
    ) -> None:
        self._engine = engine
        self._op = engine.opset13
        self._w = tensors
        self._net = net
        self._slope = self._op.constant(np.array([_SLOPE], np.float32))
        self._axes = self._op.constant(np.array(_SPATIAL, np.int64))

    def whole(self, patch: tuple[int, ...], *, softmax: bool) -> Any:  # noqa: ANN401 - as above
        """Give the model, from values to its answer."""
        net, op = self._net, self._op
        values = op.parameter([1, net.channels, *patch], np.float32)
        x, skips = values, []
        for s, stride in enumerate(net.strides):
            for c in range(net.convolutions[s]):
                x = self._block(x, f"encoder.stages.{s}.0.convs.{c}", (1, 1, 1) if c else stride)
            skips.append(x)
        last = len(net.strides) - 2
        for s in range(last + 1):
            x = op.concat([self._up(x, s), skips[last - s]], 1)
            for c in range(net.decoder_convolutions[s]):
                x = self._block(x, f"decoder.stages.{s}.convs.{c}", (1, 1, 1))
        head = f"decoder.seg_layers.{last}"
        logits = self._convolved(x, head, (1, 1, 1))
        answer = op.softmax(logits, 1) if softmax else logits
        return self._engine.Model([answer], [values])

    def _block(self, x: Any, name: str, stride: tuple[int, ...]) -> Any:  # noqa: ANN401 - as above
        op = self._op
        x = self._convolved(x, f"{name}.conv", stride)
        x = op.mvn(x, self._axes, normalize_variance=True, eps=_EPSILON, eps_mode="inside_sqrt")
        x = op.add(
            op.multiply(x, self._vector(f"{name}.norm.weight")), self._vector(f"{name}.norm.bias")
        )
        return op.prelu(x, self._slope)

    def _convolved(self, x: Any, name: str, stride: tuple[int, ...]) -> Any:  # noqa: ANN401 - as above
        weight = self._w[f"{name}.weight"]
        pads = [n // 2 for n in weight.shape[2:]]
        out = self._op.convolution(
            x, self._op.constant(weight), list(stride), pads, pads, [1, 1, 1]
        )
        return self._op.add(out, self._vector(f"{name}.bias"))

    def _up(self, x: Any, s: int) -> Any:  # noqa: ANN401 - as above
        name = f"decoder.transpconvs.{s}"
        stride = list(self._net.strides[-1 - s])
        out = self._op.convolution_backprop_data(
            x, self._op.constant(self._w[f"{name}.weight"]), stride
        )
        return self._op.add(out, self._vector(f"{name}.bias"))

    def _vector(self, name: str) -> Any:  # noqa: ANN401 - as above
        return self._op.constant(self._w[name].reshape(1, -1, 1, 1, 1))
