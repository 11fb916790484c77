"""The NIfTI file is the defaced volume, voxel for voxel, where DICOM puts it."""

from __future__ import annotations

import errno
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from drawn_head.head import small_head
from drawn_head.series import dicom_series

from deid_node.dicom.series import Series
from deid_node.errors import OutputUnwritable
from deid_node.face.openvino_model import load_model
from deid_node.face.weights import default_weights
from deid_node.node import nifti
from deid_node.node.nifti import write_nifti
from deid_node.pipeline.deidentify import DeidentifiedSeries, deidentify
from tests.fakes.recipe import recipe_of

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


@pytest.fixture(scope="module", params=["axial", "sagittal", "coronal", "oblique"])
def result(request: pytest.FixtureRequest) -> DeidentifiedSeries:
    instances = dicom_series(small_head(orientation=request.param))
    recipe = recipe_of(model=load_model(default_weights(), threads=1))
    return deidentify(Series(instances=tuple(instances)), recipe)


def test_every_voxel_lies_where_dicom_puts_it(result: DeidentifiedSeries, tmp_path: Path) -> None:
    path = write_nifti(result, tmp_path)

    written = nib.load(path)
    values = np.asarray(written.dataobj)
    volume = result.evidence.after
    indices = np.indices(volume.stored.shape).reshape(3, -1)
    points = volume.affine @ np.vstack([indices, np.ones(indices.shape[1])])
    at = np.linalg.inv(written.affine) @ LPS_TO_RAS @ points
    nearest = np.round(at[:3]).astype(int)

    np.testing.assert_allclose(at[:3], nearest, atol=1e-3)
    np.testing.assert_allclose(values[tuple(nearest)], volume.values().ravel(), rtol=1e-5)


def test_folder_that_is_not_there_is_named_and_nothing_stays(
    result: DeidentifiedSeries, tmp_path: Path
) -> None:
    with pytest.raises(OutputUnwritable, match="NIfTI"):
        write_nifti(result, tmp_path / "none")

    assert list(tmp_path.iterdir()) == []


def test_disk_that_fills_up_half_way_leaves_nothing(
    result: DeidentifiedSeries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_off(_instances: object, path: str, **_options: object) -> None:
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(nifti, "dicom_array_to_nifti", break_off)

    with pytest.raises(OutputUnwritable, match="NIfTI"):
        write_nifti(result, tmp_path)

    assert list(tmp_path.iterdir()) == []
