"""Write an imported model as the folder that nnunetv2's own predictor loads."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any, Final

from deid_node.errors import ModelNotExportable, OutputUnwritable, WeightsUnusable
from deid_node.face.nnunet.network import topology
from deid_node.face.nnunet.plans import CONFIGURATION
from deid_node.face.nnunet.safetensors import decode
from deid_node.face.nnunet.torch_unet import checkpoint
from deid_node.face.weights import card_of, read_card
from deid_node.node.durable import write_file

if TYPE_CHECKING:
    from pathlib import Path

    from deid_node.face.nnunet.network import Topology

TRAINER: Final = "nnUNetTrainer"


def export_nnunetv2(model: Path, out: Path) -> list[str]:
    """Write an imported model as nnunetv2 writes its own.

    Of a model of v1 nnunetv2 makes another mask than v1 did: it prepares the image in another
    order, averages logits, and adds up in half precision.

    Parameters
    ----------
    model
        Folder of the imported model.
    out
        Folder to be made.

    Returns
    -------
    list of str
        Names of the folds.

    Raises
    ------
    ModelNotExportable
        If PlainConvUNet cannot be built like this network, or its labels have gaps.
    WeightsUnusable
        If the model is damaged, or torch is missing.
    OutputUnwritable
        If the folder is there already or cannot be written. Nothing stays.
    """
    card = read_card(model)
    try:
        plans = json.loads((model / "plans.json").read_text(encoding="utf-8"))
        own = plans.pop("deid_node")
        labels, mirror_axes = list(own["labels"]), list(own["mirror_axes"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise WeightsUnusable(f"{model} does not hold an imported model") from None
    if labels != list(range(1, len(labels) + 1)):
        raise ModelNotExportable(f"the labels of {card.name} have gaps, which nnunetv2 has not")
    try:
        out.mkdir(parents=True)
    except OSError:
        raise OutputUnwritable(f"{out} is there already or cannot be made") from None
    try:
        return _write(model, out, plans, labels, mirror_axes)
    except OSError:
        raise OutputUnwritable(f"{out} cannot be written") from None
    finally:
        if not (out / "plans.json").is_file():
            shutil.rmtree(out, ignore_errors=True)


def _write(
    model: Path, out: Path, plans: dict[str, Any], labels: list[int], mirror_axes: list[int]
) -> list[str]:
    folds = []
    for path in sorted(model.glob("*.safetensors")):
        tensors = decode(path.read_bytes())
        net = topology({name: each.shape for name, each in tensors.items()}, path.name)
        _check(net, card_of(model)["name"])
        fold = path.stem if path.stem.startswith("fold_") else f"fold_{path.stem}"
        said = {
            "trainer_name": TRAINER,
            "init_args": {"configuration": CONFIGURATION, "fold": fold.removeprefix("fold_")},
            "inference_allowed_mirroring_axes": tuple(mirror_axes) or None,
        }
        (out / fold).mkdir()
        write_file(out / fold / "checkpoint_final.pth", [checkpoint(tensors, said)])
        folds.append(fold)
    dataset = {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, **{f"label_{n}": n for n in labels}},
        "numTraining": 0,
        "file_ending": ".nii.gz",
    }
    write_file(out / "dataset.json", [_json(dataset)])
    write_file(out / "plans.json", [_json(plans)])
    return folds


def _check(net: Topology, name: str) -> None:
    if not net.is_plain():
        raise ModelNotExportable(
            f"the decoder of {name} has other kernels than its encoder, which PlainConvUNet has not"
        )


def _json(value: object) -> bytes:
    return (json.dumps(value, indent=1) + "\n").encode()
