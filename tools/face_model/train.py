"""Train the face network on synthetic heads only; resumable.

Usage: ``python -m face_model.train FOLDER --labels L --targets T --minutes 90 [--start STATE.pt]``.
Run again with the same FOLDER to go on where it stopped: network, optimizer, average, iteration
and random state are in ``checkpoint.pt``. One line of JSON per report goes to ``log.jsonl``.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn import functional
from torch.utils.data import DataLoader, IterableDataset

from face_model import network, synth

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import nn

HELD_OUT = ("training_seg_02.nii.gz", "training_seg_18.nii.gz")
CLASSES = len(network.CLASSES)
FACE, EARS, BRAIN, FIRST_PART = 1, 2, 3, 4
# unweighted, the ears stay at zero for long, and so do eyes, nose and mouth
CLASS_WEIGHTS = torch.tensor([1.0, 2.0, 6.0, 1.0, 3.0, 3.0, 3.0])
NARROW_SHARE = 0.6
PARTS_SHARE = 0.5  # of the Dice loss, what tells eyes, nose and mouth apart from the other face
LAYOUT = torch.channels_last_3d
RARER = 3.0  # how much lower the logit of a part begins
WARM_UP, SAVE_EVERY, REPORT_EVERY, JUDGED = 100, 50, 250, 12
NEAR, NEAR_WEIGHT = 7, 4.0  # brain within 3 voxels of face or ears counts this much more


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a run is defined by; written into its log.

    Parameters
    ----------
    patch, narrow : int
        Voxels along every axis; along left-right in most batches, where a head is narrow.
    spacing_mm : float
        Voxel edge.
    batch : int
        Samples per iteration.
    rate : float
        Peak learning rate; falls with (1 - share done) ** 0.9.
    averaging : float
        Share of the old average kept per iteration.
    seed : int
        Of the generator of samples; the iteration at which a run resumes is added.
    """

    patch: int
    narrow: int
    spacing_mm: float
    batch: int
    rate: float
    averaging: float
    seed: int


@dataclass(slots=True, kw_only=True)
class State:
    """What changes while training."""

    net: nn.Module
    optimizer: torch.optim.Optimizer
    average: dict[str, torch.Tensor]
    iteration: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)


class Stream(IterableDataset):  # type: ignore[misc]  # torch is skipped by the type check
    """Whole batches, drawn in the worker."""

    def __init__(self, labels: Path, targets: Path, settings: Settings, seed: int) -> None:
        self._folders, self._settings, self._seed = (labels, targets), settings, seed

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        torch.set_num_threads(1)
        s = self._settings
        worker = torch.utils.data.get_worker_info()
        seed = self._seed + (worker.id if worker else 0) * 7919
        names = [
            p.name for p in sorted(self._folders[1].glob("*.nii.gz")) if p.name not in HELD_OUT
        ]
        maps, table = synth.load_maps(*self._folders, names)
        draw = synth.Synth(maps, table, spacing_mm=s.spacing_mm, seed=seed)
        widths = np.random.default_rng(seed)
        while True:
            width = s.narrow if widths.random() < NARROW_SHARE else s.patch
            pairs = [draw((width, s.patch, s.patch)) for _ in range(s.batch)]
            yield torch.stack([p[0] for p in pairs]), torch.stack([p[1] for p in pairs]).long()


def dice_and_cross_entropy(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Cross entropy plus one minus the mean Dice of face, ears and brain, and of the face's parts.

    Ears weigh most, and brain next to face or ears: taking brain for face is the dear mistake.
    """
    share = logits.softmax(1)
    hot = functional.one_hot(target, CLASSES).movedim(-1, 1).float()
    share, hot = _with_whole_face(share), _with_whole_face(hot)
    both = (share * hot).sum((0, 2, 3, 4))
    either = (share + hot).sum((0, 2, 3, 4))
    dice = (2 * both + 1) / (either + 1)
    taken = ((target != 0) & (target != BRAIN)).float()[:, None]
    for axis in range(3):
        size = [NEAR if a == axis else 1 for a in range(3)]
        taken = functional.max_pool3d(taken, size, 1, [n // 2 for n in size])
    weight = CLASS_WEIGHTS[target]
    weight = torch.where((target == BRAIN) & (taken[:, 0] > 0), NEAR_WEIGHT * weight, weight)
    entropy = functional.cross_entropy(logits, target, reduction="none")
    missed = 1 - dice[FACE:FIRST_PART].mean() + PARTS_SHARE * (1 - dice[FIRST_PART:].mean())
    return (entropy * weight).sum() / weight.sum() + missed


def _with_whole_face(share: torch.Tensor) -> torch.Tensor:
    """Let the second class hold the whole face, its parts too."""
    whole = share[:, FACE] + share[:, FIRST_PART:].sum(1)
    return torch.cat([share[:, :FACE], whole[:, None], share[:, EARS:]], 1)


def judge(net: nn.Module, samples: list[tuple[torch.Tensor, torch.Tensor]]) -> list[float]:
    """Dice of the whole face, ears, brain, eyes, nose and mouth over all held-out samples."""
    net.eval()
    both, either = torch.zeros(CLASSES), torch.zeros(CLASSES)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        for image, target in samples:
            found = net(image[None].contiguous(memory_format=LAYOUT)).argmax(1)[0]
            for c in range(CLASSES):
                a, b = (_members(labels, c) for labels in (found, target))
                both[c] += (a & b).sum()
                either[c] += a.sum() + b.sum()
    net.train()
    return [float(d) for d in (2 * both / either.clamp(min=1))[1:]]


def _members(labels: torch.Tensor, kind: int) -> torch.Tensor:
    return (labels == FACE) | (labels >= FIRST_PART) if kind == FACE else labels == kind


def step(state: State, batch: tuple[torch.Tensor, torch.Tensor], rate: float, keep: float) -> None:
    """One iteration: forward and backward in bfloat16, AdamW, moving average of the weights."""
    for group in state.optimizer.param_groups:
        group["lr"] = rate
    image, target = batch
    with torch.autocast("cpu", torch.bfloat16):
        logits = state.net(image.contiguous(memory_format=LAYOUT))
    loss = dice_and_cross_entropy(logits.float(), target)
    state.optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(state.net.parameters(), 5)
    state.optimizer.step()
    state.iteration += 1
    state.losses.append(loss.item())
    keep = min(keep, state.iteration / (state.iteration + 10))
    with torch.no_grad():
        for name, tensor in state.net.state_dict().items():
            state.average[name].lerp_(tensor, 1 - keep)


def load(state: State, path: Path) -> None:
    """Take up a checkpoint, or start from a bare state dict."""
    stored = torch.load(path, weights_only=True)
    if "network" not in stored:
        state.net.load_state_dict(_with_parts(stored, state.net.state_dict()))
        for name, tensor in state.net.state_dict().items():
            state.average[name].copy_(tensor)
        return
    state.net.load_state_dict(stored["network"])
    state.optimizer.load_state_dict(stored["optimizer"])
    for name, tensor in stored["average"].items():
        state.average[name].copy_(tensor)
    state.iteration, state.seconds = stored["iteration"], stored["seconds"]


def _with_parts(
    stored: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Let a network that knew fewer classes begin with parts that are rarer than the face."""
    grown = {}
    for name, tensor in wanted.items():
        old = stored[name].float()
        if old.shape != tensor.shape:
            face = old[FACE : FACE + 1].expand(len(tensor) - len(old), *old.shape[1:])
            old = torch.cat([old, face - RARER if old.ndim == 1 else face])
        grown[name] = old
    return grown


def save(state: State, path: Path) -> None:
    """Write the checkpoint beside its place, then move it there."""
    stored: dict[str, Any] = {
        "network": state.net.state_dict(),
        "average": state.average,
        "optimizer": state.optimizer.state_dict(),
        "iteration": state.iteration,
        "seconds": state.seconds,
    }
    part = path.with_suffix(".part")
    torch.save(stored, part)
    part.replace(path)


def report(
    state: State, samples: list[tuple[torch.Tensor, torch.Tensor]], rate: float, folder: Path
) -> None:
    """Judge the averaged weights and log one line."""
    current = {name: tensor.clone() for name, tensor in state.net.state_dict().items()}
    state.net.load_state_dict(state.average)
    dice = judge(state.net, samples)
    state.net.load_state_dict(current)
    line = {
        "iteration": state.iteration,
        "seconds": round(state.seconds),
        "rate": rate,
        "loss": round(float(np.mean(state.losses)), 4),
        "dice": dict(zip(network.CLASSES[1:], (round(d, 4) for d in dice), strict=True)),
    }
    state.losses.clear()
    with (folder / "log.jsonl").open("a") as log:
        log.write(json.dumps(line) + "\n")


def held_out(labels: Path, targets: Path, s: Settings) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Draw a few samples of the two held-out heads, the same in every run."""
    maps, table = synth.load_maps(labels, targets, HELD_OUT)
    draw = synth.Synth(maps, table, spacing_mm=s.spacing_mm, seed=1)
    return [draw((s.patch,) * 3) for _ in range(JUDGED)]


def run(arguments: argparse.Namespace, settings: Settings) -> None:
    """Train until the minutes, counted over all runs of this folder, are spent."""
    folder: Path = arguments.folder
    folder.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)  # on a shared machine two threads cost five times the CPU
    torch.manual_seed(settings.seed)
    plan = network.plans(patch=settings.patch, spacing_mm=settings.spacing_mm)
    net = network.build(plan).to(memory_format=LAYOUT).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=settings.rate, weight_decay=1e-2)
    average = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    state = State(net=net, optimizer=optimizer, average=average)
    checkpoint = folder / "checkpoint.pt"
    if checkpoint.exists() or arguments.start:
        load(state, checkpoint if checkpoint.exists() else arguments.start)
    with (folder / "log.jsonl").open("a") as log:
        facts = {name: getattr(settings, name) for name in settings.__slots__}
        log.write(json.dumps({"settings": facts, "from_iteration": state.iteration}) + "\n")
    stream = Stream(arguments.labels, arguments.targets, settings, settings.seed + state.iteration)
    batches = iter(DataLoader(stream, batch_size=None, num_workers=1, prefetch_factor=6))
    samples = held_out(arguments.labels, arguments.targets, settings)
    first, before, began = state.iteration, state.seconds, time.monotonic()
    while (done := state.seconds / 60 / arguments.minutes) < 1:
        warm = min(1, (state.iteration - first + 1) / WARM_UP)
        rate = settings.rate * warm * (1 - done) ** 0.9
        step(state, next(batches), rate, settings.averaging)
        state.seconds = before + time.monotonic() - began
        if state.iteration % arguments.report_every == 0:
            report(state, samples, rate, folder)
        if state.iteration % SAVE_EVERY == 0:
            save(state, checkpoint)
    if state.losses:
        report(state, samples, 0.0, folder)
    save(state, checkpoint)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--labels", type=Path, required=True)
    parser.add_argument("--targets", type=Path, required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--start", type=Path)
    parser.add_argument("--patch", type=int, default=80)
    parser.add_argument("--narrow", type=int, default=64)
    parser.add_argument("--spacing", type=float, default=3.2)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--averaging", type=float, default=0.995)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--report-every", type=int, default=REPORT_EVERY, help="iterations")
    chosen = parser.parse_args()
    run(
        chosen,
        Settings(
            patch=chosen.patch,
            narrow=chosen.narrow,
            spacing_mm=chosen.spacing,
            batch=chosen.batch,
            rate=chosen.rate,
            averaging=chosen.averaging,
            seed=chosen.seed,
        ),
    )
