"""The plans file of an imported model: nnunetv2's words, and what they cannot say."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from deid_node.face.nnunet.network import Topology

PLAIN: Final = "dynamic_network_architectures.architectures.unet.PlainConvUNet"
CONFIGURATION: Final = "3d_fullres"
FORMAT: Final = 1
"""Of the key ``deid_node``."""

_RESAMPLING: Final = "resample_data_or_seg_to_shape"
_STATISTICS: Final = ("max", "mean", "median", "min", "percentile_00_5", "percentile_99_5", "std")


@dataclass(frozen=True, slots=True, kw_only=True)
class Postprocessing:
    """Which classes are reduced to their largest piece.

    Parameters
    ----------
    classes
        Groups of labels; each group is taken together. None leaves the choice to the image:
        every label that it shows, by itself.
    least_mm3
        For each group, the volume from which a smaller piece stays; None where none does.
    """

    classes: tuple[tuple[int, ...], ...] | None
    least_mm3: tuple[float, ...] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What a model was trained on and how its answers are put together.

    Parameters
    ----------
    generation
        1: resampled before normalised, probabilities averaged. 2: the reverse, and logits.
    spacing_mm, patch
        Of the network's input, along the transposed axes.
    transpose_forward, transpose_backward
        Order of the image's axes in the network's input, and back.
    masked_norm
        Whether values are standardised over the non-zero voxels alone, and zero outside.
    labels
        The labels of its classes but the background, in the order of its output.
    mirror_axes
        Along which its predictor mirrors, by default.
    order, order_z, separate_z
        Of the interpolation of probabilities: in general, along the thick axis where that is
        resampled by itself, and whether it is (None: where its spacing is over three times
        the least).
    """

    generation: int
    spacing_mm: tuple[float, ...]
    patch: tuple[int, ...]
    transpose_forward: tuple[int, ...]
    transpose_backward: tuple[int, ...]
    masked_norm: bool
    labels: tuple[int, ...]
    mirror_axes: tuple[int, ...]
    order: int = 1
    order_z: int = 0
    separate_z: bool | None = None


def plans_file(
    planned: Planned, net: Topology, postprocessing: Postprocessing | None
) -> dict[str, Any]:
    """Compose the content of plans.json.

    Parameters
    ----------
    planned, net
        Preprocessing, and the network.
    postprocessing
        None where the model has none.
    """
    patch = list(planned.patch)
    spacing = list(planned.spacing_mm)
    data = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    probabilities = {
        "is_seg": False,
        "order": planned.order,
        "order_z": planned.order_z,
        "force_separate_z": planned.separate_z,
    }
    configuration = {
        "data_identifier": f"nnUNetPlans_{CONFIGURATION}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": patch,
        "median_image_size_in_voxels": [float(n) for n in patch],
        "spacing": spacing,
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [planned.masked_norm],
        "resampling_fn_data": _RESAMPLING,
        "resampling_fn_seg": _RESAMPLING,
        "resampling_fn_data_kwargs": data,
        "resampling_fn_seg_kwargs": {**data, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": _RESAMPLING,
        "resampling_fn_probabilities_kwargs": probabilities,
        "architecture": {
            "network_class_name": PLAIN,
            "arch_kwargs": net.described(),
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
        "batch_dice": False,
    }
    return {
        "dataset_name": "Dataset001_Imported",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": spacing,
        "original_median_shape_after_transp": patch,
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": list(planned.transpose_forward),
        "transpose_backward": list(planned.transpose_backward),
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": dict.fromkeys(_STATISTICS, 0.0)},
        "configurations": {CONFIGURATION: configuration},
        "deid_node": _own_words(planned, net, postprocessing),
    }


def _own_words(
    planned: Planned, net: Topology, postprocessing: Postprocessing | None
) -> dict[str, Any]:
    first = planned.generation == 1
    return {
        "format": FORMAT,
        "generation": planned.generation,
        "preprocessing": ["crop", "resample", "normalise"]
        if first
        else ["crop", "normalise", "resample"],
        "averaged": "probabilities" if first else "logits",
        "labels": list(planned.labels),
        "mirror_axes": list(planned.mirror_axes),
        "decoder_kernel_sizes": [list(kernel) for kernel in net.decoder_kernels],
        "is_plain_unet": net.is_plain(),
        "postprocessing": None
        if postprocessing is None
        else {
            "largest_piece_of": None
            if postprocessing.classes is None
            else [list(group) for group in postprocessing.classes],
            "least_mm3": None
            if postprocessing.least_mm3 is None
            else list(postprocessing.least_mm3),
        },
    }
