"""The ``Generic_UNet`` of nnU-Net v1 under the names of nnunetv2.

Both build the same network, with two differences that the weights show: v1's transposed
convolutions and outputs have no bias, which becomes a bias of zeros; and a stage of v1's
decoder has the kernel of the encoder stage *below* it, where v2 takes the one beside it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

from deid_node.errors import ForeignModelRefused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from deid_node.face.nnunet.network import Shape

_CONTEXT: Final = re.compile(
    r"conv_blocks_context\.(\d{1,2})\.(?:(\d)\.)?blocks\.(\d{1,2})\.(conv|instnorm)\.(weight|bias)"
)
_LOCALIZATION: Final = re.compile(
    r"conv_blocks_localization\.(\d{1,2})\.(\d)\.blocks\.(\d{1,2})\.(conv|instnorm)\.(weight|bias)"
)
_UP: Final = re.compile(r"tu\.(\d{1,2})\.weight")
_OUTPUT: Final = re.compile(r"seg_outputs\.(\d{1,2})\.(weight|bias)")
_PARTS: Final = {"conv": "conv", "instnorm": "norm"}
_CONV_AXES: Final = 5


def names_of_v1(names: list[str], what: str) -> dict[str, str]:
    """Translate the names of a Generic_UNet into those of nnunetv2.

    Parameters
    ----------
    names
        All names of the state dict, without the prefix of a parallel one.
    what
        What they are of, for the refusal.

    Returns
    -------
    dict of str to str
        The new name of each.

    Raises
    ------
    ForeignModelRefused
        If one is not a name of it; a known other kind of network is named.
    """
    other = _other_kind(names)
    if other:
        raise ForeignModelRefused(f"{what} is {other}, which has no counterpart here")
    first = _lengths(names)
    translated = {name: _translate(name, first) for name in names}
    if None in translated.values() or len(set(translated.values())) != len(names):
        raise ForeignModelRefused(f"{what} is not the Generic_UNet of nnU-Net v1")
    return {old: new for old, new in translated.items() if new is not None}


def _other_kind(names: list[str]) -> str:
    if any(name.endswith("running_mean") for name in names):
        return "a network with batch normalisation"
    if any(re.match(r"(encoder|decoder)\.", name) for name in names):
        return "a residual encoder U-Net"
    if names and not any(_UP.fullmatch(name) for name in names):
        return "a network without transposed convolutions"
    return ""


def _lengths(names: list[str]) -> dict[tuple[str, str], int]:
    """Count the convolutions in the first part of each stage that is made of two parts."""
    first: dict[tuple[str, str], int] = {}
    for name in names:
        for side, pattern in (("context", _CONTEXT), ("localization", _LOCALIZATION)):
            match = pattern.fullmatch(name)
            if match and match[2] == "0":
                key = side, match[1]
                first[key] = max(first.get(key, 0), int(match[3]) + 1)
    return first


def _translate(name: str, first: dict[tuple[str, str], int]) -> str | None:
    if match := _CONTEXT.fullmatch(name):
        before = first.get(("context", match[1]), 0) if match[2] == "1" else 0
        conv = int(match[3]) + before
        return f"encoder.stages.{match[1]}.0.convs.{conv}.{_PARTS[match[4]]}.{match[5]}"
    if match := _LOCALIZATION.fullmatch(name):
        before = first.get(("localization", match[1]), 0) if match[2] == "1" else 0
        conv = int(match[3]) + before
        return f"decoder.stages.{match[1]}.convs.{conv}.{_PARTS[match[4]]}.{match[5]}"
    if match := _UP.fullmatch(name):
        return f"decoder.transpconvs.{match[1]}.weight"
    if match := _OUTPUT.fullmatch(name):
        return f"decoder.seg_layers.{match[1]}.{match[2]}"
    return None


def zero_biases(shapes: Mapping[str, Shape]) -> dict[str, NDArray[np.float32]]:
    """Make the biases that v1 leaves out: of transposed convolutions and of outputs."""
    zeros = {}
    for name, shape in shapes.items():
        if len(shape) != _CONV_AXES:
            continue
        stem = name.removesuffix(".weight")
        if stem.startswith("decoder.transpconvs.") and f"{stem}.bias" not in shapes:
            zeros[f"{stem}.bias"] = np.zeros(shape[1], np.float32)
        if stem.startswith("decoder.seg_layers.") and f"{stem}.bias" not in shapes:
            zeros[f"{stem}.bias"] = np.zeros(shape[0], np.float32)
    return zeros
