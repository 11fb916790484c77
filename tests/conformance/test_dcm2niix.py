"""What dcm2niix makes of a series before and after: the same voxels, places, b-values, gradients."""

from __future__ import annotations

import json
import subprocess
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nibabel as nib
import numpy as np
import pytest
from pydicom import dcmread
from pydicom.uid import EnhancedMRImageStorage, MRImageStorage

from deid_node.config.profile_file import load_profile
from deid_node.errors import InstanceRefused
from deid_node.headers.pseudonyms import Pseudonyms
from deid_node.pipeline.header_only import HeaderScrubber
from tests.fakes.diffusion import B_VALUES, DIRECTIONS, N_SLICES, SIZE, diffusion_series
from tests.planted import written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray

pytestmark = pytest.mark.peer

WITHOUT_GROUP_0019 = "neurolabusc+dcm_qa_12bit"
"""Mosaics of Siemens VB12: only the CSA header tells how many images they hold."""


SLICE_TIMES_IN_A_PRIVATE_SEQUENCE = "neurolabusc+dcm_qa_enh"
"""Enhanced MR of Siemens XA."""

READ_FROM_PRIVATE = ("SliceTiming", "EchoTime", "RepetitionTime", "FlipAngle", "InversionTime")
"""Keys of the JSON file that dcm2niix takes from private elements of one maker or another."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Converted:
    """One volume that dcm2niix made.

    Parameters
    ----------
    affine : (4, 4) ndarray
        Of the NIfTI, in mm, RAS.
    voxels : ndarray
        Stored values.
    b_values, gradients : str or None
        Text of the .bval and .bvec files.
    sidecar : dict
        The JSON file.
    """

    affine: NDArray[np.float64]
    voxels: NDArray[Any]
    b_values: str | None
    gradients: str | None
    sidecar: dict[str, Any]


def convert(contents: Iterable[bytes], folder: Path, program: str) -> list[Converted]:
    (folder / "in").mkdir(parents=True)
    (folder / "out").mkdir()
    for number, content in enumerate(contents):
        (folder / "in" / f"{number:04}.dcm").write_bytes(content)
    options = ["-z", "n", "-b", "y", "-f", "volume"]
    subprocess.run(
        [program, *options, "-o", str(folder / "out"), str(folder / "in")],
        check=False,
        capture_output=True,
    )
    return [_opened(path) for path in sorted((folder / "out").glob("*.nii"))]


def _opened(path: Path) -> Converted:
    def text(suffix: str) -> str | None:
        beside = path.with_suffix(suffix)
        return beside.read_text(encoding="ascii") if beside.exists() else None

    volume = nib.load(path)
    return Converted(
        affine=volume.affine,
        voxels=np.asarray(volume.dataobj.get_unscaled()),
        b_values=text(".bval"),
        gradients=text(".bvec"),
        sidecar=json.loads(text(".json") or "{}"),
    )


def scrubbed(contents: Iterable[bytes]) -> list[bytes]:
    scrubber = HeaderScrubber(load_profile("research-mr"), Pseudonyms(bytes(range(32))))
    return [scrubber.run(content).encoded.part10 for content in contents]


def assert_same(
    before: list[Converted], after: list[Converted], *, lost: frozenset[str] = frozenset()
) -> None:
    assert len(after) == len(before)
    for came, left in zip(before, after, strict=True):
        assert left.voxels.shape == came.voxels.shape
        np.testing.assert_allclose(left.affine, came.affine, atol=1e-4)
        np.testing.assert_array_equal(left.voxels, came.voxels)
        assert (left.b_values, left.gradients) == (came.b_values, came.gradients)
        differing = {k for k in READ_FROM_PRIVATE if left.sidecar.get(k) != came.sidecar.get(k)}
        assert differing == lost


@pytest.mark.parametrize("maker", ["siemens", "ge", "philips"])
def test_b_values_and_gradients_of_a_drawn_series_survive(
    maker: str, peer: Callable[[str], str], tmp_path: Path
) -> None:
    contents = [written(each) for each in diffusion_series(maker)]
    program = peer("dcm2niix")

    before = convert(contents, tmp_path / "before", program)
    after = convert(scrubbed(contents), tmp_path / "after", program)

    assert_same(before, after)
    (volume,) = after
    assert volume.voxels.shape == (SIZE, SIZE, N_SLICES, len(B_VALUES))
    assert volume.b_values is not None
    assert volume.gradients is not None
    assert tuple(map(int, volume.b_values.split())) == B_VALUES
    found = np.array([line.split() for line in volume.gradients.split("\n") if line], dtype=float)
    # dcm2niix turns axes to the image's; lengths along each stay.
    np.testing.assert_allclose(np.abs(found.T), np.abs(np.array(DIRECTIONS)), atol=1e-4)
    if maker == "philips":
        assert volume.sidecar["PhilipsScaleSlope"] == 0.0078125


@pytest.mark.heads
@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom, about the sources themselves
def test_real_mr_converts_to_the_same_volumes(
    shared_data: Path,
    peer: Callable[[str], str],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    program, compared = peer("dcm2niix"), 0
    for number, ((folder, *_), paths) in enumerate(sorted(_real_series(shared_data).items())):
        contents = [path.read_bytes() for path in paths]
        try:
            outputs = scrubbed(contents)
        except InstanceRefused:
            continue  # the zoo holds files that break off
        before = convert(contents, tmp_path / f"{number}-before", program)
        after = convert(outputs, tmp_path / f"{number}-after", program)
        if WITHOUT_GROUP_0019 in folder:
            assert {each.voxels.shape[2] for each in before} == {35}
            assert {each.voxels.shape[2] for each in after} == {36}
        elif before:
            private = SLICE_TIMES_IN_A_PRIVATE_SEQUENCE in folder
            assert_same(before, after, lost=frozenset({"SliceTiming"} if private else ()))
            compared += len(before)

    record_property("volumes", compared)
    assert compared > 30


def _real_series(shared_data: Path) -> dict[tuple[str, ...], list[Path]]:
    """Files of each MR series and Transfer Syntax of heads and zoo."""
    found: defaultdict[tuple[str, ...], list[Path]] = defaultdict(list)
    for path in sorted(shared_data.rglob("*")):
        if "labels" in path.parts or not path.is_file():
            continue
        try:
            dataset = dcmread(path, stop_before_pixels=True)
        except Exception:  # noqa: BLE001, S112 - the zoo is full of files that are no DICOM
            continue
        if dataset.get("SOPClassUID") in {MRImageStorage, EnhancedMRImageStorage}:
            syntax = str(dataset.file_meta.get("TransferSyntaxUID", ""))
            found[str(path.parent), str(dataset.get("SeriesInstanceUID")), syntax].append(path)
    return dict(found)
