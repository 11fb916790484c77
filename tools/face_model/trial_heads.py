"""Heads as scanners might give them: every set of `evaluate`, and the real ones changed.

The real heads come as they are, moved and spoiled (`turned`), and with the field of view cut
through ear, face or crown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from deid_node.face.grid import RAS_SIGN, body_axes
from face_model.defacers import as_volume
from face_model.drawn_heads import drawn_heads
from face_model.real_heads import real_heads
from face_model.score import coverage
from face_model.turned import variants

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from deid_node.dicom.volume import Volume
    from face_model.head import Head

CUTS_MM = {
    "front": ("eye_R", 1, 1, 5.0),
    "crown": ("eye_R", 2, 1, 45.0),
    "ear": ("ear_R", 0, 1, 0.0),
    "below": ("mouth", 2, -1, 0.0),
}
"""From which landmark the field of view ends; along which axis to the right, front or top, which
way; and how far beyond it, for an adult, in mm."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trial:
    """A head, and the volume the node would get of it."""

    head: Head
    volume: Volume

    def coverage(self, mask: np.ndarray) -> dict[str, float]:
        """Share of each feature's tissue that a mask removes."""
        return coverage(self.head, mask)


def trials(
    landmarks: Path, heads: Path, brains: Path | None, labels: Path | None
) -> Iterator[Trial]:
    """Give every head there is.

    Parameters
    ----------
    landmarks, heads, brains : Path
        As `real_heads` takes them.
    labels : Path, optional
        Of the label maps from which held-out heads are drawn; drawing them needs torch.
    """
    for head in real_heads(landmarks, heads, brains):
        yield _trial(head.name, head)
        for name, changed in variants(head):
            yield _trial(f"{head.name} {name}", changed)
        for name in CUTS_MM:
            if CUTS_MM[name][0] in head.landmarks:
                yield _trial(f"{head.name} cut {name}", cut(head, name))
    if labels is not None:
        from face_model.held_out import held_out_heads  # noqa: PLC0415 - needs torch

        for head in held_out_heads(labels):
            yield _trial(f"held-out {head.name}", head)
    for head in drawn_heads():
        yield _trial(f"drawn {head.name}", head)


def cut(head: Head, name: str) -> Head:
    """Let the field of view end at a landmark.

    Parameters
    ----------
    head : Head
        Any orientation.
    name : str
        A key of `CUTS_MM`.
    """
    landmark, body, way, beyond = CUTS_MM[name]
    order, flipped = body_axes(head.affine)
    axis = order[body]
    place = head.landmarks[landmark].copy()
    place[body] += way * RAS_SIGN[body] * beyond * head.scale
    index = np.linalg.inv(head.affine) @ [*place, 1.0]
    at = int(np.clip(round(float(index[axis])), 1, head.values.shape[axis] - 2))
    grows = (way > 0) != flipped[body]
    kept = slice(0, at + 1) if grows else slice(at, head.values.shape[axis])
    box = tuple(kept if a == axis else slice(0, n) for a, n in enumerate(head.values.shape))
    return head.part(box)


def _trial(name: str, head: Head) -> Trial:
    return Trial(head=replace(head, name=name), volume=as_volume(head))
