"""Draw before and after side by side, so that a person can judge what was removed.

The picture shows a face: it belongs on the trusted side. It carries counts and directions,
and no word from the header.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from deid_node.pipeline.patient_grid import PatientGrid, shrunk
from deid_node.pipeline.sheet import Cell, sheet
from deid_node.pipeline.surface import despeckled, shaded_view, skin_threshold

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from deid_node.dicom.volume import Volume
    from deid_node.pipeline.review import Evidence

_SURFACE_STEP_MM = 1.6
_PIXEL_MM = 0.8
_MARGIN_MM = 12.0
_VIEWS = (("front", 0.0, "RL"), ("45°", 45.0, ""), ("profile", 90.0, "AP"))
"""Title, where the viewer stands in degrees from the front, letters left and right."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Plane:
    title: str
    axis: int
    quantile: float
    """Which part of the removed tissue it goes through; the axial one meets the eyes."""
    across: str
    upright: str


_PLANES = (
    _Plane(title="sagittal", axis=2, quantile=0.5, across="AP", upright="SI"),
    _Plane(title="axial", axis=0, quantile=0.72, across="RL", upright="AP"),
    _Plane(title="coronal", axis=1, quantile=0.5, across="RL", upright="SI"),
)
_SKIN = np.array([255, 236, 220], np.float32)
_MASK = np.array([255, 132, 40], np.float32)
_TINT = 0.25


def draw(evidence: Evidence) -> bytes:
    """Draw surface views and planes of a series before and after.

    Parameters
    ----------
    evidence
        Before, after and mask, on one grid of any orientation.

    Returns
    -------
    bytes
        A PNG: the upper row before, with the mask tinted and outlined, the lower row after.
        Equal evidence gives equal bytes.
    """
    affine = evidence.before.affine
    mask = evidence.mask.astype(np.float32)
    values = evidence.before.values()
    grid = PatientGrid.around(mask.shape, affine, _SURFACE_STEP_MM)
    head = grid.sampled(*shrunk(values, affine, _SURFACE_STEP_MM))
    threshold = skin_threshold(head)
    head = despeckled(head, threshold, step_mm=_SURFACE_STEP_MM)
    box = _box_around(head > threshold)
    grid, head = grid.cropped(box), head[box]
    removed = (grid.sampled(mask, affine, linear=False) > 0) & (head > threshold)
    planes = _planes(grid, removed)
    white = float(np.percentile(head, 99.0)) or 1.0
    before = _surfaces(head, threshold)
    for plane, points in planes:
        shown = _grey(points.sampled(values, affine), white)
        outlined = _outlined(shown, points.sampled(mask, affine, linear=False) > 0)
        before.append(_plane_cell(outlined, plane))
    values = evidence.after.values()
    rest = grid.sampled(*shrunk(values, affine, _SURFACE_STEP_MM))
    after = _surfaces(despeckled(rest, threshold, step_mm=_SURFACE_STEP_MM), threshold)
    for plane, points in planes:
        after.append(_plane_cell(_grey(points.sampled(values, affine), white), plane))
    tissue_ml = float(np.count_nonzero(removed)) * _SURFACE_STEP_MM**3 / 1000
    caption = _caption(evidence.before, evidence.mask, tissue_ml)
    return sheet((("before", before), ("after", after)), caption)


def _box_around(solid: NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    """Find the box of the head with a margin; all of the grid where there is no head."""
    margin = round(_MARGIN_MM / _SURFACE_STEP_MM)
    sides = []
    for axis, length in enumerate(solid.shape):
        others = tuple(other for other in range(3) if other != axis)
        hit = np.flatnonzero(solid.any(axis=others))
        first, last = (int(hit[0]), int(hit[-1])) if hit.size else (0, length - 1)
        sides.append(slice(max(first - margin, 0), min(last + margin + 1, length)))
    return sides[0], sides[1], sides[2]


def _planes(grid: PatientGrid, removed: NDArray[np.bool_]) -> list[tuple[_Plane, PatientGrid]]:
    """Place each plane where removed tissue is, or in the middle where there is none."""
    where = np.nonzero(removed)
    placed = []
    for plane in _PLANES:
        index = grid.shape[plane.axis] // 2
        if where[0].size:
            index = round(float(np.quantile(where[plane.axis], plane.quantile)))
        placed.append((plane, grid.plane(plane.axis, index, _PIXEL_MM)))
    return placed


def _surfaces(head: NDArray[np.float32], threshold: float) -> list[Cell]:
    cells = []
    for title, yaw_degrees, across in _VIEWS:
        light = shaded_view(head, threshold, yaw_degrees=yaw_degrees)
        light = np.clip(ndimage.zoom(light, _SURFACE_STEP_MM / _PIXEL_MM, order=1), 0, 1)
        pixels = (light[..., None] * _SKIN).astype(np.uint8)
        cells.append(Cell(title=title, pixels=pixels, across=across))
    return cells


def _grey(values: NDArray[np.float32], white: float) -> NDArray[np.float32]:
    """Turn values into RGB, 0 to 255, from black at 0 to white."""
    light = np.clip(values / np.float32(white), 0, 1) * np.float32(255)
    return np.repeat(light[..., None], 3, axis=-1)


def _outlined(colours: NDArray[np.float32], mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Tint the mask and draw its edge, on a plane one point thick."""
    flat = mask.squeeze()
    edge = (flat & ~ndimage.binary_erosion(flat)).reshape(mask.shape)
    share = np.where(edge, 1.0, np.where(mask, _TINT, 0.0)).astype(np.float32)[..., None]
    return np.asarray(colours * (1 - share) + _MASK * share, np.float32)


def _plane_cell(colours: NDArray[np.float32], plane: _Plane) -> Cell:
    pixels = colours.squeeze(plane.axis).astype(np.uint8)
    if plane.upright == "SI":
        pixels = pixels[::-1]
    return Cell(
        title=plane.title,
        pixels=np.ascontiguousarray(pixels),
        across=plane.across,
        upright=plane.upright,
    )


def _caption(volume: Volume, mask: NDArray[np.bool_], tissue_ml: float) -> str:
    """Count what was removed."""
    n_voxels = int(np.count_nonzero(mask))
    millilitres = n_voxels * abs(float(np.linalg.det(volume.affine[:3, :3]))) / 1000
    size = " x ".join(f"{length:.2f}" for length in volume.spacing_mm())
    grid = " x ".join(str(length) for length in mask.shape)
    return (
        f"{n_voxels:,} voxels replaced: {millilitres:,.1f} ml, of it {tissue_ml:,.0f} ml tissue"
        f"   ·   {grid} voxels of {size} mm   ·   shows a face: trusted side only"
    )
