"""Masks broken on purpose, and fields of view cut on purpose."""

from __future__ import annotations

import numpy as np
import pytest
from face_model.break_masks import depth, put_back, shifted
from face_model.head import Head
from face_model.trial_heads import CUTS_MM, Trial, cut
from face_model.turned import stored_otherwise

from deid_node.face.grid import RAS_SIGN, body_axes, to_body
from tests.fakes.head import volume_of

SHAPE = (40, 50, 60)
EDGE_MM = 4.0


def head() -> Head:
    affine = np.diag([-EDGE_MM, -EDGE_MM, EDGE_MM, 1.0])
    affine[:3, 3] = [80, 100, -120]
    at = {"eye_R": [30.0, 60, 20], "ear_R": [70.0, -40, -10], "mouth": [0.0, 50, -60]}
    return Head(
        name="box",
        values=np.full(SHAPE, 100, np.float32),
        affine=affine,
        landmarks={k: np.array(v) * RAS_SIGN for k, v in at.items()},
        scale=0.9,
        tissue=np.ones(SHAPE, bool),
    )


def trial(order: tuple[int, ...] = (0, 1, 2), ways: tuple[int, ...] = (1, 1, 1)) -> Trial:
    turned = stored_otherwise(head(), order, ways)
    return Trial(head=turned, volume=volume_of(turned.values.astype(np.int16), turned.affine))


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
@pytest.mark.parametrize("ways", [(1, 1, 1), (-1, 1, -1)])
@pytest.mark.parametrize("name", CUTS_MM)
def test_a_cut_field_of_view_ends_at_the_landmark(
    name: str, order: tuple[int, ...], ways: tuple[int, ...]
) -> None:
    whole = trial(order, ways).head
    landmark, body, way, beyond = CUTS_MM[name]

    kept = cut(whole, name)

    along, before = (
        each.places(each.tissue)[:, body] * RAS_SIGN[body] * way for each in (kept, whole)
    )
    end = whole.landmarks[landmark][body] * RAS_SIGN[body] * way + beyond * whole.scale
    assert along.max() == pytest.approx(end, abs=EDGE_MM / 2 + 1e-6)
    assert along.min() == before.min()


@pytest.mark.parametrize("order", [(0, 1, 2), (1, 2, 0)])
def test_a_mask_is_shifted_along_the_body_and_its_edge_follows(order: tuple[int, ...]) -> None:
    case = trial(order, (-1, 1, 1))
    axes = body_axes(case.volume.affine)
    mask = np.zeros(case.volume.stored.shape, bool)
    to_body(mask, axes)[:, 45:, :] = True

    back = to_body(shifted(case, mask, 1, -8.0), axes)
    front = to_body(shifted(case, mask, 1, 8.0), axes)

    assert np.flatnonzero(back.any(axis=(0, 2)))[0] == 43
    assert back[:, -1].all()
    assert np.flatnonzero(front.any(axis=(0, 2)))[0] == 47


def test_a_feature_put_back_is_a_ball_round_its_landmark() -> None:
    case = trial((1, 2, 0), (1, -1, 1))
    everything = np.ones(case.volume.stored.shape, bool)

    back = put_back(case, everything, ["mouth", "nose"])

    away = np.linalg.norm(
        case.head.places(everything) - case.head.landmarks["mouth"], axis=1
    ).reshape(everything.shape)
    np.testing.assert_array_equal(~back, away < 15.0 * 0.9)


def test_the_edge_of_the_volume_is_no_border_of_a_mask() -> None:
    case = trial()
    mask = np.zeros(SHAPE, bool)
    mask[:10] = True

    deep = depth(case, mask)

    np.testing.assert_allclose(deep[0], 10 * EDGE_MM)
    np.testing.assert_allclose(deep[9], EDGE_MM)
