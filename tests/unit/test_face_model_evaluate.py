"""What stands round the scorer: defacers, turned heads, goals, held-out heads."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import permutations, product
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from face_model import turned
from face_model.defacers import Niimath, Quickshear, peers
from face_model.head import Head
from face_model.report import Row, findings, table
from face_model.score import FEATURES, Scores

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SHAPE = (10, 12, 14)


def small_head() -> Head:
    """Make a head on an oblique, uneven grid, in air of exactly zero."""
    affine = np.eye(4)
    affine[:3, :3] = [[0.0, 0.6, 1.0], [0.2, 1.5, 0.0], [3.0, 0.0, 0.1]]
    affine[:3, 3] = [-11, 7, 3]
    values = np.zeros(SHAPE, np.float32)
    values[3:7, 4:9, 5:10] = 100
    return Head(
        name="small",
        values=values,
        affine=affine,
        landmarks={"nose": affine[:3, :3] @ [5, 5, 5] + affine[:3, 3]},
        scale=1.0,
        tissue=values > 0,
        brain=values > 0,
        csf=np.zeros(SHAPE, bool),
    )


def one_voxel(head: Head) -> NDArray[np.float64]:
    where = np.zeros(head.values.shape, bool)
    where[np.unravel_index(np.argmax(head.values), where.shape)] = True
    return np.asarray(head.places(where)[0])


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_a_head_stored_otherwise_keeps_every_voxel_in_its_place(order: tuple[int, ...]) -> None:
    head = small_head()
    head.values[2, 9, 4] = 500

    for ways in product((1, -1), repeat=3):
        again = turned.stored_otherwise(head, order, ways)

        np.testing.assert_allclose(one_voxel(again), one_voxel(head), atol=1e-9)
        back = turned.stored_back(again.values > 50, order, ways)
        np.testing.assert_array_equal(back, head.values > 50)


def test_tilted_slices_show_the_same_head_in_the_same_place() -> None:
    head = small_head()

    slanted = turned.tilted(head, (15, 0, 20))

    centre = head.places(head.tissue).mean(axis=0)
    np.testing.assert_allclose(slanted.places(slanted.tissue).mean(axis=0), centre, atol=0.5)
    assert not np.allclose(slanted.affine[:3, :3], head.affine[:3, :3])


def test_a_moved_head_takes_its_landmarks_with_it() -> None:
    head = small_head()

    moved = turned.moved(head, (25, 0, 0))

    index = np.linalg.inv(moved.affine[:3, :3]) @ (moved.landmarks["nose"] - moved.affine[:3, 3])
    np.testing.assert_allclose(index, [5, 5, 5], atol=1e-9)
    assert not np.allclose(moved.landmarks["nose"], head.landmarks["nose"])


def test_averaged_slices_lie_in_the_middle_of_those_they_replace() -> None:
    head = replace(small_head(), affine=np.diag([1.0, 1.0, 1.0, 1.0]))

    spoiled = dict(turned.spoiled(head))

    thick = spoiled["5 mm slices"]
    assert thick.values.shape == (2, 12, 14)
    np.testing.assert_allclose(thick.affine @ [0, 0, 0, 1], [2, 0, 0, 1])
    np.testing.assert_allclose(thick.values[0], head.values[:5].mean(axis=0))


def test_inverted_contrast_leaves_air_dark_and_turns_the_order_of_tissues() -> None:
    head = small_head()
    head.values[3, 4, 5] = 20

    inverted = dict(turned.spoiled(head))["inverted"]

    assert inverted.values[3, 4, 5] > inverted.values[4, 5, 6] > 0
    assert inverted.values[~head.tissue].max() == 0


def stub(folder: Path, name: str, last: int) -> Path:
    """Write a program that zeroes all before row 6, air and tissue; its last file is the result."""
    program = folder / name
    program.write_text(
        f"#!{sys.executable}\n"
        "import sys\nimport nibabel\nimport numpy\n"
        "image = nibabel.load(sys.argv[1])\n"
        "values = numpy.array(image.dataobj)\nvalues[:, :6] = 0\n"
        f"nibabel.save(nibabel.Nifti1Image(values, image.affine), sys.argv[{last}])\n"
    )
    program.chmod(0o755)
    return program


def test_what_a_peer_removes_is_seen_in_air_of_zero_too(tmp_path: Path) -> None:
    shear = Quickshear(program=stub(tmp_path, "quickshear", 3))
    template = tmp_path / "template.nii"
    niimath = Niimath(program=stub(tmp_path, "niimath", 5), template=template, mask=template)
    expected = np.zeros(SHAPE, bool)
    expected[:, :6] = True

    for defacer in (shear, niimath):
        answer = defacer(small_head())

        assert answer is not None
        np.testing.assert_array_equal(answer.removed, expected)
        assert answer.cpu_s > 0


def test_quickshear_is_not_asked_without_a_brain(tmp_path: Path) -> None:
    shear = Quickshear(program=tmp_path / "absent")

    assert shear(replace(small_head(), brain=None)) is None


def test_absent_peers_are_named_and_left_out(tmp_path: Path) -> None:
    found, missing = peers(tmp_path, tmp_path / "template", tmp_path / "mask")

    assert found == []
    assert ["niimath" in missing[0], "quickshear" in missing[1]] == [True, True]


def perfect(head: str = "perfect", **changed: Any) -> Row:  # noqa: ANN401 - any field of Scores
    scores = Scores(
        coverage=dict.fromkeys(FEATURES, 1.0),
        composite=1.0,
        ears=1.0,
        brain_voxels=0,
        csf_voxels=0,
        brain_ml=0.0,
        csf_ml=0.0,
        tissue=0.09,
        residue=0.0,
        leak=0.01,
        upright=0.01,
        shown=0.0,
        far_ml=0.0,
    )
    return Row(head=head, scores=replace(scores, **changed), verdict="passed", cpu_s=1.0)


def test_a_perfect_head_meets_every_goal() -> None:
    assert [f.met for f in findings([perfect()])] == [True] * 10


@pytest.mark.parametrize(
    ("changed", "missed"),
    [
        ({"composite": 0.975}, [0]),
        ({"composite": 0.96}, [0, 1]),
        ({"coverage": dict.fromkeys(FEATURES, 1.0) | {"chin": 0.94}}, [2]),
        ({"ears": 0.96}, [3]),
        ({"brain_voxels": 1}, [4]),
        ({"csf_voxels": 1}, [5]),
        ({"residue": 0.021}, [6]),
        ({"leak": 0.051}, [7]),
        ({"tissue": 0.111}, [8]),
        ({"far_ml": 0.01}, [9]),
    ],
)
def test_each_figure_out_of_bounds_misses_its_own_goal(
    changed: dict[str, Any], missed: list[int]
) -> None:
    found = findings([perfect(**changed)])

    assert [n for n, f in enumerate(found) if not f.met] == missed


def test_csf_may_be_touched_in_one_image_of_twenty() -> None:
    rows = [perfect(str(n)) for n in range(19)]
    touched = perfect("touched", csf_voxels=9)

    csf = [findings(own)[5].met for own in ([*rows, touched], [*rows[1:], touched])]

    assert csf == [True, False]


def test_what_is_not_known_is_no_success() -> None:
    found = findings([perfect(brain_voxels=None, csf_voxels=None)])

    assert [found[4].met, found[5].met] == [None, None]
    assert "-" in table([perfect(residue=None)])


@pytest.mark.torch
@pytest.mark.slow
@pytest.mark.heads
def test_held_out_heads_carry_their_truth_through_the_warp(shared_data: Path) -> None:
    pytest.importorskip("torch", reason="torch is not installed: `make test-torch` runs this")
    from face_model import held_out  # noqa: PLC0415 - needs torch

    name = "training_seg_02.nii.gz"
    source = held_out.load_held_out(shared_data / "labels" / "synthseg_20_wholehead" / name)

    drawn = {
        age: held_out.draw_head(source, age=age, thick_mm=2.0, contrast="T2", seed=1)
        for age in ("newborn", "adult")
    }
    again = held_out.draw_head(source, age="newborn", thick_mm=2.0, contrast="T2", seed=1)

    ml = {}
    for age, head in drawn.items():
        assert head.brain is not None
        ml[age] = head.brain.sum() * np.prod(head.spacing_mm()) / 1000
        at = np.argwhere(np.ones(head.values.shape, bool)) @ head.affine[:3, :3].T
        for eye in ("eye_L", "eye_R"):  # the vitreous is what is bright in T2
            away = np.linalg.norm(at + head.affine[:3, 3] - head.landmarks[eye], axis=1)
            globe = head.values.ravel()[away < 6 * head.scale]
            assert np.median(globe) > 1.5 * np.median(head.values[head.brain])
    assert ml["newborn"] / ml["adult"] == pytest.approx(0.68**3, rel=0.05)
    np.testing.assert_array_equal(again.values, drawn["newborn"].values)
    left, right = (drawn["adult"].landmarks[k] for k in ("ear_L", "ear_R"))
    assert left[0] > 60 > -60 > right[0]  # LPS: x grows to the Left
