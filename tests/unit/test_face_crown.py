"""The head's top must lie as far above the brain as skull and scalp are thick."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from deid_node.errors import ImplausibleFaceMask
from deid_node.face.crown import THICK_MM, check_crown, crown_mm, measure_crown
from deid_node.face.head_frame import HeadFrame
from deid_node.face.head_samples import sample_head
from deid_node.face.model import FaceEstimate
from deid_node.face.shrunk import shrink
from tests.fakes.head import volume_of
from tests.unit.test_head_frame import parts_of, turn

if TYPE_CHECKING:
    from deid_node.dicom.volume import Volume

STEP_MM = 3.0
BRAIN_TOP_MM, THICK = 60.0, 12.0
SHAPE = (17, 21, 46)


def lines(top: int) -> np.ndarray:
    """Vertical lines that are filled up to below the index `top`."""
    return np.broadcast_to(np.arange(SHAPE[2]) < top, SHAPE)


def turned_head(frame: HeadFrame) -> tuple[Volume, np.ndarray]:
    """Draw a bright slab up to a level top; also give each voxel's head coordinates."""
    shape, edge = (100, 100, 110), 3.0
    affine = np.diag([-edge, -edge, edge, 1.0])
    affine[:3, 3] = -affine[:3, :3] @ (np.array(shape) - 1) / 2
    affine[2, 3] += 30
    index = np.moveaxis(np.indices(shape), 0, -1)
    at = frame.to_head((index @ affine[:3, :3].T + affine[:3, 3]) * [-1, -1, 1])
    inside = (at[..., 2] < BRAIN_TOP_MM + THICK) & (np.abs(at[..., 0]) < 80)
    noise = np.random.default_rng(0).rayleigh(30, shape)
    return volume_of((inside * 900 + noise).astype(np.int16), affine), at


def estimate_of(frame: HeadFrame, volume: Volume, brain: np.ndarray) -> FaceEstimate:
    nothing = np.zeros(brain.shape, np.float32)
    return FaceEstimate(
        face=nothing,
        ears=nothing,
        brain=brain.astype(np.float32),
        affine=volume.affine,
        parts=parts_of(frame),
        frame=frame,
        settled=True,
    )


def everything() -> np.ndarray:
    return np.ones(SHAPE, bool)


def test_skull_and_scalp_are_measured_between_the_two_tops() -> None:
    assert crown_mm(everything(), lines(20), lines(24)) == 4 * STEP_MM


def test_a_speck_above_the_head_is_not_its_top() -> None:
    tissue = lines(24).copy()
    tissue[::2, :, 30] = True

    assert crown_mm(everything(), lines(20), tissue) == 4 * STEP_MM


def test_a_crown_at_the_edge_of_the_field_of_view_tells_nothing() -> None:
    assert crown_mm(lines(27), lines(20), lines(24)) == 4 * STEP_MM
    assert crown_mm(lines(26), lines(20), lines(24)) is None


def test_where_brain_or_head_is_missing_nothing_is_told() -> None:
    assert crown_mm(everything(), lines(0), lines(24)) is None
    assert crown_mm(everything(), lines(20), lines(0)) is None


@pytest.mark.parametrize(("n", "is_told"), [(39, False), (40, True)])
def test_a_few_lines_tell_nothing(n: int, *, is_told: bool) -> None:
    brain = lines(20).copy()
    brain.reshape(-1, SHAPE[2])[n:] = False

    assert (crown_mm(everything(), brain, lines(24)) is not None) == is_told


@pytest.mark.parametrize(("shift_mm", "is_held"), [(0, False), (-15, True), (15, True)])
def test_a_brain_that_lies_wrong_in_its_head_is_held(shift_mm: float, *, is_held: bool) -> None:
    frame = HeadFrame(origin=np.array([8.0, -5.0, 12.0]), axes=turn(20, 0, 15).T, scale=0.9)
    volume, at = turned_head(frame)
    estimate = estimate_of(frame, volume, at[..., 2] < BRAIN_TOP_MM + shift_mm)
    shrunk = shrink(volume, STEP_MM)
    head = sample_head(np.zeros(at.shape[:3], bool), volume, frame, shrunk)

    thick = measure_crown(estimate, head, frame, shrunk)

    assert thick is not None
    assert thick == pytest.approx(THICK - shift_mm, abs=STEP_MM)
    assert is_held == (not THICK_MM[0] <= thick <= THICK_MM[1])
    if is_held:
        with pytest.raises(ImplausibleFaceMask, match="top"):
            check_crown(estimate, head, frame, shrunk)
    else:
        check_crown(estimate, head, frame, shrunk)
