"""Write a trained network as the folder that is shipped: IR, plans, safetensors and card.

Usage: ``python -m face_model.export STATE.pt [STATE.pt …] FOLDER --patch 80 --spacing 3.2 --version 1 [--measured FILE]``
Several states of one network, each trained on from the one before, ship as their mean.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino
import torch
from safetensors.torch import save_file

from face_model import network

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

# what nnunetv2's log is pickled with, beside plain containers; first, how numpy writes a scalar
NUMBERS = (
    np.float64(0).__reduce__()[0],
    np.dtype,
    np.dtypes.Float32DType,
    np.dtypes.Float64DType,
)
SHIPPED = ("face.xml", "face.bin", "face.safetensors", "plans.json")
TRAINING_DATA = (
    "Synthetic MR of any contrast, drawn by code from 20 whole-head label maps of adults "
    "(SynthSeg training labels, Apache-2.0). No MR image of a person was used for training."
)
LIMITS = (
    "Trained on shapes of adults and on warps of them: children are imitated, never seen.",
    "Not validated on craniofacial malformation, cleft lip, ear pathology, surgery or implants.",
    "Single voxels of the CSF's outermost rim may go.",
    "A child of inverted contrast kept about a tenth of the chin's tissue, one in slices of 5 mm of an ear.",
    "Not a medical device. A person must look at the result before release.",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What the card says that the files do not; the defaults are those of the default model."""

    name: str = "default"
    version: str
    licence: str = "Apache-2.0"
    training_data: str = TRAINING_DATA
    measured: dict[str, Any] = field(default_factory=dict)
    limits: tuple[str, ...] = LIMITS


def load_state(path: Path) -> dict[str, torch.Tensor]:
    """Read weights from a checkpoint of `train` or nnunetv2, or a bare state dict.

    The averaged ones win.

    Parameters
    ----------
    path : Path
        File written by torch.save; read with ``weights_only=True``.

    Returns
    -------
    dict of str to Tensor
        State dict in float32.
    """
    with torch.serialization.safe_globals(list(NUMBERS)):
        stored = torch.load(path, weights_only=True, map_location="cpu")
    keys = ("average", "network", "network_weights")
    state = next((stored[key] for key in keys if key in stored), stored)
    return {name: tensor.float().contiguous() for name, tensor in state.items()}


def mean_state(paths: Sequence[Path]) -> dict[str, torch.Tensor]:
    """Average the weights of several states of one network, each as `load_state` reads it."""
    states = [load_state(path) for path in paths]
    return {name: torch.stack([s[name] for s in states]).mean(0) for name in states[0]}


def write_ir(net: nn.Module, folder: Path, patch: int) -> float:
    """Convert to OpenVINO IR with float16 weights and raw logits, static shape.

    Parameters
    ----------
    net : torch.nn.Module
        In evaluation mode.
    folder : Path
        Receives face.xml and face.bin.
    patch : int
        Edge of the window in voxels.

    Returns
    -------
    float
        Largest difference of the softmax between IR and torch on one random window.
    """
    example = torch.randn(1, 1, patch, patch, patch, generator=torch.Generator().manual_seed(0))
    model = openvino.convert_model(net, example_input=example, input=[1, 1, patch, patch, patch])
    model.inputs[0].set_names({"volume"})
    model.outputs[0].set_names({"logits"})
    openvino.save_model(model, folder / "face.xml", compress_to_fp16=True)
    precise = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    compiled = openvino.Core().compile_model(folder / "face.xml", "CPU", precise)
    logits = torch.from_numpy(np.array(compiled(example.numpy())[0]))
    with torch.no_grad():
        expected = net(example).softmax(1)
    return float((logits.softmax(1) - expected).abs().max())


def _unique_tensors(net: nn.Module) -> dict[str, torch.Tensor]:
    """State dict without the second names nnU-Net gives to the same tensors.

    Its ``all_modules`` and ``decoder.encoder`` repeat other entries and share their memory, so
    ``load_state_dict(..., strict=False)`` fills them too.
    """
    seen: dict[int, str] = {}
    for name, tensor in net.state_dict(keep_vars=True).items():
        seen.setdefault(id(tensor), name)
    kept = set(seen.values())
    return {name: t.detach().half() for name, t in net.state_dict().items() if name in kept}


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def card(folder: Path, told: Told) -> dict[str, Any]:
    """Describe the folder: digests, licence, data, results and limits."""
    return {
        "name": told.name,
        "version": told.version,
        "sha256": {name: digest(folder / name) for name in SHIPPED},
        "licence": told.licence,
        "training_data": told.training_data,
        "measured": told.measured,
        "limits": list(told.limits),
    }


def export(states: Sequence[Path], folder: Path, plan: dict[str, Any], told: Told) -> None:
    """Write every file of the folder; the card last, so that a torn export does not verify."""
    net = network.build(plan)
    net.load_state_dict(mean_state(states))
    net.eval()
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "plans.json").write_text(json.dumps(plan, indent=1) + "\n")
    difference = write_ir(net, folder, plan["deid_node"]["patch"])
    save_file(_unique_tensors(net), folder / "face.safetensors")
    (folder / "face.safetensors").chmod(0o644)  # written for its owner alone
    (folder / "card.json").write_text(json.dumps(card(folder, told), indent=1) + "\n")
    print(f"{folder}: IR against torch, softmax differs by at most {difference:.1e}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("states", type=Path, nargs="+")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--patch", type=int, default=80)
    parser.add_argument("--spacing", type=float, default=3.2)
    parser.add_argument("--version", default="1")
    parser.add_argument("--measured", type=Path)
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    export(
        chosen.states,
        chosen.folder,
        network.plans(patch=chosen.patch, spacing_mm=chosen.spacing),
        Told(
            version=chosen.version,
            measured=json.loads(chosen.measured.read_text()) if chosen.measured else {},
        ),
    )
