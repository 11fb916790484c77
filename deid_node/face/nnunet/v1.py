"""A model folder of nnU-Net v1: ``plans.pkl``, ``fold_K/NAME.model`` and ``NAME.model.pkl``.

The pickles beside the weights say how the model was trained. What they do not say either
(activation, normalisation, mirroring) follows from the trainer's name; a trainer that is not
known is refused, unless somebody vouches for it.
"""

from __future__ import annotations

from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, Any, Final

from deid_node.errors import ForeignModelRefused
from deid_node.face.array_order import DCM2NIIX
from deid_node.face.nnunet.checkpoint import MOST_PICKLE_BYTES, Checkpoint, read_checkpoint
from deid_node.face.nnunet.fields import Fields
from deid_node.face.nnunet.generic_unet import names_of_v1, zero_biases
from deid_node.face.nnunet.model import ForeignModel, Layout, ModelFiles
from deid_node.face.nnunet.names import Tensor
from deid_node.face.nnunet.network import Topology, topology
from deid_node.face.nnunet.pickles import read_pickle
from deid_node.face.nnunet.plans import Planned, plans_file
from deid_node.face.nnunet.postprocessing import POSTPROCESSING, read_postprocessing
from deid_node.face.nnunet.trainers import mirror_axes, stage_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_Z_SCORE: Final = "nonCT"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Fold:
    """What a fold's pickle says, in the words of this package."""

    trainer: str
    stage: int | None
    planned: Planned


def read_v1(files: ModelFiles, layout: Layout, *, like: str | None) -> ForeignModel:
    """Read a model of nnU-Net v1.

    Parameters
    ----------
    files, layout
        Its files, and which of them count.
    like
        A known trainer, if somebody vouches that the model's own answers like that one.

    Raises
    ------
    ForeignModelRefused
        If it is broken, hostile, or no single-channel 3-D model of a known trainer.
    """
    weights = [layout.weights(fold) for fold in layout.folds]
    pickled = [_pickle(files, f"{name}.pkl") for name in weights]
    folds = [_fold(each, like=like) for each in pickled]
    net = _topology(files, weights[0])
    for each, fold in zip(pickled, folds, strict=True):
        if fold != folds[0]:
            raise ForeignModelRefused("the folds are of different models")
        _check(each.inner("plans"), fold, net)
    used = [*weights, *(f"{name}.pkl" for name in weights)]
    own = f"{layout.root}plans.pkl"
    if own in files.names:
        _check(_pickle(files, own), folds[0], net)
        used.append(own)
    postprocessing = read_postprocessing(files, layout.root, folds[0].planned.labels)
    if postprocessing is not None:
        used.append(f"{layout.root}{POSTPROCESSING}")
    return ForeignModel(
        plans=plans_file(folds[0].planned, net, postprocessing),
        facts={
            "origin": "nnU-Net v1",
            "trainer": folds[0].trainer,
            "trainer_vouched_for": like,
            "checkpoint": layout.checkpoint,
            "orientation": DCM2NIIX,
        },
        folds=layout.folds,
        used=tuple(used),
        tensors=lambda fold: _tensors(files, layout.weights(fold), net),
    )


def _pickle(files: ModelFiles, name: str) -> Fields:
    if name not in files.names:
        raise ForeignModelRefused(f"{name.rpartition('/')[2]} is missing beside the weights")
    what = name.rpartition("/")[2]
    return Fields(read_pickle(BytesIO(files.read(name, MOST_PICKLE_BYTES)), what=what), what)


def _fold(pickled: Fields, *, like: str | None) -> _Fold:
    trainer = pickled.word("name")
    stage = stage_of(trainer, pickled.raw("init"))
    planned = _planned(pickled.inner("plans"), stage, mirror_axes(like or trainer))
    return _Fold(trainer=trainer, stage=stage, planned=planned)


def _planned(plans: Fields, stage: int | None, axes: tuple[int, ...]) -> Planned:
    """Translate v1's plans; refuse what is not one channel of MR, standardised."""
    if plans.count("num_modalities") != 1:
        raise ForeignModelRefused("the model wants several images of one head: one is given")
    if plans.numbered("normalization_schemes", 1) != [_Z_SCORE]:
        raise ForeignModelRefused("the model does not standardise its input: it is not for MR")
    if "preprocessor_name" in plans and plans.word("preprocessor_name") != "GenericPreprocessor":
        raise ForeignModelRefused(f"preprocessor {plans.word('preprocessor_name')} is not known")
    (masked,) = plans.numbered("use_mask_for_norm", 1)
    if not isinstance(masked, bool):
        plans.refuse("use_mask_for_norm")
    step = _stage(plans, stage)
    export = (
        plans.inner("segmentation_export_params") if "segmentation_export_params" in plans else None
    )
    return Planned(
        generation=1,
        spacing_mm=tuple(step.lengths("current_spacing")),
        patch=tuple(step.triple("patch_size")),
        transpose_forward=tuple(plans.axes("transpose_forward")),
        transpose_backward=tuple(plans.axes("transpose_backward")),
        masked_norm=masked,
        labels=tuple(plans.counts("all_classes")),
        mirror_axes=axes,
        order=export.spline("interpolation_order") if export else 1,
        order_z=export.spline("interpolation_order_z") if export else 0,
        separate_z=export.maybe("force_separate_z") if export else None,
    )


def _stage(plans: Fields, stage: int | None) -> Fields:
    """Choose the stage that the model was trained for: v1 leaves it open where there is one."""
    stages: Any = plans.raw("plans_per_stage")
    if isinstance(stages, list | tuple):
        stages = dict(enumerate(stages))
    if not isinstance(stages, dict) or (stage is None and len(stages) != 1):
        plans.refuse("plans_per_stage")
    chosen = next(iter(stages)) if stage is None else stage
    return Fields(stages.get(chosen), f"stage of {plans.what}")


def _check(plans: Fields, fold: _Fold, net: Topology) -> None:
    """Check a plans pickle against the network and against what the folds say."""
    step = _stage(plans, fold.stage)
    pooled = step.triples("pool_op_kernel_sizes") if "pool_op_kernel_sizes" in step else None
    kernels = step.triples("conv_kernel_sizes") if "conv_kernel_sizes" in step else None
    agrees = (
        _planned(plans, fold.stage, fold.planned.mirror_axes) == fold.planned
        and plans.count("base_num_features") == net.features[0]
        and net.channels == 1
        and plans.count("num_classes") + 1 == net.classes == len(fold.planned.labels) + 1
        and pooled in (None, [list(stride) for stride in net.strides[1:]])
        and kernels in (None, [list(kernel) for kernel in net.kernels])
    )
    if not agrees:
        raise ForeignModelRefused(f"{plans.what} and the weights are of different models")
    for axis, size in enumerate(fold.planned.patch):
        step_size = 1
        for stride in net.strides:
            step_size *= stride[axis]
        if size % step_size:
            raise ForeignModelRefused(f"the patch of {plans.what} does not fit the network")


def _state(checkpoint: Checkpoint) -> dict[str, Tensor]:
    """Find the tensors of the network, by v1's own names."""
    state = Fields(checkpoint.values, checkpoint.what).raw("state_dict")
    if not isinstance(state, dict) or not state:
        raise ForeignModelRefused(f"{checkpoint.what} has no state_dict: no checkpoint of v1")
    if not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in state.items()):
        raise ForeignModelRefused(f"{checkpoint.what} has other things than tensors for weights")
    return {name.removeprefix("module."): tensor for name, tensor in state.items()}


def _topology(files: ModelFiles, name: str) -> Topology:
    what = name.rpartition("/")[2]
    with files.open(name) as file:
        state = _state(read_checkpoint(file, what=what))
    renamed = names_of_v1(list(state), what)
    shapes = {renamed[old]: tensor.shape for old, tensor in state.items()}
    zeros = {new: zero.shape for new, zero in zero_biases(shapes).items()}
    return topology({**shapes, **zeros}, what)


def _tensors(files: ModelFiles, name: str, net: Topology) -> dict[str, NDArray[np.float32]]:
    """Read the weights of one fold; its network must be that of the first one."""
    what = name.rpartition("/")[2]
    with files.open(name) as file:
        checkpoint = read_checkpoint(file, what=what)
        state = _state(checkpoint)
        renamed = names_of_v1(list(state), what)
        shapes = {renamed[old]: tensor.shape for old, tensor in state.items()}
        zeros = zero_biases(shapes)
        if topology({**shapes, **{n: z.shape for n, z in zeros.items()}}, what) != net:
            raise ForeignModelRefused("the folds are of different models")
        return {renamed[old]: checkpoint.read(tensor) for old, tensor in state.items()} | zeros
