"""The U-Net of an imported model on torch, from its weights alone; the one file that knows torch."""

from __future__ import annotations

import io
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

from deid_node.errors import WeightsUnusable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from deid_node.face.nnunet.network import Topology

_EPSILON = 1e-5
_SLOPE = 1e-2


def unet(
    tensors: Mapping[str, NDArray[np.float32]],
    net: Topology,
    *,
    softmax: bool,
    threads: int = 0,
    device: str = "cpu",
    half: bool = False,
) -> Callable[[NDArray[np.float32]], NDArray[np.float32]]:
    """Make a network ready.

    Parameters
    ----------
    tensors
        Weights, by the names of nnunetv2.
    net
        The topology that they have.
    softmax
        Whether probabilities are given, or logits.
    threads
        CPU threads of the whole process; 0 leaves the choice to torch.
    device
        ``cpu``, or a GPU: ``cuda`` or ``cuda:N``.
    half
        Whether it multiplies in half precision, as nnU-Net does on a GPU: float16 there,
        bfloat16 on a CPU.

    Returns
    -------
    callable
        From (i, j, k) values to the (c, i, j, k) answer of its finest output, both float32.

    Raises
    ------
    WeightsUnusable
        If torch is not installed, or sees no such GPU.
    """
    torch = _import_torch()
    if threads:
        torch.set_num_threads(threads)
    place = _place(torch, device)
    network = _Network(torch, tensors, net, place)

    def answer(values: NDArray[np.float32]) -> NDArray[np.float32]:
        in_half = torch.autocast(place.type) if half else nullcontext()
        with torch.inference_mode(), in_half:
            logits = network(torch.from_numpy(values).to(place)[None, None])[0].float()
            out: NDArray[np.float32] = (logits.softmax(0) if softmax else logits).cpu().numpy()
        return out

    return answer


def checkpoint(tensors: Mapping[str, NDArray[np.float32]], said: dict[str, Any]) -> bytes:
    """Write the checkpoint of nnunetv2's PlainConvUNet, which names most tensors several times.

    Parameters
    ----------
    tensors
        Weights, by the first of these names.
    said
        What else it holds.

    Returns
    -------
    bytes
        As ``torch.save`` writes them.

    Raises
    ------
    WeightsUnusable
        If torch is not installed.
    """
    torch = _import_torch()
    state = {}
    for name, array in tensors.items():
        tensor = torch.from_numpy(array.copy())
        alias = name.replace(".conv.", ".all_modules.0.").replace(".norm.", ".all_modules.1.")
        for each in (name, alias):
            state[each] = tensor
            if each.startswith("encoder."):
                state[f"decoder.{each}"] = tensor
    file = io.BytesIO()
    torch.save({**said, "network_weights": state}, file)
    return file.getvalue()


def _import_torch() -> Any:  # noqa: ANN401 - a module
    try:
        import torch  # noqa: PLC0415 - a costly import, of an optional package
    except ImportError:
        raise WeightsUnusable(
            "the exact effort, GPUs and exports need torch: pip install 'deid-node[nnunet]'"
        ) from None
    return torch


def _place(torch: Any, device: str) -> Any:  # noqa: ANN401 - a module and a device of torch
    """Find a device; a GPU is told to give float32 where it is asked for, and the same each time."""
    place = torch.device(device)
    if place.type == "cpu":
        return place
    seen = torch.cuda.device_count()
    if (place.index or 0) >= seen:
        raise WeightsUnusable(f"torch sees no GPU {device}: it sees {seen} in all")
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.deterministic = True
    return place


class _Network:
    """Convolution, instance norm, leaky ReLU; strided down, transposed up, joined in between."""

    def __init__(
        self,
        torch: Any,  # noqa: ANN401 - a module
        tensors: Mapping[str, NDArray[np.float32]],
        net: Topology,
        place: Any,  # noqa: ANN401 - a device of torch
    ) -> None:
        self._torch = torch
        self._f = torch.nn.functional
        self._w = {
            name: torch.from_numpy(array.copy()).to(place) for name, array in tensors.items()
        }
        self._net = net

    def __call__(self, x: Any) -> Any:  # noqa: ANN401 - a tensor of torch
        net = self._net
        skips = []
        for s, stride in enumerate(net.strides):
            for c in range(net.convolutions[s]):
                x = self._block(x, f"encoder.stages.{s}.0.convs.{c}", 1 if c else stride)
            skips.append(x)
        last = len(net.strides) - 2
        for s in range(last + 1):
            up = f"decoder.transpconvs.{s}"
            x = self._f.conv_transpose3d(
                x, self._w[f"{up}.weight"], self._w[f"{up}.bias"], stride=net.strides[-1 - s]
            )
            x = self._torch.cat((x, skips[last - s]), dim=1)
            for c in range(net.decoder_convolutions[s]):
                x = self._block(x, f"decoder.stages.{s}.convs.{c}", 1)
        head = f"decoder.seg_layers.{last}"
        return self._f.conv3d(x, self._w[f"{head}.weight"], self._w[f"{head}.bias"])

    def _block(self, x: Any, name: str, stride: int | tuple[int, ...]) -> Any:  # noqa: ANN401 - a tensor of torch
        weight = self._w[f"{name}.conv.weight"]
        pads = [n // 2 for n in weight.shape[2:]]
        x = self._f.conv3d(x, weight, self._w[f"{name}.conv.bias"], stride=stride, padding=pads)
        x = self._f.instance_norm(
            x,
            weight=self._w[f"{name}.norm.weight"],
            bias=self._w[f"{name}.norm.bias"],
            eps=_EPSILON,
        )
        return self._f.leaky_relu_(x, _SLOPE)
