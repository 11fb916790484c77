"""Draw synthetic MR of any contrast from label maps, at the resolution the network sees.

Partial volume comes from a few shifted look-ups in the 1 mm label map around each voxel, spread
as far as the runtime's antialiasing or the thickness of a slice spreads them; nothing is drawn on
a finer grid. Label and target of a voxel share one byte, so one look-up reads both.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import torch

from face_model import degrade
from face_model.contrasts import LEFT_OF, draw_intensities
from face_model.network import CLASSES, CLIP_PERCENTILES
from face_model.shapes import draw_view, draw_warp
from face_model.targets import Frame

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

EDGE = 258  # a label map of 256 voxels with a border of air
LOOK_UPS = 6
KINDS = len(CLASSES)
MOUTH = CLASSES.index("mouth")
LEVEL_SHARE = (
    0.55  # of the samples; the runtime looks twice at a head, turned level the second time
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelMap:
    """One head: `KINDS` times the label's index plus the class, in a byte; and the head's frame."""

    codes: torch.Tensor
    frame: Frame


def load_maps(
    labels: Path, targets: Path, names: Sequence[str] | None = None
) -> tuple[list[LabelMap], np.ndarray]:
    """Read label maps with their targets.

    Parameters
    ----------
    labels : Path
        Folder of label maps, 256 voxels of 1 mm along each axis.
    targets : Path
        Folder that `targets` wrote.
    names : sequence of str, optional
        File names to take; all by default.

    Returns
    -------
    maps : list of LabelMap
        In the order of the names.
    table : (k,) ndarray of int
        Label values in use over all maps of the folder.
    """
    frames = json.loads((targets / "frames.json").read_text())
    raw, values = {}, set()
    for name in sorted(names or frames):
        seg = np.asarray(nib.as_closest_canonical(nib.load(labels / name)).dataobj).astype(np.int16)
        merged = np.arange(1024, dtype=np.int16)
        merged[list(LEFT_OF)] = list(LEFT_OF.values())
        raw[name] = merged[seg]
        values |= set(np.unique(raw[name]).tolist())
    table = np.array(sorted(values))
    index = np.zeros(1024, np.uint8)
    index[table] = np.arange(len(table))
    maps = []
    for name, seg in raw.items():
        target = np.asarray(nib.load(targets / name).dataobj).astype(np.uint8)
        codes = np.pad(index[seg] * KINDS + target, 1)
        at = frames[name]
        frame = Frame(
            origin=np.array(at["origin"]), axes=np.array(at["axes"]), scale=float(at["scale"])
        )
        maps.append(LabelMap(codes=torch.from_numpy(codes), frame=frame))
    return maps, table


def standardise(image: torch.Tensor) -> torch.Tensor:
    """Clamp to non-negative, clip at the percentiles, then zero mean and unit spread."""
    image = image.clamp(min=0)
    low, high = np.percentile(image[::2, ::2, ::2].numpy(), CLIP_PERCENTILES)
    image = image.clamp(float(low), float(high))
    return (image - image.mean()) / (image.std() + 1e-6)


class Synth:
    """An endless source of samples, the same for the same seed.

    Parameters
    ----------
    maps : list of LabelMap
        Heads to draw from.
    table : (k,) ndarray of int
        Label values behind the codes.
    spacing_mm : float
        Voxel edge of the samples.
    seed : int
        Of both generators of random numbers.
    """

    def __init__(
        self, maps: list[LabelMap], table: np.ndarray, *, spacing_mm: float, seed: int
    ) -> None:
        self._maps, self._table, self._spacing = maps, table, spacing_mm
        self._rng = np.random.default_rng(seed)
        self._torch = torch.Generator().manual_seed(seed)

    def __call__(self, shape: tuple[int, int, int]) -> tuple[torch.Tensor, torch.Tensor]:
        """Draw one sample.

        Parameters
        ----------
        shape : tuple of 3 int
            Voxels along Right, Anterior, Superior.

        Returns
        -------
        image : (1, *shape) Tensor of float32
            Standardised as the runtime does.
        target : (*shape) Tensor of uint8
            Classes.
        """
        rng = self._rng
        head = self._maps[rng.integers(len(self._maps))]
        thick = degrade.draw_slices(rng, shape, self._spacing)
        edges = tuple((n - 1) * self._spacing for n in shape)
        level = rng.random() < LEVEL_SHARE
        linear, middle, pose = draw_view(rng, head.frame, spacing_mm=self._spacing, level=level)
        points = draw_warp(rng, head.frame, edges, linear, middle)
        if rng.random() < 0.5:
            points = points.flip(1)
            linear = linear * [-1, 1, 1]
        image, codes = self._acquire(head.codes, points, linear, thick)
        if thick.shape != shape:
            image = degrade.resize(image, shape, nearest=rng.random() < 0.2)
            codes = _read(head.codes, degrade.resize(points, shape))
        target = codes % KINDS
        mouth = torch.nonzero(target == MOUTH).float()
        if len(mouth) and rng.random() < 0.12:
            image = degrade.drop_out(rng, image, mouth.mean(0))
        image = degrade.spoil(rng, self._torch, image, air=codes < KINDS)
        planes = pose if level else np.eye(3)
        keep = degrade.draw_field_of_view(rng, target, planes)
        image, target = degrade.cut(rng, image, target, keep)
        return standardise(image)[None], target

    def _acquire(
        self, volume: torch.Tensor, points: torch.Tensor, linear: np.ndarray, thick: degrade.Slices
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Average several look-ups per voxel; returns the image and the codes at voxel centres."""
        rng = self._rng
        mean, other, spread = torch.from_numpy(draw_intensities(rng, self._table))
        values = torch.cat([mean.repeat_interleave(KINDS), other.repeat_interleave(KINDS)])
        centres = degrade.resize(points, thick.shape)
        patch = degrade.smooth_noise(rng, self._torch, thick.shape, knots=(8, 26))
        shift = (patch > rng.uniform(-0.5, 0.7)) * (KINDS * len(self._table))
        image = torch.zeros(thick.shape)
        for offset in thick.offsets(rng, LOOK_UPS):
            step = torch.tensor(linear @ offset, dtype=torch.float32)
            codes = _read(volume, centres + step[:, None, None, None])
            image += values[(codes + shift).long()]
        codes = _read(volume, centres)
        image = image / LOOK_UPS
        texture = torch.randn(thick.shape, generator=self._torch)
        return image + spread.repeat_interleave(KINDS)[codes.long()] * texture, codes


def _read(volume: torch.Tensor, points: torch.Tensor) -> torch.Tensor:
    """Nearest voxel of a padded map; points are voxels of the map without its border."""
    i, j, k = (points + 1.5).clamp_(0, EDGE - 1).int()
    flat = (i * EDGE + j) * EDGE + k
    return volume.reshape(-1)[flat.long()].int()
