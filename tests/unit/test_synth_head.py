"""The head that is drawn by code has its parts where a head has them, on any grid."""

from __future__ import annotations

import io
import subprocess
import sys
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import SimpleITK as sitk
from pydicom import dcmread
from synth_head import (
    BRAIN,
    CONTRASTS,
    Contrast,
    FakePatient,
    Head,
    Label,
    PixelFormat,
    dicom_series,
    draw_head,
    grid,
    small_head,
    write_series,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from drawn_head.head import Age, Orientation

ORIENTATIONS: tuple[Orientation, ...] = ("axial", "sagittal", "coronal", "oblique")
PARTS = {
    "left eye": (Label.EYES,),
    "right eye": (Label.EYES,),
    "nose tip": (Label.NOSE,),
    "nasion": (Label.NOSE,),
    "mouth": (Label.MOUTH,),
    "chin": (Label.CHIN,),
    "left ear": (Label.EARS,),
    "right ear": (Label.EARS,),
    "brain": BRAIN,
    "vertex": (Label.FAT, Label.SKIN),
}


@lru_cache(maxsize=16)
def head_of(
    orientation: Orientation = "coronal",
    contrast: Contrast = "T1",
    age: Age = "adult",
    seed: int = 7,
) -> Head:
    where = grid(orientation, 3.0)
    return draw_head(contrast=contrast, shape=where.shape, affine=where.affine, seed=seed, age=age)


def around(head: Head, landmark: str) -> set[int]:
    """Labels of the voxel at a landmark and of its six neighbours."""
    index = np.round(np.linalg.inv(head.affine) @ [*head.landmarks[landmark], 1])[:3].astype(int)
    steps = np.vstack([np.zeros(3, int), np.eye(3, dtype=int), -np.eye(3, dtype=int)])
    return {int(head.labels[tuple(index + step)]) for step in steps}


def middle(head: Head, *labels: Label) -> float:
    return float(np.median(head.values[np.isin(head.labels, labels)]))


@pytest.mark.parametrize("orientation", ["sagittal", "coronal", "oblique"])
@pytest.mark.parametrize("part", PARTS)
def test_each_landmark_lies_in_its_part(orientation: Orientation, part: str) -> None:
    head = head_of(orientation)

    found = around(head, part)

    assert found & set(PARTS[part])


@pytest.mark.parametrize("age", ["child", "newborn"])
@pytest.mark.parametrize("part", ["left eye", "nose tip", "mouth", "chin", "right ear", "brain"])
def test_landmarks_stay_in_their_parts_when_the_head_is_young(age: Age, part: str) -> None:
    head = head_of("coronal", "T1", age)

    found = around(head, part)

    assert found & set(PARTS[part])


def test_left_lies_left_and_the_nose_points_forward() -> None:
    at = head_of().landmarks

    assert at["left eye"][0] > 0 > at["right eye"][0]
    assert at["nose tip"][1] < at["left eye"][1] < at["left ear"][1]
    assert at["vertex"][2] > at["left eye"][2] > at["mouth"][2] > at["chin"][2]


def test_an_adult_has_the_measures_of_an_adult() -> None:
    head = head_of()
    voxel_ml = abs(np.linalg.det(head.affine[:3, :3])) / 1000

    brain_ml = np.isin(head.labels, BRAIN).sum() * voxel_ml
    between_eyes = head.landmarks["left eye"][0] - head.landmarks["right eye"][0]

    assert 1100 < brain_ml < 1500
    assert between_eyes == pytest.approx(63, abs=3)


def test_a_face_grows_later_than_the_cranium_does() -> None:
    def low_to_high(age: Age) -> float:
        at = head_of("coronal", "T1", age).landmarks
        return (at["nasion"][2] - at["chin"][2]) / (at["vertex"][2] - at["nasion"][2])

    ratios = [low_to_high("newborn"), low_to_high("child"), low_to_high("adult")]

    assert ratios == sorted(ratios)
    assert ratios[0] < 0.8 * ratios[2]


@pytest.mark.parametrize(
    ("contrast", "dark_to_bright"),
    [
        ("T1", (Label.AIR, Label.CSF, Label.GREY_MATTER, Label.WHITE_MATTER, Label.FAT)),
        ("T1CE", (Label.CSF, Label.GREY_MATTER, Label.WHITE_MATTER, Label.VESSELS)),
        ("T2", (Label.BONE, Label.MUSCLE, Label.WHITE_MATTER, Label.GREY_MATTER, Label.EYES)),
        ("FLAIR", (Label.AIR, Label.EYES, Label.WHITE_MATTER, Label.GREY_MATTER)),
    ],
)
def test_tissues_are_as_bright_as_their_contrast_says(
    contrast: Contrast, dark_to_bright: tuple[Label, ...]
) -> None:
    head = head_of("coronal", contrast)

    brightness = [middle(head, label) for label in dark_to_bright]

    assert brightness == sorted(brightness)
    assert all(b > a for a, b in pairwise(brightness))


def test_air_is_noisy_as_a_magnitude_is() -> None:
    head = head_of()

    air = head.values[:4, :8, :8]

    # Rayleigh: mean sigma * sqrt(pi / 2), never negative.
    assert air.min() >= 0
    assert air.mean() == pytest.approx(11 * np.sqrt(np.pi / 2), rel=0.1)


def test_one_seed_draws_one_head_and_another_seed_another() -> None:
    first, again, other = small_head(seed=1), small_head(seed=1), small_head(seed=2)

    np.testing.assert_array_equal(first.values, again.values)
    np.testing.assert_array_equal(first.labels, again.labels)
    assert first.landmarks["nose tip"] != other.landmarks["nose tip"]
    cortex_agrees = (first.labels == other.labels)[np.isin(first.labels, BRAIN)].mean()
    assert cortex_agrees < 0.9


def test_a_part_of_the_grid_shows_the_same_head_as_the_whole() -> None:
    where = grid("oblique", 4.0)
    whole = draw_head(contrast="T1", shape=where.shape, affine=where.affine, seed=7)
    shifted = where.affine.copy()
    shifted[:3, 3] += where.affine[:3, :3] @ [20, 5, 9]

    part = draw_head(contrast="T1", shape=(24, 40, 40), affine=shifted, seed=7)

    same = part.labels == whole.labels[20:44, 5:45, 9:49]
    assert same.mean() > 0.999


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_an_independent_reader_finds_the_drawn_geometry(
    orientation: Orientation, tmp_path: Path
) -> None:
    head = small_head(orientation=orientation)
    paths = write_series(dicom_series(head), tmp_path / "series")

    read = sitk.ReadImage([str(path) for path in paths])

    assert read.GetSize() == head.values.shape[::-1]
    for index in ((0, 0, 0), (5, 0, 0), (0, 7, 0), (0, 0, 9), (11, 13, 17)):
        expected = (head.affine @ [*index, 1])[:3]
        found = read.TransformIndexToPhysicalPoint([int(i) for i in index[::-1]])
        np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize(
    "pixels",
    [
        PixelFormat(),
        PixelFormat(bits=16),
        PixelFormat(bits=16, signed=True, intercept=300.0),
        PixelFormat(bits=12, signed=True, slope=0.5, intercept=700.0),
        PixelFormat(bits=8),
        PixelFormat(slope_by_slice=True),
        PixelFormat(bits=16, signed=True, slope_by_slice=True),
    ],
    ids=str,
)
def test_stored_values_and_rescale_give_the_signal_back(pixels: PixelFormat) -> None:
    head = small_head()

    instances = dicom_series(head, pixels=pixels)

    for instance, signal in zip(instances, head.values, strict=True):
        slope = float(instance.get("RescaleSlope", 1))
        stored = instance.pixel_array
        assert instance.BitsStored == pixels.bits
        assert instance.PixelRepresentation == int(pixels.signed)
        np.testing.assert_allclose(
            stored * slope + float(instance.get("RescaleIntercept", 0)), signal, atol=0.51 * slope
        )


def test_the_planted_identity_is_whole_in_every_instance() -> None:
    patient = FakePatient()
    last = dicom_series(small_head(), patient=patient)[-1]
    written = io.BytesIO()

    last.save_as(written, enforce_file_format=True)

    for identifier in patient.identifiers():
        assert identifier.encode() in written.getvalue()


def test_series_of_one_patient_share_study_and_frame_of_reference_only() -> None:
    t1 = dicom_series(small_head(contrast="T1"))
    t2 = dicom_series(small_head(contrast="T2"), series_number=4)

    uids = {instance.SOPInstanceUID for instance in (*t1, *t2)}

    assert t1[0].StudyInstanceUID == t2[0].StudyInstanceUID
    assert t1[0].FrameOfReferenceUID == t2[0].FrameOfReferenceUID
    assert t1[0].SeriesInstanceUID != t2[0].SeriesInstanceUID
    assert len(uids) == len(t1) + len(t2)


@pytest.mark.peer
@pytest.mark.parametrize("contrast", CONTRASTS)
def test_dciodvfy_finds_no_error(
    contrast: Contrast, tmp_path: Path, peer: Callable[[str], str]
) -> None:
    program = peer("dciodvfy")
    head = small_head(contrast=contrast, orientation="oblique")
    path = write_series(dicom_series(head)[10:11], tmp_path)[0]

    told = subprocess.run([program, str(path)], capture_output=True, text=True, check=False)

    assert "Error" not in told.stdout + told.stderr
    assert "MRImage" in told.stdout + told.stderr


def test_the_command_writes_a_folder_of_part_10_files(tmp_path: Path) -> None:
    tool = Path(__file__).parents[2] / "tools" / "synth_head.py"
    command = [sys.executable, str(tool), "--out", str(tmp_path), "--size", "6", "--contrast", "T2"]

    subprocess.run(command, check=True, capture_output=True)

    instances = [dcmread(path) for path in sorted(tmp_path.iterdir())]
    assert len(instances) == 29
    assert {instance.SeriesDescription for instance in instances} == {"T2 head"}
    assert [instance.InstanceNumber for instance in instances] == list(range(1, 30))
