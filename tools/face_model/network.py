"""The network: nnU-Net's PlainConvUNet, built from a plans file that nnunetv2 itself accepts."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import nn

CLASSES = ("background", "face", "ears", "brain", "eyes", "nose", "mouth")
FEATURES = (8, 16, 32, 64, 128)
CLIP_PERCENTILES = (0.5, 99.5)
MIRROR_AXES = (0,)
LEVEL_CENTRE = (0.0, -30.0, -20.0)  # middle of the level view, in head coordinates
LEVEL_SPACING = 2.8  # edge of a voxel of the level view of an adult, in mm


def architecture() -> dict[str, Any]:
    """Describe the topology in the words of an nnunetv2 plans file.

    Returns
    -------
    dict
        The value of ``configurations.3d_fullres.architecture``.
    """
    stages = len(FEATURES)
    return {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {
            "n_stages": stages,
            "features_per_stage": list(FEATURES),
            "conv_op": "torch.nn.modules.conv.Conv3d",
            "kernel_sizes": [[3, 3, 3]] * stages,
            "strides": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
            "n_conv_per_stage": [2] * stages,
            "n_conv_per_stage_decoder": [1] * (stages - 1),
            "conv_bias": True,
            "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
            "norm_op_kwargs": {"eps": 1e-5, "affine": True},
            "dropout_op": None,
            "dropout_op_kwargs": None,
            "nonlin": "torch.nn.LeakyReLU",
            "nonlin_kwargs": {"inplace": True},
        },
        "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
    }


def plans(*, patch: int, spacing_mm: float) -> dict[str, Any]:
    """Describe network, grid and preprocessing as an nnunetv2 plans file.

    The network sees arrays in RAS order (first axis grows to the patient's Right, second to
    Anterior, third to Superior). nnunetv2's ``NibabelIOWithReorient`` reads to RAS+ and hands
    over (z, y, x); ``transpose_forward`` turns that back to (x, y, z).

    Parameters
    ----------
    patch : int
        Edge of the cubic window in voxels; one window holds the whole head.
    spacing_mm : float
        Voxel edge of the network's grid, in mm.

    Returns
    -------
    dict
        The plans, and under ``deid_node`` what nnunetv2 has no word for.
    """
    resampling = {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None}
    configuration = {
        "data_identifier": "nnUNetPlans_3d_fullres",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": [patch] * 3,
        "median_image_size_in_voxels": [float(patch)] * 3,
        "spacing": [spacing_mm] * 3,
        "normalization_schemes": ["ZScoreNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": resampling,
        "resampling_fn_seg_kwargs": {**resampling, "is_seg": True, "order": 1},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {**resampling, "order": 1},
        "architecture": architecture(),
        "batch_dice": False,
    }
    statistics = ("max", "mean", "median", "min", "percentile_00_5", "percentile_99_5", "std")
    return {
        "dataset_name": "Dataset001_Face",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [spacing_mm] * 3,
        "original_median_shape_after_transp": [patch] * 3,
        "image_reader_writer": "NibabelIOWithReorient",
        "transpose_forward": [2, 1, 0],
        "transpose_backward": [2, 1, 0],
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {"0": dict.fromkeys(statistics, 0.0)},
        "configurations": {"3d_fullres": configuration},
        "deid_node": {
            "spacing_mm": spacing_mm,
            "level_spacing_mm": LEVEL_SPACING,
            "level_centre": list(LEVEL_CENTRE),
            "patch": patch,
            "classes": list(CLASSES),
            "clip_percentiles": list(CLIP_PERCENTILES),
            "normalisation": "zscore after clipping, negative values first clamped to 0",
            "antialias": "gaussian, sigma = sqrt(max(0, mm^2 - spacing^2))/2.355 per axis",
            "mirror_axes": list(MIRROR_AXES),
        },
    }


def build(plan: dict[str, Any]) -> nn.Module:
    """Build the network that a plans file describes, without deep supervision.

    Parameters
    ----------
    plan : dict
        A plans file as `plans` returns it; one input channel.

    Returns
    -------
    torch.nn.Module
        Maps (batch, 1, x, y, z) to logits (batch, classes, x, y, z); weights untrained.
    """
    described = plan["configurations"]["3d_fullres"]["architecture"]
    kwargs = dict(described["arch_kwargs"])
    for name in described["_kw_requires_import"]:
        kwargs[name] = _locate(kwargs[name])
    network: nn.Module = _locate(described["network_class_name"])(
        input_channels=1, num_classes=len(CLASSES), deep_supervision=False, **kwargs
    )
    return network


def _locate(dotted: str | None) -> Any:  # noqa: ANN401 - any class of another package
    if dotted is None:
        return None
    module, _, name = dotted.rpartition(".")
    return getattr(importlib.import_module(module), name)
