"""The topology of a U-Net, as its weights tell it, and the names of its tensors.

Tensors bear the names that nnunetv2's ``PlainConvUNet`` gives them.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final

from deid_node.errors import ForeignModelRefused

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

Kernel = tuple[int, int, int]
Shape = tuple[int, ...]

_AXES: Final = 3
_CONV_AXES: Final = 5
_KERNELS: Final = {1, 3}
_MOST_STAGES: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """A U-Net of plain convolutions, instance norm and leaky ReLU.

    Parameters
    ----------
    channels, classes
        Of its input and its output.
    features
        Channels of each stage of the encoder, from the finest one.
    kernels, strides
        Of each stage of the encoder; the first stride is one.
    convolutions
        How many each stage of the encoder has.
    decoder_kernels, decoder_convolutions
        The same of the decoder, from the coarsest stage.
    """

    channels: int
    classes: int
    features: tuple[int, ...]
    kernels: tuple[Kernel, ...]
    strides: tuple[Kernel, ...]
    convolutions: tuple[int, ...]
    decoder_kernels: tuple[Kernel, ...]
    decoder_convolutions: tuple[int, ...]

    def shapes(self) -> dict[str, Shape]:
        """Give the name and the shape of each of its tensors."""
        return dict([*self._encoder(), *self._decoder()])

    def is_plain(self) -> bool:
        """Tell whether nnunetv2's PlainConvUNet can be built like this."""
        return self.decoder_kernels == self.kernels[-2::-1]

    def described(self) -> dict[str, Any]:
        """Describe it in the words of an nnunetv2 plans file."""
        return {
            "n_stages": len(self.features),
            "features_per_stage": list(self.features),
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [list(kernel) for kernel in self.kernels],
            "strides": [list(stride) for stride in self.strides],
            "n_conv_per_stage": list(self.convolutions),
            "n_conv_per_stage_decoder": list(self.decoder_convolutions),
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"negative_slope": 1e-2, "inplace": True},
        }

    def _encoder(self) -> Iterator[tuple[str, Shape]]:
        below = (self.channels, *self.features)
        for s, (before, after) in enumerate(pairwise(below)):
            for c in range(self.convolutions[s]):
                name = f"encoder.stages.{s}.0.convs.{c}"
                yield from _block(name, after if c else before, after, self.kernels[s])

    def _decoder(self) -> Iterator[tuple[str, Shape]]:
        for s, (above, beside) in enumerate(pairwise(self.features[::-1])):
            yield f"decoder.transpconvs.{s}.weight", (above, beside, *self.strides[-1 - s])
            yield f"decoder.transpconvs.{s}.bias", (beside,)
            for c in range(self.decoder_convolutions[s]):
                name = f"decoder.stages.{s}.convs.{c}"
                before = beside if c else 2 * beside
                yield from _block(name, before, beside, self.decoder_kernels[s])
            yield f"decoder.seg_layers.{s}.weight", (self.classes, beside, 1, 1, 1)
            yield f"decoder.seg_layers.{s}.bias", (self.classes,)


def _block(name: str, before: int, after: int, kernel: Kernel) -> Iterator[tuple[str, Shape]]:
    yield f"{name}.conv.weight", (after, before, *kernel)
    for vector in ("conv.bias", "norm.weight", "norm.bias"):
        yield f"{name}.{vector}", (after,)


def topology(shapes: Mapping[str, Shape], what: str) -> Topology:
    """Read the topology off the shapes of all tensors, and check that nothing is left over.

    Parameters
    ----------
    shapes
        By the names of nnunetv2.
    what
        Where they come from, for the refusal.

    Raises
    ------
    ForeignModelRefused
        If they are not the tensors of a network of this kind.
    """
    try:
        found = _read_off(shapes)
    except (KeyError, IndexError, ValueError):
        raise ForeignModelRefused(f"{what} is not a 3-D U-Net of plain convolutions") from None
    expected = found.shapes()
    if dict(shapes) != expected:
        odd = sorted(
            name for name in {*shapes, *expected} if shapes.get(name) != expected.get(name)
        )
        raise ForeignModelRefused(
            f"{what} is not a plain U-Net: {len(odd)} of its tensors are missing, added or misshapen"
        )
    return found


def _read_off(shapes: Mapping[str, Shape]) -> Topology:
    encoder = _stages(shapes, "encoder.stages.{}.0.convs.{}.conv.weight")
    decoder = _stages(shapes, "decoder.stages.{}.convs.{}.conv.weight")
    ups = [shapes[f"decoder.transpconvs.{s}.weight"] for s in range(len(encoder) - 1)]
    if not 1 < len(encoder) <= _MOST_STAGES:
        raise ValueError
    return Topology(
        channels=encoder[0][0][1],
        classes=shapes["decoder.seg_layers.0.weight"][0],
        features=tuple(stage[0][0] for stage in encoder),
        kernels=tuple(_kernel(stage[0]) for stage in encoder),
        strides=((1, 1, 1), *(_triple(up) for up in ups[::-1])),
        convolutions=tuple(len(stage) for stage in encoder),
        decoder_kernels=tuple(_kernel(stage[0]) for stage in decoder),
        decoder_convolutions=tuple(len(stage) for stage in decoder),
    )


def _stages(shapes: Mapping[str, Shape], pattern: str) -> list[list[Shape]]:
    """Collect the weights of the convolutions of each stage, as far as there are any."""
    stages: list[list[Shape]] = []
    while pattern.format(len(stages), 0) in shapes:
        stage: list[Shape] = []
        while (name := pattern.format(len(stages), len(stage))) in shapes:
            stage.append(shapes[name])
        stages.append(stage)
    return stages


def _triple(shape: Shape) -> Kernel:
    if len(shape) != _CONV_AXES:
        raise ValueError
    i, j, k = shape[-_AXES:]
    return i, j, k


def _kernel(shape: Shape) -> Kernel:
    """Take a kernel of ones and threes: v1 pads no other so that the shape stays."""
    kernel = _triple(shape)
    if not _KERNELS.issuperset(kernel):
        raise ValueError
    return kernel
