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
from tests.fakes.csa_headers import Drawn
from tests.fakes.diffusion import B_VALUES, DIRECTIONS, N_SLICES, SIZE, diffusion_series
from tests.planted import written

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from numpy.typing import NDArray
    from pydicom import Dataset

pytestmark = pytest.mark.peer

WITHOUT_GROUP_0019 = "neurolabusc+dcm_qa_12bit"
"""Mosaics of Siemens VB12: only the CSA image header tells how many images they hold, and only
the protocol text of the series header, which goes, when each slice was taken."""


SLICE_TIMES_IN_A_PRIVATE_SEQUENCE = "neurolabusc+dcm_qa_enh"
"""Enhanced MR of Siemens XA."""

READ_FROM_PRIVATE = (
    "SliceTiming",
    "EchoTime",
    "RepetitionTime",
    "FlipAngle",
    "InversionTime",
    "PhaseEncodingDirection",
    "EffectiveEchoSpacing",
    "TotalReadoutTime",
    "BandwidthPerPixelPhaseEncode",
    "MultibandAccelerationFactor",
)
"""Keys of the JSON file that dcm2niix takes from private elements of one maker or another."""

LOST_WITH_SEQUENCES = frozenset(
    {
        "SliceTiming",
        "PhaseEncodingDirection",
        "EffectiveEchoSpacing",
        "TotalReadoutTime",
        "BandwidthPerPixelPhaseEncode",
    }
)
"""What Siemens XA writes into private sequences."""


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


@pytest.mark.parametrize("positive", [0, 1])
def test_what_only_the_csa_header_of_old_software_tells_survives(
    positive: int, peer: Callable[[str], str], tmp_path: Path
) -> None:
    contents = [written(_with_csa(each, positive)) for each in diffusion_series("siemens")]
    program = peer("dcm2niix")

    before = convert(contents, tmp_path / "before", program)
    after = convert(scrubbed(contents), tmp_path / "after", program)

    assert_same(before, after)
    (volume,) = after
    assert volume.b_values is not None
    assert tuple(map(int, volume.b_values.split())) == B_VALUES
    assert volume.gradients is not None
    assert volume.sidecar["PhaseEncodingDirection"] == ("j-" if positive else "j")


def _with_csa(instance: Dataset, positive: int) -> Dataset:
    """Move what group 0019 tells into a CSA header, and add the polarity."""
    block = instance.private_block(0x0019, "SIEMENS MR HEADER")
    b_value = str(block[0x0C].value)
    gradient = list(map(str, block[0x0E].value)) if 0x0E in block else []
    for tag in [tag for tag in instance.keys() if tag.is_private]:  # noqa: SIM118 - stays raw
        del instance[tag]
    instance.InPlanePhaseEncodingDirection = "COL"
    instance.SequenceName = "*ep_b1000"
    tags = {
        "ICE_Dims": ("LO", 1, ["X_1_1_1_1_1_4_1_1_1_1_1_4"]),
        "B_value": ("IS", 1, [b_value]),
        "PhaseEncodingDirectionPositive": ("IS", 1, [str(positive)]),
        "DiffusionGradientDirection": ("FD", 3, gradient),
        "SliceNormalVector": ("FD", 3, ["0.0", "0.0", "1.0"]),
    }
    block = instance.private_block(0x0029, "SIEMENS CSA HEADER", create=True)
    block.add_new(0x10, "OB", Drawn(tags=tags).written())
    return instance


@pytest.mark.heads
@pytest.mark.filterwarnings("ignore::UserWarning")  # pydicom, about the sources themselves
def test_real_mr_converts_to_the_same_volumes(
    shared_data: Path,
    peer: Callable[[str], str],
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    program, compared, n_polarities = peer("dcm2niix"), 0, 0
    for number, ((folder, *_), paths) in enumerate(sorted(_real_series(shared_data).items())):
        contents = [path.read_bytes() for path in paths]
        try:
            outputs = scrubbed(contents)
        except InstanceRefused:
            continue  # the zoo holds files that break off
        before = convert(contents, tmp_path / f"{number}-before", program)
        after = convert(outputs, tmp_path / f"{number}-after", program)
        if before:
            assert_same(before, after, lost=_lost(folder))
            compared += len(before)
            n_polarities += sum("PhaseEncodingDirection" in each.sidecar for each in after)
        if WITHOUT_GROUP_0019 in folder:
            assert {each.voxels.shape[2] for each in after} == {35}

    record_property("polarities", n_polarities)
    assert n_polarities > 10
    record_property("volumes", compared)
    assert compared > 30


def _lost(folder: str) -> frozenset[str]:
    """Name what dcm2niix had from private sequences and from protocol text."""
    if SLICE_TIMES_IN_A_PRIVATE_SEQUENCE in folder:
        return LOST_WITH_SEQUENCES
    return frozenset({"SliceTiming"} if WITHOUT_GROUP_0019 in folder else ())


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
