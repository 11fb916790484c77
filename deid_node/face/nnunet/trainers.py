"""What follows from the name of a trainer of nnU-Net v1, for nothing else in a file tells it."""

from __future__ import annotations

from typing import Final

from deid_node.errors import ForeignModelRefused

ALL_AXES: Final = (0, 1, 2)

_MIRRORED: Final = frozenset(
    {
        *("nnUNetTrainer", "nnUNetTrainerCE", "nnUNetTrainerV2"),
        *(
            f"nnUNetTrainerV2_{variant}"
            for variant in (
                *("DP", "DDP", "fp16", "fp32", "fullEvals", "noDeepSupervision"),
                *("2epochs", "5epochs", "DDP_5epochs"),
                *("copy1", "copy2", "copy3", "copy4"),
                *("DA2", "DA3", "DA5", "insaneDA", "independentScalePerAxis"),
                *("ForceBD", "ForceSD", "graduallyTransitionFromCEToDice", "SegLoss_Focal"),
                *("Loss_CE", "Loss_CEGDL", "Loss_Dice", "Loss_Dice_LR1en3", "Loss_Dice_squared"),
                *("Loss_DiceCE_noSmooth", "Loss_DiceTopK10", "Loss_TopK10"),
                *("Loss_DicewithBG", "Loss_DicewithBG_LR1en3", "Loss_MCC", "Loss_MCCnoBG"),
                *("Adam", "Adam_nnUNetTrainerlr", "Adam_ReduceOnPlateau"),
                *("SGD_fixedSchedule", "SGD_fixedSchedule2", "SGD_ReduceOnPlateau"),
                *("SGD_lr1en1", "SGD_lr1en3", "warmup", "cycleAtEnd", "cycleAtEnd2"),
                *("Ranger_lr1en2", "Ranger_lr3en3", "Ranger_lr3en4"),
                *("momentum09", "momentum09in2D", "momentum095", "momentum098"),
                "reduceMomentumDuringTraining",
            )
        ),
    }
)
"""Trainers whose network is the Generic_UNet with instance norm, leaky ReLU and softmax."""

_UNMIRRORED: Final = frozenset(
    {"nnUNetTrainerV2_noMirroring", "nnUNetTrainerV2_noDataAugmentation", "nnUNetTrainerNoDA"}
)
_STAGE: Final = 5
"""Place of the stage among a trainer's arguments; a parallel one has its rank before it."""


def mirror_axes(trainer: str) -> tuple[int, ...]:
    """Tell along which axes the trainer's predictor mirrors.

    Parameters
    ----------
    trainer
        Name of its class.

    Raises
    ------
    ForeignModelRefused
        If it is not known to answer as nnUNetTrainerV2 does.
    """
    if trainer in _UNMIRRORED:
        return ()
    if trainer not in _MIRRORED:
        raise ForeignModelRefused(
            f"trainer {trainer} is not known: where its network and its predictor are those of "
            "a known one, say so with --like nnUNetTrainerV2"
        )
    return ALL_AXES


def stage_of(trainer: str, arguments: object) -> int | None:
    """Find the stage among a trainer's arguments; None where it was left to the plans.

    Parameters
    ----------
    trainer
        Name of its class.
    arguments
        What it was made with.
    """
    place = _STAGE + ("_DDP" in trainer)
    if not isinstance(arguments, list | tuple) or len(arguments) <= place:
        return None
    found = arguments[place]
    return found if isinstance(found, int) and not isinstance(found, bool) else None
