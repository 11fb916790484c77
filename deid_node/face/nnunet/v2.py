"""A model folder of nnunetv2: ``plans.json``, ``dataset.json``, ``fold_K/checkpoint_final.pth``."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from deid_node.errors import ForeignModelRefused
from deid_node.face.array_order import DCM2NIIX
from deid_node.face.nnunet.checkpoint import Checkpoint, read_checkpoint
from deid_node.face.nnunet.fields import Fields
from deid_node.face.nnunet.model import ForeignModel, Layout, ModelFiles
from deid_node.face.nnunet.names import Tensor
from deid_node.face.nnunet.network import Topology, topology
from deid_node.face.nnunet.plans import PLAIN, Planned, plans_file

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MOST_JSON_BYTES: Final = 16 << 20
_MOST_HEIRS: Final = 5

_TRAINER: Final = re.compile(
    r"nnUNetTrainer"
    r"(NoMirroring|_onlyMirror01|DA5|DA0|NoDA|DiceLoss|CELoss|DiceCELoss_noSmooth|Adam\w*)?"
    r"(_\d{1,5}epochs?)?(_NoMirroring)?"
)
"""Trainers of nnunetv2 whose network is the one of the plans."""
_RESAMPLING: Final = "resample_data_or_seg_to_shape"
_READERS: Final = {
    "SimpleITKIO": DCM2NIIX,
    "NibabelIO": DCM2NIIX,
    "NibabelIOWithReorient": "RAS",
    "SimpleITKIOWithReorient": "RAS",
}
"""Readers, and the array order of what they give for a file of dcm2niix."""
_FIXED: Final = {
    "conv_bias": (True,),
    "norm_op": ("torch.nn.modules.instancenorm.InstanceNorm3d",),
    "norm_op_kwargs": ({"eps": 1e-5, "affine": True},),
    "dropout_op": (None,),
    "nonlin": ("torch.nn.LeakyReLU", "torch.nn.modules.activation.LeakyReLU"),
    "nonlin_kwargs": ({"inplace": True}, {"negative_slope": 1e-2, "inplace": True}),
    "nonlin_first": (None, False),
}
"""What weights do not show of a PlainConvUNet, and the only values that are run here."""
_PREFIX: Final = re.compile(r"^(module\.)?(_orig_mod\.)?(decoder\.(?=encoder\.))?")
_ALIASES: Final = {".all_modules.0.": ".conv.", ".all_modules.1.": ".norm."}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fold:
    """What a fold's checkpoint says of itself."""

    trainer: str
    configuration: str
    mirror_axes: tuple[int, ...]


def read_v2(files: ModelFiles, layout: Layout, *, like: str | None) -> ForeignModel:
    """Read a model of nnunetv2.

    Parameters
    ----------
    files, layout
        Its files, and which of them count.
    like
        A known trainer, if somebody vouches that the model's own answers like that one.

    Raises
    ------
    ForeignModelRefused
        If it is broken, hostile, or no single-channel 3-D PlainConvUNet.
    """
    plans = Fields(_json(files, f"{layout.root}plans.json"), "plans.json")
    dataset = Fields(_json(files, f"{layout.root}dataset.json"), "dataset.json")
    read = [_open_fold(files, layout.weights(fold)) for fold in layout.folds]
    first, net = read[0]
    if any(each != (first, net) for each in read):
        raise ForeignModelRefused("the folds are of different models")
    if not _TRAINER.fullmatch(like or first.trainer):
        raise ForeignModelRefused(
            f"trainer {first.trainer} is not known: where its network is that of the plans, "
            "say so with --like nnUNetTrainer"
        )
    configuration = _configuration(plans, first.configuration)
    _check(configuration, net)
    planned = _planned(plans, configuration, dataset, first)
    if (net.channels, net.classes) != (1, len(planned.labels) + 1):
        raise ForeignModelRefused("dataset.json and the weights are of different models")
    return ForeignModel(
        plans=plans_file(planned, net, None),
        facts={
            "origin": "nnunetv2",
            "trainer": first.trainer,
            "trainer_vouched_for": like,
            "checkpoint": layout.checkpoint,
            "orientation": _orientation(plans),
        },
        folds=layout.folds,
        used=(
            *(layout.weights(fold) for fold in layout.folds),
            *(f"{layout.root}plans.json", f"{layout.root}dataset.json"),
        ),
        tensors=lambda fold: _tensors(files, layout.weights(fold)),
    )


def _json(files: ModelFiles, name: str) -> Any:  # noqa: ANN401 - JSON holds anything
    if name not in files.names:
        raise ForeignModelRefused(f"{name.rpartition('/')[2]} is missing")
    try:
        return json.loads(files.read(name, MOST_JSON_BYTES))
    except (ValueError, RecursionError):
        raise ForeignModelRefused(f"{name.rpartition('/')[2]} is not JSON") from None


def _configuration(plans: Fields, name: str) -> Fields:
    """Find a configuration; what it does not say itself it inherits from another one."""
    all_of_them = plans.inner("configurations")
    merged: dict[str, Any] = {}
    for _ in range(_MOST_HEIRS):
        one = all_of_them.inner(name)
        merged = one.everything() | merged
        if "inherits_from" not in one:
            return Fields(merged, f"configuration {name}")
        name = one.word("inherits_from")
    raise ForeignModelRefused("the configurations of plans.json inherit without an end")


def _check(configuration: Fields, net: Topology) -> None:
    """Check what plans.json says of the network against its weights."""
    if "architecture" not in configuration:
        raise ForeignModelRefused("plans.json is older than nnunetv2 2.3: it names no architecture")
    architecture = configuration.inner("architecture")
    if architecture.raw("network_class_name") != PLAIN:
        kind = architecture.word("network_class_name").rpartition(".")[2]
        raise ForeignModelRefused(f"{kind} is not run here: only PlainConvUNet is")
    said = architecture.inner("arch_kwargs").everything()
    for key, values in _FIXED.items():
        if said.get(key) not in values:
            raise ForeignModelRefused(f"the network has another {key} than is run here")
    found = net.described()
    for key in ("n_stages", "features_per_stage", "kernel_sizes", "strides"):
        if said.get(key) != found[key]:
            raise ForeignModelRefused(f"plans.json and the weights differ in {key}")


def _planned(plans: Fields, configuration: Fields, dataset: Fields, fold: _Fold) -> Planned:
    if configuration.numbered("normalization_schemes", 1) != ["ZScoreNormalization"]:
        raise ForeignModelRefused("the model does not standardise its input: it is not for MR")
    functions = ("resampling_fn_data", "resampling_fn_probabilities")
    if any(configuration.raw(each) != _RESAMPLING for each in functions):
        raise ForeignModelRefused("the model resamples in a way that is not known")
    (masked,) = configuration.numbered("use_mask_for_norm", 1)
    if not isinstance(masked, bool):
        configuration.refuse("use_mask_for_norm")
    export = configuration.inner("resampling_fn_probabilities_kwargs")
    return Planned(
        generation=2,
        spacing_mm=tuple(configuration.lengths("spacing")),
        patch=tuple(configuration.triple("patch_size")),
        transpose_forward=tuple(plans.axes("transpose_forward")),
        transpose_backward=tuple(plans.axes("transpose_backward")),
        masked_norm=masked,
        labels=_labels(dataset),
        mirror_axes=fold.mirror_axes,
        order=export.spline("order"),
        order_z=export.spline("order_z"),
        separate_z=export.maybe("force_separate_z"),
    )


def _labels(dataset: Fields) -> tuple[int, ...]:
    """Read the labels; regions, which overlap, are given as lists and refused."""
    labels = dataset.inner("labels").everything()
    found = sorted(
        label for name, label in labels.items() if name != "ignore" and type(label) is int
    )
    if len(found) < len(labels) - ("ignore" in labels) or found != list(range(len(found))):
        raise ForeignModelRefused("dataset.json has labels that are no plain numbers from 0")
    return tuple(found[1:])


def _orientation(plans: Fields) -> str:
    reader = plans.word("image_reader_writer")
    if reader not in _READERS:
        raise ForeignModelRefused(f"image reader {reader} is not known")
    return _READERS[reader]


def _open_fold(files: ModelFiles, name: str) -> tuple[_Fold, Topology]:
    what = name.rpartition("/")[2]
    with files.open(name) as file:
        checkpoint = read_checkpoint(file, what=what)
    said = Fields(checkpoint.values, what)
    axes = (
        said.counts("inference_allowed_mirroring_axes")
        if "inference_allowed_mirroring_axes" in said
        else []
    )
    if not {0, 1, 2}.issuperset(axes):
        said.refuse("inference_allowed_mirroring_axes")
    fold = _Fold(
        trainer=said.word("trainer_name"),
        configuration=said.inner("init_args").word("configuration"),
        mirror_axes=tuple(axes),
    )
    shapes = {key: tensor.shape for key, tensor in _state(checkpoint).items()}
    return fold, topology(shapes, what)


def _state(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Find the tensors of the network; nnunetv2 writes each under two or three names."""
    weights = Fields(checkpoint.values, checkpoint.what).inner("network_weights").everything()
    state: dict[str, Tensor] = {}
    for key, tensor in weights.items():
        if not isinstance(key, str) or not isinstance(tensor, Tensor):
            raise ForeignModelRefused(
                f"{checkpoint.what} has other things than tensors for weights"
            )
        name = _PREFIX.sub("", key)
        for alias, part in _ALIASES.items():
            name = name.replace(alias, part)
        if state.setdefault(name, tensor) != tensor:
            raise ForeignModelRefused(f"{checkpoint.what} has two values of one tensor")
    return state


def _tensors(files: ModelFiles, name: str) -> dict[str, NDArray[np.float32]]:
    with files.open(name) as file:
        checkpoint = read_checkpoint(file, what=name.rpartition("/")[2])
        return {key: checkpoint.read(tensor) for key, tensor in _state(checkpoint).items()}
